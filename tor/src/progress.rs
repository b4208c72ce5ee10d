//! How far the bootstrap is.

use std::fmt;

use arti_client::status::BootstrapStatus;

/// How far Tor is on its way to carrying traffic.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BootstrapProgress {
    /// 0 to 100.
    pub percent: u8,
    /// Whether streams can be had now, as far as Tor knows. It may still believe so for a while
    /// after its network has gone.
    pub ready: bool,
    /// What Tor says is in its way.
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

/// Of a fraction; 100 only of the whole.
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
    fn a_hundred_is_said_of_nothing_less() {
        assert_eq!(percent(0.0), 0);
        assert_eq!(percent(0.999), 99);
        assert_eq!(percent(1.0), 100);
        assert_eq!(percent(f32::NAN), 0);
    }

    #[test]
    fn what_is_in_the_way_is_said() {
        let blocked = BootstrapProgress {
            percent: 8,
            ready: false,
            blocked: Some("no route".to_owned()),
        };
        assert_eq!(blocked.to_string(), "8 %, blocked: no route");
    }
}
