//! Looks for what explains an alert, within a budget: a notification waits for it no longer than that and goes without
//! otherwise, saying so.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::model::{LabelSet, Timestamp};
use taffrail_ingest::log_store::{Filter, LogStore, Order, PatternQuestion, StoredRecord};
use taffrail_ingest::{Scan, StopReason, TimeRange};
use taffrail_query::alert::comparison::Comparison;
use taffrail_query::alert::log_expression::LogExpression;
use taffrail_query::alert::rule::LogLines;
use taffrail_query::alert::state::{Labels, LinesAsked};
use taffrail_query::alert::template::Context;
use taffrail_query::log_search::pattern_change::{Change, Stretch};
use taffrail_query::log_search::row::Row;
use taffrail_query::log_search::run::{self, Asked};
use taffrail_query::log_search::{self, Question};
use taffrail_query::promql::{self, StoreSource};
use tokio::sync::OnceCell;

use super::pictures::Pictures;
use super::sparkline::{Curve, draw};
use super::{AlertEvidence, Changed, Evidence, Line, TraceLink};
use crate::api::record_json::record_id_text;
use crate::notify::channel::message::percent_encode;
use crate::notify::notice::Notice;

/// Alerts of one notification that are looked into.
const ALERTS_MAX: usize = 3;

/// Lines that are kept of each alert.
pub const LINES_MAX: usize = 20;

/// Traces that are linked.
const TRACES_MAX: usize = 3;

/// Things that changed and are told.
const CHANGED_MAX: usize = 4;

/// How long before an alert began the window starts in which something may have caused it.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// How long after it began lines still belong to it.
const AFTER: Duration = Duration::from_secs(5 * 60);

/// How long before the window is looked at, to see what is usual.
const USUAL: Duration = Duration::from_secs(60 * 60);

/// How far back the curve reaches.
const CURVE: Duration = Duration::from_secs(60 * 60);

/// Points of a curve.
const CURVE_POINTS: u32 = 120;

/// Patterns that are told apart.
const PATTERNS_MAX: usize = 5_000;

/// Values of a label that are compared.
const VALUES_MAX: usize = 50;

/// Found evidence that is kept for other channels and reminders.
const KEPT_MAX: usize = 500;

/// What a rule says about its evidence.
#[derive(Clone, Debug, Default)]
pub struct RuleFacts {
    /// The comparison that the expression is.
    pub comparison: Option<Comparison>,
    /// The lines that it shows, as written.
    pub log_lines: Option<LogLines>,
    /// How the question is asked, when the expression is one over logs.
    pub logs: Option<LogExpression>,
}

/// Finds a rule's facts by file, group and name.
pub type FactsOf = Arc<dyn Fn(&str, &str, &str) -> Option<RuleFacts> + Send + Sync>;

/// What a look may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// How long it may take for one alert.
    pub time_max: Duration,
    /// How many rows it may look at.
    pub rows_max: u64,
    /// Bytes that it may keep in memory.
    pub memory_bytes_max: u64,
}

/// Looks for evidence, and keeps what it found for a while.
pub struct Gatherer {
    logs: Arc<LogStore>,
    series: Arc<StoreSource>,
    facts_of: FactsOf,
    budget: Budget,
    external_url: String,
    pictures: Arc<Pictures>,
    kept: Mutex<VecDeque<Kept>>,
}

type Cell = Arc<OnceCell<Arc<AlertEvidence>>>;

struct Kept {
    id: String,
    starts_at: i64,
    cell: Cell,
}

/// What one alert is about, and when.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its labels.
    pub labels: Labels,
    /// Its expression.
    pub expr: String,
    /// When it began.
    pub began: Timestamp,
    /// Which lines belong to it, as its rule said when it was evaluated.
    pub lines: Option<LinesAsked>,
    /// What its rule says.
    pub facts: RuleFacts,
}

impl Gatherer {
    /// One that looks into these stores.
    pub fn new(
        logs: Arc<LogStore>,
        series: Arc<StoreSource>,
        facts_of: FactsOf,
        budget: Budget,
        external_url: String,
        pictures: Arc<Pictures>,
    ) -> Gatherer {
        Gatherer { logs, series, facts_of, budget, external_url, pictures, kept: Mutex::default() }
    }

    /// What explains these alerts: the first few of them, looked into side by side.
    pub async fn of(self: &Arc<Self>, notices: &[Notice]) -> Evidence {
        let looks =
            notices.iter().take(ALERTS_MAX).map(|notice| async move { (notice.id(), self.of_one(notice).await) });
        Evidence { alerts: futures_util::future::join_all(looks).await }
    }

    /// What explains this alert; what was found once is found for all channels.
    async fn of_one(self: &Arc<Self>, notice: &Notice) -> Arc<AlertEvidence> {
        let cell = self.cell(notice);
        let look = async {
            let (gatherer, notice) = (self.clone(), notice.clone());
            let scan = Arc::new(Scan::new(Some(self.budget.time_max), self.budget.rows_max));
            let worker_scan = scan.clone();
            let look = tokio::task::spawn_blocking(move || {
                let facts = (gatherer.facts_of)(&notice.file, &notice.rule_group, &notice.rule).unwrap_or_default();
                let subject = Subject {
                    labels: notice.labels.clone(),
                    expr: notice.expr.clone(),
                    began: notice.began(),
                    lines: notice.lines.clone(),
                    facts,
                };
                let mut found = gatherer.look(&subject, Timestamp::now(), &worker_scan);
                if let Some(picture) = &found.picture {
                    let name = gatherer.pictures.keep(picture.clone(), Timestamp::now());
                    found.picture_url = Some(format!("{}/api/v1/alerts/pictures/{name}.png", gatherer.external_url));
                }
                found
            });
            // Half a second more than the stores have: they look at the clock only now and then.
            match tokio::time::timeout(self.budget.time_max + Duration::from_millis(500), look).await {
                Ok(Ok(found)) => Arc::new(found),
                Ok(Err(_)) => Arc::new(AlertEvidence {
                    without: Some("evidence could not be gathered".to_owned()),
                    ..AlertEvidence::default()
                }),
                Err(_) => {
                    scan.cancel();
                    Arc::new(AlertEvidence { without: Some(self.out_of_time()), ..AlertEvidence::default() })
                }
            }
        };
        cell.get_or_init(|| look).await.clone()
    }

    fn cell(&self, notice: &Notice) -> Cell {
        let id = notice.id();
        let mut kept = self.kept.lock();
        if let Some(known) = kept.iter().find(|known| known.id == id && known.starts_at == notice.starts_at) {
            return known.cell.clone();
        }
        if kept.len() >= KEPT_MAX {
            kept.pop_front();
        }
        let cell = Cell::default();
        kept.push_back(Kept { id, starts_at: notice.starts_at, cell: cell.clone() });
        cell
    }

    /// The pictures that were drawn.
    pub fn pictures(&self) -> &Arc<Pictures> {
        &self.pictures
    }

    /// What a rule says about its evidence.
    pub fn facts(&self, file: &str, group: &str, rule: &str) -> Option<RuleFacts> {
        (self.facts_of)(file, group, rule)
    }

    fn out_of_time(&self) -> String {
        format!("evidence was not found within alerts.evidence_time_max = {:?}", self.budget.time_max)
    }

    /// Looks for everything, as far as the budget goes. Blocks.
    pub fn look(&self, subject: &Subject, now: Timestamp, scan: &Scan) -> AlertEvidence {
        let mut found = AlertEvidence::default();
        let mut missing: Vec<&str> = Vec::new();
        let until = subject.began.saturating_add(AFTER).min(now.max(subject.began));
        let looked_back = subject.lines.as_ref().map(|asked| asked.to.saturating_since(asked.from)).unwrap_or_default();
        let range = TimeRange {
            start: subject.began.saturating_sub(WINDOW.max(looked_back)),
            end: until.saturating_add(Duration::from_nanos(1)),
        };
        if let Some((query, wanted)) = lines_query(subject) {
            found.lines_link = self.logs_link(&query, range, None);
            match self.lines(&query, wanted, range, scan) {
                Ok((lines, total, traces)) => {
                    found.lines = lines;
                    found.lines_total = total;
                    found.traces = traces;
                }
                Err(()) => missing.push("log lines"),
            }
            found.lines_query = query;
        }
        if found.traces.len() < TRACES_MAX && self.exemplars(subject, range, scan, &mut found.traces).is_err() {
            missing.push("exemplars");
        }
        if self
            .curve(subject, now, scan)
            .map(|curve| found.picture = curve.map(|curve| Arc::new(draw(&curve))))
            .is_err()
        {
            missing.push("the curve");
        }
        if self.changed(subject, range.end, scan).map(|changed| found.changed = changed).is_err() {
            missing.push("what changed");
        }
        if !missing.is_empty() {
            let why = match scan.touch(0, 0) {
                Err(StopReason::OutOfRows) => format!("alerts.evidence_rows_max = {}", self.budget.rows_max),
                Err(_) => self.out_of_time(),
                Ok(()) => "the store could not say".to_owned(),
            };
            found.without = Some(format!("without {}: {why}", missing.join(", ")));
        }
        found
    }

    fn lines(
        &self,
        query: &str,
        wanted: usize,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(Vec<Line>, u64, Vec<TraceLink>), ()> {
        let question = Question::parse(query).map_err(drop)?;
        let asked = Asked {
            range,
            order: Order::NewestFirst,
            after: None,
            limit: wanted.clamp(1, LINES_MAX),
            memory_bytes_max: self.budget.memory_bytes_max,
        };
        let (mut lines, mut traces) = (Vec::new(), Vec::new());
        let outcome = run::run(&question, &self.logs, &asked, scan, &mut |row| {
            if let Row::Record(stored) = row {
                let link = self.logs_link(query, range, Some(&record_id_text(stored.id)));
                if let Some(trace) = stored.record.trace_id {
                    self.note_trace(&mut traces, trace.to_string());
                }
                lines.push(line(&stored, link));
            }
            ControlFlow::Continue(())
        });
        let outcome = outcome.map_err(drop)?;
        if outcome.stopped.is_some() && lines.is_empty() {
            return Err(());
        }
        let total = match outcome.more {
            false => lines.len() as u64,
            true => {
                let filter = log_search::parse(query).map_err(drop)?;
                let width = u64::try_from(range.end.saturating_since(range.start).as_millis()).unwrap_or(u64::MAX);
                self.logs
                    .count_by_interval(&filter, range, width.max(1), None, 1, scan)
                    .map_or(lines.len() as u64, |counts| counts.total)
            }
        };
        Ok((lines, total, traces))
    }

    fn note_trace(&self, traces: &mut Vec<TraceLink>, id: String) {
        if traces.len() < TRACES_MAX && !traces.iter().any(|known| known.id == id) {
            traces.push(TraceLink { link: format!("{}/trace/{id}", self.external_url), id });
        }
    }

    /// The traces that show what the alert's series looked like.
    fn exemplars(
        &self,
        subject: &Subject,
        range: TimeRange,
        scan: &Scan,
        traces: &mut Vec<TraceLink>,
    ) -> Result<(), ()> {
        let Ok(selectors) = promql::selectors(&subject.expr) else { return Ok(()) };
        for matchers in &selectors {
            let series = self.series.exemplars(matchers, range, scan).map_err(drop)?;
            let own = series.iter().filter(|(labels, _)| fits(labels, &subject.labels));
            let mut exemplars: Vec<_> = own.flat_map(|(_, exemplars)| exemplars.iter()).collect();
            exemplars.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.timestamp));
            for exemplar in exemplars {
                self.note_trace(traces, exemplar.trace_id.to_string());
            }
        }
        Ok(())
    }

    /// The curve of what the rule looks at, from an hour before it began; none when there is nothing to draw, an error when that
    /// is not known. Blocks.
    #[expect(clippy::result_unit_err, reason = "why a curve is missing is in the scan")]
    pub fn curve(&self, subject: &Subject, now: Timestamp, scan: &Scan) -> Result<Option<Curve>, ()> {
        let (start, end) = (subject.began.saturating_sub(CURVE), now.max(subject.began));
        let step = (end.saturating_since(start) / CURVE_POINTS).max(Duration::from_secs(1));
        // Records in a step are not what a question over logs compares with its number.
        let compared = subject.facts.comparison.as_ref().filter(|_| subject.facts.logs.is_none());
        let threshold = compared.map(|comparison| comparison.threshold);
        let points: Vec<(i64, f64)> = match &subject.facts.logs {
            Some(logs) => {
                let filter = log_search::parse(&logs.lines_of(&subject.labels).to_string()).map_err(drop)?;
                let width = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
                let counts = self.logs.count_by_interval(&filter, TimeRange { start, end }, width, None, 1, scan);
                let buckets = counts.map_err(drop)?.buckets.into_iter();
                buckets
                    .map(|(at, values)| (at.unix_millis(), values.iter().map(|(_, count)| *count as f64).sum()))
                    .collect()
            }
            None => {
                let expr =
                    subject.facts.comparison.as_ref().map_or(subject.expr.as_str(), |one| one.expression.as_str());
                let Ok(answer) = promql::range(expr, start, end, step, &*self.series, scan) else { return Err(()) };
                let own = answer.value.into_iter().filter(|series| fits(&series.labels, &subject.labels));
                own.max_by_key(|series| series.labels.iter().count()).map(numbers).unwrap_or_default()
            }
        };
        let points: Vec<(i64, f64)> = points.into_iter().filter(|(_, value)| value.is_finite()).collect();
        Ok((points.len() > 1).then(|| Curve {
            points,
            threshold,
            began_ms: subject.began.unix_millis(),
            from_ms: start.unix_millis(),
            to_ms: end.unix_millis(),
        }))
    }

    /// What came, or came more often, in the window before the alert than in the hour before that.
    fn changed(&self, subject: &Subject, end: Timestamp, scan: &Scan) -> Result<Vec<Changed>, ()> {
        let since = subject.began.saturating_sub(WINDOW);
        let range = TimeRange { start: since.saturating_sub(USUAL), end };
        let scope = scope_query(&subject.labels);
        let filter = log_search::parse(&scope).map_err(drop)?;
        let seconds = |from: Timestamp, to: Timestamp| to.saturating_since(from).as_secs_f64();
        let (before, after) = (seconds(range.start, since), seconds(since, end));
        let mut changes: Vec<(f64, Changed)> = Vec::new();
        let question = PatternQuestion { origin: since, step: USUAL, patterns_max: PATTERNS_MAX };
        let found = self.logs.patterns(&filter, range, question, scan).map_err(drop)?;
        if found.ending.stopped.is_some() {
            return Err(());
        }
        for pattern in found.patterns {
            let count = |is_after: bool| -> u64 {
                let steps = pattern.trend.iter().filter(|(step, _)| (*step >= 0) == is_after);
                steps.map(|(_, count)| count).sum()
            };
            let query = format!("{scope} pattern:{}", pattern.id);
            self.note_change(
                &mut changes,
                "pattern",
                pattern.pattern.shown(),
                [count(false), count(true)],
                [before, after],
                (&query, range),
            );
        }
        let sides = [TimeRange { start: range.start, end: since }, TimeRange { start: since, end }];
        for (what, counts) in self.values(&filter, sides, scan)? {
            let (field, value) = what;
            let query = format!("{scope} {field}:{}", quoted(&value));
            self.note_change(&mut changes, &field, value, counts, [before, after], (&query, range));
        }
        changes.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(changes.into_iter().take(CHANGED_MAX).map(|(_, changed)| changed).collect())
    }

    /// How often each value of some labels came on either side.
    fn values(
        &self,
        filter: &Filter,
        sides: [TimeRange; 2],
        scan: &Scan,
    ) -> Result<BTreeMap<(String, String), [u64; 2]>, ()> {
        let fields = ["level", "service", "host"].map(str::to_owned);
        let mut counts: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
        for (side, range) in sides.into_iter().enumerate() {
            let (facets, ending) = self.logs.facets(filter, range, &fields, VALUES_MAX, scan).map_err(drop)?;
            if ending.stopped.is_some() {
                return Err(());
            }
            for facet in facets {
                for (value, count) in facet.values {
                    counts.entry((facet.field.clone(), value)).or_default()[side] += count;
                }
            }
        }
        Ok(counts)
    }

    fn note_change(
        &self,
        changes: &mut Vec<(f64, Changed)>,
        what: &str,
        text: String,
        counts: [u64; 2],
        seconds: [f64; 2],
        place: (&str, TimeRange),
    ) {
        let [before, after] = counts;
        let stretch = |count, seconds| Stretch { count, seconds };
        let (change, score) = Change::between(stretch(before, seconds[0]), stretch(after, seconds[1]));
        // New alone may be chance: a line that comes once a day is new in most windows.
        if !matches!(change, Change::New | Change::Grown) || score < 3.0 {
            return;
        }
        let link = self.logs_link(place.0.trim(), place.1, None);
        changes.push((score, Changed { what: what.to_owned(), text, change: change.name(), before, after, link }));
    }

    fn logs_link(&self, query: &str, range: TimeRange, line: Option<&str>) -> String {
        let line = line.map(|line| format!("&line={}", percent_encode(line))).unwrap_or_default();
        format!(
            "{}/logs?q={}&from={}&to={}{line}",
            self.external_url,
            percent_encode(query),
            percent_encode(&range.start.to_string()),
            percent_encode(&range.end.to_string())
        )
    }
}

/// The search that finds an alert's lines and how many are wanted: what its rule asks for, what it counts, or errors of the same
/// host and service.
fn lines_query(subject: &Subject) -> Option<(String, usize)> {
    if let Some(asked) = &subject.lines {
        return Some((asked.query.clone(), asked.max));
    }
    // Of an alert that is over only the rule is left.
    if let Some(written) = &subject.facts.log_lines {
        let labels = LabelSet::new(subject.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let context = Context {
            labels: &labels,
            value: f64::NAN,
            external_labels: &Labels::new(),
            external_url: "",
            now: subject.began,
            query: &|_| Err("nothing is asked for an alert that is over".to_owned()),
        };
        return Some((written.query.expand(&context).ok()?, written.max));
    }
    if let Some(logs) = &subject.facts.logs {
        return Some((logs.lines_of(&subject.labels).to_string(), LINES_MAX));
    }
    let scope = scope_query(&subject.labels);
    (!scope.is_empty()).then(|| (format!("{scope} level:>=error"), LINES_MAX))
}

/// The records of the same host and service as an alert's labels, in the search language; empty when they name neither.
fn scope_query(labels: &Labels) -> String {
    let value = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).filter(|value| !value.is_empty());
    let host = value(&["host", "hostname", "node"]).cloned().or_else(|| {
        // Prometheus' instance is host and port.
        let instance = value(&["instance"])?;
        Some(instance.rsplit_once(':').map_or(instance.as_str(), |(host, _)| host).to_owned())
    });
    let service = value(&["service", "service_name"]).cloned();
    let parts =
        [host.map(|host| format!("host:{}", quoted(&host))), service.map(|one| format!("service:{}", quoted(&one)))];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether every label of the series is one of the alert's, but for its name.
fn fits(series: &LabelSet, alert: &Labels) -> bool {
    let mut labels = series.iter().filter(|(name, _)| *name != "__name__");
    labels.all(|(name, value)| alert.get(name).is_none_or(|own| own == value))
}

fn numbers(series: promql::Series) -> Vec<(i64, f64)> {
    series.points
}

fn line(stored: &StoredRecord, link: String) -> Line {
    let record = &stored.record;
    Line {
        id: record_id_text(stored.id),
        time: record.timestamp.to_string(),
        level: record.severity.name().to_owned(),
        host: record.resource.host.to_string(),
        service: record.resource.service.to_string(),
        message: record.body.clone(),
        link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::{START, TRACE, World, record};
    use taffrail_collector::model::{Batch, Severity, TraceId};

    /// Two hours of usual lines, a second host that says the same, and errors in the last ten minutes.
    async fn world() -> World {
        let world = World::empty().await;
        let mut logs = Vec::new();
        for minute in 0..120 {
            let mut usual = record(minute * 60);
            usual.severity = Severity::INFO;
            usual.body = format!("served request {minute}");
            let mut resource = (*usual.resource).clone();
            resource.service = "web".into();
            usual.resource = Arc::new(resource.clone());
            usual.trace_id = None;
            let mut refused = usual.clone();
            logs.push(usual);
            if minute >= 112 {
                refused.severity = Severity::ERROR;
                refused.body = format!("connection {minute} to the database was refused");
                refused.trace_id = TraceId::from_hex(TRACE);
                logs.push(refused.clone());
                resource.host = "h2".into();
                refused.resource = Arc::new(resource);
                logs.push(refused);
            }
        }
        world.deliver(Batch { logs, ..Batch::local() }).await;
        world
    }

    fn gatherer(world: &World) -> Gatherer {
        let series = StoreSource::new(world.app.ingest.series().clone()).with_logs(world.app.ingest.logs().clone());
        let budget = Budget { time_max: Duration::from_secs(60), rows_max: 5, memory_bytes_max: 1 << 26 };
        let logs = world.app.ingest.logs().clone();
        Gatherer::new(logs, Arc::new(series), Arc::new(|_, _, _| None), budget, "http://t".into(), Arc::default())
    }

    fn subject(labels: &[(&str, &str)]) -> Subject {
        Subject {
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            expr: "count_over_time(x[5m]) > 5".to_owned(),
            began: Timestamp::from_unix_seconds(START + 120 * 60),
            lines: None,
            facts: RuleFacts::default(),
        }
    }

    #[tokio::test]
    async fn lines_traces_and_what_grew_are_found_for_the_alerts_host_and_service() {
        let world = world().await;
        let gatherer = gatherer(&world);
        let subject = subject(&[("alertname", "A"), ("service", "web"), ("instance", "h1:9100")]);
        let now = subject.began.saturating_add(Duration::from_secs(60));
        let found = gatherer.look(&subject, now, &Scan::unlimited());
        assert_eq!(found.lines_query, r#"host:"h1" service:"web" level:>=error"#);
        assert_eq!((found.lines.len(), found.lines_total, found.without.as_deref()), (8, 8, None));
        assert_eq!(found.lines[0].message, "connection 119 to the database was refused");
        assert!(found.lines[0].link.starts_with("http://t/logs?q=host%3A%22h1%22"), "{}", found.lines[0].link);
        assert_eq!(found.traces, [TraceLink { id: TRACE.to_owned(), link: format!("http://t/trace/{TRACE}") }]);
        let changed: Vec<(&str, &str, &str)> =
            found.changed.iter().map(|one| (one.what.as_str(), one.text.as_str(), one.change)).collect();
        assert!(changed.contains(&("pattern", "connection <num> to the database was refused", "new")), "{changed:?}");
        assert!(changed.contains(&("level", "error", "new")), "{changed:?}");
        assert!(!changed.iter().any(|(_, text, _)| text.contains("served")), "{changed:?}");
    }

    #[tokio::test]
    async fn a_rule_names_its_lines_and_an_alert_without_host_and_service_has_none() {
        let world = world().await;
        let gatherer = gatherer(&world);
        let mut subject = subject(&[("alertname", "A")]);
        let look = |subject: &Subject| gatherer.look(subject, subject.began, &Scan::unlimited());
        assert_eq!((look(&subject).lines_query.as_str(), look(&subject).lines.len()), ("", 0));
        let asked = LinesAsked { query: "refused host:h2".to_owned(), max: 3, from: subject.began, to: subject.began };
        subject.lines = Some(asked);
        let found = look(&subject);
        assert_eq!((found.lines.len(), found.lines_total), (3, 8));
        assert!(found.lines.iter().all(|line| line.host == "h2"));
    }

    #[tokio::test]
    async fn a_budget_that_is_used_up_is_told() {
        let world = world().await;
        let gatherer = gatherer(&world);
        let subject = subject(&[("service", "web")]);
        let found = gatherer.look(&subject, subject.began, &Scan::new(None, 5));
        let without = found.without.expect("something is missing");
        assert!(without.contains("what changed") && without.contains("alerts.evidence_rows_max = 5"), "{without}");
    }
}
