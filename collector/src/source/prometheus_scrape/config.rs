//! The section `collector.scrape`, a list.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::span;
use crate::ship::config::TlsConfig;

/// `[[collector.scrape]]`: targets that are read alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Hosts and ports, `"127.0.0.1:9100"`; the label `instance` says which.
    pub targets: Vec<String>,
    /// The label `job` of all series. Default `scrape`.
    pub job: String,
    /// How often each target is read. Default 15 s.
    #[serde(with = "span")]
    pub interval: Duration,
    /// How long a target may take to answer. Default 10 s; no longer than the interval.
    #[serde(with = "span")]
    pub timeout: Duration,
    /// `http` or `https`. Default `http`.
    pub scheme: Scheme,
    /// Where a target has its metrics. Default `/metrics`.
    pub path: String,
    /// Labels of all series. Default none.
    pub labels: BTreeMap<String, String>,
    /// Whether labels that a target gives itself stand against `job`, `instance` and `labels`; else they are kept as `exported_…`.
    /// Default false. Switch it on for federation and push gateways.
    pub honor_labels: bool,
    /// The file with the token that is shown to targets (`Authorization: Bearer`): one line, read again for each request.
    pub token_file: Option<PathBuf>,
    /// `[collector.scrape.tls]`: how targets on https are known, and how they know us.
    pub tls: TlsConfig,
    /// Largest answer in bytes, once decompressed; a target with a larger one is down. Default 16 MiB.
    pub body_bytes_max: usize,
    /// Most samples of one target; one with more is down. Default 100,000.
    pub samples_max: usize,
    /// Longest labels of one series, names and values together, in bytes; a series beyond is left out and counted. Default 16 KiB.
    pub labels_bytes_max: usize,
}

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            targets: Vec::new(),
            job: "scrape".to_owned(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            scheme: Scheme::Http,
            path: "/metrics".to_owned(),
            labels: BTreeMap::new(),
            honor_labels: false,
            token_file: None,
            tls: TlsConfig::default(),
            body_bytes_max: 16 << 20,
            samples_max: 100_000,
            labels_bytes_max: 16 << 10,
        }
    }
}
