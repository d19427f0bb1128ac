//! Runs test scripts in Prometheus' plain-text format (`promql/promqltest`): `load` puts series in memory, `eval` asks and
//! compares. `taffrail promql test` runs people's own scripts, our tests run Prometheus'.
//!
//! `script` reads commands, `notation` the values of series (`0+10x5 _ stale`), `memory` holds what is loaded, `compare` says
//! what differs. Native histograms (`{{schema:0 …}}`) are read and left out; an `eval` that fails because its series hold some
//! is counted apart.

mod classic;
pub(crate) mod compare;
#[cfg(test)]
mod conformance;
mod histogram_notation;
pub(crate) mod memory;
pub(crate) mod notation;
mod script;

use std::time::Duration;

use taffrail_collector::model::Timestamp;
use taffrail_ingest::Scan;
use thiserror::Error;

use super::{Answer, Dialect, instant_in, range_in};
use compare::Outcome;
use memory::MemorySource;
use script::{Command, Eval, When};

/// What a script's run showed.
#[derive(Clone, Debug, Default)]
pub struct ScriptReport {
    /// Evals that gave what they should.
    pub passed: usize,
    /// Evals that did not, in the order of the script.
    pub failures: Vec<ScriptFailure>,
}

/// An eval that did not give what it should.
#[derive(Clone, Debug)]
pub struct ScriptFailure {
    /// The line of the `eval`, from 1.
    pub line: usize,
    /// The query.
    pub query: String,
    /// What differs.
    pub reason: String,
}

/// A script that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Runs all commands of a script.
pub fn run_script(text: &str) -> Result<ScriptReport, ScriptError> {
    let mut source = MemorySource::default();
    let mut report = ScriptReport::default();
    for (line, command) in script::commands(text)? {
        match command {
            Command::Clear => source = MemorySource::default(),
            Command::Load { step_ms, series } => source.load(0, step_ms, series),
            Command::Eval(eval) => match run_eval(&eval, &source) {
                Ok(()) => report.passed += 1,
                Err(reason) => report.failures.push(ScriptFailure { line, query: eval.query.clone(), reason }),
            },
        }
    }
    Ok(report)
}

/// Prometheus' own scripts are written for it with all that it can do switched on.
const DIALECT: Dialect = Dialect { delayed_names: true, guessed_counters: true, ..Dialect::PLAIN };

fn run_eval(eval: &Eval, source: &MemorySource) -> Result<(), String> {
    let at = Timestamp::from_unix_millis;
    let scan = Scan::unlimited();
    match eval.when {
        When::Instant { time_ms } => {
            let outcome = instant_in(DIALECT, &eval.query, at(time_ms), source, &scan);
            let vector =
                matches!(&outcome, Ok(evaluated) if matches!(evaluated.value, Answer::Vector(_) | Answer::Scalar(_)));
            eval.check(Outcome::of_instant(outcome))?;
            // What depends on the query's own bounds is another question there.
            let depends = ["start()", "end()", "step()", "range()"].iter().any(|word| eval.query.contains(word));
            if vector && !eval.ordered && !depends {
                same_in_a_range(eval, source, time_ms)?;
            }
            Ok(())
        }
        When::Range { start_ms, end_ms, step_ms } => {
            let step = Duration::from_millis(step_ms);
            eval.check(Outcome::of_range(range_in(
                DIALECT,
                &eval.query,
                (at(start_ms), at(end_ms), step),
                source,
                &scan,
            )))
        }
    }
}

/// An instant query's answer is also the middle of a range query around it.
fn same_in_a_range(eval: &Eval, source: &MemorySource, time_ms: i64) -> Result<(), String> {
    let at = Timestamp::from_unix_millis;
    let minute = Duration::from_secs(60);
    let outcome = range_in(
        DIALECT,
        &eval.query,
        (at(time_ms - 60_000), at(time_ms + 60_000), minute),
        source,
        &Scan::unlimited(),
    );
    // What is asked around it may fail where it itself does not.
    let Ok(mut evaluated) = outcome else { return Ok(()) };
    for series in &mut evaluated.value {
        series.points.retain(|point| point.0 == time_ms);
        series.histograms.retain(|point| point.0 == time_ms);
    }
    evaluated.value.retain(|series| !series.is_empty());
    eval.check_values(&evaluated.value, time_ms).map_err(|reason| format!("in a range query: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "
load 1m
  hits{job=\"a\"} 0+10x5
  hits{job=\"b\"} 0 _ 7 stale 1

eval instant at 2m hits
  hits{job=\"a\"} 20
  hits{job=\"b\"} 7

eval range from 0 to 3m step 1m sum(hits)
  {} 0 10 27 30

eval instant at 3m hits{job=\"b\"}

eval_fail instant at 1m hits{

eval instant at 1m count_values(\"\", hits)
  expect fail regex: invalid label name

eval instant at 1m 1 + 1
  2
";

    #[test]
    fn a_script_passes_where_it_is_right_and_says_what_differs_where_it_is_not() {
        let report = run_script(SCRIPT).unwrap();
        assert_eq!((report.passed, report.failures.len()), (6, 0), "{:?}", report.failures);
        let check = |from: &str, to: &str, reason: &str| {
            let wrong = run_script(&SCRIPT.replace(from, to)).unwrap();
            assert_eq!((wrong.passed, wrong.failures.len()), (5, 1), "{from} → {to}: {:?}", wrong.failures);
            assert!(wrong.failures[0].reason.contains(reason), "{}", wrong.failures[0].reason);
        };
        check("{job=\"b\"} 7", "{job=\"b\"} 7.1", "7");
        check("  hits{job=\"a\"} 20\n", "", "not expected");
        check("27 30", "27 30 40", "expected");
        check("  2\n", "  3\n", "3");
        check("eval_fail instant at 1m hits{\n", "eval_fail instant at 1m hits\n", "fail");
    }

    #[test]
    fn a_script_that_cannot_be_read_names_the_line() {
        let check = |text: &str, line| assert_eq!(run_script(text).unwrap_err().line, line, "{text}");
        check("\nlaod 5m\n", 2);
        check("load 5q\n", 1);
        check("load 5m\n  x{a=\"b} 1\n", 2);
        check("load 5m\n  x 1 2y 3\n", 2);
        check("eval instant at x y\n", 1);
        check("eval instant at 5m up\n  expect joy\n", 2);
        check("load 5m\n  x 0+1x99999999999\n", 2);
    }
}
