//! `whisht doctor`: what is wrong with the node and its machine, and what to do.
//!
//! Files and machine are examined here; the running node, if it answers at the local socket, is asked for
//! its status, and asks peers to dial it. Exit code 1 if anything is wrong, 0 otherwise.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::config::show;
use super::output::{Printer, one_line};
use super::remote_node::runtime;
use super::version::BuildInfo;
use super::{Exit, Failure, GlobalArgs};
use crate::config::file::FileReading;
use crate::config::{Config, Settings};
use crate::node::StatusView;
use crate::shell::doctor::{self, CheckResult, Finding, NodeCondition};
use crate::shell::rpc::{RpcClient, RpcClientError};

/// Options of `whisht doctor`: the settings that the node runs with.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    settings: show::ShowArgs,
}

/// What the doctor found.
#[derive(Debug)]
pub(super) struct DoctorReport {
    pub(super) findings: Vec<Finding>,
    /// The settings in effect.
    pub(super) settings: Vec<show::EffectiveSetting>,
    /// The status of the running node.
    pub(super) status: Option<StatusView>,
    /// The data directory.
    pub(super) dir: PathBuf,
}

/// Examines the node and its machine.
///
/// # Errors
///
/// [`Failure`] if the configuration file cannot be read, or standard output cannot be written.
pub(super) fn run(common: &GlobalArgs, args: Args) -> Result<Exit, Failure> {
    let ask = |condition| ask_peers(common, condition);
    let report = DoctorReport::examine(common, args.settings, ask)?;
    let printer = Printer {
        json: common.json,
        local: false,
    };
    if printer.json {
        printer.value(&json!({
            "version": BuildInfo::this(),
            "running": report.status.is_some(),
            "findings": report.findings,
            "wrong": report.count(CheckResult::Wrong),
            "warnings": report.count(CheckResult::Warning),
        }))?;
    } else {
        for line in report.lines() {
            printer.line(line)?;
        }
    }
    Ok(report.exit())
}

impl DoctorReport {
    /// Examines everything without asking peers.
    ///
    /// # Errors
    ///
    /// [`Failure`] if the configuration file cannot be read.
    pub(super) fn make(common: &GlobalArgs, args: show::ShowArgs) -> Result<Self, Failure> {
        Self::examine(common, args, core::convert::identity)
    }

    /// Examines everything; `complete` adds to the condition of a running node.
    fn examine(
        common: &GlobalArgs,
        args: show::ShowArgs,
        complete: impl FnOnce(NodeCondition) -> NodeCondition,
    ) -> Result<Self, Failure> {
        let dir = common.data_dir()?;
        let path = args
            .config
            .clone()
            .unwrap_or_else(|| dir.join("config.toml"));
        let text = show::read_text(&path, args.config.is_some())?;
        let reading = FileReading::of(&path, text.as_deref().unwrap_or_default());
        let settings = show::effective(args.options.given(), &path, &reading.entries);
        let all = Settings::from(args.options).or(reading.settings);
        let mut findings = vec![Finding {
            check: "version",
            result: CheckResult::Ok,
            text: BuildInfo::this().line(),
            remedy: None,
        }];
        let built = Config::build(all);
        let named = built.as_ref().map_err(ToString::to_string);
        findings.extend(doctor::configuration(&path, text.as_deref(), named));
        let process = doctor::running_process(&dir);
        let status = status(common);
        // With an unusable configuration the rest is judged by the defaults.
        if let Ok(config) = built.or_else(|_| Config::build(Settings::default())) {
            let process = process.as_ref();
            let condition = status.as_ref().map(NodeCondition::from).map(complete);
            findings.extend(doctor::files_and_machine(&dir, &config, process));
            findings.extend(doctor::running(process, condition.as_ref(), &config));
        }
        Ok(Self {
            findings,
            settings,
            status,
            dir,
        })
    }

    fn count(&self, result: CheckResult) -> usize {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.result == result).count()
    }

    /// The findings, one line each, with the remedy below it, and a sum.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for finding in &self.findings {
            let (result, check) = (finding.result.word(), finding.check);
            lines.push(format!("{result:12}{check:14}{}", one_line(&finding.text)));
            let remedy = finding.remedy.as_deref().map(one_line);
            lines.extend(remedy.map(|remedy| format!("{:26}-> {remedy}", "")));
        }
        lines.push(
            match (
                self.count(CheckResult::Wrong),
                self.count(CheckResult::Warning),
            ) {
                (0, 0) => "nothing is wrong".to_owned(),
                (0, warnings) => format!("nothing is wrong; warnings: {warnings}"),
                (wrong, warnings) => format!("wrong: {wrong}, warnings: {warnings}"),
            },
        );
        lines
    }

    fn exit(&self) -> Exit {
        match self.count(CheckResult::Wrong) {
            0 => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

/// The status of the running node; `None` if none answers in time.
fn status(common: &GlobalArgs) -> Option<StatusView> {
    let ipc = common.ipc().ok()?;
    let ask = async {
        let mut client = RpcClient::connect(&ipc).await.ok()?;
        client.view("whisht_status", json!([])).await.ok()
    };
    let answer = async { tokio::time::timeout(MAX_WAIT, ask).await };
    runtime().ok()?.block_on(answer).ok().flatten()
}

/// Lets the running node ask peers to dial it, and adds what they report.
fn ask_peers(common: &GlobalArgs, mut condition: NodeCondition) -> NodeCondition {
    let Ok((ipc, runtime)) = common.ipc().and_then(|ipc| Ok((ipc, runtime()?))) else {
        return condition;
    };
    let ask = async {
        let mut client = RpcClient::connect(&ipc).await?;
        client.view("whisht_dialBack", json!([])).await
    };
    let answer = async { tokio::time::timeout(MAX_DIAL_BACK_WAIT, ask).await };
    match runtime.block_on(answer) {
        Ok(Ok(view)) => condition.dial_back = Some(view),
        Ok(Err(RpcClientError::Refused(error))) => {
            condition.not_asked = Some(error.cause);
        }
        Ok(Err(error)) => condition.not_asked = Some(error.to_string()),
        Err(_) => condition.not_asked = Some("the node does not report in time".to_owned()),
    }
    condition
}

/// A node that does not answer for this long is as good as one that never does.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Peers have 15 s for their answers.
const MAX_DIAL_BACK_WAIT: Duration = Duration::from_secs(25);
