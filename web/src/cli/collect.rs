//! `taffrail collect`: the agent in the foreground.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use rustix::fs::FileType;
use toml::Value;

use super::Outcome;
use super::logging::start_agent_logging;
use super::settings_flags::{SettingsFlags, path_value};
use crate::agent::Agent;
use crate::config::{Origin, Override, Settings};
use crate::service_manager;
use crate::signals::{self, Signals};

/// What to collect and where to deliver it.
#[derive(Args, Clone, Debug)]
pub struct CollectArguments {
    /// A server to deliver to; may be given several times, the next ones stand in for the first
    #[arg(long, value_name = "URL")]
    to: Vec<String>,
    /// Where the agent keeps its identity and what it has not delivered yet
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The settings file; without it ./taffrail.toml, then /etc/taffrail/taffrail.toml, when there
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    config: Option<PathBuf>,
    /// Where StatsD metrics are taken, or `off` [env: TAFFRAIL_STATSD] [default: 127.0.0.1:8125]
    #[arg(long, value_name = "ADDRESS|off")]
    statsd: Option<String>,
    /// Where syslog is taken, or `off` [env: TAFFRAIL_SYSLOG] [default: 127.0.0.1:5514]
    #[arg(long, value_name = "ADDRESS|off")]
    syslog: Option<String>,
    /// Allow addresses that other machines can reach, although there is neither TLS nor a token
    #[arg(long)]
    insecure: bool,
    /// Do not collect this host's own logs and metrics beyond what the settings file names
    #[arg(long)]
    no_host: bool,
}

/// Whether some program writes to us, as in `program | taffrail collect`. Service managers give a file or nothing.
fn stdin_is_a_pipe() -> bool {
    rustix::fs::fstat(std::io::stdin()).is_ok_and(|stdin| FileType::from_raw_mode(stdin.st_mode) == FileType::Fifo)
}

/// Opens, collects, waits, stops.
pub fn run(arguments: CollectArguments) -> Outcome {
    let own_log = start_agent_logging();
    let CollectArguments { to, state_dir, config, statsd, syslog, insecure, no_host } = arguments;
    let flags = SettingsFlags { config, statsd, syslog, insecure, no_host, ..SettingsFlags::default() };
    let mut overrides = flags.overrides();
    if !to.is_empty() {
        let value = Value::Array(to.into_iter().map(Value::String).collect());
        overrides.push(Override { key: "collector.to", flag: "--to", value });
    }
    let state_dir =
        state_dir.map(|path| Override { key: "collector.state_dir", flag: "--state-dir", value: path_value(&path) });
    overrides.extend(state_dir);
    let (mut settings, layers) = Settings::load(flags.file().as_deref(), overrides)?;
    if matches!(layers.origin("collector.stdin.enabled"), Origin::Default) {
        settings.collector.stdin.enabled = stdin_is_a_pipe();
    }
    for warning in layers.warnings() {
        tracing::warn!("{warning}");
    }
    // Two threads, however many cores the machine has: an agent is a guest.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut agent = Agent::start(&settings.collector, own_log).await?;
        let mut signals = Signals::listen()?;
        tracing::info!("ready: {}, delivering to {}", agent.describe(), settings.collector.to.join(", "));
        service_manager::notify(service_manager::READY);
        tokio::select! {
            () = signals.wait_for_stop(|| tracing::info!("the agent's settings are read at its start only: restart it")) => {}
            () = agent.sender_ended() => {
                return Err(anyhow!("the agent's sender has ended by a panic: start it again, nothing of its spool is lost").into());
            }
        }
        service_manager::notify(service_manager::STOPPING);
        signals::exit_at_next_interrupt();
        agent.stop().await;
        Ok(())
    })
}
