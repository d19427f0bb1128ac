//! StatsD and DogStatsD metrics over UDP, TCP and Unix sockets, aggregated into windows on the wall clock's grid.
//!
//! ```text
//! UDP socket ─ thread: intake ─ window ┐  handover at the tick            ┌ queue ─ deliver ─ outlet
//! UDP socket ─ thread: intake ─ window ┼─────────────────► merging thread ┤
//! Unix       ─ thread: intake ─ window ┤ ◄──────────────── emptied cells  └ answers to an administrator
//! TCP, Unix connections ─ thread: …    ┘
//! ```
//! Reading order: [`line`] (the grammar), [`plain_line`] (most lines, faster), [`tags`] (the five forms of tags), [`trace_tags`], [`event`] (events and service checks, which
//! become log records),
//! [`spelling_table`] (how a line's series is found), [`cell`], [`observed`], [`gauge`] and [`exemplars`] (what one gathers on one
//! thread),
//! [`window`] (all of a thread), [`identity`] (what a new series is called), [`intake`] (packets to lines, and what is wrong with
//! them), [`sockets`], [`datagrams`] and [`streams`] (the doors), [`mapping`] (dotted names become labels), [`series`] and [`merger`]
//! (all threads' windows become samples), [`etsy`] (what etsy's StatsD says of timers), [`merging`] (the thread that does it), [`ask`]
//! and [`admin`] (questions to it), [`deliver`] (samples and events to the outlet). [`aggregate`] is all of it without sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::ListenAddress;
use crate::model::Timestamp;
use crate::source::kernel_drops::KernelDrops;
use crate::source::{Running, SourceContext, StartError};

pub mod admin;
pub mod aggregate;
pub mod ask;
pub mod cell;
mod datagrams;
mod deliver;
pub mod etsy;
pub mod event;
pub mod exemplars;
pub mod gauge;
pub mod identity;
pub mod intake;
pub mod line;
pub mod mapping;
pub mod merger;
mod merging;
pub mod observed;
pub mod plain_line;
pub mod series;
mod sockets;
pub mod spelling_table;
mod streams;
pub mod tags;
pub mod trace_tags;
pub mod window;

use self::line::Dialects;
use self::mapping::mapper::Mapper;
use self::tags::TagDialect;

pub use streams::Framing;

const KIND: &str = "statsd";

/// `[collector.statsd]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The UDP and TCP address, or `off`. Default `127.0.0.1:8125`.
    pub address: ListenAddress,
    /// How many UDP sockets share the port, each with a thread that reads it. Default 0: one for each core, at most 4. More help
    /// only when many senders together are too much for so many cores.
    pub udp_sockets: usize,
    /// Path of a Unix datagram socket to listen on as well (`/run/taffrail/statsd.sock`). Default none.
    pub unix_path: Option<PathBuf>,
    /// Path of a Unix socket that takes connections (`/run/taffrail/statsd-stream.sock`). Default none.
    pub unix_stream_path: Option<PathBuf>,
    /// How packets follow one another in a connection to `unix_stream_path`. Default `newline`; `length` for clients of DogStatsD.
    pub unix_stream_framing: Framing,
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
    /// Raise it when the tally shows `series_limit`, or `limited` under its name, and the series are wanted.
    pub series_max: usize,
    /// How long the level of a silent gauge is remembered for later deltas. Default 1 h. A gauge is written only for
    /// windows in which something arrived, whatever this says.
    #[serde(with = "crate::config::span")]
    pub gauge_ttl: Duration,
    /// A file of rules that turn dotted names into names with labels, as `statsd_exporter` reads it ([`mapping`]). It is read again when
    /// it changes; a bad one keeps the rules there were, and is counted as `bad_mapping_file`. Default none: names stay as they are.
    pub mapping_file: Option<PathBuf>,
    /// Where an administrator is answered over TCP as by etsy's StatsD ([`admin`]), or `off`. Default `off`; etsy's is port 8126.
    pub admin_address: ListenAddress,
    /// Of which percentiles etsy's figures are computed of each timer, `[90]` or `[90, 99.9, -10]` (below zero: of the greatest
    /// values), as gauges `stats.timers.NAME.mean_90` and so on ([`etsy`]). Default none. It keeps every value of the window in memory.
    pub etsy_percentiles: Vec<f64>,
    /// Etsy's histograms of timers: `[{ metric = "", bins = [10, 100, "inf"] }]`. Default none.
    pub etsy_histograms: Vec<etsy::Histogram>,
    /// The receive buffer to ask the kernel for, in bytes, for each UDP socket. Default 4 MiB. The kernel caps it at `net.core.rmem_max`.
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
            udp_sockets: 0,
            unix_path: None,
            unix_stream_path: None,
            unix_stream_framing: Framing::default(),
            flush_interval: Duration::from_secs(10),
            gauge_sign: GaugeSign::default(),
            tag_dialects: TagDialect::ALL.to_vec(),
            implied_value: false,
            series_max: 100_000,
            gauge_ttl: Duration::from_secs(3_600),
            mapping_file: None,
            admin_address: ListenAddress::Off,
            etsy_percentiles: Vec::new(),
            etsy_histograms: Vec::new(),
            receive_buffer_bytes: 4 << 20,
        }
    }
}

impl Config {
    /// Checks what would otherwise only be found wrong at the start, the mapping file included.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn check(&self) -> Result<(), StartError> {
        self.mapper()?;
        self.etsy().map(drop)
    }

    fn mapper(&self) -> Result<Mapper, StartError> {
        let refused = |mistakes: mapping::file::Mistakes| StartError {
            setting: "collector.statsd.mapping_file",
            message: mistakes.to_string(),
        };
        Mapper::open(self.mapping_file.as_deref()).map_err(refused)
    }

    fn etsy(&self) -> Result<Option<Arc<etsy::Etsy>>, StartError> {
        Ok(etsy::Etsy::new(&self.etsy_percentiles, &self.etsy_histograms)?.map(Arc::new))
    }

    /// How lines are read by these settings.
    pub fn dialects(&self) -> Dialects {
        Dialects { tags: self.tag_dialects.iter().copied().collect(), implied_value: self.implied_value }
    }
}

/// More sockets than any machine has cores would only cost memory: each has a buffer of 4 MiB to read into.
const UDP_SOCKETS_MAX: usize = 256;

/// Binds the sockets and starts to gather. Must be called within a Tokio runtime. With `address` off and no Unix socket it
/// starts nothing, and the task it returns ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    let interval = config.flush_interval;
    if interval < Duration::from_millis(100) || interval > Duration::from_secs(86_400) {
        let message = format!("{interval:?} is not between 100 ms and one day");
        return Err(StartError { setting: "collector.statsd.flush_interval", message });
    }
    if config.udp_sockets > UDP_SOCKETS_MAX {
        let message = format!("{} is more than {UDP_SOCKETS_MAX}", config.udp_sockets);
        return Err(StartError { setting: "collector.statsd.udp_sockets", message });
    }
    let (mapper, etsy) = (Arc::new(config.mapper()?), config.etsy()?);
    let bound = Bound::open(&config)?;
    let address = bound.network.as_ref().map(|sockets| sockets.address);
    if bound.threads() == 0 {
        return Ok(Running { kind: KIND, address, task: tokio::spawn(async {}) });
    }
    let settings = aggregate::Settings {
        interval,
        signed_is_delta: config.gauge_sign == GaugeSign::Delta,
        dialects: config.dialects(),
        series_max: config.series_max.max(1),
        gauge_ttl: config.gauge_ttl,
        host: Arc::clone(&context.resource.host),
        mapper,
        etsy,
    };
    Ok(Running { kind: KIND, address, task: tokio::spawn(run(bound, settings, config, context)) })
}

/// What was opened.
struct Bound {
    network: Option<sockets::Sockets>,
    unix: Option<(std::os::unix::net::UnixDatagram, PathBuf)>,
    unix_stream: Option<(std::os::unix::net::UnixListener, PathBuf)>,
    admin: Option<std::net::TcpListener>,
}

impl Bound {
    fn open(config: &Config) -> Result<Bound, StartError> {
        let bind = |at| sockets::bind(at, config.udp_sockets, config.receive_buffer_bytes);
        let unix = |path: &PathBuf| Ok((sockets::bind_unix_datagram(path)?, path.clone()));
        let unix_stream = |path: &PathBuf| Ok((sockets::bind_unix_stream(path)?, path.clone()));
        Ok(Bound {
            network: config.address.address().map(bind).transpose()?,
            unix: config.unix_path.as_ref().map(unix).transpose()?,
            unix_stream: config.unix_stream_path.as_ref().map(unix_stream).transpose()?,
            admin: config.admin_address.address().map(admin::bind).transpose()?,
        })
    }

    fn takes_connections(&self) -> bool {
        self.network.is_some() || self.unix_stream.is_some()
    }

    /// How many threads read.
    fn threads(&self) -> usize {
        let udp = self.network.as_ref().map_or(0, |sockets| sockets.udp.len());
        udp + usize::from(self.unix.is_some()) + usize::from(self.takes_connections())
    }
}

/// Gathers until the stop, then hands on what is left.
async fn run(bound: Bound, settings: aggregate::Settings, config: Config, context: SourceContext) {
    let threads = bound.threads();
    let now = Timestamp::now();
    let merger = merger::Merger::new(settings.of_merger(), threads, now.floor_to(settings.interval));
    let mut merging = merging::Merging::new(threads);
    let events = Arc::new(intake::Events::default());
    let question = Arc::clone(&merging.question);
    let mut intakes = (0..threads)
        .map(|thread| {
            let window = window::Window::new(thread, settings.of_window(), now);
            intake::Intake::new(
                window,
                settings.dialects,
                Arc::clone(&context.resource),
                Arc::clone(&events),
                merging.add_thread(),
            )
        })
        .collect::<Vec<_>>()
        .into_iter();
    let mut next_intake = || intakes.next().expect("as many as there are threads");
    let stop = &context.stop;

    let mut readers = JoinSet::new();
    let mut main_tally = None;
    let (pieces, waiting_pieces) = streams::channel();
    if bound.takes_connections() {
        let (intake, question) = (next_intake(), Arc::clone(&question));
        readers.spawn_blocking(move || streams::take_pieces(intake, waiting_pieces, &question));
    }
    if let Some(sockets) = bound.network {
        let udp = context.tallies.of(KIND, &format!("udp {}", sockets.address));
        tracing::info!(
            address = %sockets.address,
            sockets = sockets.udp.len(),
            receive_buffer_bytes = sockets.receive_buffer_bytes,
            "StatsD takes datagrams; net.core.rmem_max is the upper limit of the receive buffer"
        );
        udp.has_receive_buffer(sockets.receive_buffer_bytes as u64);
        for socket in sockets.udp {
            let drops = Some(KernelDrops::of(&socket));
            let reader = datagrams::Reader { socket, drops, question: Arc::clone(&question) };
            let (intake, udp, stop) = (next_intake(), Arc::clone(&udp), stop.clone());
            readers.spawn_blocking(move || reader.run(intake, &udp, &stop));
        }
        main_tally = Some(udp);
        let tcp = context.tallies.of(KIND, &format!("tcp {}", sockets.address));
        match tokio::net::TcpListener::from_std(sockets.tcp) {
            Ok(listener) => {
                drop(readers.spawn(streams::serve(listener, Framing::Newline, pieces.clone(), tcp, stop.clone())));
            }
            Err(error) => tcp.problem("accept_failed", 1, error.to_string().as_bytes()),
        }
    }
    if let Some((socket, path)) = bound.unix {
        let unix = context.tallies.of(KIND, &format!("unix {}", path.display()));
        main_tally.get_or_insert_with(|| Arc::clone(&unix));
        let reader = datagrams::Reader { socket, drops: None, question };
        let (intake, stop) = (next_intake(), stop.clone());
        readers.spawn_blocking(move || {
            reader.run(intake, &unix, &stop);
            let _ = std::fs::remove_file(path);
        });
    }
    if let Some((listener, path)) = bound.unix_stream {
        let unix = context.tallies.of(KIND, &format!("unix {}", path.display()));
        main_tally.get_or_insert_with(|| Arc::clone(&unix));
        match tokio::net::UnixListener::from_std(listener) {
            Ok(listener) => {
                let (framing, pieces, stop) = (config.unix_stream_framing, pieces.clone(), stop.clone());
                drop(readers.spawn(async move {
                    streams::serve(listener, framing, pieces, unix, stop).await;
                    let _ = std::fs::remove_file(path);
                }));
            }
            Err(error) => unix.problem("accept_failed", 1, error.to_string().as_bytes()),
        }
    }
    drop(pieces);
    let tally = main_tally.expect("there is a thread, so something was opened");

    let (asker, asked) = ask::channel();
    let mut beside = JoinSet::new();
    let renamed = Arc::clone(&merging.question);
    let forget = move || {
        renamed.fetch_add(1 << 32, Relaxed); // the number that `window::naming` reads
    };
    beside.spawn(settings.mapper.watch(Arc::clone(&tally), context.stop.clone(), forget));
    match bound.admin.map(tokio::net::TcpListener::from_std) {
        Some(Ok(listener)) => {
            let admin = Arc::new(admin::Admin::new(asker, Arc::clone(&context.tallies), KIND, config));
            beside.spawn(admin::serve(listener, admin, context.stop.clone()));
        }
        Some(Err(error)) => tally.problem("accept_failed", 1, error.to_string().as_bytes()),
        None => {}
    }
    let (batches, waiting) = deliver::queue(settings.series_max);
    let ended = CancellationToken::new();
    let sending = deliver::send_events(events, batches.clone(), Arc::clone(&tally), ended.clone());
    let sending = tokio::spawn(sending);
    let delivering = tokio::spawn(deliver::deliver(waiting, context.outlet, Arc::clone(&tally), context.stop));
    let merged = tokio::task::spawn_blocking(move || merging.run(merger, asked, &batches, &tally)).await;
    while let Some(reader) = readers.join_next().await {
        if reader.is_err() {
            tracing::error!("a reader of StatsD lines failed");
        }
    }
    ended.cancel();
    while let Some(one) = beside.join_next().await {
        if one.is_err() {
            tracing::error!("what watches the mapping file of StatsD or answers its administrator failed");
        }
    }
    if merged.is_err() || sending.await.is_err() || delivering.await.is_err() {
        tracing::error!("a task that hands on StatsD windows failed");
    }
}

#[cfg(test)]
mod tests;
