//! Rebuilds a JPEG from the segments that a viewer needs.
//!
//! Kept: frame, tables, restart interval, scans (ITU-T T.81, annex B). Removed: all application segments
//! (EXIF, XMP, IPTC, ICC profile, maker notes, previews), comments, fill bytes, and everything behind the
//! end. Lengths of kept segments are checked, so that they carry no further bytes.
//!
//! Of EXIF one number is kept: how the picture is turned, 2 to 8, in a segment that is equal for all
//! pictures. Without it most pictures of telephones would lie on their side, and a user who is refused
//! would send the original.

use circuits::bytes::{ByteReader, Truncated};
use zeroize::Zeroizing;

use super::{CleanError, CleanedFile, trailing};

/// How a file begins.
pub(super) const SIGNATURE: &[u8] = &[0xff, SOI, 0xff];

/// Cleans a picture.
pub(super) fn clean(bytes: &[u8]) -> Result<CleanedFile, CleanError> {
    let mut walk = Walk::new(bytes)?;
    while walk.segment()? {}
    walk.finish()
}

/// A walk over the segments of a file.
struct Walk<'a> {
    reader: ByteReader<'a>,
    /// What is kept, without the start.
    kept: Zeroizing<Vec<u8>>,
    removed: Vec<&'static str>,
    orientation: Option<u8>,
    components: Option<u8>,
    /// The colour transform that Adobe's segment names.
    adobe_transform: Option<u8>,
    has_scan: bool,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, CleanError> {
        let mut reader = ByteReader::new(bytes);
        if reader.array()? != [0xff, SOI] {
            return Err(damaged("it does not begin as one"));
        }
        Ok(Self {
            reader,
            kept: Zeroizing::new(Vec::with_capacity(bytes.len())),
            removed: Vec::new(),
            orientation: None,
            components: None,
            adobe_transform: None,
            has_scan: false,
        })
    }

    /// Walks over the next segment; false at the end of the picture.
    fn segment(&mut self) -> Result<bool, CleanError> {
        let marker = self.marker()?;
        if marker == EOI {
            return Ok(false);
        }
        if !matches!(marker, 0xc0..=0xcf | 0xda..=0xdd | 0xe0..=0xef | COM) {
            return Err(damaged("it has a marker that no ordinary picture has"));
        }
        let len = usize::from(self.reader.u16()?);
        let len = len
            .checked_sub(2)
            .ok_or(damaged("a segment is too short"))?;
        let content = self.reader.take(len)?;
        match marker {
            0xe0..=0xef | COM => self.drop_segment(marker, content),
            _ => {
                check(marker, content)?;
                self.keep(marker, content);
            }
        }
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, DHT | JPG | DAC) {
            if self.components.is_some() {
                return Err(damaged("it has two frames"));
            }
            self.components = content.get(5).copied();
        }
        if marker == SOS {
            self.has_scan = true;
            self.entropy()?;
        }
        Ok(true)
    }

    /// Reads a marker, over the fill bytes before it.
    fn marker(&mut self) -> Result<u8, CleanError> {
        if self.reader.u8()? != 0xff {
            return Err(damaged("bytes lie between its segments"));
        }
        loop {
            match self.reader.u8()? {
                0xff => {}
                marker => return Ok(marker),
            }
        }
    }

    fn keep(&mut self, marker: u8, content: &[u8]) {
        // The length was read as 16 bits.
        let len = u16::try_from(content.len().saturating_add(2)).unwrap_or(u16::MAX);
        self.kept.extend_from_slice(&[0xff, marker]);
        self.kept.extend_from_slice(&len.to_be_bytes());
        self.kept.extend_from_slice(content);
    }

    fn drop_segment(&mut self, marker: u8, content: &[u8]) {
        if let Some(exif) = content.strip_prefix(b"Exif\0\0") {
            self.orientation = self.orientation.or_else(|| orientation(exif));
        }
        if marker == APP14 && content.starts_with(b"Adobe") {
            self.adobe_transform = content.get(11).copied();
        }
        let name = name(marker, content);
        if !self.removed.contains(&name) {
            self.removed.push(name);
        }
    }

    /// Copies the entropy-coded bytes of a scan, up to the next marker.
    fn entropy(&mut self) -> Result<(), CleanError> {
        let rest = self.reader.clone().rest();
        let mut from = 0;
        loop {
            let at = rest
                .get(from..)
                .and_then(|tail| tail.iter().position(|byte| *byte == 0xff));
            let at = from.saturating_add(at.ok_or(Truncated)?);
            match rest.get(at.saturating_add(1)) {
                None => return Err(Truncated.into()),
                // A byte 0xff of the scan, or a restart.
                Some(0x00 | 0xd0..=0xd7) => from = at.saturating_add(2),
                // A marker, or fill bytes before one.
                Some(_) => {
                    let scan = self.reader.take(at)?;
                    self.kept.extend_from_slice(scan);
                    return Ok(());
                }
            }
        }
    }

    fn finish(self) -> Result<CleanedFile, CleanError> {
        if !self.has_scan {
            return Err(damaged("it has no scan"));
        }
        match (self.components, self.adobe_transform) {
            (None, _) => return Err(damaged("it has no frame")),
            (Some(4..), _) | (Some(3), Some(0)) => return Err(CleanError::Colours),
            _ => {}
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.kept.len().saturating_add(64)));
        bytes.extend_from_slice(&[0xff, SOI]);
        let turned = self.orientation.filter(|turn| (2..=8).contains(turn));
        if let Some(turn) = turned {
            bytes.extend_from_slice(&ORIENTATION);
            bytes.extend_from_slice(&[turn, 0, 0, 0, 0, 0, 0]);
        }
        bytes.extend_from_slice(&self.kept);
        bytes.extend_from_slice(&[0xff, EOI]);
        let removed =
            (!self.removed.is_empty()).then(|| format!("removed {}", self.removed.join(", ")));
        let kept =
            turned.map(|turn| format!("kept how the picture is turned (EXIF orientation {turn})"));
        let behind = trailing(self.reader.remaining());
        Ok(CleanedFile {
            bytes,
            notes: removed.into_iter().chain(kept).chain(behind).collect(),
        })
    }
}

/// Checks that a kept segment is exactly as long as its fields.
fn check(marker: u8, content: &[u8]) -> Result<(), CleanError> {
    let len = content.len();
    let byte = |at: usize| content.get(at).copied().map_or(0, usize::from);
    let fits = match marker {
        DHT => tables(content, |table| {
            let counts = table.get(1..17)?;
            let symbols: usize = counts.iter().map(|count| usize::from(*count)).sum();
            Some(symbols.saturating_add(17))
        }),
        DQT => tables(content, |table| {
            let is_wide = table.first()? >> 4 > 0;
            Some(if is_wide { 129 } else { 65 })
        }),
        DAC => len.is_multiple_of(2),
        DRI | DNL => len == 2,
        SOS => len == byte(0).saturating_mul(2).saturating_add(4),
        JPG => false,
        // The frames: precision, height, width, number of components.
        _ => len == byte(5).saturating_mul(3).saturating_add(6),
    };
    if fits {
        Ok(())
    } else {
        Err(damaged("a segment is longer or shorter than its fields"))
    }
}

/// Whether tables fill a segment, each as long as `len` says.
fn tables(mut content: &[u8], len: impl Fn(&[u8]) -> Option<usize>) -> bool {
    while !content.is_empty() {
        let rest = len(content).and_then(|len| content.split_at_checked(len));
        let Some((_, rest)) = rest else {
            return false;
        };
        content = rest;
    }
    true
}

/// The orientation in the first directory of EXIF (TIFF 6.0, section 2; EXIF 2.3, tag 0x0112).
fn orientation(exif: &[u8]) -> Option<u8> {
    let is_little = match exif.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let number = |at: usize, len: usize| {
        let bytes = exif.get(at..at.checked_add(len)?)?;
        let fold = |sum: usize, byte: &u8| (sum << 8) | usize::from(*byte);
        Some(if is_little {
            bytes.iter().rev().fold(0, fold)
        } else {
            bytes.iter().fold(0, fold)
        })
    };
    let directory = number(4, 4)?;
    let count = number(directory, 2)?;
    let entries = (0..count).map(|entry| {
        directory
            .checked_add(2)?
            .checked_add(entry.checked_mul(12)?)
    });
    for entry in entries {
        let entry = entry?;
        if number(entry, 2)? == 0x0112 {
            return u8::try_from(number(entry.checked_add(8)?, 2)?).ok();
        }
    }
    None
}

/// What a removed segment is, in words.
fn name(marker: u8, content: &[u8]) -> &'static str {
    let names: [(&[u8], &str); 6] = [
        (b"Exif\0", "EXIF"),
        (b"http://ns.adobe.com/", "XMP"),
        (b"Photoshop 3.0", "IPTC"),
        (b"ICC_PROFILE", "the colour profile"),
        (b"JFIF", "JFIF"),
        (b"MPF", "further pictures"),
    ];
    let found = names.iter().find(|(prefix, _)| content.starts_with(prefix));
    match found {
        _ if marker == COM => "comments",
        Some((_, name)) => name,
        None => "data of programs",
    }
}

const fn damaged(what: &'static str) -> CleanError {
    CleanError::Damaged("JPEG", what)
}

impl From<Truncated> for CleanError {
    fn from(_: Truncated) -> Self {
        damaged("it ends too early")
    }
}

/// The segment of EXIF that says how a picture is turned, up to the number: one directory of one field.
const ORIENTATION: [u8; 29] = [
    0xff, 0xe1, 0, 34, b'E', b'x', b'i', b'f', 0, 0, b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01,
    0x12, 0, 3, 0, 0, 0, 1, 0,
];

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DQT: u8 = 0xdb;
const DNL: u8 = 0xdc;
const DRI: u8 = 0xdd;
const DHT: u8 = 0xc4;
const JPG: u8 = 0xc8;
const DAC: u8 = 0xcc;
const APP14: u8 = 0xee;
const COM: u8 = 0xfe;
