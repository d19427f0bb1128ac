//! Prometheus' own scripts, with what of them passes written down: a number may only go up.

use std::path::{Path, PathBuf};

use super::run_script;
use crate::promql::syntax::function_table::FUNCTIONS as FUNCTION_TABLE;

/// (file, evals that pass, that fail).
const WRITTEN_DOWN: [(&str, usize, usize); 6] = [
    ("aggregators.test", 160, 0),
    ("collision.test", 2, 0),
    ("literals.test", 25, 0),
    ("operators.test", 214, 0),
    ("range_queries.test", 18, 0),
    ("selectors.test", 31, 0),
];

/// A block for each function.
const FUNCTIONS: &str = include_str!("scripts/functions.test");

/// Our own scripts, for what those files do not ask.
const OWN: [(&str, &str); 6] = [
    ("functions", FUNCTIONS),
    ("counters", include_str!("scripts/counters.test")),
    ("windows", include_str!("scripts/windows.test")),
    ("values", include_str!("scripts/values.test")),
    ("histograms", include_str!("scripts/histograms.test")),
    ("language", include_str!("scripts/language.test")),
];

#[test]
fn our_own_scripts_pass() {
    for (name, text) in OWN {
        let report = run_script(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(report.passed > 10);
        let failures: Vec<String> =
            report.failures.iter().map(|f| format!("{name}:{}: {}\n    {}", f.line, f.query, f.reason)).collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }
}

#[test]
fn every_function_has_a_case() {
    let is_asked = |name: &str| {
        let mut asked = FUNCTIONS.lines().filter(|line| line.starts_with("eval"));
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        asked.any(|line| line.match_indices(&format!("{name}(")).any(|(at, _)| !line[..at].ends_with(is_name)))
    };
    let missing: Vec<&str> =
        FUNCTION_TABLE.iter().map(|function| function.name).filter(|name| !is_asked(name)).collect();
    assert!(missing.is_empty(), "write a block for {missing:?}");
}

/// The directory of shared test material: `TAFFRAIL_SHARED`, or `shared` beside the repository.
fn scripts() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    std::env::var_os("TAFFRAIL_SHARED").map_or_else(beside, PathBuf::from).join("promqltest")
}

#[test]
fn prometheus_scripts_pass_as_written_down() {
    let directory = scripts();
    if !directory.is_dir() {
        println!("SKIPPED: no promqltest scripts in {} (set TAFFRAIL_SHARED)", directory.display());
        return;
    }
    let mut counts = Vec::new();
    for (file, ..) in WRITTEN_DOWN {
        let text = std::fs::read_to_string(directory.join(file)).unwrap();
        let report = run_script(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        for failure in report.failures.iter() {
            println!("{file}:{}: {}\n    {}", failure.line, failure.query, failure.reason);
        }
        counts.push((file, report.passed, report.failures.len()));
    }
    for (file, passed, failed) in &counts {
        println!("{file:<22} {passed:>4} passed, {failed:>3} failed");
    }
    println!("{:<22} {:>4} passed", "all", counts.iter().map(|count| count.1).sum::<usize>());
    assert_eq!(counts, WRITTEN_DOWN);
}
