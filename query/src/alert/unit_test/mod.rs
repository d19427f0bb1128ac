//! Unit tests of rules in the files that Prometheus' `promtool test rules` reads
//! (<https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/>), and `input_logs` beside `input_series` for
//! what looks at logs:
//!
//! ```yaml
//! rule_files: [rules.yml]
//! tests:
//!   - interval: 1m
//!     input_series:
//!       - { series: 'up{job="shop"}', values: '1 1 0x10' }
//!     input_logs:                                  # times count from the test's start
//!       - { at: 2m, every: 10s, times: 6, level: error, service: shop, message: payment failed, fields: { status: 502 } }
//!     alert_rule_test:
//!       - { eval_time: 5m, alertname: ShopDown, exp_alerts: [ { exp_labels: { job: shop } } ] }
//!     promql_expr_test:
//!       - { expr: 'count(up)', eval_time: 1m, exp_samples: [ { labels: '{}', value: 1 } ] }
//! ```
//!
//! What is evaluated is what a server evaluates: the same groups, the same states, the same stores. Two expectations of NaN are
//! met here and never there.
//!
//! Reading order: `file` (what it says), `input_logs` (a store for a test's records), `run` (the evaluations), `difference` (what
//! is not as expected).

mod difference;
mod file;
mod input_logs;
mod run;

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::rule::{Group, Problem, parse_rules};
use super::rule_files::{FILE_BYTES_MAX, RuleFiles, found};

/// What a file's tests showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Expectations that were met.
    pub passed: usize,
    /// Those that were not, in the file's order.
    pub failures: Vec<Failure>,
    /// What is odd and may be meant: a pattern that no rules file matches.
    pub remarks: Vec<String>,
}

/// An expectation that was not met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The test file, as it was named.
    pub file: String,
    /// The line of the expectation.
    pub line: u64,
    /// The column in characters.
    pub column: u64,
    /// The test's name, or its number in the file.
    pub test: String,
    /// What differs.
    pub message: String,
}

/// Runs a file's tests; its rules files are found beside it. The error lists what is wrong with the file or its rules. Blocks.
pub fn run_file(path: &Path) -> Result<Report, Vec<Problem>> {
    let shown = path.display().to_string();
    let whole_file = |message: String| vec![Problem { file: shown.clone(), line: 0, column: 0, message }];
    let length = fs::metadata(path).map_err(|error| whole_file(format!("it cannot be read: {error}")))?.len();
    if length > FILE_BYTES_MAX {
        return Err(whole_file(format!("a file of tests holds at most {} MiB", FILE_BYTES_MAX >> 20)));
    }
    let text = fs::read_to_string(path).map_err(|error| whole_file(format!("it cannot be read: {error}")))?;
    let file = file::parse(&shown, &text)?;
    let (mut patterns, mut remarks) = (Vec::new(), Vec::new());
    for pattern in &file.rule_files {
        let beside = path.parent().unwrap_or(Path::new("")).join(pattern).display().to_string();
        match found(&beside) {
            Ok(true) => patterns.push(beside),
            Ok(false) => remarks.push(format!("{shown}: rule_files: no file matches {pattern}")),
            Err(message) => return Err(whole_file(message)),
        }
    }
    let groups = RuleFiles::read(&patterns, &[])?.parse()?;
    let report = run::run(&file, groups)?;
    Ok(Report { remarks, ..report })
}

/// Runs tests whose rules are at hand as texts: `rules` holds names and texts. Blocks.
pub fn run_texts(file: &str, tests: &str, rules: &[(&str, &str)]) -> Result<Report, Vec<Problem>> {
    let parsed = file::parse(file, tests)?;
    let mut groups: Vec<Group> = Vec::new();
    for (name, text) in rules {
        groups.extend(parse_rules(name, text)?);
    }
    run::run(&parsed, groups)
}

#[cfg(test)]
mod tests;
