//! Series with many points, written out as they are: a value of JSON for every number of a day would take longer than finding
//! them.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use taffrail_collector::model::LabelSet;
use taffrail_query::promql::{Histogram, Series};

use super::notation::{Number, histogram, moment};

/// Series as `[{"metric":{…},"values":[[1435781430.781,"1"],…]},…]`; native histograms stand under `histograms`.
pub struct Matrix<'a>(pub &'a [Series]);

struct Row<'a>(&'a Series);
struct Labels<'a>(&'a LabelSet);
struct Values<'a>(&'a [(i64, f64)]);
struct Histograms<'a, T>(&'a [(i64, T)]);
/// A moment in milliseconds.
struct Moment(i64);

impl Serialize for Matrix<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Row))
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Row(series) = self;
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("metric", &Labels(&series.labels))?;
        if !series.points.is_empty() || series.histograms.is_empty() {
            row.serialize_entry("values", &Values(&series.points))?;
        }
        if !series.histograms.is_empty() {
            row.serialize_entry("histograms", &Histograms(&series.histograms))?;
        }
        row.end()
    }
}

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut points = serializer.serialize_seq(Some(self.0.len()))?;
        for &(at, value) in self.0 {
            points.serialize_element(&(Moment(at), Text(Number(value))))?;
        }
        points.end()
    }
}

impl<T: AsRef<Histogram>> Serialize for Histograms<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(at, of)| (Moment(*at), histogram(of.as_ref()))))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        moment(self.0).serialize(serializer)
    }
}

/// What it shows as a string of JSON.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn series_are_written_as_prometheus_writes_them() {
        let labels = Arc::new(LabelSet::new([("__name__", "up"), ("job", "a\"b")]));
        let points = vec![(1_435_781_430_781, 1.5), (1_435_781_431_000, f64::NAN), (2_000, -0.0)];
        let series = [Series::of_numbers(labels, points), Series::of_numbers(Arc::default(), Vec::new())];
        let expected = json!([
            {
                "metric": { "__name__": "up", "job": "a\"b" },
                "values": [[1_435_781_430.781, "1.5"], [1_435_781_431, "NaN"], [2, "-0"]],
            },
            { "metric": {}, "values": [] },
        ]);
        assert_eq!(json!(Matrix(&series)), expected);
        assert_eq!(serde_json::to_string(&Matrix(&series[1..])).unwrap(), r#"[{"metric":{},"values":[]}]"#);
    }
}
