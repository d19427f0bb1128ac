//! Our own log: on standard error, and for an agent to its servers as well.

use std::io::IsTerminal;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::prelude::*;

use crate::agent::own_log::{self, OwnLogRecords};

/// Structured logs of our own on standard error; `TAFFRAIL_LOG` chooses what (`debug`, `taffrail_ingest=trace,warn`).
pub fn start_logging() {
    // A second call (tests, the demo) finds the first one's at work.
    let _ = tracing_subscriber::registry().with(standard_error()).try_init();
}

/// The same, and what is info or worse comes out of the returned end too, whatever `TAFFRAIL_LOG` says.
pub fn start_agent_logging() -> OwnLogRecords {
    let (layer, records) = own_log::own_log();
    let layer = layer.with_filter(LevelFilter::INFO);
    let _ = tracing_subscriber::registry().with(standard_error()).with(layer).try_init();
    records
}

fn standard_error<S>() -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    let filter = EnvFilter::try_from_env("TAFFRAIL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .with_target(false)
        .with_filter(filter)
}
