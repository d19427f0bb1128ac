//! What a series of the Prometheus world measures, by its declared type or, without one, by its name.

use crate::model::SampleValue;

/// Types as OpenMetrics, remote write and the text format name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeriesType {
    /// Nothing was said.
    #[default]
    Unknown,
    /// A running total.
    Counter,
    /// A level; also what is counted in a gauge histogram, an info and a state set.
    Gauge,
    /// Running totals by bucket.
    Histogram,
    /// Quantiles, which are levels, beside a running sum and count.
    Summary,
}

/// Whether a series of this name is a running total where nothing is said of its type: by Prometheus' naming of counters and
/// of the parts of histograms and summaries.
pub fn is_running_total_by_name(name: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

impl SeriesType {
    /// Its word in the text formats; empty when nothing was said.
    pub const fn word(self) -> &'static str {
        match self {
            SeriesType::Unknown => "",
            SeriesType::Counter => "counter",
            SeriesType::Gauge => "gauge",
            SeriesType::Histogram => "histogram",
            SeriesType::Summary => "summary",
        }
    }

    /// The metric that a series of this name is a part of.
    pub fn metric_of(self, name: &str) -> &str {
        let parts: &[&str] = match self {
            SeriesType::Histogram => &["_bucket", "_count", "_sum"],
            SeriesType::Summary => &["_count", "_sum"],
            _ => &[],
        };
        parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name)
    }

    /// Whether a series of this type is a running total; `by_name` says what [`is_running_total_by_name`] says of its name.
    pub fn is_running_total(self, by_name: bool) -> bool {
        match self {
            SeriesType::Counter => true,
            SeriesType::Gauge => false,
            SeriesType::Unknown | SeriesType::Histogram | SeriesType::Summary => by_name,
        }
    }
}

/// A reading as a sample's value; a staleness marker keeps its bits.
#[inline]
pub fn reading(value: f64, is_running_total: bool) -> SampleValue {
    if is_running_total {
        SampleValue::Cumulative { total: value }
    } else {
        SampleValue::Gauge { last: value, min: value, max: value }
    }
}
