//! One drawn network: layers, hostile relays, and the first relays of the senders.

use circuits::distributions;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::model::{Grinding, MixModel, Routes, delay_class, layer_floor};
use crate::sim::anonymity::sighting::index;
use crate::sim::seed::{SmallRng, WorldSeed};

/// A network of a model.
#[derive(Debug)]
pub(super) struct DrawnNetwork {
    /// Whether each relay discloses.
    hostile: Vec<bool>,
    /// Relays by layer; a single list for free routes.
    layers: Vec<Vec<u32>>,
    /// First relays by sender.
    guards: Vec<Vec<u32>>,
}

impl DrawnNetwork {
    pub(super) fn new(model: &MixModel, seed: WorldSeed) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed.derive("mix model, network", &[]));
        let mut relays: Vec<u32> = (0..model.relays).collect();
        distributions::shuffle(&mut rng, &mut relays);
        let hostile = hostile_relays(&mut rng, model);
        let layers = match model.routes {
            Routes::Free(_) => vec![relays],
            Routes::EqualLayers(count) => equal_layers(&relays, count),
            Routes::Layers(count) => {
                let mut draw = seed.small_rng("mix model, layers", &[]);
                hashed_layers(&relays, count, model.smallest_layer, &mut draw)
            }
        };
        let layers = ground_layers(layers, &hostile, model.grinding, &mut rng);
        let first = layers.first().map_or(&[][..], Vec::as_slice);
        let guards = (0..model.senders)
            .map(|_| sample(&mut rng, first, model.guards))
            .collect();
        Self {
            hostile,
            layers,
            guards,
        }
    }

    /// Whether a relay discloses.
    pub(super) fn is_hostile(&self, relay: u32) -> bool {
        self.hostile.get(index(relay)).copied().unwrap_or(false)
    }

    /// The relays of a layer, or all for free routes.
    pub(super) fn layer(&self, layer: usize) -> &[u32] {
        self.layers.get(layer).map_or(&[], Vec::as_slice)
    }

    /// The first relays of a sender.
    pub(super) fn guards(&self, sender: u32) -> &[u32] {
        self.guards.get(index(sender)).map_or(&[], Vec::as_slice)
    }

    /// Replaces a relay by a new one of the same layer. Its clients draw other first relays.
    pub(super) fn replace(&mut self, relay: u32, hostile_share: f64, rng: &mut SmallRng) {
        if let Some(hostile) = self.hostile.get_mut(index(relay)) {
            *hostile = rng.unit() <= hostile_share;
        }
        let first = self.layers.first().map_or(&[][..], Vec::as_slice);
        for guard in self.guards.iter_mut().flatten() {
            if *guard == relay {
                let drawn = rng.below(u64::try_from(first.len()).unwrap_or(u64::MAX));
                let drawn = usize::try_from(drawn).ok();
                *guard = drawn
                    .and_then(|drawn| first.get(drawn))
                    .copied()
                    .unwrap_or(relay);
            }
        }
    }

    /// The delay class, in seconds, that the loads of these relays select.
    pub(super) fn delay_class(&self, model: &MixModel) -> u32 {
        delay_class(self.quarter_rate(model))
    }

    /// The 25th percentile of the mean arrival rates of the relays, in cells a second.
    pub(super) fn quarter_rate(&self, model: &MixModel) -> f64 {
        let all = f64::from(model.senders) * model.rate();
        if let Routes::Free(hops) = model.routes {
            return all * f64::from(hops) / f64::from(model.relays.max(1));
        }
        let mut rates = Vec::new();
        let mut clients = vec![0.0; index(model.relays)];
        for guards in &self.guards {
            for guard in guards {
                if let Some(clients) = clients.get_mut(index(*guard)) {
                    *clients += model.rate() / count(guards.len());
                }
            }
        }
        for (layer, relays) in self.layers.iter().enumerate() {
            for relay in relays {
                let guarded = clients.get(index(*relay)).copied().unwrap_or(0.0);
                rates.push(if layer == 0 {
                    guarded
                } else {
                    all / count(relays.len())
                });
            }
        }
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 4).copied().unwrap_or(0.0)
    }
}

/// Layers of equal size.
fn equal_layers(relays: &[u32], count: u32) -> Vec<Vec<u32>> {
    let every = index(count.max(1));
    let layer = |first| relays.iter().skip(first).step_by(every).copied().collect();
    (0..every).map(layer).collect()
}

/// A layer for each relay, uniform; drawn again while a layer is below the floor, or while the smallest
/// one does not have the size that is asked for.
fn hashed_layers(
    relays: &[u32],
    count: u32,
    smallest: Option<u32>,
    rng: &mut SmallRng,
) -> Vec<Vec<u32>> {
    let total = u32::try_from(relays.len()).unwrap_or(u32::MAX);
    let floor = index(layer_floor(total, count.max(1)));
    let fits = |least: usize| match smallest {
        Some(smallest) => least == index(smallest),
        None => least >= floor,
    };
    for _ in 0..MAX_LAYER_DRAWS {
        let mut layers = vec![Vec::new(); index(count.max(1))];
        for relay in relays {
            let layer = usize::try_from(rng.below(count.into())).unwrap_or(0);
            if let Some(layer) = layers.get_mut(layer) {
                layer.push(*relay);
            }
        }
        if layers.iter().map(Vec::len).min().is_some_and(fits) {
            return layers;
        }
    }
    // Hardly any drawn network of this size passes the floor.
    equal_layers(relays, count)
}

/// Moves the hostile relays to the layers that they chose. A layer that only hostile relays leave
/// keeps one of them, so that paths exist.
fn ground_layers(
    mut layers: Vec<Vec<u32>>,
    hostile: &[bool],
    grinding: Grinding,
    rng: &mut ChaCha20Rng,
) -> Vec<Vec<u32>> {
    let chosen: Vec<usize> = match grinding {
        Grinding::None => return layers,
        Grinding::FirstLayer => vec![0],
        Grinding::InnerLayers => (1..layers.len()).collect(),
    };
    let discloses = |relay: &u32| hostile.get(index(*relay)).copied().unwrap_or(false);
    let mut moved = Vec::new();
    for layer in &mut layers {
        let (mut leaving, mut staying): (Vec<u32>, Vec<u32>) =
            layer.iter().copied().partition(discloses);
        if staying.is_empty() {
            staying.extend(leaving.pop());
        }
        *layer = staying;
        moved.append(&mut leaving);
    }
    distributions::shuffle(rng, &mut moved);
    for (relay, layer) in moved.into_iter().zip(chosen.into_iter().cycle()) {
        if let Some(layer) = layers.get_mut(layer) {
            layer.push(relay);
        }
    }
    layers
}

/// Exactly the share of relays that the model states, rounded, drawn at random.
fn hostile_relays(rng: &mut ChaCha20Rng, model: &MixModel) -> Vec<bool> {
    let share = f64::from(model.relays) * model.hostile;
    let mut hostile: Vec<bool> = (0..model.relays)
        .map(|relay| f64::from(relay) + 0.5 < share)
        .collect();
    distributions::shuffle(rng, &mut hostile);
    hostile
}

/// `count` different elements, or all if there are fewer.
fn sample(rng: &mut ChaCha20Rng, of: &[u32], count: u32) -> Vec<u32> {
    let mut shuffled = of.to_vec();
    distributions::shuffle(rng, &mut shuffled);
    shuffled.truncate(index(count));
    shuffled
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX)).max(1.0)
}

/// Draws of layers before a network is given equal ones.
const MAX_LAYER_DRAWS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn network(relays: u32, routes: Routes) -> DrawnNetwork {
        let model = MixModel {
            relays,
            routes,
            ..MixModel::reference()
        };
        DrawnNetwork::new(&model, WorldSeed::from_number(5))
    }

    #[test]
    fn every_layer_reaches_the_floor_and_every_relay_has_one_layer() {
        for (relays, floor) in [(60, 10), (30, 5), (10, 1)] {
            let network = network(relays, Routes::Layers(5));
            let mut all: Vec<u32> = network.layers.concat();
            all.sort_unstable();
            assert_eq!(all, (0..relays).collect::<Vec<_>>());
            assert!(network.layers.iter().all(|layer| layer.len() >= floor));
        }
    }

    #[test]
    fn smallest_layer_has_the_size_that_is_asked_for() {
        for smallest in [5, 8] {
            let model = MixModel {
                smallest_layer: Some(smallest),
                ..MixModel::reference()
            };
            let drawn = DrawnNetwork::new(&model, WorldSeed::from_number(9));
            let least = drawn.layers.iter().map(Vec::len).min();
            assert_eq!(least, Some(index(smallest)));
        }
    }

    #[test]
    fn layers_by_hash_differ_in_size() {
        let sizes = |routes| -> Vec<usize> {
            let network = network(600, routes);
            network.layers.iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(Routes::EqualLayers(5)), [120; 5]);
        assert_ne!(sizes(Routes::Layers(5)), [120; 5]);
    }

    #[test]
    fn ground_relays_are_in_chosen_layers_only() {
        let model = MixModel {
            grinding: Grinding::InnerLayers,
            ..MixModel::reference()
        };
        let drawn = DrawnNetwork::new(&model, WorldSeed::from_number(6));
        assert!(!drawn.layer(0).iter().any(|relay| drawn.is_hostile(*relay)));
        let hostile = (0..60).filter(|relay| drawn.is_hostile(*relay)).count();
        assert_eq!((hostile, drawn.layers.concat().len()), (12, 60));
    }

    #[test]
    fn replaced_relay_keeps_no_client() {
        let mut drawn = network(60, Routes::EqualLayers(5));
        let guard = drawn.guards(0)[0];
        let mut rng = WorldSeed::from_number(7).small_rng("test", &[]);
        let clients = |drawn: &DrawnNetwork| {
            let guards = drawn.guards.iter().flatten();
            guards.filter(|own| **own == guard).count()
        };
        let before = clients(&drawn);
        drawn.replace(guard, 1.0, &mut rng);
        assert!(drawn.is_hostile(guard) && clients(&drawn) < before);
    }

    #[test]
    fn load_of_reference_network_selects_three_seconds() {
        let model = MixModel::reference();
        let drawn = network(60, Routes::EqualLayers(5));
        assert!((20.0..=25.0).contains(&drawn.quarter_rate(&model)));
        assert_eq!(drawn.delay_class(&model), 3);
    }
}
