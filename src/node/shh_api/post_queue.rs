//! Posts that wait for their proof of work, fairly between the clients that sent them.
//!
//! A program that posts a thousand messages must not hold up another program that posts one. Each
//! client has its own line, a few posts of each are searched for at once, and what is free goes to
//! the clients in turn. A client that has its share of posts is refused; if all lines together take too much
//! memory, the client that holds most loses its newest. The queue starts no job and answers no
//! call: its owner does both.

use std::collections::{BTreeMap, VecDeque};

use crate::node::input::ClientId;
use crate::node::jobs::JobId;

/// Posts of all clients: those that are mined, and those that wait.
pub(super) struct PostQueue<W, M> {
    mining: BTreeMap<JobId, (ClientId, M)>,
    clients: BTreeMap<ClientId, ClientLine<W>>,
    /// The client that was served last.
    last: Option<ClientId>,
    waiting_bytes: usize,
}

/// The posts of one client.
struct ClientLine<W> {
    mining: usize,
    /// Each with its size in bytes.
    waiting: VecDeque<(usize, W)>,
    bytes: usize,
}

impl<W> Default for ClientLine<W> {
    fn default() -> Self {
        Self {
            mining: 0,
            waiting: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<W, M> Default for PostQueue<W, M> {
    fn default() -> Self {
        Self {
            mining: BTreeMap::new(),
            clients: BTreeMap::new(),
            last: None,
            waiting_bytes: 0,
        }
    }
}

impl<W, M> PostQueue<W, M> {
    /// Whether a client may submit another post.
    pub(super) fn has_room(&self, client: ClientId) -> bool {
        let line = self.clients.get(&client);
        line.is_none_or(|line| line.mining + line.waiting.len() < MAX_POSTS_PER_CLIENT)
    }

    /// Queues a post of `bytes` bytes. Returns the posts that leave for it, possibly this one.
    pub(super) fn push(&mut self, client: ClientId, bytes: usize, post: W) -> Vec<W> {
        let line = self.clients.entry(client).or_default();
        line.waiting.push_back((bytes, post));
        line.bytes = line.bytes.saturating_add(bytes);
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
        let mut displaced = Vec::new();
        while self.waiting_bytes > MAX_WAITING_BYTES
            && let Some(post) = self.displace()
        {
            displaced.push(post);
        }
        displaced
    }

    /// Takes the newest waiting post of the client that holds most bytes.
    fn displace(&mut self) -> Option<W> {
        let heaviest = self.clients.iter().max_by_key(|(_, line)| line.bytes);
        let client = *heaviest?.0;
        let line = self.clients.get_mut(&client)?;
        let (bytes, post) = line.waiting.pop_back()?;
        line.bytes = line.bytes.saturating_sub(bytes);
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        self.forget_if_idle(client);
        Some(post)
    }

    /// The next post to be mined, of the client whose turn it is among those that have fewer than
    /// their share in progress. Its place stays taken until [`started`](Self::started) or
    /// [`skipped`](Self::skipped).
    pub(super) fn next(&mut self) -> Option<(ClientId, W)> {
        if self.mining.len() >= MAX_MINING {
            return None;
        }
        let is_ready = |(_, line): &(&ClientId, &ClientLine<W>)| {
            line.mining < MAX_MINING_PER_CLIENT && !line.waiting.is_empty()
        };
        let after = |(client, _): &(&ClientId, &ClientLine<W>)| Some(**client) > self.last;
        let in_turn = self
            .clients
            .iter()
            .find(|line| after(line) && is_ready(line));
        let client = *in_turn.or_else(|| self.clients.iter().find(is_ready))?.0;
        self.last = Some(client);
        let line = self.clients.get_mut(&client)?;
        let (bytes, post) = line.waiting.pop_front()?;
        line.bytes = line.bytes.saturating_sub(bytes);
        line.mining += 1;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        Some((client, post))
    }

    /// The post of [`next`](Self::next) is being mined.
    pub(super) fn started(&mut self, client: ClientId, job: JobId, post: M) {
        self.mining.insert(job, (client, post));
    }

    /// The post of [`next`](Self::next) could not be mined.
    pub(super) fn skipped(&mut self, client: ClientId) {
        self.free(client);
    }

    /// The job of a post has ended.
    pub(super) fn ended(&mut self, job: JobId) -> Option<M> {
        let (client, post) = self.mining.remove(&job)?;
        self.free(client);
        Some(post)
    }

    /// Removes everything: what is mined, and what waits.
    pub(super) fn take(&mut self) -> (Vec<(JobId, M)>, Vec<W>) {
        let queue = core::mem::take(self);
        let mining = queue.mining.into_iter();
        let waiting = queue.clients.into_values().flat_map(|line| line.waiting);
        (
            mining.map(|(job, (_, post))| (job, post)).collect(),
            waiting.map(|(_, post)| post).collect(),
        )
    }

    fn free(&mut self, client: ClientId) {
        if let Some(line) = self.clients.get_mut(&client) {
            line.mining = line.mining.saturating_sub(1);
        }
        self.forget_if_idle(client);
    }

    fn forget_if_idle(&mut self, client: ClientId) {
        let line = self.clients.get(&client);
        if line.is_some_and(|line| line.mining == 0 && line.waiting.is_empty()) {
            self.clients.remove(&client);
        }
    }
}

/// Maximum number of posts of one client, in progress and waiting.
pub(super) const MAX_POSTS_PER_CLIENT: usize = 64;

/// Maximum number of posts of one client that are mined at once. The threads serve all jobs in turn, so
/// this bounds the share of one client.
const MAX_MINING_PER_CLIENT: usize = 4;

/// Maximum number of posts that are mined at once.
const MAX_MINING: usize = 64;

/// Maximum size of the posts that wait, in bytes of payload and padding.
const MAX_WAITING_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts posts until no further one may start; returns their clients.
    fn start_all(queue: &mut PostQueue<u64, u64>, jobs: &mut u64) -> Vec<u64> {
        let mut started = Vec::new();
        while let Some((client, post)) = queue.next() {
            *jobs += 1;
            queue.started(client, JobId(*jobs), post);
            started.push(client.0);
        }
        started
    }

    #[test]
    fn client_that_floods_posts_holds_up_no_other_client() {
        let mut queue = PostQueue::default();
        let mut jobs = 0;
        let flood = ClientId(1);
        while queue.has_room(flood) {
            assert!(queue.push(flood, 100, 0).is_empty());
        }
        let started = start_all(&mut queue, &mut jobs);
        assert_eq!(started, [1; MAX_MINING_PER_CLIENT]);
        // Another client starts at once, although the first has 60 posts in its line.
        assert!(queue.has_room(ClientId(2)));
        assert!(queue.push(ClientId(2), 100, 0).is_empty());
        assert_eq!(start_all(&mut queue, &mut jobs), [2]);
    }

    #[test]
    fn free_places_go_to_clients_in_turn() {
        let mut queue = PostQueue::default();
        let mut jobs = 0;
        // 16 clients take all places; four others wait with two posts each.
        for client in 0..20 {
            for _ in 0..MAX_MINING_PER_CLIENT {
                assert!(queue.push(ClientId(client), 1, 0).is_empty());
            }
            start_all(&mut queue, &mut jobs);
        }
        assert_eq!(queue.mining.len(), MAX_MINING);
        let mut served = Vec::new();
        for job in 1..=8 {
            assert!(queue.ended(JobId(job)).is_some());
            served.extend(start_all(&mut queue, &mut jobs));
        }
        assert_eq!(served, [16, 17, 18, 19, 16, 17, 18, 19]);
    }

    #[test]
    fn memory_of_waiting_posts_is_taken_from_the_client_that_holds_most() {
        let mut queue = PostQueue::<u64, u64>::default();
        let mebibyte = 1 << 20;
        for post in 0..60 {
            assert!(queue.push(ClientId(1), mebibyte, post).is_empty());
        }
        for post in 0..4 {
            assert!(queue.push(ClientId(2), mebibyte, 100 + post).is_empty());
        }
        assert_eq!(queue.push(ClientId(2), mebibyte, 104), [59]);
        assert!(queue.waiting_bytes <= MAX_WAITING_BYTES);
    }

    #[test]
    fn client_without_posts_is_forgotten() {
        let mut queue = PostQueue::<u64, u64>::default();
        for client in 0..100 {
            assert!(queue.push(ClientId(client), 1, client).is_empty());
            let (client, post) = queue.next().unwrap();
            if post % 2 == 0 {
                queue.skipped(client);
            } else {
                queue.started(client, JobId(post), post);
                assert_eq!(queue.ended(JobId(post)), Some(post));
            }
        }
        assert!(queue.clients.is_empty() && queue.mining.is_empty());
        assert_eq!(queue.waiting_bytes, 0);
    }
}
