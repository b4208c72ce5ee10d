//! `whisht directory keygen` and `sign`: keys of signers, and their signatures.
//!
//! A key is sealed in a file of its own, in the format of the identities. Beside it, a file with the
//! ending `.signed` records what the key has signed: two lists for one epoch make every node refuse both,
//! so a second one is refused here.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use circuits::directory::SigningKey;
use circuits::ids::RelayKey;
use circuits::secret::Secret;
use serde_json::json;

use super::report::ListReport;
use super::{decode, draft, read_list, write_list};
use crate::cli::id::transfer::read;
use crate::cli::new_file::{Readers, write_new};
use crate::cli::output::{Printer, say};
use crate::cli::passwords::{self, PasswordArgs};
use crate::cli::{Exit, Failure};
use crate::identity::{IdentityName, NewIdentity};
use crate::keystore::SealedIdentity;
use crate::node::{Identity, PublicIdentity};
use crate::relay_list::{ListHeader, RelayList, SignerId};
use crate::shell::clock::Clock;
use crate::shell::{relay_list_file, seeded_rng};

/// Options of `whisht directory keygen`.
#[derive(Debug, clap::Args)]
pub(super) struct Keygen {
    /// File to write; an existing file is not overwritten
    key: PathBuf,
    #[command(flatten)]
    sealed: PasswordArgs,
}

/// Options of `whisht directory sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// A draft in TOML, or a list that others may have signed already
    file: PathBuf,
    /// Key file of the signer, as `whisht directory keygen` wrote it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write; an existing file is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The list before this draft, whose rotations of signers the new one carries
    #[arg(long, value_name = "LIST")]
    previous: Option<PathBuf>,
    /// Take the password from the first line of this file; `-` reads standard input [default: ask]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Sign without asking [default: ask]
    #[arg(long)]
    yes: bool,
}

impl Keygen {
    pub(super) fn run(self, printer: Printer) -> Result<Exit, Failure> {
        let cost = self.sealed.kdf().cost();
        let password = match self.sealed.given()? {
            Some(password) => password,
            None => passwords::ask_new("the key of the signer")?,
        };
        let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failed, error.to_string());
        let mut rng = seeded_rng().map_err(|error| failed(&error))?;
        let name: IdentityName = NAME.parse().map_err(Failure::usage)?;
        let identity = NewIdentity::KeyPair.make(&mut rng);
        let sealed = SealedIdentity::seal(&name, &identity, &password, cost, &mut rng);
        let sealed = sealed.map_err(|error| failed(&error))?;
        let id = signer_of(&identity.public_identity())
            .ok_or_else(|| Failure::usage("the key is not a key pair"))?;
        write_new(
            &self.key,
            format!("{}\n", sealed.to_json()).as_bytes(),
            Readers::Owner,
        )?;
        if printer.json {
            let file = &self.key;
            printer.value(&json!({"signer": id.to_string(), "file": file}))?;
            return Ok(Exit::Done);
        }
        printer.line(format_args!("wrote {}", self.key.display()))?;
        printer.line("the id of the signer, which the configurations of nodes pin:")?;
        printer.line(id)?;
        Ok(Exit::Done)
    }
}

impl Sign {
    pub(super) fn run(self, printer: Printer) -> Result<Exit, Failure> {
        let mut list = self.list()?;
        let sealed = self.sealed_key()?;
        let signer = sealed.public_identity().as_ref().and_then(signer_of);
        let signer = signer.ok_or_else(|| {
            Failure::usage(format_args!(
                "{} is not the key of a signer; make one with `whisht directory keygen`",
                self.key.display()
            ))
        })?;
        if !list.header().signers.ids().contains(&signer) {
            return Err(Failure::usage(format_args!(
                "the list does not name the signer {signer}; sign with the key of a signer that it names"
            )));
        }
        let log = SignedLog::beside(&self.key);
        log.check(list.header())?;
        self.confirm(&list)?;
        let password = match (&self.password_file, sealed.is_protected()) {
            (Some(path), _) => passwords::from_file(path)?,
            (None, true) => passwords::ask(&format!("password of {}: ", self.key.display()))?,
            (None, false) => crate::keystore::Password::none(),
        };
        let identity = sealed
            .open(&password)
            .map_err(|error| Failure::new(Exit::Locked, error))?;
        let key = signing_key(&identity)?;
        // The record comes first: a signature that is not in it could be followed by a second one.
        log.add(list.header())?;
        list.sign(&key).map_err(Failure::usage)?;
        write_list(&self.output, &list)?;
        ListReport::of(&list).print_written(printer, &self.output)?;
        Ok(Exit::Done)
    }

    /// The list of the file, or the draft in it as a list.
    fn list(&self) -> Result<RelayList, Failure> {
        let raw = relay_list_file::read(&self.file).map_err(Failure::usage)?;
        // A list begins with the header of a long RLP list, which is not text.
        if raw.first().is_some_and(|first| *first >= 0xc0) {
            if self.previous.is_some() {
                return Err(Failure::usage(
                    "--previous is for drafts: a list carries its rotations already; leave it out",
                ));
            }
            return decode(&self.file, &raw);
        }
        let text = String::from_utf8(raw).map_err(|_| {
            Failure::usage(format_args!(
                "{} is neither a draft in TOML nor a list",
                self.file.display()
            ))
        })?;
        let draft = draft::parse(&self.file, &text, Clock::start().now().unix)?;
        let previous = self.previous.as_deref().map(read_list).transpose()?;
        RelayList::draft(draft, previous.as_ref())
            .map_err(|error| Failure::usage(format_args!("{}: {error}", self.file.display())))
    }

    fn sealed_key(&self) -> Result<SealedIdentity, Failure> {
        let text = read(&self.key)?;
        SealedIdentity::parse(&text).map_err(|error| {
            Failure::usage(format_args!(
                "{}: {error}; name a key file of `whisht directory keygen`",
                self.key.display()
            ))
        })
    }

    /// Shows what is to be signed, and asks.
    fn confirm(&self, list: &RelayList) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !passwords::can_ask() {
            return Err(Failure::usage(
                "there is no terminal to show the list and to ask; look at it with `whisht directory \
                 show`, then add --yes",
            ));
        }
        for line in ListReport::of(list).lines() {
            say(line);
        }
        say("type `sign` to sign this list:");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if answer.trim() != "sign" {
            return Err(Failure::usage("not signed"));
        }
        Ok(())
    }
}

/// What a key has signed: a line `epoch id` for each list.
struct SignedLog(PathBuf);

impl SignedLog {
    fn beside(key: &Path) -> Self {
        let mut name = key.as_os_str().to_owned();
        name.push(".signed");
        Self(name.into())
    }

    fn entry(header: &ListHeader) -> String {
        format!("{} {}", header.from.0, header.id())
    }

    /// Refuses a second list for an epoch.
    fn check(&self, header: &ListHeader) -> Result<(), Failure> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.fail(&error)),
        };
        let epoch = format!("{} ", header.from.0);
        let entry = Self::entry(header);
        let mut others = text.lines().filter(|line| line.starts_with(&epoch));
        if others.any(|line| line != entry) {
            return Err(Failure::new(
                Exit::Refused,
                format_args!(
                    "this key has signed another list that begins in epoch {}, and nodes refuse both of \
                     two such lists; let the new one begin in a later epoch",
                    header.from.0
                ),
            ));
        }
        Ok(())
    }

    fn add(&self, header: &ListHeader) -> Result<(), Failure> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o600).open(&self.0);
        let line = format!("{}\n", Self::entry(header));
        file.and_then(|mut file| {
            file.write_all(line.as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| self.fail(&error))
    }

    fn fail(&self, error: &std::io::Error) -> Failure {
        Failure::new(
            Exit::Failed,
            format_args!(
                "cannot use {}, which records what the key has signed: {error}; keep it beside the key, \
                 where it can be written",
                self.0.display()
            ),
        )
    }
}

/// The id of the signer with this public key.
fn signer_of(public: &PublicIdentity) -> Option<SignerId> {
    match public {
        PublicIdentity::KeyPair(public) => {
            let [_, key @ ..] = public.to_bytes();
            Some(SignerId::of(&RelayKey(key)))
        }
        PublicIdentity::Shared(_) => None,
    }
}

fn signing_key(identity: &Identity) -> Result<SigningKey, Failure> {
    let Identity::KeyPair(secret) = identity else {
        return Err(Failure::usage(
            "a shared key signs no list; make a key with `whisht directory keygen`",
        ));
    };
    let copy = Secret::init_with(|copy| copy.copy_from_slice(secret.expose()));
    SigningKey::new(copy).map_err(Failure::usage)
}

/// The name in the key files of signers.
const NAME: &str = "signer";
