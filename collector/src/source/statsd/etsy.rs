//! What etsy's StatsD says of a timer, computed from its values exactly as there, for those who bring dashboards along.
//!
//! Of a timer `k` it makes gauges `stats.timers.k.…` with the timer's labels, for each window in which a value came:
//!
//! ```text
//! count      Σ 1 ÷ rate                      lower upper     the least and the greatest value
//! count_ps   count ÷ seconds of the window   median          the middle one, or the mean of the two in the middle
//! sum mean sum_squares std                   of the values as sent; std is the population's
//! count_P mean_P upper_P sum_P sum_squares_P     of the round(P ÷ 100 · n) least values, P > 0; left out when that is none
//! count_topP mean_topP lower_topP sum_topP …     of as many of the greatest, P < 0
//! histogram.bin_B                            values below B that no bin before it holds; those above the last are in none
//! ```
//! `.` in P and B is written `_`. As in etsy's, rates weigh only `count` and `count_ps`. Unlike there nothing is sent for windows
//! without a value. Such figures can be merged neither over hosts nor over time: the timer's own sketch, which is kept as well, can.
//! Source: `statsd/statsd:lib/process_metrics.js`, `backends/graphite.js` (the names of `legacyNamespace`), `docs/metric_types.md`.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::label_set::NAME_LABEL;
use crate::model::{LabelSet, Sample, SampleValue};
use crate::source::StartError;

/// Values kept of one timer in one window: 8 MiB. Of a timer with more nothing is computed, and that is counted.
pub const VALUES_MAX: usize = 1 << 20;

/// `collector.statsd.etsy_histograms`: a timer whose name holds `metric` has these bins; the first that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Histogram {
    /// A part of the names; the empty text is part of all.
    pub metric: String,
    /// Upper limits, each not part of its bin, in rising order.
    pub bins: Vec<Bin>,
}

/// An upper limit: a number, or `"inf"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin(pub f64);

/// What is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Etsy {
    percentiles: Vec<f64>,
    histograms: Vec<Histogram>,
}

impl Etsy {
    /// By these settings; none when no percentile is asked for.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn new(percentiles: &[f64], histograms: &[Histogram]) -> Result<Option<Etsy>, StartError> {
        if let Some(wrong) = percentiles.iter().find(|p| !(p.abs() > 0.0 && p.abs() <= 100.0)) {
            let message = format!("{wrong} is not between 0 and 100; below zero for the greatest values");
            return Err(StartError { setting: "collector.statsd.etsy_percentiles", message });
        }
        let rising = |bins: &[Bin]| bins.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if let Some(wrong) = histograms.iter().find(|histogram| !rising(&histogram.bins)) {
            let message = format!("the bins of \"{}\" do not rise", wrong.metric);
            return Err(StartError { setting: "collector.statsd.etsy_histograms", message });
        }
        let etsy = Etsy { percentiles: percentiles.to_vec(), histograms: histograms.to_vec() };
        Ok((!percentiles.is_empty()).then_some(etsy))
    }

    /// The gauges of one timer's window, whose values as they came are these; none when they are more than [`VALUES_MAX`].
    pub fn samples(&self, timer: &Sample, mut values: Vec<f64>) -> Option<Vec<Sample>> {
        let SampleValue::Distribution(seen) = &timer.value else { return Some(Vec::new()) };
        if values.len() > VALUES_MAX {
            return None;
        }
        let Sample { timestamp, interval_ms, ref labels, .. } = *timer;
        let interval = Duration::from_millis(interval_ms.into());
        let name = etsy_name(labels.name());
        let sample = |(suffix, value): (String, f64)| {
            let name = format!("stats.timers.{name}.{suffix}");
            let others = labels.iter().filter(|(label, _)| *label != NAME_LABEL);
            Sample {
                labels: Arc::new(LabelSet::new(others.chain([(NAME_LABEL, &*name)]))),
                timestamp,
                interval_ms,
                value: SampleValue::Gauge { last: value, min: value, max: value },
                unit: "",
                exemplars: Vec::new(),
            }
        };
        Some(self.figures(labels.name(), &mut values, seen.count, interval).into_iter().map(sample).collect())
    }

    fn figures(&self, name: &str, values: &mut [f64], count: f64, interval: Duration) -> Vec<(String, f64)> {
        values.sort_by(f64::total_cmp);
        let (Some(&lower), Some(&upper)) = (values.first(), values.last()) else { return Vec::new() };
        let all = Moments::of(values);
        let squared_distances: f64 = values.iter().map(|value| (value - all.mean()).powi(2)).sum();
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        let mut figures: Vec<(String, f64)> = [
            ("count", count),
            ("count_ps", count / interval.as_secs_f64()),
            ("lower", lower),
            ("upper", upper),
            ("sum", all.sum),
            ("sum_squares", all.sum_squares),
            ("mean", all.mean()),
            ("median", median),
            ("std", (squared_distances / all.count).sqrt()),
        ]
        .map(|(suffix, value)| (suffix.to_owned(), value))
        .into();
        for &percentile in &self.percentiles {
            figures.extend(of_percentile(percentile, values));
        }
        if let Some(histogram) = self.histograms.iter().find(|histogram| name.contains(&histogram.metric)) {
            figures.extend(bins(&histogram.bins, values));
        }
        figures.retain(|(_, value)| value.is_finite()); // squares of great values overflow
        figures
    }
}

/// Sums over some values.
struct Moments {
    count: f64,
    sum: f64,
    sum_squares: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Moments {
        Moments {
            count: values.len() as f64,
            sum: values.iter().sum(),
            sum_squares: values.iter().map(|value| value * value).sum(),
        }
    }

    fn mean(&self) -> f64 {
        self.sum / self.count
    }
}

/// The figures of the least or greatest of some sorted values.
fn of_percentile(percentile: f64, values: &[f64]) -> Vec<(String, f64)> {
    let share = percentile.abs() / 100.0 * values.len() as f64;
    // JavaScript's Math.round: a half goes up. A single value is always in.
    let within = if values.len() == 1 { 1 } else { ((share + 0.5).floor() as usize).min(values.len()) };
    let (inside, boundary) = match percentile > 0.0 {
        true => (&values[..within], "upper"),
        false => (&values[values.len() - within..], "lower"),
    };
    let edge = if percentile > 0.0 { inside.last() } else { inside.first() };
    let Some(&edge) = edge else { return Vec::new() };
    let moments = Moments::of(inside);
    let suffix = percentile.to_string().replace('.', "_").replace('-', "top");
    [
        ("count", moments.count),
        ("mean", moments.mean()),
        (boundary, edge),
        ("sum", moments.sum),
        ("sum_squares", moments.sum_squares),
    ]
    .map(|(figure, value)| (format!("{figure}_{suffix}"), value))
    .into()
}

fn bins(bins: &[Bin], sorted: &[f64]) -> Vec<(String, f64)> {
    let mut counted = 0;
    let mut of_bin = |bin: &Bin| {
        let below = sorted.partition_point(|value| *value < bin.0);
        let freshly = below - counted;
        counted = below;
        (format!("histogram.bin_{}", bin.to_string().replace('.', "_")), freshly as f64)
    };
    bins.iter().map(&mut of_bin).collect()
}

/// A name as etsy's server writes it: spaces become `_`, slashes `-`, and what is neither letter, digit, `_`, `-`, `.` goes.
fn etsy_name(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut after_space = false;
    for c in name.chars() {
        match c {
            c if c.is_whitespace() && after_space => {}
            c if c.is_whitespace() => written.push('_'),
            '/' => written.push('-'),
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ';' | '=') => written.push(c),
            _ => {}
        }
        after_space = c.is_whitespace();
    }
    written
}

impl std::fmt::Display for Bin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Bin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_infinite() { serializer.serialize_str("inf") } else { serializer.serialize_f64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Bin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bin, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(limit) if limit.is_finite() => Ok(Bin(limit)),
            Written::Word(word) if word == "inf" => Ok(Bin(f64::INFINITY)),
            _ => Err(serde::de::Error::custom("a bin is a number or \"inf\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Distribution, Timestamp};

    fn check(percentiles: &[f64], bins: &[f64], values: &[f64], expected: &str) {
        let bins = bins.iter().map(|bin| Bin(*bin)).collect();
        let etsy = Etsy::new(percentiles, &[Histogram { metric: "a".into(), bins }]).unwrap().unwrap();
        let figures = etsy.figures("an a", &mut values.to_vec(), values.len() as f64, Duration::from_secs(10));
        let shown: Vec<String> = figures.iter().skip(9).map(|(suffix, value)| format!("{suffix}={value}")).collect();
        assert_eq!(shown.join(" "), expected, "{percentiles:?} of {values:?}");
    }

    #[test]
    fn the_figures_of_all_values_are_etsys() {
        let etsy = Etsy::new(&[90.0], &[]).unwrap().unwrap();
        let mut seen = Distribution::new();
        [300.0, 100.0, 200.0].into_iter().for_each(|value| seen.observe(value, 10.0));
        let timer = Sample {
            labels: Arc::new(LabelSet::new([(NAME_LABEL, "web/page load"), ("env", "prod")])),
            timestamp: Timestamp::from_unix_seconds(10),
            interval_ms: 10_000,
            value: SampleValue::Distribution(Box::new(seen)),
            unit: "ms",
            exemplars: Vec::new(),
        };
        assert_eq!(etsy.samples(&timer, vec![0.0; VALUES_MAX + 1]), None);
        let samples = etsy.samples(&timer, vec![300.0, 100.0, 200.0]).unwrap();
        let shown: Vec<String> = samples
            .iter()
            .map(|sample| {
                let SampleValue::Gauge { last, .. } = sample.value else { panic!("{sample:?}") };
                assert_eq!(sample.labels.get("env"), "prod");
                format!("{}={last:.3}", sample.labels.name().trim_start_matches("stats.timers.web-page_load."))
            })
            .collect();
        let expected = [
            "count=30.000",
            "count_ps=3.000",
            "lower=100.000",
            "upper=300.000",
            "sum=600.000",
            "sum_squares=140000.000",
            "mean=200.000",
            "median=200.000",
            "std=81.650",
            "count_90=3.000",
            "mean_90=200.000",
            "upper_90=300.000",
            "sum_90=600.000",
            "sum_squares_90=140000.000",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn percentiles_are_of_the_least_values_and_below_zero_of_the_greatest() {
        let values = [100.0, 200.0, 300.0];
        check(&[80.0], &[], &values, "count_80=2 mean_80=150 upper_80=200 sum_80=300 sum_squares_80=50000");
        check(
            &[-50.0],
            &[],
            &values,
            "count_top50=2 mean_top50=250 lower_top50=200 sum_top50=500 sum_squares_top50=130000",
        );
        check(&[-10.0, 10.0], &[], &values, "");
        check(&[100.0], &[], &[5.0], "count_100=1 mean_100=5 upper_100=5 sum_100=5 sum_squares_100=25");
        check(&[-10.0], &[], &[5.0], "count_top10=1 mean_top10=5 lower_top10=5 sum_top10=5 sum_squares_top10=25");
        check(&[99.9], &[], &[1.0, 3.0], "count_99_9=2 mean_99_9=2 upper_99_9=3 sum_99_9=4 sum_squares_99_9=10");
        // Half a value goes up: 50 % of 3 are 2.
        check(&[50.0], &[], &values, "count_50=2 mean_50=150 upper_50=200 sum_50=300 sum_squares_50=50000");
    }

    #[test]
    fn bins_hold_what_is_below_their_limit_and_nothing_above_the_last() {
        let values = [0.0, 1.0, 1.5, 2.0, 5.0, 9.0];
        let of_bins = |bins: &[f64], expected| check(&[-1.0], bins, &values, expected);
        of_bins(&[1.0, 2.0, 5.0], "histogram.bin_1=1 histogram.bin_2=2 histogram.bin_5=1");
        of_bins(&[1.5, f64::INFINITY], "histogram.bin_1_5=2 histogram.bin_inf=4");
        of_bins(&[], "");
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for percentile in [0.0, 101.0, -100.5, f64::NAN] {
            assert!(Etsy::new(&[percentile], &[]).is_err(), "{percentile}");
        }
        let falling = Histogram { metric: String::new(), bins: vec![Bin(2.0), Bin(1.0)] };
        assert!(Etsy::new(&[90.0], &[falling]).is_err());
        assert_eq!(Etsy::new(&[], &[]).unwrap(), None);
        let read: Histogram = serde_json::from_str(r#"{"metric":"","bins":[1,2.5,"inf"]}"#).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"metric":"","bins":[1.0,2.5,"inf"]}"#);
        assert!(serde_json::from_str::<Bin>("\"nan\"").is_err());
    }
}
