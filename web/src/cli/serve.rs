//! `taffrail serve`: the server in the foreground, from its flags to its exit code.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Outcome;
use super::logging::start_logging;
use super::settings_flags::SettingsFlags;
use super::terminal::{print_line, print_remark};
use crate::config::{Override, Settings};
use crate::reload::Reload;
use crate::server::Server;
use crate::service_manager;
use crate::signals::{self, Signals};

/// How to serve.
#[derive(Args, Clone, Debug, Default)]
pub struct ServeArguments {
    #[command(flatten)]
    settings: SettingsFlags,
    /// Print the addresses as one line of JSON on standard output once everything is ready
    #[arg(long)]
    print_addresses: bool,
}

/// A server to run, and how.
#[derive(Debug)]
pub struct Serving {
    /// The settings file.
    pub file: Option<PathBuf>,
    /// What overrides it.
    pub overrides: Vec<Override>,
    /// Whether the addresses are printed.
    pub print_addresses: bool,
}

/// A task that runs beside the server and ends before it.
#[derive(Debug)]
pub struct Companion {
    /// Cancelled when it is to end.
    pub stop: CancellationToken,
    /// The task.
    pub task: JoinHandle<()>,
}

/// Serves until a signal ends it.
pub fn run(arguments: ServeArguments) -> Outcome {
    let ServeArguments { settings, print_addresses } = arguments;
    let serving = Serving { file: settings.file(), overrides: settings.overrides(), print_addresses };
    serve(serving, |_| Ok(None))
}

/// Opens, serves, waits, stops; `beside` may start a companion once the server is ready.
pub fn serve(serving: Serving, beside: impl FnOnce(&Server) -> anyhow::Result<Option<Companion>>) -> Outcome {
    start_logging();
    let (settings, layers) = Settings::load(serving.file.as_deref(), serving.overrides.clone())?;
    for warning in layers.warnings() {
        tracing::warn!("{warning}");
    }
    let reload = Reload::new(serving.file, serving.overrides, layers);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let bar = replay_bar();
        let server = Server::start(&settings, reload, {
            let bar = bar.clone();
            move |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            }
        })
        .await?;
        bar.finish_and_clear();
        let companion = beside(&server)?;
        let mut signals = Signals::listen()?;
        announce(&server, serving.print_addresses)?;
        service_manager::notify(service_manager::READY);
        signals.wait_for_stop(|| server.reload().run_and_log()).await;
        service_manager::notify(service_manager::STOPPING);
        signals::exit_at_next_interrupt();
        if let Some(companion) = companion {
            companion.stop.cancel();
            // A panic of its task was logged by the panic itself.
            let _ = companion.task.await;
        }
        server.stop().await;
        Ok(())
    })
}

fn announce(server: &Server, print_addresses: bool) -> anyhow::Result<()> {
    let listeners = server.listeners();
    let shown = |address: &Option<String>| address.clone().unwrap_or_else(|| "off".to_owned());
    tracing::info!("ready: statsd {}, syslog {}", shown(&listeners.statsd), shown(&listeners.syslog));
    if let Some(http) = &listeners.http {
        let page = http.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
        if std::io::stderr().is_terminal() {
            print_remark(&format!("Open http://{page} in a browser; Ctrl-C stops."));
        } else {
            tracing::info!("serving http://{page}");
        }
    }
    if print_addresses {
        print_line(&serde_json::to_string(listeners)?)?;
    }
    Ok(())
}

fn replay_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("replaying the journal {bar:30} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    bar
}
