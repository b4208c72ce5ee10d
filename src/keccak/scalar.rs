//! One lane, for every machine: [`Bmi`] where the processor supports it, elsewhere the crate `keccak`,
//! which uses the Keccak instructions of ARM processors.

use keccak::{Keccak, State1600};

#[cfg(target_arch = "x86_64")]
use super::bmi::Bmi;
use super::{Digests, PADDING, SideBySide, Sponges};

/// Supported on every machine.
#[derive(Clone, Copy)]
pub(super) struct Scalar;

/// Keccak-f\[1600\].
pub(crate) fn permute(state: &mut State1600) {
    #[cfg(target_arch = "x86_64")]
    if let Some(bmi) = Bmi::detect() {
        return bmi.permute(state);
    }
    permute_plain(state);
}

/// The same by the crate `keccak`.
pub(super) fn permute_plain(state: &mut State1600) {
    Keccak::new().with_f1600(|permute| permute(state));
}

impl SideBySide<1> for Scalar {
    fn permute(&self, sponges: &mut Sponges<1>) {
        let mut state = sponges.map(|[word]| word);
        permute(&mut state);
        *sponges = state.map(|word| [word]);
    }

    fn digests(&self, sponges: &Sponges<1>, padding_follows: bool) -> Digests<1> {
        let mut state = sponges.map(|[word]| word);
        permute(&mut state);
        if padding_follows {
            for (at, padding) in PADDING {
                if let Some(word) = state.get_mut(at) {
                    *word ^= padding;
                }
            }
            permute(&mut state);
        }
        let [a, b, c, d, ..] = state;
        [[a], [b], [c], [d]]
    }
}
