//! `taffrail.toml` and what overrides it: flag > environment (`TAFFRAIL_…`) > file > default.
//!
//! Raw settings become checked [`Settings`] in one step, at start; nothing else in the program reads a file, a variable or a
//! flag to learn how to behave. Each room owns the meaning of its section; this folder reads, merges, checks and prints.
//!
//! Reading order: [`sections`] (what can be written), [`notation`] (how sizes and spans are written), [`layers`] (who
//! overrides whom, and where a value came from), [`mistake`] (what is wrong and where), [`keys`] (every key explained), [`reference`] (all of it as a file).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use taffrail_ingest::IngestConfig;

pub mod keys;
pub mod layers;
pub mod mistake;
pub mod notation;
pub mod reference;
pub mod sections;

pub use layers::{Layers, Origin, Override};
pub use mistake::Mistake;

/// Checked settings of the whole program.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `[server]`.
    pub server: ServerSettings,
    /// `[collector]`.
    pub collector: taffrail_collector::config::Config,
    /// `[store]`, and the data directory.
    pub store: IngestConfig,
    /// `[query]`.
    pub query: QuerySettings,
    /// `[alerts]`.
    pub alerts: AlertSettings,
}

/// Checked `[server]`.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Everything durable lies below this directory.
    pub data_dir: PathBuf,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Whether addresses that other machines can reach are allowed without TLS and tokens.
    pub insecure: bool,
    /// Names, besides addresses and `localhost`, by which browsers may call this server.
    pub host_names: Vec<String>,
}

/// Checked `[query]`: what one question may cost.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// How long it may take.
    pub time_max: Duration,
    /// How many rows it may look at.
    pub rows_max: u64,
    /// How many records one answer may hold.
    pub limit_max: usize,
    /// How many questions are answered at once.
    pub concurrency_max: usize,
}

/// Checked `[alerts]`.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// Names or patterns of rules files.
    pub rules: Vec<String>,
    /// Where notifications are posted.
    pub webhooks: Vec<String>,
    /// How often rules are evaluated whose group says nothing.
    pub evaluation_interval: Duration,
    /// How often people are reminded of what still fires.
    pub repeat_interval: Duration,
    /// The address by which people reach this server, for links in notifications.
    pub external_url: Option<String>,
}

impl Default for QuerySettings {
    fn default() -> QuerySettings {
        sections::Query::default().check()
    }
}

impl Settings {
    /// Reads the file (when one is given), the environment and the overrides of the command line.
    pub fn load(file: Option<&Path>, flags: Vec<Override>) -> Result<(Settings, Layers), Mistake> {
        let layers = Layers::read(file, std::env::vars(), flags)?;
        let settings = layers.merged()?.check()?;
        Ok((settings, layers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Settings, Mistake> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taffrail.toml");
        std::fs::write(&path, text).unwrap();
        Layers::read(Some(&path), Vec::new().into_iter(), Vec::new())?.merged()?.check()
    }

    #[test]
    fn a_mistake_says_where_it_is_and_how_to_mend_it() {
        let check = |text: &str, place: &str, expected: &str| {
            let mistake = load(text).unwrap_err().to_string();
            assert!(mistake.contains(&format!("taffrail.toml:{place}: ")), "{mistake}");
            assert!(mistake.contains(expected), "{mistake}");
        };
        check("[server]\nhtpp = \"127.0.0.1:6464\"\n", "2:1", "unknown key `server.htpp`; did you mean `http`?");
        check("[sever]\n", "1:2", "unknown key `sever`; did you mean `server`?");
        check("[server]\nzzzzzz = 1\n", "2:1", "the keys here are");
        check("[server]\nhttp = \"here\"\n", "2:8", "`here` is not an address with a port");
        check("[store]\nretention_age = \"30 parsecs\"\n", "2:17", "30 parsecs");
        check("[store]\nseal_bytes = \"12 XB\"\n", "2:14", "`12 XB` is not a size");
        check("[server\n", "1:8", "");
        check("[query]\nrows_max = \"many\"\n", "2:12", "expected");
    }

    #[test]
    fn values_that_contradict_are_refused_by_the_name_of_the_key() {
        let check = |text: &str, expected: &str| {
            let mistake = load(text).unwrap_err().to_string();
            assert!(mistake.contains(expected), "{mistake}");
        };
        check("[query]\nconcurrency_max = 0\n", "query.concurrency_max");
        check("[server]\nhttp = \"0.0.0.0:6464\"\n", "--insecure");
        check("[collector.statsd]\naddress = \"0.0.0.0:8125\"\n", "collector.statsd.address");
        check("[collector.syslog]\naddress = \"[::]:5514\"\n", "collector.syslog.address");
        check("[alerts]\nwebhooks = [\"example.org\"]\n", "alerts.webhooks");
        check("[store]\ncompaction_cpu_percent = 101\n", "store.compaction_cpu_percent");
        check("[[retention]]\nfilter = \"level:(\"\nkeep = \"1d\"\n", "[[retention]] filter");
    }

    #[test]
    fn rules_of_retention_are_read_in_their_order() {
        let rule = |filter: &str, keep: &str| format!("[[retention]]\nfilter = {filter:?}\nkeep = {keep:?}\n");
        let settings = load(&(rule("service:debug-noise", "1d") + &rule("audit", "none"))).unwrap();
        let rules = settings.store.retention_rules;
        assert_eq!(rules.iter().map(|rule| rule.keep).collect::<Vec<_>>(), [Some(Duration::from_secs(86_400)), None]);
        assert_eq!(rules[1].filter, taffrail_query::log_search::parse("audit").unwrap());
    }

    #[test]
    fn an_empty_file_gives_the_documented_defaults() {
        let settings = load("").unwrap();
        assert_eq!(settings.server.http.to_string(), "127.0.0.1:6464");
        assert_eq!(settings.store.retention_age, Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(settings.store.retention_bytes, None);
        assert_eq!(settings.store.retention_rules, []);
        assert_eq!(settings.store.compaction.cpu_share, 0.25);
        assert_eq!(settings.query.time_max, Duration::from_secs(30));
    }
}
