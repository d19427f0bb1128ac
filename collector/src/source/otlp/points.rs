//! A request of metrics to samples. Pure, but for what is remembered of cumulative exponential histograms.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar as WrittenExemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint, SummaryDataPoint, exemplar, number_data_point,
};

use super::Config;
use super::labels::{Label, ResourceLabels, TARGET_INFO, label, label_set};
use super::message::{MessageForm, ReadError, decoded};
use super::records::{moment, span_id, trace_id};
use crate::frame;
use crate::model::{Exemplar, LabelSet, STALE, Sample, SampleValue, Timestamp};
use crate::source::bucket_counts::{BucketCounts, INDICES, Layout, SCALES};
use crate::source::descriptions::{Description, Descriptions, TooMany};
use crate::source::running_histograms::{Pending, Reading, RunningHistograms, Step, nothing_pending, window_of};
use crate::source::series_type::reading;
use crate::source::statsd::trace_tags::TraceTags;

/// The flag of a point that says: there is no value (any more).
const NO_RECORDED_VALUE: u32 = 1;

/// Reads requests; remembers exponential histograms between them.
#[derive(Debug)]
pub struct Intake {
    config: Config,
    histograms: RunningHistograms,
    descriptions: Descriptions,
}

/// What a request held.
#[derive(Debug)]
pub struct Taken {
    /// To be stored; behind all others what is said of metrics.
    pub samples: Vec<Sample>,
    /// Points that were not taken: how many, by reason, and the series of the first.
    pub rejected: BTreeMap<&'static str, (u64, String)>,
    pending: Pending,
}

impl Intake {
    /// One with the section's settings.
    pub fn new(config: Config) -> Intake {
        Intake { config, histograms: RunningHistograms::default(), descriptions: Descriptions::default() }
    }

    /// Reads a request, decompressed.
    ///
    /// # Errors
    /// When nothing of it can be taken.
    pub fn read(&self, body: &[u8], form: MessageForm, now: Timestamp) -> Result<Taken, ReadError> {
        let request: ExportMetricsServiceRequest = decoded(body, form, "ExportMetricsServiceRequest")?;
        self.take(&request, now)
    }

    /// What was taken is stored: the next counts of histograms go on from these.
    pub fn stored(&self, taken: Taken) {
        self.histograms.commit(taken.pending);
    }

    /// What was taken is not stored: what was said of metrics is told again.
    pub fn not_stored(&self) {
        self.descriptions.forget();
    }

    fn take(&self, request: &ExportMetricsServiceRequest, now: Timestamp) -> Result<Taken, ReadError> {
        let mut gathering = Gathering {
            config: &self.config,
            running: &self.histograms,
            descriptions: &self.descriptions,
            described: Vec::new(),
            now,
            taken: Taken { samples: Vec::new(), rejected: BTreeMap::new(), pending: nothing_pending() },
        };
        for resource in &request.resource_metrics {
            let labels = ResourceLabels::of(resource.resource.as_ref(), &self.config);
            let before = gathering.taken.samples.len();
            for scope in &resource.scope_metrics {
                let scope_name = scope.scope.as_ref().map_or("", |scope| &scope.name);
                let mut shared = vec![("otel_scope_name".to_owned(), scope_name.to_owned())];
                shared.extend_from_slice(&labels.shared);
                for metric in &scope.metrics {
                    gathering.metric(metric, &shared)?;
                }
            }
            gathering.target_info(&labels, before);
        }
        let Gathering { mut taken, described, .. } = gathering;
        taken.samples.extend(described);
        Ok(taken)
    }
}

/// A request as far as it is read.
struct Gathering<'i> {
    config: &'i Config,
    running: &'i RunningHistograms,
    descriptions: &'i Descriptions,
    /// What is said of metrics, as samples.
    described: Vec<Sample>,
    now: Timestamp,
    taken: Taken,
}

/// One point's place: of which metric, with which labels, from when to when.
struct Point<'a> {
    name: &'a str,
    unit: &'static str,
    labels: Vec<Label>,
    shared: &'a [Label],
    trace: TraceTags,
    from: Option<Timestamp>,
    at: Timestamp,
    is_stale: bool,
    is_delta: bool,
}

impl Gathering<'_> {
    fn metric(&mut self, metric: &Metric, shared: &[Label]) -> Result<(), ReadError> {
        let points = match &metric.data {
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Histogram(histogram)) => histogram.data_points.len(),
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
            Some(Data::Summary(summary)) => summary.data_points.len(),
            None => 0,
        };
        let temporality = match &metric.data {
            Some(Data::Sum(sum)) => sum.aggregation_temporality,
            Some(Data::Histogram(histogram)) => histogram.aggregation_temporality,
            Some(Data::ExponentialHistogram(histogram)) => histogram.aggregation_temporality,
            _ => AggregationTemporality::Cumulative as i32,
        };
        let is_delta = match AggregationTemporality::try_from(temporality) {
            Ok(AggregationTemporality::Delta) => true,
            Ok(AggregationTemporality::Cumulative) => false,
            _ => {
                self.reject("unknown_temporality", points as u64, &metric.name);
                return Ok(());
            }
        };
        if metric.name.is_empty() {
            self.reject("metric_without_name", points as u64, "");
            return Ok(());
        }
        let unit = frame::unit(&metric.unit);
        let now = self.now;
        let point = |attributes: &[KeyValue], from: u64, at: u64, flags: u32| {
            let mut trace = TraceTags::default();
            let labels = attributes.iter().map(label).filter(|(name, value)| !trace.take(name, value)).collect();
            Point {
                name: &metric.name,
                unit,
                labels,
                shared,
                trace,
                from: moment(from),
                at: moment(at).unwrap_or(now),
                is_stale: flags & NO_RECORDED_VALUE != 0,
                is_delta,
            }
        };
        macro_rules! each {
            ($written:expr, $take:ident $(, $more:expr)*) => {
                for written in $written {
                    let (from, at) = (written.start_time_unix_nano, written.time_unix_nano);
                    self.$take(&point(&written.attributes, from, at, written.flags), written $(, $more)*)?;
                }
            };
        }
        match &metric.data {
            Some(Data::Gauge(gauge)) => each!(&gauge.data_points, number, false),
            Some(Data::Sum(sum)) => each!(&sum.data_points, number, sum.is_monotonic),
            Some(Data::Histogram(histogram)) => each!(&histogram.data_points, histogram),
            Some(Data::ExponentialHistogram(histogram)) => each!(&histogram.data_points, exponential),
            Some(Data::Summary(summary)) => each!(&summary.data_points, summary),
            None => {}
        }
        self.describe(metric);
        Ok(())
    }

    fn describe(&mut self, metric: &Metric) {
        let kind = match &metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic => "counter",
            Some(Data::Gauge(_) | Data::Sum(_)) => "gauge",
            Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => "histogram",
            Some(Data::Summary(_)) => "summary",
            None => "",
        };
        let said = Description { metric: &metric.name, kind, unit: &metric.unit, help: &metric.description };
        // Type and unit alone are known by the samples.
        if metric.description.is_empty() {
            return;
        }
        match self.descriptions.tell(said, self.now) {
            Ok(told) => self.described.extend(told),
            Err(TooMany) => self.reject(TooMany::REASON, 0, &metric.name),
        }
    }

    fn number(&mut self, point: &Point<'_>, written: &NumberDataPoint, grows: bool) -> Result<(), ReadError> {
        let value = match written.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            None if point.is_stale => STALE,
            None => {
                self.reject("point_without_value", 1, point.name);
                return Ok(());
            }
        };
        let exemplars = point.exemplars(&written.exemplars, Some(value));
        self.push(point, "", None, value, grows, exemplars)
    }

    fn histogram(&mut self, point: &Point<'_>, written: &HistogramDataPoint) -> Result<(), ReadError> {
        let bounds = &written.explicit_bounds;
        let counts = &written.bucket_counts;
        let has_buckets = !counts.is_empty() && counts.len() == bounds.len() + 1;
        if !(has_buckets || counts.is_empty()) || bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
            self.reject("malformed_histogram", 1, point.name);
            return Ok(());
        }
        let mut exemplars: BTreeMap<usize, Vec<Exemplar>> = BTreeMap::new();
        for exemplar in point.exemplars(&written.exemplars, None) {
            let bucket = bounds.partition_point(|bound| *bound < exemplar.value);
            exemplars.entry(bucket).or_default().push(exemplar);
        }
        if has_buckets {
            let mut below = 0u64;
            for (at, count) in counts.iter().enumerate() {
                below = below.saturating_add(*count);
                let le = bounds.get(at).map_or("+Inf".to_owned(), f64::to_string);
                let exemplars = exemplars.remove(&at).unwrap_or_default();
                self.push(point, "_bucket", Some(("le".to_owned(), le)), below as f64, true, exemplars)?;
            }
        }
        let left = exemplars.into_values().flatten().collect();
        self.push(point, "_count", None, written.count as f64, true, left)?;
        match written.sum {
            Some(sum) => self.push(point, "_sum", None, sum, true, Vec::new()),
            None => Ok(()),
        }
    }

    fn summary(&mut self, point: &Point<'_>, written: &SummaryDataPoint) -> Result<(), ReadError> {
        for quantile in &written.quantile_values {
            let label = ("quantile".to_owned(), quantile.quantile.to_string());
            self.push(point, "", Some(label), quantile.value, false, Vec::new())?;
        }
        self.push(point, "_count", None, written.count as f64, true, Vec::new())?;
        self.push(point, "_sum", None, written.sum, true, Vec::new())
    }

    fn exponential(&mut self, point: &Point<'_>, written: &ExponentialHistogramDataPoint) -> Result<(), ReadError> {
        let Some(labels) = self.labels(point, "", None) else { return Ok(()) };
        if point.is_stale {
            RunningHistograms::end(&mut self.taken.pending, &labels);
            return Ok(());
        }
        let sides = [&written.positive, &written.negative].map(|side| side.as_ref().map_or(Some(Vec::new()), buckets));
        let [Some(positive), Some(negative)] = sides else {
            self.reject("malformed_histogram", 1, point.name);
            return Ok(());
        };
        if !SCALES.contains(&written.scale) {
            self.reject("unknown_histogram_scale", 1, point.name);
            return Ok(());
        }
        let counts = BucketCounts {
            layout: Layout::Powers(written.scale),
            zero_threshold: written.zero_threshold.max(0.0),
            zero: written.zero_count as f64,
            positive,
            negative,
            count: written.count as f64,
            sum: written.sum.filter(|sum| sum.is_finite()).unwrap_or(0.0),
        };
        let exemplars = point.exemplars(&written.exemplars, None);
        let window = if point.is_delta {
            let value = SampleValue::Distribution(Box::new(counts.distribution(written.min, written.max)));
            window_of(&labels, point.unit, point.from.unwrap_or(point.at), point.at, value)
        } else {
            let reading = Reading { at: point.at, started: point.from, counts };
            match self.running.step(&mut self.taken.pending, &labels, point.unit, reading) {
                Step::Window(window) => window,
                // What was sent again is stored already.
                Step::First | Step::Quiet | Step::NotNewer => return Ok(()),
                Step::TooMany => {
                    self.reject("too_many_histograms", 1, point.name);
                    return Ok(());
                }
            }
        };
        self.add(Sample { exemplars, ..window })
    }

    /// Adds a value of the point's series with this suffix and label.
    fn push(
        &mut self,
        point: &Point<'_>,
        suffix: &str,
        own: Option<Label>,
        value: f64,
        grows: bool,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), ReadError> {
        let Some(labels) = self.labels(point, suffix, own) else { return Ok(()) };
        // A count has no unit of its own.
        let unit = if matches!(suffix, "_count" | "_bucket") { "" } else { point.unit };
        let sample = match (point.is_stale, point.is_delta) {
            // Where windows simply cease there is nothing to mark.
            (true, true) => return Ok(()),
            (false, true) => {
                window_of(&labels, unit, point.from.unwrap_or(point.at), point.at, SampleValue::Counter { sum: value })
            }
            (is_stale, false) => {
                let value = reading(if is_stale { STALE } else { value }, grows);
                Sample { labels, timestamp: point.at, interval_ms: 0, value, unit, exemplars: Vec::new() }
            }
        };
        self.add(Sample { exemplars, ..sample })
    }

    fn add(&mut self, sample: Sample) -> Result<(), ReadError> {
        if self.taken.samples.len() == self.config.samples_max {
            return Err(ReadError::TooManySamples(self.config.samples_max));
        }
        self.taken.samples.push(sample);
        Ok(())
    }

    fn labels(&mut self, point: &Point<'_>, suffix: &str, own: Option<Label>) -> Option<Arc<LabelSet>> {
        let name = format!("{}{suffix}", point.name);
        let labels = label_set(&name, &[point.shared, &point.labels, own.as_slice()], self.config.labels_bytes_max);
        if labels.is_none() {
            self.reject("labels_too_long", 1, &name);
        }
        labels
    }

    /// What else is known of a resource, at the time of its newest point, if there was one.
    fn target_info(&mut self, labels: &ResourceLabels, from: usize) {
        let end =
            |sample: &Sample| sample.timestamp.saturating_add(Duration::from_millis(u64::from(sample.interval_ms)));
        let newest = self.taken.samples[from..].iter().map(end).max();
        let (Some(timestamp), false) = (newest, labels.others.is_empty()) else { return };
        match label_set(TARGET_INFO, &[&labels.shared, &labels.others], self.config.labels_bytes_max) {
            Some(labels) => {
                let value = reading(1.0, false);
                let info = Sample { labels, timestamp, interval_ms: 0, value, unit: "", exemplars: Vec::new() };
                self.taken.samples.push(info);
            }
            None => self.reject("labels_too_long", 1, TARGET_INFO),
        }
    }

    fn reject(&mut self, reason: &'static str, points: u64, name: &str) {
        let rejected = self.taken.rejected.entry(reason).or_insert_with(|| (0, name.to_owned()));
        rejected.0 += points;
    }
}

impl Point<'_> {
    /// Those of the point, and the trace that its own labels name, with the point's value.
    fn exemplars(&self, written: &[WrittenExemplar], value: Option<f64>) -> Vec<Exemplar> {
        let read = |one: &WrittenExemplar| {
            let trace_id = trace_id(&one.trace_id)?;
            let value = match one.value.as_ref()? {
                exemplar::Value::AsDouble(value) => *value,
                exemplar::Value::AsInt(value) => *value as f64,
            };
            let timestamp = moment(one.time_unix_nano).unwrap_or(self.at);
            Some(Exemplar { timestamp, value, trace_id, span_id: span_id(&one.span_id) })
        };
        let (timestamp, span_id) = (self.at, self.trace.span_id);
        let of_labels = value.zip(self.trace.trace_id);
        let of_labels = of_labels.map(|(value, trace_id)| Exemplar { timestamp, value, trace_id, span_id });
        written.iter().filter_map(read).chain(of_labels).collect()
    }
}

/// OpenTelemetry's bucket `i` begins where ours ends.
fn buckets(buckets: &Buckets) -> Option<Vec<(i32, f64)>> {
    let mut found = Vec::new();
    for (at, &count) in buckets.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let index = i32::try_from(i64::from(buckets.offset) + at as i64 + 1).ok();
        found.push((index.filter(|index| INDICES.contains(index))?, count as f64));
    }
    Some(found)
}
