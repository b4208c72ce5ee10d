//! The level of what travels through circuits: `normal`, and no other one.
//!
//! Two observed ends of a circuit are correlated at once. A node whose default level has cover traffic therefore
//! opens no circuit for its user unless the user names `normal`: the level is never lowered silently.

use circuits::level::Level;

/// The level that forbids a circuit: the one that the user names if it is not `normal`, or the default one if it
/// has cover traffic and the user names none. `None` if a circuit may be used.
pub(in crate::node) const fn level_without_circuits(
    asked: Option<Level>,
    default: Level,
) -> Option<Level> {
    match asked {
        Some(Level::Normal) => None,
        Some(level) => Some(level),
        None if default.is_mixing() => Some(default),
        None => None,
    }
}

/// The level of a message that opens no circuit, such as one that declines: the default one if it has cover
/// traffic, else `normal`.
pub(in crate::node) const fn level_of_decline(default: Level) -> Level {
    if default.is_mixing() {
        default
    } else {
        Level::Normal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_level_with_cover_forbids_circuits_until_normal_is_named() {
        for default in [Level::Hush, Level::Dark] {
            assert_eq!(level_without_circuits(None, default), Some(default));
            assert_eq!(level_without_circuits(Some(Level::Normal), default), None);
            assert_eq!(level_of_decline(default), default);
        }
        for default in [Level::Open, Level::Swift, Level::Normal] {
            assert_eq!(level_without_circuits(None, default), None);
            assert_eq!(level_of_decline(default), Level::Normal);
        }
        let asked = Some(Level::Dark);
        assert_eq!(level_without_circuits(asked, Level::Normal), asked);
    }
}
