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
    /// `[annotations]` and `[errors]`.
    pub watch: crate::watch::Settings,
    /// `[dashboards]`.
    pub dashboards: DashboardSettings,
    /// `[[checks]]`.
    pub checks: Vec<crate::checks::Check>,
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
    /// Whether the server stores its own figures.
    pub own_metrics: bool,
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
    /// How many bytes of groups and waiting rows it may keep in memory.
    pub memory_bytes_max: u64,
    /// How many questions are answered at once.
    pub concurrency_max: usize,
    /// How many patterns one answer tells apart.
    pub patterns_max: usize,
    /// How many may follow live records at once.
    pub followers_max: usize,
    /// How many files of records are written at once.
    pub exports_max: usize,
    /// How long one may take.
    pub export_time_max: Duration,
}

/// Checked `[alerts]`.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// Names or patterns of rules files.
    pub rules: Vec<String>,
    /// Who is told of what: a file in Alertmanager's format.
    pub routing: Option<std::path::PathBuf>,
    /// Where notifications are posted when there is none.
    pub webhooks: Vec<String>,
    /// Alertmanagers that get all alerts.
    pub alertmanagers: Vec<String>,
    /// How long evidence for one alert may be looked for.
    pub evidence_time_max: Duration,
    /// How many rows may be looked at for it.
    pub evidence_rows_max: u64,
    /// How often rules are evaluated whose group says nothing.
    pub evaluation_interval: Duration,
    /// How often people are reminded of what still fires.
    pub repeat_interval: Duration,
    /// The most alerts that one rule may have.
    pub per_rule_max: usize,
    /// Whether the rules that come with the program are at work.
    pub default_rules: bool,
    /// The address by which people reach this server, for links in notifications.
    pub external_url: Option<String>,
}

/// Checked `[dashboards]`.
#[derive(Clone, Debug)]
pub struct DashboardSettings {
    /// Names or patterns of files.
    pub files: Vec<String>,
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
        check("[[metric_retention]]\nmatch = \"a + b\"\nraw = \"1d\"\n", "[[metric_retention]] match");
    }

    #[test]
    fn metrics_are_kept_longer_the_longer_their_windows_are_and_by_rules() {
        let text = "[store]\nretention_age = \"3d\"\n[[metric_retention]]\nmatch = '{team=\"a\"}'\nraw = \"1d\"\nhour = \"none\"\n";
        let retention = load(text).unwrap().store.series_retention;
        let days = |ages: taffrail_ingest::series_store::LevelAges| {
            ages.map(|age| age.map_or(0, |age| age.as_secs() / 86_400))
        };
        assert_eq!(days(retention.keep), [3, 90, 400, 1_830]);
        assert_eq!(days(retention.rules[0].keep), [1, 90, 400, 0]);
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

    #[test]
    fn the_examples_of_the_read_me_are_good_and_do_what_they_say() {
        use taffrail_collector::enrich::ReceivedLine;
        use taffrail_collector::model::{Resource, Timestamp, Value};

        let read_me = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
        let examples: Vec<&str> =
            read_me.split("```toml\n").skip(1).map(|behind| behind.split("```").next().unwrap()).collect();
        // One names a file of rules that is read with the settings.
        let directory = tempfile::tempdir().unwrap();
        let mapping = directory.path().join("mapping.yml");
        std::fs::write(&mapping, "mappings:\n- match: a.*\n  name: a\n").unwrap();
        let mut shaping = None;
        for example in examples {
            let settings = load(&example.replace("\"mapping.yml\"", &format!("{mapping:?}"))).unwrap();
            if example.contains("[[collector.shape]]") {
                shaping = Some(settings);
            }
        }
        let settings = shaping.expect("an example of shaping");
        let collector = settings.collector;
        let billing = collector.enricher().unwrap().of_source("files");
        let mut billing = billing.with_parse(&collector.files[0].parse, "collector.files.parse").unwrap();
        let mut any = collector.enricher().unwrap().of_source("files");
        let resource = std::sync::Arc::new(Resource { service: "billing".into(), ..Resource::default() });
        let line = |text: &'static str| ReceivedLine::plain(text.as_bytes(), Timestamp::now(), &resource);
        let record = billing.enrich(line("2026-11-21T07:33:00Z WARN ORD-7 took 1.5ms: EMP-123456 paid password=x"));
        let record = record.unwrap();
        assert_eq!(record.body, "[redacted:employee] paid password=[redacted:password]");
        assert_eq!((record.severity.name(), record.attribute("order_id")), ("warn", Some(&Value::Int(7))));
        assert_eq!(record.attribute("env").map(Value::to_string).as_deref(), Some("test"));
        let health = |text: &'static str| any.enrich(line(text)).is_some();
        let kept = [
            r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET /health HTTP/1.1" 200 2 "-" "-" 0.001"#,
            r#"10.0.0.1 - - [21/Nov/2026:07:33:00 +0000] "GET /health HTTP/1.1" 200 2 "-" "-" 2.500"#,
            r#"{"usr":"ann","app":"shop","tmp.x":1,"level":"info","msg":"x"}"#,
        ]
        .map(health);
        assert_eq!(kept, [false, true, true]);
    }
}
