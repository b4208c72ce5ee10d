//! The container: Web3 Secret Storage, version 3.
//!
//! The key derivation turns a password into 32 bytes. The first 16 are the AES-128 key (counter
//! mode). The last 16, followed by the ciphertext, are hashed with Keccak-256: the MAC. The format
//! authenticates neither the IV nor the address; [`super::label`] does so for our own files.
//!
//! Unknown members are ignored, as in all programs, because wallets write their own. A known member
//! must be valid. The error states whether the file is damaged or of an unsupported kind.

use aes::Aes128;
use circuits::secret::Secret;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha3::{Digest, Keccak256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::KeystoreError;
use super::kdf::{self, BadKdf, DerivedKey, Kdf, KdfFunction, Password};
use super::label;

/// The last 20 bytes of the Keccak-256 hash of a public key: the account address of Ethereum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EthereumAddress(pub [u8; 20]);

/// The content of a file, still sealed.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) address: Option<EthereumAddress>,
    pub(super) ciphertext: Vec<u8>,
    pub(super) iv: [u8; 16],
    pub(super) kdf: Kdf,
    pub(super) label: Option<label::LabelJson>,
    mac: [u8; 32],
    id: String,
}

impl Container {
    /// Seals 32 bytes.
    pub(super) fn seal(
        secret: &[u8; 32],
        address: Option<EthereumAddress>,
        kdf: Kdf,
        password: &Password,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, DerivedKey), BadKdf> {
        let key = kdf.derive(password)?;
        let mut iv = [0; 16];
        rng.fill_bytes(&mut iv);
        let mut ciphertext = secret.to_vec();
        apply_stream(&key, &iv, &mut ciphertext);
        let container = Self {
            address,
            mac: mac(&key, &ciphertext),
            ciphertext,
            iv,
            kdf,
            label: None,
            id: random_uuid(rng),
        };
        Ok((container, key))
    }

    /// Unseals the 32 bytes.
    pub(super) fn open(
        &self,
        password: &Password,
    ) -> Result<(Secret<32>, DerivedKey), KeystoreError> {
        let key = self.kdf.derive(password)?;
        if !bool::from(mac(&key, &self.ciphertext).ct_eq(&self.mac)) {
            return Err(KeystoreError::WrongPassword);
        }
        let mut plain = Zeroizing::new(self.ciphertext.clone());
        apply_stream(&key, &self.iv, &mut plain);
        // Programs of 2014 omitted leading zeros, and web3dart adds one.
        let significant = match plain.as_slice() {
            [0, rest @ ..] if rest.len() == 32 => rest,
            all => all,
        };
        let mut fits = false;
        let secret = Secret::init_with(|secret| {
            let missing = secret.len().saturating_sub(significant.len());
            if let Some(place) = secret.get_mut(missing..)
                && place.len() == significant.len()
            {
                place.copy_from_slice(significant);
                fits = true;
            }
        });
        if fits {
            Ok((secret, key))
        } else {
            Err(KeystoreError::Damaged("ciphertext"))
        }
    }

    /// Parses the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, KeystoreError> {
        if text.len() > MAX_FILE_LEN {
            return Err(KeystoreError::Damaged("length"));
        }
        let mut value: Value =
            serde_json::from_str(text).map_err(|_| KeystoreError::Damaged("JSON"))?;
        match value.get("version").map(Value::as_u64) {
            Some(Some(VERSION)) => {}
            Some(_) => return Err(KeystoreError::UnknownVersion),
            None => return Err(KeystoreError::Damaged("version")),
        }
        // Wallets in browsers write the member with a capital letter.
        let name = match value.get("crypto") {
            Some(_) => "crypto",
            None => "Crypto",
        };
        let crypto = value.get_mut(name).map(Value::take);
        let crypto = crypto.ok_or(KeystoreError::Damaged("crypto"))?;
        let crypto = Crypto::read(crypto)?;
        let outer: Outer = serde_json::from_value(value)
            .map_err(|_| KeystoreError::Damaged("address or label"))?;
        let address = outer.address.as_deref().map(address).transpose()?;
        Ok(Self {
            address,
            ciphertext: crypto.ciphertext()?,
            iv: fixed(&crypto.cipherparams.iv, "iv")?,
            kdf: crypto.kdf()?,
            label: outer.whisht,
            mac: fixed(&crypto.mac, "mac")?,
            id: outer.id.unwrap_or_default(),
        })
    }

    /// The text of the file.
    pub(super) fn to_json(&self) -> String {
        let Self {
            address,
            ciphertext,
            iv,
            kdf,
            label,
            mac,
            id,
        } = self;
        let (kdf, kdfparams) = match kdf.function {
            KdfFunction::Pbkdf2 { rounds } => {
                ("pbkdf2", KdfParams::pbkdf2(rounds.into(), &kdf.salt))
            }
            KdfFunction::Scrypt { log_n, r, p } => {
                let n = 1_u64.checked_shl(log_n.into()).unwrap_or_default();
                (
                    "scrypt",
                    KdfParams::scrypt(n, r.into(), p.into(), &kdf.salt),
                )
            }
        };
        let file = File {
            address: address.map(|address| hex::encode(address.0)),
            crypto: Crypto {
                cipher: CIPHER.to_owned(),
                ciphertext: hex::encode(ciphertext),
                cipherparams: CipherParams {
                    iv: hex::encode(iv),
                },
                kdf: kdf.to_owned(),
                kdfparams,
                mac: hex::encode(mac),
            },
            id,
            version: VERSION,
            whisht: label.as_ref(),
        };
        // The members are texts and numbers, so serialization does not fail.
        serde_json::to_string(&file).unwrap_or_default()
    }
}

/// The members in the order of writing.
#[derive(Serialize)]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    crypto: Crypto,
    id: &'a str,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    whisht: Option<&'a label::LabelJson>,
}

/// The members that are read; `crypto` is parsed apart, for more precise errors.
#[derive(Deserialize)]
struct Outer {
    address: Option<String>,
    id: Option<String>,
    whisht: Option<label::LabelJson>,
}

#[derive(Deserialize, Serialize)]
struct Crypto {
    cipher: String,
    ciphertext: String,
    cipherparams: CipherParams,
    kdf: String,
    kdfparams: KdfParams,
    mac: String,
}

#[derive(Deserialize, Serialize)]
struct CipherParams {
    iv: String,
}

/// The parameters of both functions, in go-ethereum's order.
#[derive(Default, Deserialize, Serialize)]
struct KdfParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<u64>,
    dklen: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prf: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<u64>,
    salt: String,
}

impl KdfParams {
    fn pbkdf2(rounds: u64, salt: &[u8]) -> Self {
        Self {
            c: Some(rounds),
            dklen: 32,
            prf: Some(PRF.to_owned()),
            salt: hex::encode(salt),
            ..Self::default()
        }
    }

    fn scrypt(n: u64, r: u64, p: u64, salt: &[u8]) -> Self {
        Self {
            dklen: 32,
            n: Some(n),
            p: Some(p),
            r: Some(r),
            salt: hex::encode(salt),
            ..Self::default()
        }
    }
}

impl Crypto {
    /// Parses the member `crypto`. Names an unsupported cipher or key derivation before it checks
    /// parameters, which have another form then.
    fn read(value: Value) -> Result<Self, KeystoreError> {
        let says = |name: &str| value.get(name).and_then(Value::as_str);
        match (says("cipher"), says("kdf")) {
            (Some(CIPHER), Some("scrypt" | "pbkdf2")) => {}
            (Some(CIPHER), Some(_)) => return Err(KeystoreError::UnknownKdf),
            (Some(_), _) => return Err(KeystoreError::UnknownCipher),
            (None, _) => return Err(KeystoreError::Damaged("cipher")),
        }
        serde_json::from_value(value).map_err(|_| KeystoreError::Damaged("crypto"))
    }

    fn kdf(&self) -> Result<Kdf, KeystoreError> {
        let params = &self.kdfparams;
        let missing = KeystoreError::Damaged("kdfparams");
        // Bytes after the first 32 do not change the first 32, with either function.
        if !(32..=1024).contains(&params.dklen) {
            return Err(missing);
        }
        let salt = hex::decode(&params.salt).map_err(|_| KeystoreError::Damaged("salt"))?;
        let function = match (self.kdf.as_str(), params) {
            (
                "pbkdf2",
                KdfParams {
                    c: Some(c), prf, ..
                },
            ) => match prf.as_deref() {
                Some(PRF) => kdf::pbkdf2(*c)?,
                _ => return Err(KeystoreError::UnknownKdf),
            },
            (
                "scrypt",
                KdfParams {
                    n: Some(n),
                    r: Some(r),
                    p: Some(p),
                    ..
                },
            ) => kdf::scrypt(*n, *r, *p)?,
            _ => return Err(missing),
        };
        Ok(Kdf::new(function, salt)?)
    }

    fn ciphertext(&self) -> Result<Vec<u8>, KeystoreError> {
        hex::decode(&self.ciphertext)
            .ok()
            .filter(|ciphertext| (1..=33).contains(&ciphertext.len()))
            .ok_or(KeystoreError::Damaged("ciphertext"))
    }
}

fn address(text: &str) -> Result<EthereumAddress, KeystoreError> {
    fixed(text.strip_prefix("0x").unwrap_or(text), "address").map(EthereumAddress)
}

fn fixed<const N: usize>(digits: &str, name: &'static str) -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeystoreError::Damaged(name))?;
    Ok(bytes)
}

fn apply_stream(key: &DerivedKey, iv: &[u8; 16], data: &mut [u8]) {
    let (cipher, _) = key.halves();
    Ctr128BE::<Aes128>::new(cipher.into(), iv.into()).apply_keystream(data);
}

fn mac(key: &DerivedKey, ciphertext: &[u8]) -> [u8; 32] {
    let (_, prefix) = key.halves();
    Keccak256::new()
        .chain_update(prefix)
        .chain_update(ciphertext)
        .finalize()
        .into()
}

/// A random identifier of the form that RFC 9562 calls version 4.
fn random_uuid(rng: &mut impl CryptoRng) -> String {
    let mut bits = rng.next_u64();
    bits = bits & !0xf000 | 0x4000;
    let tail = rng.next_u64() & !(0b11 << 62) | 0b10 << 62;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        bits >> 32,
        bits >> 16 & 0xffff,
        bits & 0xffff,
        tail >> 48,
        tail & 0xffff_ffff_ffff,
    )
}

const CIPHER: &str = "aes-128-ctr";
const PRF: &str = "hmac-sha256";
const VERSION: u64 = 3;
/// Bytes. Leaves room for the members that wallets add.
pub(super) const MAX_FILE_LEN: usize = 64 * 1024;
