//! How many bytes a window takes in a chunk of a day, times included, on the mix of series that the comparison with other
//! stores was made with (Gorilla takes 1.2–7 bytes there, VictoriaMetrics' way 0.5–2.5; whole files are compared by
//! `make bench`). Run with `--nocapture` to see the table.

use taffrail_collector::model::{Distribution, SampleValue};

use super::chunk;
use super::points::Points;

/// splitmix64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.uniform(), 0.0);
        while product > limit {
            product *= self.uniform();
            count += 1.0;
        }
        count
    }
}

const GRID_SECONDS: i64 = 10;

/// Bytes a window of `series` series over `hours`, each in a chunk of its own, whose `i`th value is made by `value`.
fn measure(series: u64, hours: i64, mut value: impl FnMut(&mut Random, i64, &mut f64) -> SampleValue) -> f64 {
    let (mut windows, mut bytes) = (0, 0);
    for number in 0..series {
        let (mut random, mut state) = (Random(number + 1), 50.0);
        let mut points: Option<Points> = None;
        for i in 0..hours * 3_600 / GRID_SECONDS {
            let value = value(&mut random, i, &mut state);
            let end = (1_700_006_400 + i * GRID_SECONDS) * 1_000_000_000;
            points.get_or_insert_with(|| Points::new(value.kind())).insert(end, value);
        }
        let points = points.expect("there are windows");
        windows += points.len();
        bytes += chunk::encode(&[points]).len();
    }
    bytes as f64 / windows as f64
}

fn gauge(level: f64) -> SampleValue {
    SampleValue::Gauge { last: level, min: level, max: level }
}

fn counter(sum: f64) -> SampleValue {
    SampleValue::Counter { sum }
}

fn diurnal(i: i64) -> f64 {
    1.0 + 0.5 * (i as f64 * GRID_SECONDS as f64 / 86_400.0 * std::f64::consts::TAU).sin()
}

fn rounded(value: f64, places: f64) -> f64 {
    (value * places).round() / places
}

fn timer(observations: usize) -> impl Fn(&mut Random, i64, &mut f64) -> SampleValue {
    move |random, _, _| {
        let mut window = Distribution::new();
        (0..observations).for_each(|_| window.observe(((random.normal() * 0.8 + 3.0).exp() * 1e3).round() / 1e3, 1.0));
        SampleValue::Distribution(Box::new(window))
    }
}

#[test]
fn ordinary_metrics_take_less_than_a_byte_a_window() {
    let rows = [
        ("counter Poisson(3)", 0.37, measure(4, 24, |r, _, _| counter(r.poisson(3.0)))),
        (
            "counter ~5000 diurnal",
            1.07,
            measure(4, 24, |r, i, _| {
                counter((5_000.0 * diurnal(i) + (5_000.0 * diurnal(i)).sqrt() * r.normal()).round())
            }),
        ),
        (
            "counter 98 % zero",
            0.05,
            measure(4, 24, |r, _, _| counter(if r.uniform() < 0.98 { 0.0 } else { 1.0 + r.poisson(1.0) })),
        ),
        (
            "gauge integer walk",
            0.46,
            measure(4, 24, |r, _, s| {
                *s += (2.6 * r.normal()).round();
                gauge(*s)
            }),
        ),
        (
            "gauge two decimals",
            1.0,
            measure(4, 24, |r, _, s| {
                *s = rounded(*s + 0.5 * r.normal(), 100.0);
                gauge(*s)
            }),
        ),
        (
            "p95 three decimals",
            2.0,
            measure(4, 24, |r, i, _| gauge(rounded(120.0 * diurnal(i) * (0.1 * r.normal()).exp(), 1_000.0))),
        ),
        (
            "timer's sum",
            1.12,
            measure(4, 24, |r, i, _| {
                counter((400.0 * diurnal(i) + 20.0 * (20.0 * diurnal(i)).sqrt() * r.normal()).round())
            }),
        ),
        ("constant", 0.03, measure(4, 24, |_, _, _| gauge(42.0))),
        ("irrational f64", 6.7, measure(4, 24, |r, _, _| gauge(100.0 / (1.0 + r.uniform())))),
        ("timer, 20 a window", 20.0, measure(1, 2, timer(20))),
        ("timer, 100 a window", 42.0, measure(1, 2, timer(100))),
        ("timer, 500 a window", 80.0, measure(1, 2, timer(500))),
    ];
    for (name, _, bytes) in &rows {
        println!("{name:<24} {bytes:>8.3} B/window");
    }
    let mix = rows[..8].iter().map(|row| row.2).sum::<f64>() / 8.0;
    println!("{:<24} {mix:>8.3} B/window", "mean of the first eight");
    for (name, most, bytes) in rows {
        assert!(bytes <= most, "{name}: {bytes} B a window, more than {most}");
    }
}
