//! What can be written in `taffrail.toml`, section by section, as it stands there; [`File::check`] makes it [`Settings`].
//!
//! The explanation of each key for its users is in [`super::reference`], the collector's section in its own room.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_ingest::catalog::annotations::DEPLOY;
use taffrail_ingest::log_store::Field;
use taffrail_ingest::series_store::{LabelMatcher, LevelAges, SeriesLimits, SeriesRetention, SeriesRetentionRule};
use taffrail_ingest::{CompactionBudget, IngestConfig};
use taffrail_query::{log_search, promql};

use super::notation::{Bytes, Count, Limit, Span};
use crate::checks::{self, probe::Probe};
use crate::notify::REPEAT_INTERVAL;
use crate::watch;
use crate::watch::annotation_rule::{AnnotationFields, AnnotationRule};

use super::{AlertSettings, DashboardSettings, Mistake, QuerySettings, ServerSettings, Settings};

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[[retention]]`
    pub retention: Vec<RetentionRule>,
    /// `[[metric_retention]]`
    pub metric_retention: Vec<MetricRetentionRule>,
    /// `[query]`
    pub query: Query,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[annotations]`
    pub annotations: Annotations,
    /// `[dashboards]`
    pub dashboards: Dashboards,
    /// `[errors]`
    pub errors: Errors,
    /// `[[checks]]`
    pub checks: Vec<Check>,
    /// `[collector]`
    pub collector: taffrail_collector::config::Config,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Server {
    pub data_dir: PathBuf,
    pub http: HttpAddress,
    pub insecure: bool,
    pub host_names: Vec<String>,
    pub own_metrics: bool,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Store {
    pub retention_age: Limit<Span>,
    pub rollup_minute_age: Limit<Span>,
    pub rollup_ten_minutes_age: Limit<Span>,
    pub rollup_hour_age: Limit<Span>,
    pub retention_bytes: Limit<Bytes>,
    pub seal_rows: usize,
    pub seal_bytes: Bytes,
    pub seal_age: Span,
    pub memory_bytes_max: Bytes,
    pub series_per_metric_max: Limit<Count>,
    pub series_per_source_max: Limit<Count>,
    pub disk_reserve_bytes: Bytes,
    pub future_max: Span,
    pub compaction_cpu_percent: u8,
    pub compaction_bytes_per_second: Bytes,
}

/// `[[retention]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/keys.rs, where its users see it")]
pub struct RetentionRule {
    pub filter: String,
    pub keep: Limit<Span>,
}

/// `[[metric_retention]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/keys.rs, where its users see it")]
pub struct MetricRetentionRule {
    #[serde(rename = "match")]
    pub selector: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Limit<Span>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minute: Option<Limit<Span>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ten_minutes: Option<Limit<Span>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour: Option<Limit<Span>>,
}

/// `[query]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Query {
    pub time_max: Span,
    pub rows_max: u64,
    pub limit_max: usize,
    pub memory_bytes_max: Bytes,
    pub concurrency_max: usize,
    pub patterns_max: usize,
    pub followers_max: usize,
    pub exports_max: usize,
    pub export_time_max: Span,
}

/// `[alerts]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Alerts {
    pub rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<PathBuf>,
    pub webhooks: Vec<String>,
    pub alertmanagers: Vec<String>,
    pub evaluation_interval: Span,
    pub repeat_interval: Span,
    pub per_rule_max: usize,
    pub default_rules: bool,
    pub evidence_time_max: Span,
    pub evidence_rows_max: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
}

/// `[annotations]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Annotations {
    pub count_max: u64,
    pub from_logs: Vec<AnnotationFromLogs>,
}

/// `[[annotations.from_logs]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/keys.rs, where its users see it")]
pub struct AnnotationFromLogs {
    pub query: String,
    #[serde(default = "default_annotation_kind")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author_field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_field: Option<String>,
}

/// `[errors]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/reference.rs, where its users see it")]
pub struct Errors {
    pub groups_max: usize,
}

/// `[[checks]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/keys.rs, where its users see it")]
pub struct Check {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default = "default_check_interval")]
    pub interval: Span,
    #[serde(default = "default_check_timeout")]
    pub timeout: Span,
    #[serde(default)]
    pub status: Vec<u16>,
    #[serde(default)]
    pub text: String,
}

const fn default_check_interval() -> Span {
    Span(Duration::from_secs(30))
}

const fn default_check_timeout() -> Span {
    Span(Duration::from_secs(5))
}

fn default_annotation_kind() -> String {
    DEPLOY.to_owned()
}

/// `[dashboards]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained in config/keys.rs, where its users see it")]
pub struct Dashboards {
    pub files: Vec<String>,
}

/// An address with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpAddress(pub SocketAddr);

impl Default for Server {
    fn default() -> Server {
        Server {
            data_dir: default_data_dir(),
            http: HttpAddress(([127, 0, 0, 1], 6464).into()),
            insecure: false,
            host_names: Vec::new(),
            own_metrics: true,
        }
    }
}

impl Default for Store {
    fn default() -> Store {
        Store {
            retention_age: Limit(Some(Span(days(30)))),
            rollup_minute_age: Limit(Some(Span(days(90)))),
            // A month more than a year, and five years.
            rollup_ten_minutes_age: Limit(Some(Span(days(400)))),
            rollup_hour_age: Limit(Some(Span(days(5 * 366)))),
            retention_bytes: Limit(None),
            seal_rows: 500_000,
            seal_bytes: Bytes(128 << 20),
            seal_age: Span(Duration::from_secs(600)),
            memory_bytes_max: Bytes(256 << 20),
            series_per_metric_max: Limit(Some(Count(200_000))),
            series_per_source_max: Limit(Some(Count(1_000_000))),
            disk_reserve_bytes: Bytes(256 << 20),
            future_max: Span(Duration::from_secs(600)),
            compaction_cpu_percent: 25,
            compaction_bytes_per_second: Bytes(32 << 20),
        }
    }
}

impl Default for Query {
    fn default() -> Query {
        Query {
            time_max: Span(Duration::from_secs(30)),
            rows_max: 1_000_000_000,
            limit_max: 10_000,
            memory_bytes_max: Bytes(128 << 20),
            concurrency_max: 16,
            patterns_max: 50_000,
            followers_max: 500,
            exports_max: 4,
            export_time_max: Span(Duration::from_secs(3600)),
        }
    }
}

impl Default for Alerts {
    fn default() -> Alerts {
        Alerts {
            rules: Vec::new(),
            routing: None,
            webhooks: Vec::new(),
            alertmanagers: Vec::new(),
            evaluation_interval: Span(Duration::from_secs(60)),
            repeat_interval: Span(REPEAT_INTERVAL),
            per_rule_max: 10_000,
            default_rules: true,
            evidence_time_max: Span(Duration::from_secs(3)),
            evidence_rows_max: 20_000_000,
            external_url: None,
        }
    }
}

impl Default for Errors {
    fn default() -> Errors {
        Errors { groups_max: 20_000 }
    }
}

impl Default for Annotations {
    fn default() -> Annotations {
        Annotations { count_max: 50_000, from_logs: Vec::new() }
    }
}

impl File {
    /// Checks what no single value can show to be wrong.
    pub fn check(self) -> Result<Settings, Mistake> {
        let File {
            server,
            store,
            retention,
            metric_retention,
            query,
            alerts,
            annotations,
            dashboards,
            errors,
            checks,
            collector,
        } = self;
        let addresses = [
            ("server.http", Some(server.http.0)),
            ("collector.statsd.address", collector.statsd.address.address()),
            ("collector.statsd.admin_address", collector.statsd.admin_address.address()),
            ("collector.syslog.address", collector.syslog.address.address()),
            ("collector.graphite.address", collector.graphite.address.address()),
            ("collector.otlp.grpc_address", collector.otlp.grpc_address.address()),
            ("collector.otlp.http_address", collector.otlp.http_address.address()),
        ];
        for (key, address) in addresses {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback() && !server.insecure) {
                return Err(Mistake::of_setting(
                    key,
                    format!(
                        "{address} can be reached from other machines, and this version has neither tokens nor TLS there; \
                         listen on 127.0.0.1 (HTTP behind a proxy that has both), or allow it with --insecure \
                         (server.insecure = true)"
                    ),
                ));
            }
        }
        for (key, zero) in [
            ("annotations.count_max", annotations.count_max == 0),
            ("errors.groups_max", errors.groups_max == 0),
            ("query.concurrency_max", query.concurrency_max == 0),
            ("query.exports_max", query.exports_max == 0),
            ("query.followers_max", query.followers_max == 0),
            ("query.limit_max", query.limit_max == 0),
            ("query.patterns_max", query.patterns_max == 0),
            ("query.rows_max", query.rows_max == 0),
            ("store.seal_rows", store.seal_rows == 0),
            ("store.compaction_bytes_per_second", store.compaction_bytes_per_second.0 == 0),
        ] {
            if zero {
                return Err(Mistake::of_setting(key, "must be 1 at least".to_owned()));
            }
        }
        if store.memory_bytes_max.0 < store.seal_bytes.0 {
            return Err(Mistake::of_setting(
                "store.memory_bytes_max",
                format!("{} is less than store.seal_bytes = {}", store.memory_bytes_max, store.seal_bytes),
            ));
        }
        if store.compaction_cpu_percent > 100 {
            let message = format!("{} is more than 100", store.compaction_cpu_percent);
            return Err(Mistake::of_setting("store.compaction_cpu_percent", message));
        }
        collector.check().map_err(|error| Mistake::of_setting(error.setting, error.message))?;
        let retention = retention.iter().map(RetentionRule::check).collect::<Result<_, _>>()?;
        if alerts.routing.is_some() && !alerts.webhooks.is_empty() {
            let message = "alerts.routing says who is told: write these URLs there, as webhook_configs of a receiver";
            return Err(Mistake::of_setting("alerts.webhooks", message.to_owned()));
        }
        let urls = alerts.webhooks.iter().map(|url| ("alerts.webhooks", url));
        let urls = urls.chain(alerts.alertmanagers.iter().map(|url| ("alerts.alertmanagers", url)));
        let urls = urls.chain(alerts.external_url.iter().map(|url| ("alerts.external_url", url)));
        let urls = urls.chain(collector.to.iter().map(|url| ("collector.to", url)));
        for (key, url) in urls {
            if !url.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https"))) {
                return Err(Mistake::of_setting(key, format!("`{url}` is not a URL like http://host:port/path")));
            }
        }
        Ok(Settings {
            store: store.check(server.data_dir.clone(), retention, &metric_retention)?,
            server: ServerSettings {
                data_dir: server.data_dir,
                http: server.http.0,
                insecure: server.insecure,
                host_names: server.host_names,
                own_metrics: server.own_metrics,
            },
            query: query.check(),
            alerts: AlertSettings {
                rules: alerts.rules,
                routing: alerts.routing,
                webhooks: alerts.webhooks,
                alertmanagers: alerts.alertmanagers,
                evidence_time_max: alerts.evidence_time_max.0,
                evidence_rows_max: alerts.evidence_rows_max,
                evaluation_interval: alerts.evaluation_interval.0,
                repeat_interval: alerts.repeat_interval.0,
                per_rule_max: alerts.per_rule_max,
                default_rules: alerts.default_rules,
                external_url: alerts.external_url,
            },
            checks: checks.iter().map(Check::check).collect::<Result<_, _>>()?,
            watch: watch::Settings {
                annotations_max: annotations.count_max,
                error_groups_max: errors.groups_max,
                annotation_rules: annotations
                    .from_logs
                    .iter()
                    .map(AnnotationFromLogs::check)
                    .collect::<Result<_, _>>()?,
            },
            dashboards: DashboardSettings { files: dashboards.files },
            collector,
        })
    }
}

impl Check {
    fn check(&self) -> Result<checks::Check, Mistake> {
        let mistake = |error: String| Mistake::of_setting(format!("[[checks]] name = {:?}", self.name), error);
        let probe = match (&self.url, &self.address) {
            (Some(url), None) => Probe::http(url, self.status.clone(), self.text.clone()).map_err(mistake)?,
            (None, Some(address)) if self.status.is_empty() && self.text.is_empty() => Probe::Tcp(address.clone()),
            (None, Some(_)) => return Err(mistake("`status` and `text` are for a `url`".to_owned())),
            _ => return Err(mistake("it needs a `url` or an `address`, and not both".to_owned())),
        };
        if self.name.is_empty() || self.interval.0 < Duration::from_secs(1) || self.timeout.0.is_zero() {
            return Err(mistake("it needs a name, an `interval` of a second at least, and a `timeout`".to_owned()));
        }
        Ok(checks::Check { name: self.name.clone(), probe, interval: self.interval.0, timeout: self.timeout.0 })
    }
}

impl AnnotationFromLogs {
    fn check(&self) -> Result<AnnotationRule, Mistake> {
        let mistake =
            |error: String| Mistake::of_setting(format!("[[annotations.from_logs]] query = {:?}", self.query), error);
        let filter = log_search::parse(&self.query).map_err(|error| mistake(error.to_string()))?;
        let matching = Arc::new(filter.compile().map_err(|error| mistake(error.to_string()))?);
        let field = |named: &Option<String>, otherwise| Field::named(named.as_deref().unwrap_or(otherwise));
        let fields = AnnotationFields {
            service: field(&self.service_field, "service"),
            version: field(&self.version_field, "version"),
            author: field(&self.author_field, "author"),
            text: field(&self.text_field, "message"),
        };
        Ok(AnnotationRule { filter, matching, kind: self.kind.clone(), fields })
    }
}

impl RetentionRule {
    fn check(&self) -> Result<taffrail_ingest::log_store::RetentionRule, Mistake> {
        let filter = log_search::parse(&self.filter).map_err(|error| {
            Mistake::of_setting(format!("[[retention]] filter = {:?}", self.filter), error.to_string())
        })?;
        Ok(taffrail_ingest::log_store::RetentionRule { filter, keep: self.keep.0.map(|span| span.0) })
    }
}

impl MetricRetentionRule {
    /// What it says nothing about is kept as long as otherwise.
    fn check(&self, otherwise: &LevelAges) -> Result<SeriesRetentionRule, Mistake> {
        let matchers = read_selector(&self.selector)
            .map_err(|error| Mistake::of_setting(format!("[[metric_retention]] match = {:?}", self.selector), error))?;
        let mut keep = *otherwise;
        for (keep, own) in keep.iter_mut().zip([self.raw, self.minute, self.ten_minutes, self.hour]) {
            *keep = own.map_or(*keep, |own| own.0.map(|span| span.0));
        }
        Ok(SeriesRetentionRule { matchers, keep })
    }
}

/// The matchers of a text that is one selector of series; or what is wrong with it.
fn read_selector(text: &str) -> Result<Vec<LabelMatcher>, String> {
    promql::only_selector(text).map_err(|error| error.to_string())
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

impl Store {
    fn check(
        self,
        data_dir: PathBuf,
        retention_rules: Vec<taffrail_ingest::log_store::RetentionRule>,
        metric_retention: &[MetricRetentionRule],
    ) -> Result<IngestConfig, Mistake> {
        let bytes = |bytes: Bytes| usize::try_from(bytes.0).unwrap_or(usize::MAX);
        let keep = [self.retention_age, self.rollup_minute_age, self.rollup_ten_minutes_age, self.rollup_hour_age];
        let keep = keep.map(|keep| keep.0.map(|span| span.0));
        let rules = metric_retention.iter().map(|rule| rule.check(&keep)).collect::<Result<_, _>>()?;
        Ok(IngestConfig {
            data_dir,
            seal_rows: self.seal_rows,
            seal_bytes: bytes(self.seal_bytes),
            seal_age: self.seal_age.0,
            memory_bytes_max: bytes(self.memory_bytes_max),
            retention_age: self.retention_age.0.map(|span| span.0),
            retention_rules,
            series_retention: SeriesRetention { keep, rules },
            retention_bytes: self.retention_bytes.0.map(|bytes| bytes.0),
            parse_selector: read_selector,
            series_limits: SeriesLimits {
                per_metric: self.series_per_metric_max.0.map(|count| count.0),
                per_source: self.series_per_source_max.0.map(|count| count.0),
                // Knowing series may take as much as what is not sealed yet.
                bytes: Some(bytes(self.memory_bytes_max)),
            },
            compaction: CompactionBudget {
                cpu_share: f64::from(self.compaction_cpu_percent) / 100.0,
                bytes_per_second: self.compaction_bytes_per_second.0,
            },
            disk_reserve_bytes: self.disk_reserve_bytes.0,
            future_max: self.future_max.0,
        })
    }
}

impl Query {
    pub(super) fn check(self) -> QuerySettings {
        QuerySettings {
            time_max: self.time_max.0,
            rows_max: self.rows_max,
            limit_max: self.limit_max,
            memory_bytes_max: self.memory_bytes_max.0,
            concurrency_max: self.concurrency_max,
            patterns_max: self.patterns_max,
            followers_max: self.followers_max,
            exports_max: self.exports_max,
            export_time_max: self.export_time_max.0,
        }
    }
}

impl<'de> Deserialize<'de> for HttpAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<HttpAddress, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(HttpAddress).map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is not an address with a port like 127.0.0.1:6464"))
        })
    }
}

impl Serialize for HttpAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The server's directory when nobody says which.
fn default_data_dir() -> PathBuf {
    // systemd names the directory that it made for the service (systemd.exec(5), StateDirectory=).
    let of_service = std::env::var_os("STATE_DIRECTORY").filter(|value| !value.is_empty());
    of_service.map_or_else(|| default_directory("taffrail"), PathBuf::from)
}

/// `/var/lib/<name>` for root, else `<name>` in the user's state directory
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>).
pub fn default_directory(name: &str) -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = variable("XDG_STATE_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/state")));
    match state {
        Some(state) if !rustix::process::geteuid().is_root() => state.join(name),
        _ => PathBuf::from("/var/lib").join(name),
    }
}
