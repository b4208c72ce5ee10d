//! A mail server's archive in memory, that can be slow and can fail.

use std::collections::BTreeMap;

use whisht::envelope::Envelope;
use whisht::mail::archive::{
    ArchiveRequest, ArchiveResponse, Contents, Page, PageQuery, Unavailable,
};
use whisht::mail::cursor::Position;

/// What one node keeps for others. It outlives the node, as a disk does.
#[derive(Default)]
pub(crate) struct SimArchive {
    kept: BTreeMap<Position, Envelope>,
    /// Tasks that wait, if the archive hangs.
    pending: Option<Vec<ArchiveRequest>>,
    broken: bool,
}

impl SimArchive {
    /// From now on nothing is done.
    pub(crate) fn hang(&mut self) {
        self.pending = Some(Vec::new());
    }

    /// From now on nothing is found.
    pub(crate) fn fail_queries(&mut self) {
        self.broken = true;
    }

    /// Does a task; none of it is done while the archive hangs.
    pub(super) fn submit(&mut self, task: ArchiveRequest) -> Option<ArchiveResponse> {
        match &mut self.pending {
            Some(pending) => {
                pending.push(task);
                None
            }
            None => Some(self.execute(task)),
        }
    }

    /// Does what was held back.
    pub(super) fn release(&mut self) -> Vec<ArchiveResponse> {
        let pending = self.pending.take().unwrap_or_default();
        pending.into_iter().map(|task| self.execute(task)).collect()
    }

    /// Everything that is kept.
    pub(crate) fn envelopes(&self) -> impl Iterator<Item = &Envelope> {
        self.kept.values()
    }

    fn execute(&mut self, task: ArchiveRequest) -> ArchiveResponse {
        match task {
            ArchiveRequest::Keep(id, envelopes) => {
                let placed = envelopes.into_iter().map(|one| (Position::of(&one), one));
                self.kept.extend(placed);
                let contents = Contents {
                    bytes: 0,
                    oldest: self.kept.keys().next().map(|place| place.sent),
                };
                ArchiveResponse::Kept(id, Some(contents))
            }
            ArchiveRequest::Find(id, _) if self.broken => {
                ArchiveResponse::Found(id, Err(Unavailable))
            }
            ArchiveRequest::Find(id, query) => ArchiveResponse::Found(id, Ok(self.page(&query))),
        }
    }

    /// As slow and as plain as can be.
    fn page(&self, query: &PageQuery) -> Page {
        let behind = |place: &Position| match query.start() {
            Some(start) => *place > start,
            None => place.sent >= query.lower,
        };
        let mut page = Page::default();
        let mut last = None;
        let mut bytes = 0;
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
                bytes += envelope.as_rlp().len();
                page.envelopes.push(envelope.clone());
            }
            page.effort += 1;
            last = Some(*place);
        }
        page
    }
}
