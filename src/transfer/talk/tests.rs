use std::collections::BTreeMap;

use circuits::time::UnixSecs;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::transfer::schedule::AttemptId;
use crate::transfer::secret::FileSecret;

/// Time from one end to the other.
const LATENCY: Duration = Duration::from_millis(700);

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

fn end(own: FileEnd, attempt: u8) -> TalkSession {
    let seed = match own {
        FileEnd::Sender => 1,
        FileEnd::Receiver => 2,
    };
    let rng = &mut ChaCha20Rng::from_seed([seed; 32]);
    let attempt = AttemptId::new(UnixSecs(1_200), attempt).unwrap();
    let keys = FileSecret::take(&mut [3; 32]).attempt(attempt);
    TalkSession::start(rng, at(0), keys, own)
}

fn line(text: &str) -> TalkLine {
    TalkLine::new(Zeroizing::new(text.to_owned())).unwrap()
}

/// Two ends, and the payloads between them.
struct Pair {
    ends: [TalkSession; 2],
    /// Payloads that arrive at an end.
    flying: BTreeMap<(Instant, usize, u64), SealedPayload>,
    sent: u64,
    /// When each end sent a payload.
    times: [Vec<Instant>; 2],
    lines: [Vec<String>; 2],
    faults: [Option<TransferFault>; 2],
}

impl Pair {
    fn new() -> Self {
        Self {
            ends: [end(FileEnd::Sender, 0), end(FileEnd::Receiver, 0)],
            flying: BTreeMap::new(),
            sent: 0,
            times: [const { Vec::new() }; 2],
            lines: [const { Vec::new() }; 2],
            faults: [None; 2],
        }
    }

    fn poll(&mut self, now: Instant) {
        for own in 0..2 {
            while let Some(payload) = self.ends[own].poll_payload() {
                self.sent += 1;
                self.times[own].push(now);
                let key = (now.after(LATENCY), 1 - own, self.sent);
                self.flying.insert(key, payload);
            }
            while let Some(step) = self.ends[own].poll_step() {
                match step {
                    TalkStep::Opened => {}
                    TalkStep::Line(line) => self.lines[own].push(line.as_str().to_owned()),
                    TalkStep::Ended(fault) => self.faults[own] = Some(fault),
                }
            }
        }
    }

    /// Runs to an instant; a payload whose number `is_lost` does not arrive.
    fn run_to(&mut self, until: Instant, mut is_lost: impl FnMut(u64) -> bool) {
        loop {
            let deadlines = self.ends.iter().filter_map(TalkSession::deadline);
            let arrival = self.flying.keys().next().map(|(due, ..)| *due);
            let next = deadlines.chain(arrival).min();
            let Some(now) = next.filter(|next| *next <= until) else {
                return;
            };
            while let Some(first) = self.flying.first_entry()
                && first.key().0 <= now
            {
                let ((_, to, number), payload) = first.remove_entry();
                if !is_lost(number) {
                    self.ends[to].receive(now, &payload);
                }
            }
            self.ends.iter_mut().for_each(|end| end.on_time(now));
            self.poll(now);
        }
    }

    /// Both ends have met.
    fn met() -> Self {
        let mut pair = Self::new();
        pair.poll(at(0));
        pair.run_to(at(1_000), |_| false);
        assert!(pair.ends.iter().all(TalkSession::is_open));
        pair
    }
}

#[test]
fn line_arrives_within_two_seconds_in_both_directions() {
    let mut pair = Pair::met();
    pair.ends[0].say(line("are you there?")).unwrap();
    pair.ends[1].say(line("grüß Gott")).unwrap();
    pair.run_to(at(3_000), |_| false);
    assert_eq!(pair.lines[1], ["are you there?"]);
    assert_eq!(pair.lines[0], ["grüß Gott"]);
}

#[test]
fn silent_line_ends_after_its_time_at_both_ends_with_one_frame_a_second() {
    let mut pair = Pair::met();
    pair.run_to(at(700_000), |_| false);
    let over = TransferFault::Stopped(StopReason::TimeOver);
    assert_eq!(pair.faults, [Some(over); 2]);
    for times in &pair.times {
        // Hello, one frame a second from the meeting on, stop.
        assert_eq!(times.len(), 1 + 589 + 1);
        let frames = times[1..590].windows(2);
        assert!(
            frames
                .map(|pair| pair[1].since(pair[0]))
                .all(|gap| gap == FRAME_INTERVAL)
        );
    }
}

#[test]
fn hang_up_comes_after_the_lines_that_wait() {
    let mut pair = Pair::met();
    for text in ["one", "two", "three"] {
        pair.ends[0].say(line(text)).unwrap();
    }
    pair.ends[0].hang_up();
    assert_eq!(pair.ends[0].say(line("four")), Err(LineRefused::NotOpen));
    pair.run_to(at(9_000), |_| false);
    assert_eq!(pair.lines[1], ["one", "two", "three"]);
    let (own, peer) = (pair.faults[0], pair.faults[1]);
    assert_eq!(own, Some(TransferFault::Stopped(StopReason::Cancelled)));
    assert_eq!(
        peer,
        Some(TransferFault::StoppedByPeer(StopReason::Cancelled))
    );
}

#[test]
fn lines_above_the_limit_and_before_the_meeting_are_refused() {
    let mut alone = end(FileEnd::Sender, 0);
    assert_eq!(alone.say(line("early")), Err(LineRefused::NotOpen));
    let mut pair = Pair::met();
    for _ in 0..MAX_WAITING_LINES {
        pair.ends[0].say(line("x")).unwrap();
    }
    assert_eq!(pair.ends[0].say(line("x")), Err(LineRefused::Full));
}

#[test]
fn line_of_no_byte_of_794_bytes_or_with_a_control_character_is_refused() {
    for text in ["", &"x".repeat(MAX_LINE_LEN + 1), "a\nb", "\u{1b}[2J"] {
        assert!(TalkLine::new(Zeroizing::new(text.to_owned())).is_none());
    }
    assert!(TalkLine::new(Zeroizing::new("x".repeat(MAX_LINE_LEN))).is_some());
}

#[test]
fn end_without_another_one_waits_two_minutes() {
    let mut alone = end(FileEnd::Receiver, 0);
    assert!(alone.poll_payload().is_some());
    assert_eq!(alone.deadline(), Some(at(120_000)));
    alone.on_time(at(120_000));
    let ended = alone.poll_step();
    assert!(
        matches!(
            ended,
            Some(TalkStep::Ended(TransferFault::NoHello { secs: 120 }))
        ),
        "{ended:?}"
    );
    assert!(alone.poll_payload().is_none() && alone.deadline().is_none());
}

#[test]
fn end_that_hears_nothing_for_twenty_seconds_ends() {
    let mut pair = Pair::met();
    pair.run_to(at(60_000), |_| true);
    assert_eq!(pair.faults, [Some(TransferFault::Silent { secs: 20 }); 2]);
}

#[test]
fn attack_altered_payload_ends_the_line_at_every_byte_that_is_tried() {
    for byte in (0..PAYLOAD_LEN).step_by(37) {
        let mut pair = Pair::met();
        pair.run_to(at(1_700), |_| false);
        let (_, mut payload) = pair.flying.pop_first().unwrap();
        payload[byte] ^= 1;
        pair.ends[1].receive(at(2_400), &payload);
        let ended = pair.ends[1].poll_step();
        assert!(
            matches!(ended, Some(TalkStep::Ended(TransferFault::NotAuthentic))),
            "byte {byte}: {ended:?}"
        );
        assert!(pair.ends[1].poll_payload().is_none(), "no payload follows");
    }
}

#[test]
fn attack_payload_of_another_attempt_does_not_open_the_line() {
    let mut other = end(FileEnd::Sender, 1);
    let hello = other.poll_payload().unwrap();
    let mut own = end(FileEnd::Receiver, 0);
    own.receive(at(10), &hello);
    assert!(!own.is_open());
}

#[test]
fn attack_hello_with_chunks_of_a_file_opens_no_line() {
    let rng = &mut ChaCha20Rng::from_seed([4; 32]);
    let attempt = AttemptId::new(UnixSecs(1_200), 0).unwrap();
    let keys = FileSecret::take(&mut [3; 32]).attempt(attempt);
    let runs = [0_u32, 1].map(u32::to_be_bytes).concat();
    let mut hostile = Channel::new(rng, keys, FileEnd::Sender, BulkHello { runs });
    let mut own = end(FileEnd::Receiver, 0);
    own.receive(at(10), &hostile.take_hello().unwrap());
    assert!(!own.is_open());
    let ended = own.poll_step();
    assert!(
        matches!(ended, Some(TalkStep::Ended(TransferFault::ChunkSet))),
        "{ended:?}"
    );
}

/// Seals frames as the end that offered the line does, once both have met.
fn hostile(pair: &mut Pair, frame: &BulkFrame<'_>) -> SealedPayload {
    pair.ends[0].channel.seal(frame).unwrap()
}

#[test]
fn attack_flood_of_lines_ends_the_line_beyond_its_allowance() {
    let mut pair = Pair::met();
    for _ in 0..RATE_ALLOWANCE {
        let payload = hostile(&mut pair, &BulkFrame::Line(b"spam"));
        pair.ends[1].receive(at(1_100), &payload);
    }
    pair.poll(at(1_100));
    assert_eq!(pair.faults[1], None);
    let payload = hostile(&mut pair, &BulkFrame::Line(b"spam"));
    pair.ends[1].receive(at(1_100), &payload);
    pair.poll(at(1_100));
    assert_eq!(pair.faults[1], Some(TransferFault::Rate));
}

#[test]
fn attack_frames_of_files_and_lines_that_are_not_text_end_the_line() {
    let bad_text = TransferFault::Frame(BadFrame::Field);
    for (frame, fault) in [
        (BulkFrame::Data(b"x"), TransferFault::Unexpected("data")),
        (BulkFrame::Credit(1), TransferFault::Unexpected("credit")),
        (BulkFrame::Done, TransferFault::Unexpected("done")),
        (BulkFrame::Line(b"\xff"), bad_text),
        (BulkFrame::Line(b"\x1b[2J"), bad_text),
    ] {
        let mut pair = Pair::met();
        let payload = hostile(&mut pair, &frame);
        pair.ends[1].receive(at(1_100), &payload);
        pair.poll(at(1_100));
        assert_eq!(pair.faults[1], Some(fault));
        pair.run_to(at(9_000), |_| false);
        let told = TransferFault::StoppedByPeer(StopReason::Protocol);
        assert_eq!(pair.faults[0], Some(told), "the other end is told");
    }
}

#[test]
fn process_that_was_stopped_sends_no_burst_of_late_frames() {
    let mut pair = Pair::met();
    let sent = pair.times[0].len();
    // The other end goes on, and this one hears it at once.
    let own = &mut pair.ends[0];
    own.heard = at(15_000);
    own.on_time(at(15_000));
    pair.poll(at(15_000));
    assert_eq!(pair.times[0].len(), sent + 1);
    assert_eq!(pair.ends[0].deadline(), Some(at(16_000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What a network observer sees of both ends is equal whether users type or not.
    #[test]
    fn typed_lines_change_neither_number_nor_times_of_frames(
        said in prop::collection::vec((0_u64..60_000, 0_usize..2, "[a-z ]{1,40}"), 0..30),
    ) {
        let mut silent = Pair::met();
        silent.run_to(at(90_000), |_| false);

        let mut typed = Pair::met();
        let mut said = said;
        said.sort();
        let mut expected = [const { Vec::new() }; 2];
        for (millis, own, text) in said {
            typed.run_to(at(1_000 + millis), |_| false);
            if typed.ends[own].say(line(&text)).is_ok() {
                expected[1 - own].push(text);
            }
        }
        typed.run_to(at(90_000), |_| false);
        prop_assert_eq!(&typed.times, &silent.times);
        prop_assert_eq!(typed.lines, expected);
    }
}
