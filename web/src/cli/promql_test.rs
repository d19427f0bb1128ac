//! `taffrail promql test`: runs test scripts in Prometheus' language for them (`load`, `eval instant`, `eval range`).

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use taffrail_query::promql::promqltest::run_script;

use super::terminal::print_line;
use super::{Ending, Outcome};

/// What to run.
#[derive(Args, Clone, Debug)]
pub struct PromqlTestArguments {
    /// The scripts, like Prometheus' promql/promqltest/testdata/*.test
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs every script and prints what differs, with its line; fails when anything does.
pub fn run(arguments: &PromqlTestArguments) -> Outcome {
    let mut failed = 0;
    for file in &arguments.files {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("read {shown}"))?;
        let report = run_script(&text).map_err(|error| anyhow!("{shown}:{}: {}", error.line, error.message))?;
        for failure in &report.failures {
            print_line(&format!("{shown}:{}: {}\n    {}", failure.line, failure.query, failure.reason))?;
        }
        print_line(&format!("{shown}: {} passed, {} failed", report.passed, report.failures.len()))?;
        failed += report.failures.len();
    }
    match failed {
        0 => Ok(()),
        failed => Err(Ending::Failed(anyhow!("{failed} evaluations differ from what their scripts expect"))),
    }
}
