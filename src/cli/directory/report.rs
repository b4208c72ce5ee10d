//! What a relay list says, for the people who sign it and for those who use it.

use std::io;
use std::path::Path;

use circuits::directory::RelayEndpoint;
use circuits::ids::Epoch;
use serde::Serialize;

use crate::cli::date::UtcTime;
use crate::cli::output::{Printer, count};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::relay_list::{ListedRelay, RelayList, SignerId, SignerSet};

/// A list in text or JSON.
#[derive(Debug, Serialize)]
pub(super) struct ListReport {
    /// Its id, which is the same for all copies.
    id: String,
    /// The network id.
    network: String,
    /// The first epoch in which it is valid, and its start.
    from_epoch: u32,
    from: String,
    /// The first epoch in which it is not valid any more, and its start.
    until_epoch: u32,
    until: String,
    threshold: usize,
    signers: Vec<SignerReport>,
    /// Signatures that are not by the signer that they name.
    invalid_signatures: usize,
    /// The signers of later lists, if they change.
    next: Option<SetReport>,
    /// Number of earlier rotations that it carries.
    rotations: usize,
    relays: Vec<RelayReport>,
}

#[derive(Debug, Serialize)]
struct SignerReport {
    id: String,
    signed: bool,
}

#[derive(Debug, Serialize)]
struct SetReport {
    threshold: usize,
    signers: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RelayReport {
    id: String,
    family: u16,
    enode: Option<String>,
    key: String,
}

impl ListReport {
    pub(super) fn of(list: &RelayList) -> Self {
        let header = list.header();
        let (signed, invalid_signatures) = list.signed_by();
        let signer = |id: &SignerId| SignerReport {
            id: id.to_string(),
            signed: signed.contains(id),
        };
        Self {
            id: header.id().to_string(),
            network: hex::encode(header.network.0),
            from_epoch: header.from.0,
            from: time(header.from),
            until_epoch: header.until.0,
            until: time(header.until),
            threshold: header.signers.threshold(),
            signers: header.signers.ids().iter().map(signer).collect(),
            invalid_signatures,
            next: header.next.as_ref().map(SetReport::of),
            rotations: list.rotations(),
            relays: list.relays().iter().map(RelayReport::of).collect(),
        }
    }

    fn signed(&self) -> usize {
        self.signers.iter().filter(|signer| signer.signed).count()
    }

    /// The list with all relays.
    pub(super) fn print(&self, printer: Printer) -> io::Result<()> {
        if printer.json {
            return printer.value(self);
        }
        self.lines()
            .iter()
            .try_for_each(|line| printer.line(line))?;
        let row = |relay: &RelayReport| {
            [
                relay.id.chars().take(16).collect(),
                match relay.family {
                    0 => "-".to_owned(),
                    family => family.to_string(),
                },
                relay.enode.clone().unwrap_or_else(|| relay.key.clone()),
            ]
        };
        let rows: Vec<_> = self.relays.iter().map(row).collect();
        printer.table(["RELAY", "FAMILY", "ADDRESS OR KEY"], &rows, "no relays")
    }

    /// What was written, and what is missing.
    pub(super) fn print_written(&self, printer: Printer, path: &Path) -> io::Result<()> {
        if printer.json {
            return printer.value(self);
        }
        printer.line(format_args!("wrote {}: list {}", path.display(), self.id))?;
        let missing = self.threshold.saturating_sub(self.signed());
        printer.line(match missing {
            0 => format!(
                "{} of {} signers have signed, and {} are needed: the list can be published",
                self.signed(),
                self.signers.len(),
                self.threshold
            ),
            _ => format!(
                "{} of {} signers have signed, and {} are needed; signatures missing: {missing}",
                self.signed(),
                self.signers.len(),
                self.threshold
            ),
        })
    }

    /// The result of a check.
    pub(super) fn print_verified(&self, printer: Printer, pinned: &SignerSet) -> io::Result<()> {
        if printer.json {
            return printer.value(self);
        }
        printer.line(format_args!(
            "valid: {} of {} signers have signed, and {} are needed",
            self.signed(),
            self.signers.len(),
            self.threshold
        ))?;
        let followed = pinned.ids().iter().map(SignerId::to_string);
        if !followed.eq(self.signers.iter().map(|signer| signer.id.clone())) {
            printer.line(
                "the signers have changed since yours were pinned, and the list proves each change; pin \
                 the signers of today, as `whisht directory show` prints them",
            )?;
        }
        self.lines()
            .iter()
            .take(3)
            .try_for_each(|line| printer.line(line))
    }

    /// Everything but the relays.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("list      {}", self.id),
            format!(
                "valid     from {} until {} UTC (epochs {} to {})",
                self.from,
                self.until,
                self.from_epoch,
                self.until_epoch.saturating_sub(1)
            ),
            format!("relays    {}", count(self.relays.len())),
            format!("network   {}", self.network),
            format!(
                "signers   {} of {} must sign",
                self.threshold,
                self.signers.len()
            ),
        ];
        lines.extend(self.signers.iter().map(|signer| {
            let mark = if signer.signed { "signed" } else { "      " };
            format!("  {mark}  {}", signer.id)
        }));
        if self.invalid_signatures > 0 {
            lines.push(format!(
                "  {} signatures are not by the signers that they name: nodes refuse the list",
                self.invalid_signatures
            ));
        }
        if let Some(next) = &self.next {
            lines.push(format!(
                "later     lists need {} of {} other signers",
                next.threshold,
                next.signers.len()
            ));
            lines.extend(next.signers.iter().map(|id| format!("          {id}")));
        }
        if self.rotations > 0 {
            lines.push(format!(
                "rotations {} earlier ones are proven",
                self.rotations
            ));
        }
        lines
    }
}

impl SetReport {
    fn of(set: &SignerSet) -> Self {
        Self {
            threshold: set.threshold(),
            signers: set.ids().iter().map(SignerId::to_string).collect(),
        }
    }
}

impl RelayReport {
    fn of(relay: &ListedRelay) -> Self {
        let enode = |hint: RelayEndpoint| {
            let endpoint = Endpoint::from(hint);
            let key = relay.key;
            PeerAddr { key, endpoint }.to_string()
        };
        Self {
            id: hex::encode(relay.key.id().0),
            family: relay.family,
            enode: relay.hint.map(enode),
            key: hex::encode(relay.key.0),
        }
    }
}

fn time(epoch: Epoch) -> String {
    UtcTime(epoch.start().0).to_string()
}
