//! Pictures of the network page: SVG that the server draws from numbers.
//!
//! Pure functions. A picture has neither scripts nor styles of its own: it names classes of `app.css`, because
//! the content policy refuses inline styles. What a colour says, a shape or a number says too. A picture
//! never shows an address, a key, the guard, or where an own message went.

mod history;
mod levels;
mod peers;
mod qr;
mod relays;
mod share;
mod svg;

pub(super) use self::history::{Series, history};
pub(super) use self::levels::{LevelBar, levels};
pub(super) use self::peers::{PeerDot, peers};
pub(super) use self::qr::qr;
pub(super) use self::relays::relays;
pub(super) use self::share::share;
pub(super) use self::svg::Picture;

#[cfg(test)]
mod tests;
