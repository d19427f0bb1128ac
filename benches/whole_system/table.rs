//! The table: a line as soon as it is measured, with the target beside the figure and a mark where it is missed.

use std::fmt::Write;

/// A figure's median and spread.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The middle one; of an even number, the upper of the two.
    pub median: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// Of these samples, one at least.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Spread {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
        Spread { median: sorted[sorted.len() / 2], low, high, count: sorted.len() }
    }

    /// Of one figure.
    pub fn one(figure: f64) -> Spread {
        Spread::of([figure])
    }
}

/// What stands beside a figure.
#[derive(Clone, Copy, Default)]
pub struct Beside<'a> {
    /// The most that the figure should be.
    pub target: Option<f64>,
    /// The least that the figure should be.
    pub least: Option<f64>,
    /// What else is worth knowing.
    pub remark: &'a str,
}

/// Prints lines and remembers what went wrong.
#[derive(Default)]
pub struct Table {
    missed: usize,
    wrong: Vec<String>,
}

impl Table {
    /// Starts the table.
    pub fn begin() -> Table {
        println!("| what | median | min–max | target | | |\n|---|---|---|---|---|---|");
        Table::default()
    }

    /// A line with a figure in this unit.
    pub fn row(&mut self, what: &str, unit: &str, figure: Spread, beside: Beside<'_>) {
        let missed = beside.target.is_some_and(|target| figure.median > target)
            || beside.least.is_some_and(|least| figure.median < least);
        self.missed += usize::from(missed);
        let mut line = format!("| {what} | {} {unit} |", number(figure.median));
        if figure.count > 1 {
            let _ = write!(line, " {}–{} of {}", number(figure.low), number(figure.high), figure.count);
        }
        let target = match (beside.target, beside.least) {
            (Some(target), _) => format!("≤ {}", number(target)),
            (None, Some(least)) => format!("≥ {}", number(least)),
            (None, None) => String::new(),
        };
        println!("{line} | {target} | {} | {} |", if missed { "**missed**" } else { "" }, beside.remark);
    }

    /// A line for what could not be measured because the answer was wrong.
    pub fn wrong(&mut self, what: &str, why: &str) {
        println!("| {what} | – | | | **WRONG** | {why} |");
        self.note_wrong(format!("{what}: {why}"));
    }

    /// Remembers a wrong answer that stands elsewhere.
    pub fn note_wrong(&mut self, why: String) {
        self.wrong.push(why);
    }

    /// Sums up; false when an answer was wrong.
    pub fn end(self) -> bool {
        println!("\n{} targets missed, {} answers wrong", self.missed, self.wrong.len());
        for wrong in &self.wrong {
            eprintln!("WRONG ANSWER: {wrong}");
        }
        self.wrong.is_empty()
    }
}

/// Three digits that count; whole numbers as they are, long ones in groups.
pub fn number(value: f64) -> String {
    match value.abs() {
        small if small < 1e4 && small.fract() == 0.0 => format!("{value:.0}"),
        1e4.. => {
            let digits = format!("{value:.0}");
            let grouped: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).expect("digits")).collect();
            grouped.join(",")
        }
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
