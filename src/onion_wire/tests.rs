//! Tests of the `onion/1` bodies.

use proptest::prelude::*;
use rlp::RlpStream;

use super::*;
use crate::relay_list::ListId;

fn envelope() -> Envelope {
    // E1 of the protocol's test vectors.
    let rlp = hex::decode("e2845f5e10323284deadbeef8d68656c6c6f2077686973706572880102030405060708")
        .unwrap();
    Envelope::decode(&rlp).unwrap()
}

fn dial_back_request(nonce: [u8; 8], port: u16) -> OnionMessage {
    OnionMessage::DialBack(DialBackMessage::Request {
        nonce: DialBackNonce(nonce),
        port: port.try_into().unwrap(),
    })
}

fn message() -> impl Strategy<Value = OnionMessage> {
    let epoch = any::<u32>().prop_map(Epoch);
    let hashes = prop::collection::vec(any::<[u8; 32]>().prop_map(EnvelopeHash), 0..=MAX_HASHES);
    let descriptor = prop::collection::vec(any::<u8>(), 0..900).prop_map(|body| {
        let mut list = RlpStream::new_list(1);
        list.append(&body);
        Vec::from(list.out())
    });
    prop_oneof![
        (any::<[u8; 32]>(), epoch.clone(), any::<Option<u32>>()).prop_map(
            |(network, epoch, time)| OnionMessage::Status {
                network: NetworkId(network),
                epoch,
                time: time.filter(|time| *time != 0).map(UnixSecs),
            }
        ),
        prop::collection::vec(descriptor, 0..16).prop_map(OnionMessage::Descriptors),
        (
            epoch,
            any::<Option<u8>>(),
            prop::collection::vec(any::<[u8; 8]>(), 0..100)
        )
            .prop_map(|(epoch, bucket, have)| OnionMessage::GetDescriptors(
                DescriptorRequest {
                    epoch,
                    bucket,
                    have
                }
            )),
        any::<([u8; 32], bool)>().prop_map(|(seed, circuit)| {
            let cell = Box::new(core::array::from_fn(|i| {
                seed.get(i % 32).copied().unwrap_or_default()
            }));
            match circuit {
                true => OnionMessage::CircuitCell(cell),
                false => OnionMessage::Cell(cell),
            }
        }),
        Just(OnionMessage::Stem(envelope())),
        (any::<[u8; 8]>(), 1..=u16::MAX).prop_map(|(nonce, port)| dial_back_request(nonce, port)),
        (any::<[u8; 8]>(), 0..DialBackResult::ALL.len()).prop_map(|(nonce, number)| {
            let (nonce, result) = (DialBackNonce(nonce), DialBackResult::ALL[number]);
            OnionMessage::DialBack(DialBackMessage::Answer { nonce, result })
        }),
        hashes.clone().prop_map(OnionMessage::Announce),
        hashes.prop_map(OnionMessage::GetEnvelopes),
    ]
}

proptest! {
    #[test]
    fn encoded_message_decodes_unchanged(message in message()) {
        let body = message.encode().unwrap();
        prop_assert_eq!(OnionMessage::decode(message.code(), &body), Ok(Some(message)));
    }

    #[test]
    fn message_with_one_byte_more_or_less_is_refused(message in message()) {
        let mut body = message.encode().unwrap();
        body.push(0);
        prop_assert!(OnionMessage::decode(message.code(), &body).is_err());
        body.truncate(body.len() - 2);
        prop_assert!(OnionMessage::decode(message.code(), &body).is_err());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(code in 0..16_u8, body: Vec<u8>) {
        if let Ok(Some(message)) = OnionMessage::decode(code, &body) {
            prop_assert_eq!(message.encode(), Ok(body));
        }
    }
}

#[test]
fn cell_body_has_918_bytes_for_every_content() {
    for byte in [0x00, 0x7f, 0x80, 0xff] {
        let cell = Box::new([byte; CELL_LEN]);
        let body = OnionMessage::Cell(cell.clone()).encode().unwrap();
        assert_eq!(body.len(), 918);
        // A circuit cell differs from it by the code alone.
        assert_eq!(OnionMessage::CircuitCell(cell).encode(), Ok(body));
    }
}

#[test]
fn cell_of_other_length_is_refused() {
    for len in [0, 1, 911, 913] {
        let mut body = RlpStream::new_list(1);
        body.append(&vec![7_u8; len]);
        assert_eq!(
            OnionMessage::decode(3, &body.out()),
            Err(OnionWireError::Malformed),
            "{len}"
        );
    }
}

#[test]
fn packet_with_two_cells_is_refused() {
    let mut body = RlpStream::new_list(2);
    body.append(&vec![7_u8; CELL_LEN])
        .append(&vec![7_u8; CELL_LEN]);
    assert_eq!(
        OnionMessage::decode(3, &body.out()),
        Err(OnionWireError::Malformed)
    );
}

#[test]
fn bucket_zero_differs_from_absent_bucket() {
    let ask = |bucket| {
        OnionMessage::GetDescriptors(DescriptorRequest {
            epoch: Epoch(40_000),
            bucket,
            have: vec![],
        })
    };
    assert_eq!(
        ask(Some(0)).encode(),
        Ok(vec![0xc5, 0x82, 0x9c, 0x40, 0x00, 0x80])
    );
    assert_eq!(
        ask(None).encode(),
        Ok(vec![0xc5, 0x82, 0x9c, 0x40, 0x80, 0x80])
    );
    assert_eq!(
        OnionMessage::decode(2, &[0xc5, 0x82, 0x9c, 0x40, 0x00, 0x80]),
        Ok(Some(ask(Some(0))))
    );
}

#[test]
fn bucket_of_two_bytes_is_refused() {
    let body = [0xc5, 0x01, 0x82, 0x01, 0x02, 0x80];
    assert_eq!(
        OnionMessage::decode(2, &body),
        Err(OnionWireError::Malformed)
    );
}

#[test]
fn status_of_other_version_is_refused() {
    let mut body = RlpStream::new_list(4);
    body.append(&2_u8).append(&vec![0_u8; 32]);
    body.append(&5_u32).append(&0_u32);
    assert_eq!(
        OnionMessage::decode(0, &body.out()),
        Err(OnionWireError::Version)
    );
}

/// The body of a status with these last fields.
fn status_body(numbers: &[u64]) -> Vec<u8> {
    let mut body = RlpStream::new_list(2 + numbers.len());
    body.append(&1_u8).append(&vec![0_u8; 32]);
    for number in numbers {
        body.append(number);
    }
    Vec::from(body.out())
}

#[test]
fn status_has_an_epoch_and_a_time_of_32_bits_and_no_other_number() {
    let decode = |numbers: &[u64]| OnionMessage::decode(0, &status_body(numbers));
    assert!(decode(&[5, 7]).is_ok());
    for numbers in [&[1 << 32, 7][..], &[5, 1 << 32], &[5], &[5, 7, 9]] {
        assert_eq!(
            decode(numbers),
            Err(OnionWireError::Malformed),
            "{numbers:?}"
        );
    }
}

#[test]
fn status_has_the_encoding_of_the_wire_page() {
    // Made by another program; docs/wire.md has the same bytes.
    let hex = |tail: &str| {
        let network = hex::encode(core::array::from_fn::<u8, 32, _>(|i| {
            u8::try_from(i).unwrap()
        }));
        hex::decode(format!(
            "{}01a0{network}829c40{tail}",
            if tail == "80" { "e6" } else { "ea" }
        ))
    };
    for (time, tail) in [(Some(UnixSecs(1_700_000_000)), "846553f100"), (None, "80")] {
        let status = OnionMessage::Status {
            network: NetworkId(core::array::from_fn(|i| u8::try_from(i).unwrap())),
            epoch: Epoch(40_000),
            time,
        };
        let body = hex(tail).unwrap();
        assert_eq!(status.encode(), Ok(body.clone()));
        assert_eq!(OnionMessage::decode(0, &body), Ok(Some(status)));
    }
}

#[test]
fn reserved_codes_are_ignored() {
    for code in 11..16 {
        assert_eq!(OnionMessage::decode(code, &[0xff; 40]), Ok(None));
    }
}

#[test]
fn relay_list_messages_are_encoded_and_read() {
    let id = ListId([7; 32]);
    let announcement = ListAnnouncement {
        from: Epoch(41_000),
        id,
        len: MAX_PART + 1,
    };
    assert_eq!(announcement.parts(), 2);
    let part = |bytes: Vec<u8>| ListPart {
        id,
        index: 1,
        bytes,
    };
    for message in [
        OnionMessage::RelayList(announcement),
        OnionMessage::RelayListPart(part(vec![1; MAX_PART])),
        OnionMessage::RelayListPart(part(Vec::new())),
    ] {
        let body = message.encode().unwrap();
        assert_eq!(
            OnionMessage::decode(message.code(), &body),
            Ok(Some(message))
        );
    }
}

#[test]
fn relay_list_messages_beyond_their_limits_are_refused() {
    let announced = |len: u64| {
        let mut body = RlpStream::new_list(3);
        body.append(&41_000_u32)
            .append(&vec![7_u8; 32])
            .append(&len);
        OnionMessage::decode(9, &body.out())
    };
    assert!(announced(131_072).is_ok());
    for len in [0, 131_073, u64::MAX] {
        assert_eq!(announced(len), Err(OnionWireError::TooLong), "{len}");
    }
    let part = |index: u32, len: usize| {
        let mut body = RlpStream::new_list(3);
        body.append(&vec![7_u8; 32])
            .append(&index)
            .append(&vec![1_u8; len]);
        OnionMessage::decode(10, &body.out())
    };
    assert!(part(15, MAX_PART).is_ok());
    assert_eq!(part(16, 1), Err(OnionWireError::TooLong));
    assert_eq!(part(256, 1), Err(OnionWireError::Malformed));
    assert_eq!(part(0, MAX_PART + 1), Err(OnionWireError::TooLong));
}

#[test]
fn dial_back_has_the_encoding_of_the_wire_page() {
    // Written by hand from the table of docs/wire.md.
    let nonce = [1, 2, 3, 4, 5, 6, 7, 8];
    let request = dial_back_request(nonce, 20_819);
    let nonce = DialBackNonce(nonce);
    let answer = |result| OnionMessage::DialBack(DialBackMessage::Answer { nonce, result });
    for (message, body) in [
        (request, "cd80880102030405060708825153"),
        (answer(DialBackResult::Reached), "cb0188010203040506070880"),
        (answer(DialBackResult::NoAnswer), "cb0188010203040506070801"),
        (answer(DialBackResult::Refused), "cb0188010203040506070802"),
        (answer(DialBackResult::OtherKey), "cb0188010203040506070803"),
        (answer(DialBackResult::Busy), "cb0188010203040506070804"),
        (
            answer(DialBackResult::NeverDials),
            "cb0188010203040506070805",
        ),
        (
            answer(DialBackResult::AddressNotDialed),
            "cb0188010203040506070806",
        ),
        (
            answer(DialBackResult::PortNotDialed),
            "cb0188010203040506070807",
        ),
    ] {
        let body = hex::decode(body).unwrap();
        assert_eq!(message.encode(), Ok(body.clone()));
        assert_eq!(OnionMessage::decode(8, &body), Ok(Some(message)));
    }
}

#[test]
fn dial_back_with_other_fields_is_refused() {
    let body = |kind: u8, nonce: usize, value: u64, more: usize| {
        let mut body = RlpStream::new_list(3 + more);
        body.append(&kind).append(&vec![7_u8; nonce]).append(&value);
        for _ in 0..more {
            body.append(&1_u8);
        }
        OnionMessage::decode(8, &body.out())
    };
    assert!(body(0, 8, 65_535, 0).is_ok() && body(1, 8, 7, 0).is_ok());
    for refused in [
        body(0, 8, 0, 0),
        body(0, 8, 65_536, 0),
        body(1, 8, 8, 0),
        body(1, 8, 1 << 32, 0),
        body(2, 8, 1, 0),
        body(0, 7, 1, 0),
        body(0, 9, 1, 0),
        body(0, 8, 1, 1),
    ] {
        assert_eq!(refused, Err(OnionWireError::Malformed));
    }
}

#[test]
fn incomplete_hash_is_refused() {
    let mut body = RlpStream::new_list(1);
    body.append(&vec![1_u8; 33]);
    let body = body.out();
    assert_eq!(
        OnionMessage::decode(5, &body),
        Err(OnionWireError::RaggedHashes)
    );
    assert_eq!(
        OnionMessage::decode(6, &body),
        Err(OnionWireError::RaggedHashes)
    );
}

#[test]
fn announcement_of_257_hashes_is_refused() {
    let mut body = RlpStream::new_list(1);
    body.append(&vec![1_u8; 257 * 32]);
    assert_eq!(
        OnionMessage::decode(5, &body.out()),
        Err(OnionWireError::TooMany)
    );
    let hashes = vec![EnvelopeHash([1; 32]); 257];
    assert_eq!(
        OnionMessage::Announce(hashes).encode(),
        Err(OnionWireError::TooMany)
    );
}

#[test]
fn descriptor_of_1025_bytes_is_refused() {
    let mut descriptor = RlpStream::new_list(1);
    descriptor.append(&vec![9_u8; 1_019]);
    let descriptor = Vec::from(descriptor.out());
    assert_eq!(descriptor.len(), 1_025);
    let mut body = RlpStream::new_list(1);
    body.append_raw(&descriptor, 1);
    assert_eq!(
        OnionMessage::decode(1, &body.out()),
        Err(OnionWireError::DescriptorTooLong)
    );
    assert_eq!(
        OnionMessage::Descriptors(vec![descriptor]).encode(),
        Err(OnionWireError::DescriptorTooLong)
    );
}

#[test]
fn packet_of_65_descriptors_is_refused() {
    let mut body = RlpStream::new_list(65);
    for _ in 0..65 {
        body.begin_list(0);
    }
    assert_eq!(
        OnionMessage::decode(1, &body.out()),
        Err(OnionWireError::TooMany)
    );
}

#[test]
fn oversized_packet_is_refused_before_parsing() {
    for code in [0, 1, 2, 3, 5, 6, 8, 9, 10] {
        let body = vec![0xc0; MAX_PACKET + 1];
        assert_eq!(
            OnionMessage::decode(code, &body),
            Err(OnionWireError::TooLong)
        );
    }
    let body = vec![0xc0; MAX_STEM_ENVELOPE + LONG_HEADER + 1];
    assert_eq!(OnionMessage::decode(4, &body), Err(OnionWireError::TooLong));
}

#[test]
fn deeply_nested_list_is_not_a_stem() {
    let body: Vec<u8> = vec![0xc1; 4_000];
    assert_eq!(
        OnionMessage::decode(4, &body),
        Err(OnionWireError::Malformed)
    );
}

#[test]
fn descriptors_are_split_into_packets_within_limits() {
    let descriptor = |fill: u8, len: usize| {
        let mut list = RlpStream::new_list(1);
        list.append(&vec![fill; len]);
        Vec::from(list.out())
    };
    let all: Vec<_> = (0..100)
        .map(|i| descriptor(i, 200 + usize::from(i) * 8))
        .chain([descriptor(0, 2_000)])
        .collect();
    let packets = OnionMessage::descriptors(all.clone());
    let mut received = Vec::new();
    for packet in &packets {
        let body = packet.encode().unwrap();
        match OnionMessage::decode(1, &body) {
            Ok(Some(OnionMessage::Descriptors(some))) => received.extend(some),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, all[..100]);
    assert_eq!(packets.len(), 4);
}
