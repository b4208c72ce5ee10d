//! The table `[metrics]`: figures for the operator's monitoring, in the format of Prometheus.
//!
//! Both outputs are off by default. The figures are coarse and contain nothing about the use of this node
//! (docs/monitoring.md), but they tell that a node runs here, so the endpoint stays on this machine.

use core::time::Duration;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::ConfigError;
use super::rpc::RpcListen;
use super::setting::{One, Place, settings};
use super::value::{BadValue, parsed};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct MetricsSettings, "metrics", "Metrics", |all| &mut all.metrics;

    /// Write the metrics to this file, for the textfile collector of node_exporter
    file: PathBuf;
        "metrics.file" "metrics-file" "WHISHT_METRICS_FILE";
        Place, "FILE" "none";
        "The collector reads names that end in `.prom`. Every user of the machine can read the file; it is \
         replaced as a whole, and removed when the node ends";

    /// Serve the metrics on this loopback address, such as 127.0.0.1:9470, at /metrics
    listen: RpcListen = RpcListen::Closed;
        "metrics.listen" "metrics-listen" "WHISHT_METRICS_LISTEN";
        One(parsed), "ADDRESS:PORT" "\"off\"";
        "Every program of the machine can read them";

    /// Interval of the metrics, 1m to 24h
    interval: Duration = Duration::from_secs(300);
        "metrics.interval" "metrics-interval" "WHISHT_METRICS_INTERVAL";
        One(interval), "DURATION" "\"5m\"";
        "Both outputs change at multiples of it only";
}

/// Complete settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MetricsConfig {
    /// The file that is written, if any.
    pub file: Option<PathBuf>,
    /// Where the metrics are served, if anywhere; a loopback address.
    pub listen: Option<SocketAddr>,
    /// How often the metrics change; whole minutes.
    pub interval: Duration,
}

impl MetricsConfig {
    /// Completes settings with defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError::MetricsLeaveMachine`] if other machines could reach the endpoint;
    /// [`ConfigError::WithoutEffect`] for an interval without an output.
    pub fn build(settings: &MetricsSettings) -> Result<Self, ConfigError> {
        let listen = match settings.listen() {
            RpcListen::Closed => None,
            RpcListen::At(address) if address.ip().to_canonical().is_loopback() => Some(address),
            RpcListen::At(address) => return Err(ConfigError::MetricsLeaveMachine(address)),
        };
        let config = Self {
            file: settings.file.clone(),
            listen,
            interval: settings.interval(),
        };
        if !config.is_on() && settings.interval.is_some() {
            return Err(ConfigError::WithoutEffect {
                setting: "metrics.interval",
                needs: "metrics.listen",
            });
        }
        Ok(config)
    }

    /// Whether the metrics go anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.file.is_some() || self.listen.is_some()
    }
}

/// Reads an interval in whole minutes: `5m`, `1h`.
fn interval(text: &str) -> Result<Duration, BadValue> {
    let minutes = match (text.strip_suffix('m'), text.strip_suffix('h')) {
        (Some(minutes), _) => minutes.parse().ok(),
        (None, Some(hours)) => hours
            .parse()
            .ok()
            .and_then(|hours: u64| hours.checked_mul(60)),
        (None, None) => None,
    };
    minutes
        .filter(|minutes| (1..=MAX_MINUTES).contains(minutes))
        .map(|minutes| Duration::from_secs(minutes.saturating_mul(60)))
        .ok_or_else(|| {
            BadValue::new(
                "expected whole minutes or hours from 1m to 24h, such as 5m: finer figures would show when \
                 something happens",
            )
        })
}

const MAX_MINUTES: u64 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_whole_minutes_up_to_a_day() {
        for (text, secs) in [("1m", 60), ("5m", 300), ("2h", 7_200), ("1440m", 86_400)] {
            assert_eq!(interval(text), Ok(Duration::from_secs(secs)), "{text}");
        }
        for text in [
            "0m",
            "30s",
            "5",
            "m",
            "25h",
            "1.5h",
            "-1m",
            "99999999999999999999h",
        ] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn metrics_on_an_address_of_other_machines_are_refused() {
        let at = |address: &str| MetricsSettings {
            listen: Some(address.parse().unwrap()),
            ..MetricsSettings::default()
        };
        for address in ["0.0.0.0:9470", "[::]:9470", "192.0.2.1:9470"] {
            let refused = MetricsConfig::build(&at(address)).unwrap_err().to_string();
            assert!(refused.contains(address), "{refused}");
            assert!(refused.contains("127.0.0.1"), "{refused}");
        }
        let built = MetricsConfig::build(&at("127.0.0.1:9470")).unwrap();
        assert!(built.is_on());
    }

    #[test]
    fn interval_without_an_output_is_refused() {
        let settings = MetricsSettings {
            interval: Some(Duration::from_secs(60)),
            ..MetricsSettings::default()
        };
        assert!(matches!(
            MetricsConfig::build(&settings),
            Err(ConfigError::WithoutEffect { .. })
        ));
    }
}
