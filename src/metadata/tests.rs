//! Pictures made here, with everything in them that must be gone afterwards.

use super::*;

/// Words that stand in every field that carries metadata.
const CANARY: &[u8] = b"CANARY Jane Doe 52.5163N";

fn has_canary(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == b"CANARY")
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len() + 2).unwrap();
    [&[0xff, marker][..], &len.to_be_bytes(), content].concat()
}

/// An EXIF segment of one field, in the byte order of Intel.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
    let head = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0";
    segment(0xe1, &[&head[..], &entry, &[0; 4], CANARY].concat())
}

/// The parts of a picture of 8 x 8 pixels in grey: the frame, the tables, and a scan with a restart and a
/// stuffed byte. Nothing of it is metadata.
fn essential() -> Vec<Vec<u8>> {
    let mut counts = [0; 17];
    counts[1] = 1;
    vec![
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        segment(0xc4, &[&counts[..], &[0]].concat()),
        segment(0xdd, &[0, 1]),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
        vec![0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56],
    ]
}

fn photograph(orientation: u8) -> Vec<u8> {
    let mut parts = vec![vec![0xff, 0xd8]];
    parts.push(segment(0xe0, b"JFIF\0\x01\x02\0\0\x48\0\x48\0\0"));
    parts.push(exif(orientation));
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", CANARY].concat();
    parts.push(segment(0xe1, &xmp));
    parts.push(segment(0xe2, &[b"ICC_PROFILE\0", CANARY].concat()));
    parts.push(segment(0xed, &[b"Photoshop 3.0\0", CANARY].concat()));
    parts.push(segment(0xef, CANARY));
    parts.push(segment(0xfe, CANARY));
    let mut kept = essential();
    // Metadata between the scans of a progressive picture, and fill bytes before a marker.
    let (scan_head, scan) = (kept[4].clone(), kept[5].clone());
    kept.push(segment(0xfe, CANARY));
    kept.push([vec![0xff, 0xff], scan_head].concat());
    kept.push(scan);
    parts.extend(kept);
    parts.push(vec![0xff, 0xd9]);
    parts.push([CANARY, &[0xff, 0xd8], CANARY].concat());
    parts.concat()
}

#[test]
fn photograph_keeps_only_what_a_viewer_needs() {
    let picture = photograph(1);
    assert!(has_canary(&picture));
    let cleaned = clean(FileKind::of("IMG_2041.JPG", &picture), &picture).unwrap();
    assert!(!has_canary(&cleaned.bytes));
    let parts = essential();
    let wanted = [
        &[0xff, 0xd8][..],
        &parts.concat(),
        &parts[4],
        &parts[5],
        &[0xff, 0xd9],
    ]
    .concat();
    assert_eq!(*cleaned.bytes, wanted);
    let notes = cleaned.notes.join("; ");
    for part in [
        "EXIF",
        "XMP",
        "IPTC",
        "colour profile",
        "comments",
        "JFIF",
        "data of programs",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert!(notes.contains("50 bytes behind the end"), "{notes}");
    // What is clean stays as it is.
    let again = clean(FileKind::Jpeg, &cleaned.bytes).unwrap();
    assert_eq!(again.bytes, cleaned.bytes);
    assert!(again.notes.is_empty(), "{:?}", again.notes);
}

#[test]
fn turned_photograph_keeps_its_turn_and_no_other_field_of_exif() {
    for turn in 0..=9 {
        let picture = photograph(turn);
        let cleaned = clean(FileKind::Jpeg, &picture).unwrap();
        assert!(!has_canary(&cleaned.bytes));
        let exif = b"\xff\xe1\0\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0";
        let is_turned = cleaned
            .bytes
            .windows(exif.len())
            .any(|window| window == exif);
        assert_eq!(is_turned, (2..=8).contains(&turn), "orientation {turn}");
        let again = clean(FileKind::Jpeg, &cleaned.bytes).unwrap();
        assert_eq!(again.bytes, cleaned.bytes, "orientation {turn}");
    }
}

#[test]
fn picture_whose_colours_need_a_removed_field_is_refused() {
    let adobe = segment(0xee, b"Adobe\0\x64\0\0\0\0\0");
    let frame = [8, 0, 8, 0, 8, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let mut parts = essential();
    parts[1] = segment(0xc0, &frame);
    let rgb = [&[0xff, 0xd8][..], &adobe, &parts.concat(), &[0xff, 0xd9]].concat();
    assert_eq!(clean(FileKind::Jpeg, &rgb), Err(CleanError::Colours));
    // With the transform of ordinary pictures the segment says nothing new.
    let mut ordinary = rgb;
    let transform = ordinary
        .windows(5)
        .position(|window| window == b"Adobe")
        .unwrap()
        + 11;
    ordinary[transform] = 1;
    clean(FileKind::Jpeg, &ordinary).unwrap();
}

#[test]
fn bytes_hidden_in_a_kept_segment_are_refused() {
    for (at, marker) in [(0, 0xdb), (1, 0xc0), (2, 0xc4), (3, 0xdd), (4, 0xda)] {
        let mut parts = essential();
        let content = parts[at][4..].to_vec();
        parts[at] = segment(marker, &[&content[..], CANARY].concat());
        let picture = [&[0xff, 0xd8][..], &parts.concat(), &[0xff, 0xd9]].concat();
        let refused = clean(FileKind::Jpeg, &picture);
        assert!(
            matches!(refused, Err(CleanError::Damaged(..))),
            "{marker:x}: {refused:?}"
        );
    }
}

#[test]
fn picture_cut_off_anywhere_is_refused() {
    let picture = photograph(6);
    let end = picture
        .windows(2)
        .rposition(|two| two == [0xff, 0xd9])
        .unwrap()
        + 2;
    for len in 2..end {
        let refused = clean(FileKind::Jpeg, &picture[..len]);
        assert!(refused.is_err(), "{len} bytes");
    }
    clean(FileKind::Jpeg, &picture[..end]).unwrap();
}

fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let made = img_parts::png::PngChunk::new(*kind, img_parts::Bytes::copy_from_slice(content));
    made.encoder().bytes().to_vec()
}

/// A screenshot of 1 x 1 pixel with every chunk that carries metadata.
fn screenshot() -> (Vec<u8>, Vec<u8>) {
    let header = chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 3, 0, 0, 0]);
    let palette = chunk(b"PLTE", &[1, 2, 3]);
    let clear = chunk(b"tRNS", &[9]);
    let pixels = chunk(b"IDAT", &[0x78, 0x9c, 0x63, 0, 0]);
    let more = chunk(b"IDAT", &[0, 2, 0, 1]);
    let end = chunk(b"IEND", &[]);
    let kept = [&header, &palette, &clear, &pixels, &more, &end].map(|part| part.as_slice());
    let clean = [png::SIGNATURE, &kept.concat()].concat();
    let meta = |kind: &[u8; 4]| chunk(kind, CANARY);
    let whole = [
        png::SIGNATURE.to_vec(),
        header.clone(),
        meta(b"tEXt"),
        meta(b"iTXt"),
        meta(b"zTXt"),
        meta(b"eXIf"),
        meta(b"iCCP"),
        meta(b"tIME"),
        palette.clone(),
        clear.clone(),
        meta(b"pHYs"),
        pixels.clone(),
        more.clone(),
        meta(b"tEXt"),
        end.clone(),
        CANARY.to_vec(),
    ];
    (whole.concat(), clean)
}

#[test]
fn screenshot_keeps_only_the_chunks_that_a_viewer_needs() {
    let (whole, wanted) = screenshot();
    let cleaned = clean(FileKind::of("Screenshot from 2026.png", &whole), &whole).unwrap();
    assert_eq!(*cleaned.bytes, wanted);
    let notes = cleaned.notes.join("; ");
    assert!(
        notes.contains("tEXt, iTXt, zTXt, eXIf, iCCP, tIME, pHYs"),
        "{notes}"
    );
    assert!(notes.contains("24 bytes behind"), "{notes}");
    let again = clean(FileKind::Png, &cleaned.bytes).unwrap();
    assert_eq!((again.bytes, again.notes.len()), (cleaned.bytes, 0));
}

#[test]
fn png_cut_off_reordered_or_with_an_unknown_critical_chunk_is_refused() {
    let (whole, wanted) = screenshot();
    for len in 8..wanted.len() {
        assert!(clean(FileKind::Png, &wanted[..len]).is_err(), "{len} bytes");
    }
    let unknown = chunk(b"CaNA", CANARY);
    let at = whole.len() - CANARY.len() - 12;
    let (before, after) = whole.split_at(at);
    let picture = [before, &unknown, after].concat();
    assert_eq!(clean(FileKind::Png, &picture), Err(CleanError::UnknownPart));
    let palette = chunk(b"PLTE", &[7; 300]);
    let picture = [before, &palette, after].concat();
    let refused = clean(FileKind::Png, &picture);
    assert!(
        matches!(refused, Err(CleanError::Damaged(..))),
        "{refused:?}"
    );
    let hidden = [&wanted[..wanted.len() - 12], &chunk(b"IEND", CANARY)].concat();
    assert!(clean(FileKind::Png, &hidden).is_err());
}

#[test]
fn text_passes_as_it_is_and_its_marks_are_named() {
    let text = "\u{feff}names:\r\nJane\r\n".as_bytes();
    assert_eq!(FileKind::of("names.TXT", text), FileKind::Text);
    let cleaned = clean(FileKind::Text, text).unwrap();
    assert_eq!(cleaned.bytes.as_slice(), text);
    assert_eq!(cleaned.notes.len(), 2, "{:?}", cleaned.notes);
    assert!(clean(FileKind::Text, b"plain\n").unwrap().notes.is_empty());
    assert_eq!(clean(FileKind::Text, b"plain\0"), Err(CleanError::Unknown));
}

#[test]
fn text_of_another_format_or_name_is_not_plain() {
    for (name, head) in [
        ("a.txt", &b"<svg><metadata>"[..]),
        ("a.txt", b"\n <?xml version"),
        ("a.txt", b"{\\rtf1\\ansi{\\info"),
        ("a.txt", b"%PDF-1.7"),
        ("a.csv", b"PK\x03\x04"),
        ("a.txt", b"\xd0\xcf\x11\xe0"),
        ("a.docx", b"plain"),
        ("plain", b"plain"),
    ] {
        assert_eq!(FileKind::of(name, head), FileKind::Other, "{name} {head:?}");
    }
    // The name does not make a picture a text, and a character may be cut off at the end.
    assert_eq!(FileKind::of("a.txt", &photograph(1)), FileKind::Jpeg);
    assert_eq!(FileKind::of("a.txt", b"caf\xc3"), FileKind::Text);
}

/// Pictures made by gdk-pixbuf, in which exiftool wrote a maker, an artist, a place and comments, and what
/// another program leaves of them: libjpeg and libpng show the same pixels in both, and exiftool finds no
/// field but the turn.
#[test]
fn pictures_of_other_programs_lose_every_field_and_keep_their_pixels() {
    for (kind, picture, wanted) in [
        (
            FileKind::Jpeg,
            &include_bytes!("../../fuzz/corpus/file_metadata/jpeg_photograph")[..],
            &include_bytes!("../../fuzz/corpus/file_metadata/jpeg_photograph_cleaned")[..],
        ),
        (
            FileKind::Png,
            include_bytes!("../../fuzz/corpus/file_metadata/png_screenshot"),
            include_bytes!("../../fuzz/corpus/file_metadata/png_screenshot_cleaned"),
        ),
    ] {
        assert!(has_canary(picture));
        let cleaned = clean(kind, picture).unwrap();
        assert!(!has_canary(&cleaned.bytes));
        assert!(cleaned.bytes.as_slice() == wanted, "{kind:?}");
    }
}
