//! A mail server's archive in memory, which can be slow and can fail.

use std::collections::BTreeMap;

use crate::envelope::Envelope;
use crate::mail::archive::{
    ArchiveRequest, ArchiveResponse, Contents, Page, PageQuery, Unavailable,
};
use crate::mail::cursor::Position;

/// The envelopes that one node keeps for others. They outlive the node, as those on a disk do.
#[derive(Default)]
pub struct SimArchive {
    kept: BTreeMap<Position, Envelope>,
    /// Requests that wait, if the archive hangs.
    pending: Option<Vec<ArchiveRequest>>,
    broken: bool,
}

impl SimArchive {
    /// From now on no request is answered.
    pub fn hang(&mut self) {
        self.pending = Some(Vec::new());
    }

    /// From now on every query fails.
    pub const fn fail_queries(&mut self) {
        self.broken = true;
    }

    /// Answers a request; none is answered while the archive hangs.
    pub(super) fn submit(&mut self, request: ArchiveRequest) -> Option<ArchiveResponse> {
        match &mut self.pending {
            Some(pending) => {
                pending.push(request);
                None
            }
            None => Some(self.execute(request)),
        }
    }

    /// Answers the requests that waited.
    pub(super) fn release(&mut self) -> Vec<ArchiveResponse> {
        let pending = self.pending.take().unwrap_or_default();
        let answers = pending.into_iter().map(|request| self.execute(request));
        answers.collect()
    }

    /// Everything that is kept.
    pub fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.kept.values()
    }

    fn execute(&mut self, request: ArchiveRequest) -> ArchiveResponse {
        match request {
            ArchiveRequest::Keep(id, envelopes) => {
                let placed = envelopes.into_iter().map(|one| (Position::of(&one), one));
                self.kept.extend(placed);
                let contents = Contents {
                    bytes: 0,
                    oldest: self.kept.keys().next().map(|place| place.sent),
                };
                ArchiveResponse::Kept(id, Some(contents))
            }
            ArchiveRequest::Withdraw(id) => ArchiveResponse::Found(id, Err(Unavailable)),
            ArchiveRequest::Find(id, _) if self.broken => {
                ArchiveResponse::Found(id, Err(Unavailable))
            }
            ArchiveRequest::Find(id, query) => ArchiveResponse::Found(id, Ok(self.page(&query))),
        }
    }

    /// Looks at every envelope: the archives of a world are small.
    fn page(&self, query: &PageQuery) -> Page {
        let behind = |place: &Position| match query.start() {
            Some(start) => *place > start,
            None => place.sent >= query.lower,
        };
        let mut page = Page::default();
        let mut last = None;
        let mut bytes = 0_usize;
        for (place, envelope) in &self.kept {
            if !behind(place) || place.sent > query.upper {
                continue;
            }
            let wanted = query.wants(envelope);
            let full = page.envelopes.len() == query.limit || bytes > query.bytes;
            if page.effort == query.effort || (wanted && full) {
                page.more = last;
                break;
            }
            if wanted {
                bytes = bytes.saturating_add(envelope.as_rlp().len());
                page.envelopes.push(envelope.clone());
            }
            page.effort = page.effort.saturating_add(1);
            last = Some(*place);
        }
        page
    }
}
