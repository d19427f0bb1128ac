//! The collector's section of the configuration: `[collector]` in `taffrail.toml`.
//!
//! Each source owns the settings of its own folder (`source::*::Config`); this file nests them, holds what an agent needs
//! beside them, and the two notations that several sections share: [`ListenAddress`] and [`span`]. Reading files, the
//! environment and flags is the web room's job.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::enrich::{self, Enricher};
use crate::ship::config::{DEFAULT_SPOOL_BYTES_MAX, DEFAULT_UNCERTAIN_WAIT, TlsConfig};
use crate::source::{
    StartError, file_tail, graphite, host_metrics, journald, json_lines, otlp, prometheus_scrape, prometheus_write,
    statsd, stdin, syslog,
};

/// `[collector]`: what runs on every host, the server's own included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name this host's records and series carry as `host`. Absent: the host name of the operating system. Set it where
    /// that name says nothing (containers, cloned images).
    pub host: Option<String>,
    /// Where an agent keeps its identity and what it has not delivered yet. Needed by `taffrail collect`; the server
    /// keeps both in its data directory.
    pub state_dir: Option<PathBuf>,
    /// Servers that an agent delivers to, tried in this order (`https://logs-a:6464`). `taffrail collect --to` overrides it.
    pub to: Vec<String>,
    /// The file that holds the token an agent shows to the servers: one line, readable by the agent only.
    pub token_file: Option<PathBuf>,
    /// Bytes of batches that an agent keeps on disk while no server takes them. While it is full, files are not read further
    /// (nothing is lost) and sockets drop what comes (counted). Raise it to bridge longer outages, lower it on small disks.
    pub spool_bytes_max: u64,
    /// How long a batch that a server may or may not have stored (it was sent, and no answer came) waits for that server's word
    /// before another one of `to` gets it, and it may be stored twice. Default 1 h. Raise it where servers are away for
    /// longer and repeated lines are worse than late ones.
    #[serde(with = "span")]
    pub uncertain_wait: Duration,
    /// `[collector.tls]`: how servers on https are known, and how they know this agent.
    pub tls: TlsConfig,
    /// Collect nothing of this host by itself: neither its metrics nor its journal nor its usual log files. What
    /// `[[collector.files]]` names is read all the same.
    pub no_host: bool,
    /// `[[collector.files]]`: groups of log files that are followed.
    pub files: Vec<file_tail::Config>,
    /// `[collector.journald]`: the systemd journal.
    pub journald: journald::Config,
    /// `[collector.lines]`: how lines are read, wherever they come from.
    pub lines: enrich::Config,
    /// `[[collector.shape]]`: rules that change, drop, sample or limit records before they leave this host.
    pub shape: Vec<enrich::shape::Config>,
    /// `[collector.statsd]`: StatsD and DogStatsD metrics over UDP, TCP and Unix datagrams.
    pub statsd: statsd::Config,
    /// `[collector.syslog]`: syslog over UDP and TCP.
    pub syslog: syslog::Config,
    /// `[collector.json_lines]`: log records as JSON over HTTP.
    pub json_lines: json_lines::Config,
    /// `[collector.prometheus_write]`: metrics by Prometheus remote write over HTTP.
    pub prometheus_write: prometheus_write::Config,
    /// `[collector.otlp]`: metrics by OpenTelemetry's protocol over HTTP.
    pub otlp: otlp::Config,
    /// `[collector.graphite]`: Graphite's plaintext lines over UDP and TCP.
    pub graphite: graphite::Config,
    /// `[[collector.scrape]]`: Prometheus endpoints that are read.
    pub scrape: Vec<prometheus_scrape::Config>,
    /// `[collector.stdin]`: lines of standard input.
    pub stdin: stdin::Config,
    /// `[collector.host_metrics]`: processor, memory, disks, network and processes of this host.
    pub host_metrics: host_metrics::Config,
    /// `[collector.own_health]`: what an agent sends of itself.
    pub own_health: OwnHealth,
}

/// `[collector.own_health]`: an agent's own log and figures, sent to its servers before everything else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OwnHealth {
    /// Whether they are sent. Default true; without them a server knows of an agent only when it last heard of it.
    pub enabled: bool,
    /// How often the figures are sent, at whole multiples of this span by the wall clock. Default 10 s; longer spares agents
    /// of which there are very many.
    #[serde(with = "span")]
    pub interval: Duration,
}

impl Default for OwnHealth {
    fn default() -> OwnHealth {
        OwnHealth { enabled: true, interval: Duration::from_secs(10) }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            host: None,
            state_dir: None,
            to: Vec::new(),
            token_file: None,
            spool_bytes_max: DEFAULT_SPOOL_BYTES_MAX,
            uncertain_wait: DEFAULT_UNCERTAIN_WAIT,
            tls: TlsConfig::default(),
            no_host: false,
            files: Vec::new(),
            journald: journald::Config::default(),
            lines: enrich::Config::default(),
            shape: Vec::new(),
            statsd: statsd::Config::default(),
            syslog: syslog::Config::default(),
            json_lines: json_lines::Config::default(),
            prometheus_write: prometheus_write::Config::default(),
            otlp: otlp::Config::default(),
            graphite: graphite::Config::default(),
            scrape: Vec::new(),
            stdin: stdin::Config::default(),
            host_metrics: host_metrics::Config::default(),
            own_health: OwnHealth::default(),
        }
    }
}

impl Config {
    /// What reads and shapes lines by these settings.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn enricher(&self) -> Result<Enricher, StartError> {
        let rules = enrich::shape::Rules::compile(&self.shape, |name| std::env::var(name).ok())?;
        Ok(self.lines.enricher()?.with_shape(rules))
    }

    /// Checks what would otherwise only be found wrong when a source starts.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn check(&self) -> Result<(), StartError> {
        self.statsd.check()?;
        let enricher = self.enricher()?;
        let parses = [
            ("collector.stdin.parse", &self.stdin.parse),
            ("collector.syslog.parse", &self.syslog.parse),
            ("collector.journald.parse", &self.journald.parse),
        ];
        let files = self.files.iter().map(|group| ("collector.files.parse", &group.parse));
        parses.into_iter().chain(files).try_for_each(|(setting, parse)| enricher.check_parse(parse, setting))
    }
}

/// Where a source listens: an address with its port (`127.0.0.1:8125`, `[::1]:8125`; port 0 takes a free one), or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// Not at all.
    Off,
    /// Here.
    At(SocketAddr),
}

impl ListenAddress {
    /// The address, unless it is off.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Off => None,
            ListenAddress::At(address) => Some(address),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<ListenAddress, String> {
        match text {
            "off" => Ok(ListenAddress::Off),
            _ => text
                .parse()
                .map(ListenAddress::At)
                .map_err(|_| format!("`{text}` is neither `off` nor an address with a port like 127.0.0.1:8125")),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Off => f.write_str("off"),
            ListenAddress::At(address) => address.fmt(f),
        }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ListenAddress, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Spans of time in the configuration, as people write them: `"10s"`, `"500ms"`, `"1h 30m"`. For `#[serde(with = …)]`.
pub mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the span in its shortest usual form.
    pub fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::SignedDuration::try_from(*span) {
            Ok(span) => serializer.collect_str(&format_args!("{span:#}")),
            Err(_) => serializer.collect_str(&format_args!("{}s", span.as_secs())),
        }
    }

    /// Reads a span that is longer than zero.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a span of time above zero, like \"10s\" or \"1h 30m\""))
        })
    }

    /// The span that a text means, if it means one above zero.
    pub fn parse(text: &str) -> Option<Duration> {
        let span: jiff::SignedDuration = text.parse().ok()?;
        Duration::try_from(span).ok().filter(|span| !span.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_listen_address_is_off_or_an_address_with_a_port() {
        let check = |text: &str, expected: Option<ListenAddress>| {
            assert_eq!(text.parse::<ListenAddress>().ok(), expected, "{text}");
            if let Some(address) = expected {
                assert_eq!(address.to_string(), text);
            }
        };
        check("off", Some(ListenAddress::Off));
        check("127.0.0.1:0", Some(ListenAddress::At(([127, 0, 0, 1], 0).into())));
        check("[::1]:8125", Some(ListenAddress::At("[::1]:8125".parse().unwrap())));
        check("127.0.0.1", None);
        check("", None);
    }

    #[test]
    fn spans_read_as_people_write_them_and_zero_is_none() {
        let check = |text, expected| assert_eq!(span::parse(text), expected, "{text}");
        check("10s", Some(Duration::from_secs(10)));
        check("500ms", Some(Duration::from_millis(500)));
        check("1h 30m", Some(Duration::from_secs(5_400)));
        check("0s", None);
        check("-1s", None);
        check("10", None);
    }

    #[test]
    fn the_default_section_reads_back_as_it_was_written_and_unknown_keys_are_refused() {
        let json = serde_json::to_string(&Config::default()).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), Config::default());
        let error = serde_json::from_str::<Config>(r#"{"statsd":{"adress":"off"}}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `adress`"), "{error}");
    }
}
