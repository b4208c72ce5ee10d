//! Circuits that a test opens at nodes of a world, as hand-over does at nodes of users.

use circuits::circuit::MeetCookie;
use circuits::ids::RelayId;

use super::super::machine::Process;
use super::World;
use crate::node::simulation::{self, CircuitNews};
use crate::node::{Input, Node};

impl World {
    /// A node opens a circuit that meets another one with this cookie at this relay. The circuit has a
    /// number that the caller chooses.
    pub fn open_circuit(&mut self, at: usize, number: u64, rendezvous: RelayId, cookie: [u8; 20]) {
        let cookie = MeetCookie(cookie);
        self.ask_circuits(at, |node| {
            simulation::open_circuit(node, number, rendezvous, cookie);
        });
    }

    /// A node sends payloads through its circuit until its queue is full. Returns how many it took.
    pub fn send_payloads(&mut self, at: usize, number: u64, payloads: &[[u8; 812]]) -> usize {
        let mut sent = 0;
        for payload in payloads {
            let mut took = false;
            self.ask_circuits(at, |node| {
                took = simulation::send_payload(node, number, payload);
            });
            if !took {
                break;
            }
            sent += 1;
        }
        sent
    }

    /// A node closes its circuit.
    pub fn close_circuit(&mut self, at: usize, number: u64) {
        self.ask_circuits(at, |node| simulation::close_circuit(node, number));
    }

    /// What happened to the circuits of a node since the last call, with their numbers.
    pub fn take_circuit_news(&mut self, at: usize) -> Vec<(u64, CircuitNews)> {
        let mut news = Vec::new();
        self.ask_circuits(at, |node| news = simulation::take_circuit_news(node));
        news
    }

    /// Asks something of a running node, and lets it do what follows.
    fn ask_circuits(&mut self, at: usize, ask: impl FnOnce(&mut Node)) {
        if let Process::Node(node) = &mut self.machine_mut(at).process {
            ask(node);
            self.feed(at, Input::Timeout);
        }
    }
}
