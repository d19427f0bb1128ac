//! The samples that the comparison of series stores is made of: eight parts of as many series each, a day at 10 s, as
//! Prometheus would send them (running totals and levels). The same numbers in every run.

/// From one sample of a series to the next.
pub const STEP_SECONDS: i64 = 10;
/// How long all of them last.
pub const DAY_SECONDS: i64 = 86_400;
/// Services that the series of a part belong to.
pub const SERVICES: u64 = 20;

/// splitmix64.
pub struct Random(pub u64);

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
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
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

fn diurnal(i: i64) -> f64 {
    1.0 + 0.5 * (i as f64 * STEP_SECONDS as f64 / DAY_SECONDS as f64 * std::f64::consts::TAU).sin()
}

fn rounded(value: f64, places: f64) -> f64 {
    (value * places).round() / places
}

/// One part.
pub struct Part {
    /// The metric's name; a running total's ends in `_total`.
    pub name: &'static str,
    /// The value at a step, from the one before.
    pub next: fn(&mut Random, i64, f64) -> f64,
}

/// All parts.
pub const PARTS: [Part; 8] = [
    Part { name: "poisson_total", next: |r, _, total| total + r.poisson(3.0) },
    Part {
        name: "diurnal_total",

        next: |r, i, total| {
            let mean = 5_000.0 * diurnal(i);
            total + (mean + mean.sqrt() * r.normal()).round()
        },
    },
    Part {
        name: "rare_total",

        next: |r, _, total| total + if r.uniform() < 0.98 { 0.0 } else { 1.0 + r.poisson(1.0) },
    },
    Part { name: "walk", next: |r, _, level| level + (2.6 * r.normal()).round() },
    Part { name: "two_decimals", next: |r, _, level| rounded(level + 0.5 * r.normal(), 100.0) },
    Part { name: "p95", next: |r, i, _| rounded(120.0 * diurnal(i) * (0.1 * r.normal()).exp(), 1_000.0) },
    Part {
        name: "timer_sum",

        next: |r, i, _| {
            let count = 20.0 * diurnal(i);
            (20.0 * count + 20.0 * count.sqrt() * r.normal()).round()
        },
    },
    Part { name: "constant", next: |_, _, _| 42.0 },
];

/// The labels of a part's series.
pub fn labels(part: &Part, number: u64) -> [(&'static str, String); 4] {
    [
        ("__name__", part.name.to_owned()),
        ("env", "production".to_owned()),
        ("host", format!("host-{number:05}")),
        ("service", format!("service-{:02}", number % SERVICES)),
    ]
}
