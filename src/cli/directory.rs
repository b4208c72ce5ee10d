//! `whisht directory`: makes, signs and checks signed lists of relays (docs/relay-lists.md).
//!
//! Every command but `publish` works on files and needs neither a node nor a network, so that the keys of
//! signers can stay on a machine without one. A list is a file with the bytes that peers send.

mod draft;
mod report;
mod signing;

use std::path::{Path, PathBuf};

use circuits::ids::{NetworkId, Profile};
use serde_json::json;

use self::report::ListReport;
use super::new_file::{Readers, write_new};
use super::output::Printer;
use super::{Exit, Failure, GlobalArgs, remote_node};
use crate::config::value::{self, NetworkName};
use crate::relay_list::{RelayList, SignerId, SignerSet};
use crate::shell::relay_list_file;

/// Options of `whisht directory`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: DirectoryAction,
}

#[derive(Debug, clap::Subcommand)]
enum DirectoryAction {
    /// Make the key of a signer, sealed by a password, and print its id
    Keygen(signing::Keygen),
    /// Sign a draft or a list, after showing what it says
    Sign(signing::Sign),
    /// Join the signatures of copies of one list
    Merge(Merge),
    /// Check a list as a node with these signers would
    Verify(Verify),
    /// Show what a list says and who signed it
    Show(Show),
    /// Give a list to the running node, which verifies it and passes it on
    Publish(Show),
}

#[derive(Debug, clap::Args)]
struct Merge {
    /// Copies of one list, each with other signatures
    #[arg(required = true, num_args = 2.., value_name = "LIST")]
    lists: Vec<PathBuf>,
    /// File to write; an existing file is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// The list
    list: PathBuf,
    /// Id of a pinned signer, as in `directory.signers`; may be repeated
    #[arg(
        long = "signer",
        required = true,
        value_delimiter = ',',
        value_name = "ID"
    )]
    signers: Vec<SignerId>,
    /// How many signers must have signed [default: more than half of the signers]
    #[arg(long, value_name = "COUNT")]
    threshold: Option<usize>,
    #[command(flatten)]
    network: ListNetworkArgs,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The list
    list: PathBuf,
}

/// The network of a list.
#[derive(Debug, clap::Args)]
struct ListNetworkArgs {
    /// Name of the network
    #[arg(long, default_value = "whisht", value_parser = value::parsed::<NetworkName>)]
    network: NetworkName,
    /// Rules that apply: main or local
    #[arg(long, default_value = "main", value_parser = value::profile)]
    profile: Profile,
}

impl ListNetworkArgs {
    fn id(&self) -> NetworkId {
        NetworkId::new(self.profile, &String::from(self.network.clone()))
    }
}

/// Runs an action on relay lists.
///
/// # Errors
///
/// [`Failure`] if a file cannot be read or written, or a list breaks a rule.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let printer = Printer {
        json: common.json,
        local: false,
    };
    match args.action {
        DirectoryAction::Publish(publish) => publish_list(common, &publish.list),
        DirectoryAction::Keygen(keygen) => keygen.run(printer),
        DirectoryAction::Sign(sign) => sign.run(printer),
        DirectoryAction::Merge(merge) => merge.run(printer),
        DirectoryAction::Verify(verify) => verify.run(printer),
        DirectoryAction::Show(show) => {
            let list = read_list(&show.list)?;
            ListReport::of(&list).print(printer)?;
            Ok(Exit::Done)
        }
    }
}

impl Merge {
    fn run(self, printer: Printer) -> Result<Exit, Failure> {
        let [first, others @ ..] = self.lists.as_slice() else {
            return Err(Failure::usage("name two or more copies of one list"));
        };
        let mut merged = read_list(first)?;
        for path in others {
            merged
                .merge(&read_list(path)?)
                .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))?;
        }
        write_list(&self.output, &merged)?;
        ListReport::of(&merged).print_written(printer, &self.output)?;
        Ok(Exit::Done)
    }
}

impl Verify {
    fn run(self, printer: Printer) -> Result<Exit, Failure> {
        let majority = SignerSet::majority(self.signers.len());
        let threshold = self.threshold.unwrap_or(majority);
        let signers = SignerSet::new(threshold, self.signers.clone()).map_err(Failure::usage)?;
        let list = read_list(&self.list)?;
        let report = ListReport::of(&list);
        list.verify(self.network.id(), self.network.profile, &signers)
            .map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format_args!(
                        "{}: {error}; a node with these signers would not use the list",
                        self.list.display()
                    ),
                )
            })?;
        report.print_verified(printer, &signers)?;
        Ok(Exit::Done)
    }
}

/// Gives a list to the running node.
fn publish_list(common: &GlobalArgs, path: &Path) -> Result<Exit, Failure> {
    let list = read_list(path)?;
    let digits = hex::encode(list.encode());
    remote_node::with(common, async |node| {
        let _: bool = node
            .call("whisht_publishRelayList", json!([digits]))
            .await?;
        let id = list.header().id().to_string();
        if node.printer.json {
            node.printer.value(&json!({ "published": id }))?;
        } else {
            node.printer.line(format_args!(
                "the node has the list {id}; `whisht status` shows which one is in force"
            ))?;
        }
        Ok(Exit::Done)
    })
}

/// Reads the file of a list.
fn read_list(path: &Path) -> Result<RelayList, Failure> {
    let raw = relay_list_file::read(path).map_err(Failure::usage)?;
    decode(path, &raw)
}

fn decode(path: &Path, raw: &[u8]) -> Result<RelayList, Failure> {
    RelayList::decode(raw).map_err(|error| {
        Failure::usage(format_args!(
            "{}: {error}; name a file that `whisht directory sign` or `merge` wrote",
            path.display()
        ))
    })
}

/// Writes a list to a new file. Lists are public.
fn write_list(path: &Path, list: &RelayList) -> Result<(), Failure> {
    write_new(path, &list.encode(), Readers::Others)
}
