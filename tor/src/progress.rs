//! Progress of the bootstrap.

use std::fmt;

use arti_client::status::BootstrapStatus;

/// Progress of Tor until it can carry traffic.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BootstrapProgress {
    /// Percentage, 0 to 100.
    pub percent: u8,
    /// Whether Tor is ready for streams, as far as it knows. It may still report ready for a while
    /// after it has lost the network.
    pub ready: bool,
    /// The obstacle that Tor reports.
    pub blocked: Option<String>,
}

impl BootstrapProgress {
    pub(crate) fn of(status: &BootstrapStatus) -> Self {
        Self {
            percent: percent(status.as_frac()),
            ready: status.ready_for_traffic(),
            blocked: status.blocked().map(|blockage| blockage.to_string()),
        }
    }
}

impl fmt::Display for BootstrapProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.blocked, self.ready) {
            (Some(blocked), _) => write!(f, "{} %, blocked: {blocked}", self.percent),
            (None, true) => f.write_str("ready"),
            (None, false) => write!(f, "{} %", self.percent),
        }
    }
}

/// Percentage of a fraction; 100 only for 1.0.
fn percent(fraction: f32) -> u8 {
    (0..=100_u8)
        .rev()
        .find(|percent| f32::from(*percent) <= fraction * 100.0)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_100_only_when_complete() {
        assert_eq!(percent(0.0), 0);
        assert_eq!(percent(0.999), 99);
        assert_eq!(percent(1.0), 100);
        assert_eq!(percent(f32::NAN), 0);
    }

    #[test]
    fn progress_display_shows_obstacle() {
        let blocked = BootstrapProgress {
            percent: 8,
            ready: false,
            blocked: Some("no route".to_owned()),
        };
        assert_eq!(blocked.to_string(), "8 %, blocked: no route");
    }
}
