//! Records of a directory that survive a restart.
//!
//! Each record is a byte string that the caller stores unchanged: one header, one record for each
//! relay (its descriptors, with their arrival times and reporting peers), one for each relay that
//! has been absent for less than a week (its history), and one for each proof of equivocation. On
//! import, descriptors are verified again; the times are this node's own and are trusted. An
//! unreadable record is skipped: the network has the other descriptors.

use super::descriptor::{Descriptor, VerifiedDescriptor};
use super::equivocation::EquivocationProof;
use super::observation::{RelayHistory, ReportingSubnets};
use super::table::{DormantRelay, HeldDescriptor, RelayRecord, main_subnet};
use super::{Directory, Subnet};
use crate::bytes::{ByteReader, Truncated};
use crate::ids::{Epoch, RelayId, ShortId};
use crate::time::UnixSecs;

impl Directory {
    /// The state to store, as records for [`import`](Self::import).
    #[must_use]
    pub fn export(&self) -> Vec<Vec<u8>> {
        let mut header = vec![kind::HEADER];
        header.extend(self.since.0.to_be_bytes());
        let relays = self.table.iter().map(|(_, record)| write_relay(record));
        let dormant = self.table.dormant().map(write_dormant);
        let proofs = self.proofs().map(write_proof);
        [header]
            .into_iter()
            .chain(relays)
            .chain(dormant)
            .chain(proofs)
            .collect()
    }

    /// Imports the records of an earlier run; returns the number of imported relays.
    ///
    /// Call it on an empty directory. Expired records are skipped; if nothing remains, the
    /// directory counts as new.
    pub fn import<R: AsRef<[u8]>>(
        &mut self,
        now: UnixSecs,
        records: impl IntoIterator<Item = R>,
    ) -> usize {
        let mut since = now;
        for record in records {
            let Some((&kind, body)) = record.as_ref().split_first() else {
                continue;
            };
            let mut body = ByteReader::new(body);
            match kind {
                kind::DORMANT => self.import_dormant(now, &mut body).unwrap_or_default(),
                kind::HEADER => since = body.u32().map_or(now, UnixSecs),
                kind::PROOF => self.import_proof(now, &mut body).unwrap_or_default(),
                kind::RELAY => self.import_relay(now, &mut body).unwrap_or_default(),
                _ => {}
            }
        }
        if !self.table.is_blank() {
            self.since = self.since.min(since);
        }
        self.len()
    }

    fn import_relay(&mut self, now: UnixSecs, body: &mut ByteReader<'_>) -> Result<(), Truncated> {
        let (history, stored) = read_relay(body)?;
        // `export` writes the descriptors of one relay, newest first.
        let Some(newest) = stored
            .first()
            .and_then(|(.., raw)| Descriptor::decode(raw).ok())
        else {
            return Ok(());
        };
        let (id, last) = (newest.key().id(), newest.draft().epoch);
        let subnet = main_subnet(&newest.draft().endpoints);
        let mut held = Vec::new();
        for (received, reported_from, raw) in stored {
            let descriptor = self.verify_stored(now, raw);
            held.extend(
                descriptor
                    .filter(|one| one.id() == id)
                    .map(|descriptor| HeldDescriptor {
                        descriptor,
                        received,
                        reported_from,
                    }),
            );
        }
        if held.is_empty() {
            self.retire(now, id, DormantRelay { history, last });
        } else if self.is_unknown(&id) && matches!(self.table.room_for(&id, subnet), Ok(None)) {
            self.table.restore(now, subnet, history, held);
        }
        Ok(())
    }

    fn import_dormant(
        &mut self,
        now: UnixSecs,
        body: &mut ByteReader<'_>,
    ) -> Result<(), Truncated> {
        let id = RelayId(body.array()?);
        let last = Epoch(body.u32()?);
        let history = read_history(body)?;
        self.retire(now, id, DormantRelay { history, last });
        Ok(())
    }

    fn retire(&mut self, now: UnixSecs, id: RelayId, dormant: DormantRelay) {
        if self.is_unknown(&id) && dormant.is_worth_keeping_at(Epoch::at(now)) {
            self.table.retire(id, dormant);
        }
    }

    fn is_unknown(&self, id: &RelayId) -> bool {
        self.table.get(id).is_none() && !self.exclusions.contains(id)
    }

    fn import_proof(&mut self, now: UnixSecs, body: &mut ByteReader<'_>) -> Result<(), Truncated> {
        let first = Descriptor::decode(read_raw(body)?);
        let second = Descriptor::decode(read_raw(body)?);
        if let (Ok(first), Ok(second)) = (first, second)
            && let (Ok(first), Ok(second)) = (first.verify(&self.terms), second.verify(&self.terms))
            && first.id() == second.id()
            && let Some(proof) = EquivocationProof::between(&first, &second)
        {
            self.table.remove(&proof.relay());
            self.exclusions.add(proof);
            self.exclusions.expire(Epoch::at(now));
        }
        Ok(())
    }

    fn verify_stored(&self, now: UnixSecs, raw: &[u8]) -> Option<VerifiedDescriptor> {
        let descriptor = Descriptor::decode(raw).ok()?;
        self.accepted_epochs(now)
            .contains(&descriptor.draft().epoch)
            .then(|| descriptor.verify(&self.terms).ok())?
    }
}

fn write_relay(record: &RelayRecord) -> Vec<u8> {
    let mut out = vec![kind::RELAY];
    write_history(&mut out, &record.history);
    for held in record.latest_first() {
        out.extend(held.received.0.to_be_bytes());
        write_reported_from(&mut out, &held.reported_from);
        write_raw(&mut out, held.descriptor.raw());
    }
    out
}

/// History of a relay and, for each descriptor, its arrival, the reporting subnets and its bytes.
type StoredRelay<'a> = (RelayHistory, Vec<(UnixSecs, ReportingSubnets, &'a [u8])>);

fn read_relay<'a>(body: &mut ByteReader<'a>) -> Result<StoredRelay<'a>, Truncated> {
    let history = read_history(body)?;
    let mut held = Vec::new();
    while body.remaining() > 0 {
        let received = UnixSecs(body.u32()?);
        held.push((received, read_reported_from(body)?, read_raw(body)?));
    }
    Ok((history, held))
}

fn write_dormant((id, dormant): (&RelayId, &DormantRelay)) -> Vec<u8> {
    let mut out = vec![kind::DORMANT];
    out.extend(id.0);
    out.extend(dormant.last.0.to_be_bytes());
    write_history(&mut out, &dormant.history);
    out
}

fn write_history(out: &mut Vec<u8>, history: &RelayHistory) {
    let RelayHistory {
        first_seen,
        second_epoch,
        first_peer,
        second_peer,
    } = history;
    out.extend(first_seen.0.to_be_bytes());
    write_moment(out, *second_epoch);
    out.extend(first_peer.unwrap_or(NO_PEER).0);
    write_moment(out, *second_peer);
}

fn read_history(body: &mut ByteReader<'_>) -> Result<RelayHistory, Truncated> {
    Ok(RelayHistory {
        first_seen: UnixSecs(body.u32()?),
        second_epoch: read_moment(body)?,
        first_peer: Some(ShortId(body.array()?)).filter(|peer| *peer != NO_PEER),
        second_peer: read_moment(body)?,
    })
}

fn write_proof(proof: &EquivocationProof) -> Vec<u8> {
    let mut out = vec![kind::PROOF];
    for descriptor in proof.descriptors() {
        write_raw(&mut out, descriptor.raw());
    }
    out
}

fn write_moment(out: &mut Vec<u8>, moment: Option<UnixSecs>) {
    out.extend(moment.map_or(0, |at| at.0).to_be_bytes());
}

fn read_moment(body: &mut ByteReader<'_>) -> Result<Option<UnixSecs>, Truncated> {
    Ok(Some(body.u32()?).filter(|at| *at != 0).map(UnixSecs))
}

fn write_reported_from(out: &mut Vec<u8>, reported_from: &ReportingSubnets) {
    out.extend(u8::try_from(reported_from.subnets().len()));
    for subnet in reported_from.subnets() {
        let (tag, prefix) = match *subnet {
            Subnet::Ip4([a, b]) => (1, [a, b, 0, 0]),
            Subnet::Ip6(prefix) => (2, prefix),
            Subnet::Onion => (3, [0; 4]),
        };
        out.push(tag);
        out.extend(prefix);
    }
}

fn read_reported_from(body: &mut ByteReader<'_>) -> Result<ReportingSubnets, Truncated> {
    let mut subnets = Vec::new();
    for _ in 0..body.u8()? {
        let tag = body.u8()?;
        let prefix = body.array::<4>()?;
        let [a, b, ..] = prefix;
        subnets.push(match tag {
            1 => Subnet::Ip4([a, b]),
            2 => Subnet::Ip6(prefix),
            _ => Subnet::Onion,
        });
    }
    Ok(ReportingSubnets::restore(subnets))
}

fn write_raw(out: &mut Vec<u8>, raw: &[u8]) {
    let len = u16::try_from(raw.len()).unwrap_or_default();
    out.extend(len.to_be_bytes());
    out.extend(raw.iter().take(len.into()));
}

fn read_raw<'a>(body: &mut ByteReader<'a>) -> Result<&'a [u8], Truncated> {
    let len = body.u16()?;
    body.take(len.into())
}

/// Encodes `None`. No key is known to have this id.
const NO_PEER: ShortId = ShortId([0; 16]);

/// First byte of a record.
mod kind {
    pub(super) const HEADER: u8 = 0;
    pub(super) const RELAY: u8 = 1;
    pub(super) const PROOF: u8 = 2;
    pub(super) const DORMANT: u8 = 3;
}
