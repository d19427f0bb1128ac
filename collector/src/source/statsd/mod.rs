//! StatsD and DogStatsD metrics over UDP, TCP and Unix datagrams, aggregated into windows on the wall clock's grid.
//!
//! Reading order: [`line`] (the grammar), [`tags`] (the five forms of tags), [`trace_tags`], [`event`] (events and service checks, which become log records),
//! [`series`] (what one series gathers), [`series_table`], [`aggregate`] (all series of a window), [`intake`] (packets to lines, and what is
//! wrong with them), [`listener`] (the sockets), [`deliver`] (windows to the outlet).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::config::ListenAddress;
use crate::source::kernel_drops::KernelDrops;
use crate::source::{Running, SourceContext, StartError};

pub mod aggregate;
mod deliver;
pub mod event;
pub mod intake;
pub mod line;
mod listener;
pub mod series;
pub mod series_table;
pub mod tags;
pub mod trace_tags;

use self::line::Dialects;
use self::tags::TagDialect;

const KIND: &str = "statsd";

/// `[collector.statsd]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The UDP and TCP address, or `off`. Default `127.0.0.1:8125`.
    pub address: ListenAddress,
    /// Path of a Unix datagram socket to listen on as well (`/run/taffrail/statsd.sock`). Default none.
    pub unix_path: Option<PathBuf>,
    /// How long a window is; windows start at whole multiples of it by the wall clock. Default 10 s.
    #[serde(with = "crate::config::span")]
    pub flush_interval: Duration,
    /// What a gauge value with a sign means. Default `delta`.
    pub gauge_sign: GaugeSign,
    /// In which forms tags are read; a form that is not listed stays part of the name, and `|#…` is skipped and counted as
    /// `unknown_field`. Default all. Leave out what your names look like without meaning it.
    pub tag_dialects: Vec<TagDialect>,
    /// Whether `name|c` counts 1 of its type, as in Netdata. Default false: refused as `missing_value`.
    pub implied_value: bool,
    /// How many series are held at once; more are counted in `taffrail.statsd.overflow`. Default 100,000 (about 100 MB).
    /// Raise it when the tally shows `series_limit` and the series are wanted.
    pub series_max: usize,
    /// How long the level of a silent gauge is remembered for later deltas. Default 1 h. A gauge is written only for
    /// windows in which something arrived, whatever this says.
    #[serde(with = "crate::config::span")]
    pub gauge_ttl: Duration,
    /// The UDP receive buffer to ask the kernel for, in bytes. Default 4 MiB. The kernel caps it at `net.core.rmem_max`.
    pub receive_buffer_bytes: usize,
}

/// What a gauge value that starts with `+` or `-` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GaugeSign {
    /// A change of the level, as in etsy's StatsD; a negative level is sent as `0` first.
    #[default]
    Delta,
    /// The level itself, as in DogStatsD.
    Set,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            address: ListenAddress::At(([127, 0, 0, 1], 8125).into()),
            unix_path: None,
            flush_interval: Duration::from_secs(10),
            gauge_sign: GaugeSign::default(),
            tag_dialects: TagDialect::ALL.to_vec(),
            implied_value: false,
            series_max: 100_000,
            gauge_ttl: Duration::from_secs(3_600),
            receive_buffer_bytes: 4 << 20,
        }
    }
}

impl Config {
    /// How lines are read by these settings.
    pub fn dialects(&self) -> Dialects {
        Dialects { tags: self.tag_dialects.iter().copied().collect(), implied_value: self.implied_value }
    }
}

/// Binds the sockets and starts to gather. Must be called within a Tokio runtime. With `address` off and no `unix_path` it
/// starts nothing, and the task it returns ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    let interval = config.flush_interval;
    if interval < Duration::from_millis(100) || interval > Duration::from_secs(86_400) {
        let message = format!("{interval:?} is not between 100 ms and one day");
        return Err(StartError { setting: "collector.statsd.flush_interval", message });
    }
    let settings = aggregate::Settings {
        interval,
        signed_is_delta: config.gauge_sign == GaugeSign::Delta,
        dialects: config.dialects(),
        series_max: config.series_max.max(1),
        gauge_ttl: config.gauge_ttl,
        host: Arc::clone(&context.resource.host),
    };
    let intake = Arc::new(intake::Intake::new(settings, Arc::clone(&context.resource)));
    let network = config.address.address().map(|at| listener::bind(at, config.receive_buffer_bytes)).transpose()?;
    let unix = config.unix_path.as_deref().map(listener::bind_unix).transpose()?;
    let address = network.as_ref().map(|sockets| sockets.address);
    let drops = network.as_ref().map(|sockets| KernelDrops::of(&sockets.udp));
    let tally_of = |transport: &str| context.tallies.of(KIND, transport);

    let mut readers = JoinSet::new();
    let mut tally = None;
    if let Some(sockets) = network {
        let udp = tally_of(&format!("udp {}", sockets.address));
        tally = Some(Arc::clone(&udp));
        let (into, stop) = (Arc::clone(&intake), context.stop.clone());
        readers.spawn_blocking(move || listener::read_datagrams(&sockets.udp, &into, &udp, &stop));
        let tcp = tally_of(&format!("tcp {}", sockets.address));
        readers.spawn(listener::serve_tcp(sockets.tcp, Arc::clone(&intake), tcp, context.stop.clone()));
    }
    if let (Some(socket), Some(path)) = (unix, config.unix_path) {
        let unix = tally_of(&format!("unix {}", path.display()));
        tally.get_or_insert_with(|| Arc::clone(&unix));
        let (into, stop) = (Arc::clone(&intake), context.stop.clone());
        readers.spawn_blocking(move || {
            listener::read_datagrams(&socket, &into, &unix, &stop);
            let _ = std::fs::remove_file(path);
        });
    }
    let Some(tally) = tally else {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    };
    let task = tokio::spawn(deliver::run(intake, interval, drops, context.outlet, tally, context.stop, readers));
    Ok(Running { kind: KIND, address, task })
}

#[cfg(test)]
mod tests;
