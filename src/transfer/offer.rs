//! The offer of a file, part 6 of a message:
//! `id 16 | secret 32 | size 8 | chunks 4 | root 32 | name (len 1) | relays (count 1, 32 each)`.
//!
//! An offer starts nothing. The receiver's user decides, and the receiver's node checks the relays first.

use core::fmt;

use circuits::bytes::ByteReader;
use circuits::ids::RelayId;
use zeroize::{Zeroize, Zeroizing};

use super::chunk::{ChunkRoot, FileSize};
use super::secret::FileSecret;
use super::{BadFilePart, FileId, read_relays, write_relays};

/// The longest name of a file, in bytes.
pub const MAX_FILE_NAME_LEN: usize = 64;

/// What the sender says about a file.
pub struct FileOffer {
    /// Names the file.
    pub id: FileId,
    /// The secret that cookies and keys derive from.
    pub secret: FileSecret,
    /// Its size.
    pub size: FileSize,
    /// The hash over its list of chunks.
    pub root: ChunkRoot,
    /// Its name, as the sender gives it.
    pub name: FileName,
    /// The relays where circuits may meet: one to four.
    pub relays: Vec<RelayId>,
}

impl FileOffer {
    /// Encodes the value of the part.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let name = self.name.as_str().as_bytes();
        // The capacity holds the longest offer: a buffer that grew would leave a copy of the secret.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_OFFER_LEN));
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(self.secret.expose());
        bytes.extend_from_slice(&self.size.bytes().to_be_bytes());
        bytes.extend_from_slice(&self.size.chunks().to_be_bytes());
        bytes.extend_from_slice(&self.root.0);
        bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(name);
        write_relays(&mut bytes, &self.relays);
        bytes
    }

    /// Decodes the value of the part.
    ///
    /// # Errors
    ///
    /// [`BadFilePart`] names the first field that is not in its format.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFilePart> {
        let mut fields = ByteReader::new(bytes);
        let id = FileId(fields.array()?);
        let mut secret = fields.array()?;
        let secret = FileSecret::take(&mut secret);
        let size = FileSize::new(fields.u64()?).ok_or(BadFilePart::Field("size"))?;
        if fields.u32()? != size.chunks() {
            return Err(BadFilePart::Field("number of chunks"));
        }
        let root = ChunkRoot(fields.array()?);
        let name_len = usize::from(fields.u8()?);
        let name = str::from_utf8(fields.take(name_len)?).ok();
        let name = name.and_then(FileName::new);
        let name = name.ok_or(BadFilePart::Field("name"))?;
        let relays = read_relays(&mut fields)?;
        if relays.is_empty() {
            return Err(BadFilePart::Field("no relay"));
        }
        fields.finish()?;
        Ok(Self {
            id,
            secret,
            size,
            root,
            name,
            relays,
        })
    }
}

impl fmt::Debug for FileOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileOffer(..)")
    }
}

/// The name of a file in an offer: 1 to 64 bytes, no control character, no separator of paths, not `.` or
/// `..`. It names nothing on the receiver's disk, and is not yet fit for a terminal: a name may contain
/// marks that change the direction of text.
#[derive(Clone, Eq, PartialEq)]
pub struct FileName(String);

impl FileName {
    /// The name, if it is in the format.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=MAX_FILE_NAME_LEN).contains(&name.len());
        let plain = !name.contains(|c: char| c.is_control() || matches!(c, '/' | '\\'));
        let names_file = name != "." && name != "..";
        (fits && plain && names_file).then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileName(..)")
    }
}

impl Drop for FileName {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Length of the longest offer, in bytes.
pub const MAX_OFFER_LEN: usize = 16 + 32 + 8 + 4 + 32 + 1 + MAX_FILE_NAME_LEN + 1 + 4 * 32;
