//! One-shot cells under attack.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "cells/blindness.rs"]
mod blindness;
#[path = "cells/delivery.rs"]
mod delivery;
#[path = "cells/flood.rs"]
mod flood;
#[path = "cells/malformed.rs"]
mod malformed;
#[path = "cells/path.rs"]
mod path;
#[path = "cells/reference.rs"]
mod reference;
#[path = "cells/replay.rs"]
mod replay;
#[path = "support/scripted_rng.rs"]
mod scripted_rng;
#[path = "cells/tampering.rs"]
mod tampering;
#[path = "cells/vectors.rs"]
mod vectors;
