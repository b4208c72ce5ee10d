//! The table `[mail]` as flags and environment variables.

use std::path::PathBuf;

use circuits::ids::RelayKey;

use super::integer;
use crate::config::mail::{MailSettings, MailStore};
use crate::config::value::{self, BadValue};

/// Flags of a mail server.
#[derive(Debug, clap::Args)]
#[group(id = "mail")]
#[command(next_help_heading = "Mail server")]
pub(super) struct Options {
    /// Keep what is flooded, and give it to those who were away
    #[arg(
        long, env = "WHISHT_MAIL_SERVE", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    mail_serve: Option<bool>,
    /// Where to keep it: sqlite, or postgres://USER@HOST/DATABASE [default: sqlite]
    #[arg(
        long,
        env = "WHISHT_MAIL_STORE",
        value_name = "STORE",
        hide_env_values = true
    )]
    mail_store: Option<MailStore>,
    /// Keep this much at the most, in megabytes [default: 1024]
    #[arg(long, env = "WHISHT_MAIL_MAX_MB", value_name = "MB", value_parser = max_mb)]
    mail_max_mb: Option<usize>,
    /// Keep it for so many days [default: 30]
    #[arg(long, env = "WHISHT_MAIL_DAYS", value_name = "DAYS", value_parser = days)]
    mail_days: Option<usize>,
    /// Answer those who know the password in the first line of this file
    #[arg(long, env = "WHISHT_MAIL_PASSWORD_FILE", value_name = "FILE")]
    mail_password_file: Option<PathBuf>,
    /// Answer this peer without a password; may be repeated
    #[arg(
        long, env = "WHISHT_MAIL_ALLOW", value_name = "ENODE", value_delimiter = ',',
        value_parser = value::peer_key
    )]
    mail_allow: Option<Vec<RelayKey>>,
}

impl From<Options> for MailSettings {
    fn from(options: Options) -> Self {
        let Options {
            mail_serve,
            mail_store,
            mail_max_mb,
            mail_days,
            mail_password_file,
            mail_allow,
        } = options;
        Self {
            serve: mail_serve,
            store: mail_store,
            max_mb: mail_max_mb,
            days: mail_days,
            password_file: mail_password_file,
            allow: mail_allow,
        }
    }
}

fn max_mb(text: &str) -> Result<usize, BadValue> {
    value::count(integer(text), value::MAIL_MB)
}

fn days(text: &str) -> Result<usize, BadValue> {
    value::count(integer(text), value::MAIL_DAYS)
}
