//! `taffrail doctor`: is everything below the data directory sound, and can what is not be repaired?

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use taffrail_ingest::doctor::{Mode, Problem, Report, examine};

use super::settings_flags::SettingsFlags;
use super::terminal::{Format, harmless, print_line};
use super::{Ending, Outcome};

/// What to check.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Reads every byte of every split, series block and journal segment below the data directory and compares it with its \
            checksums and with the catalog. Nothing that holds data is ever deleted: damaged files move to DIR/quarantine/.

Exit codes: 0 all is sound, 1 there are problems (repaired ones too: each line says so), 2 wrong usage."
)]
pub struct DoctorArguments {
    /// The settings file that names the data directory; without it ./taffrail.toml, then /etc/taffrail/taffrail.toml
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory to check [env: TAFFRAIL_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Repair what can be repaired
    #[arg(long, conflicts_with = "read_only")]
    repair: bool,
    /// Check the directory of a server that runs; what it is just writing is passed over
    #[arg(long)]
    read_only: bool,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

/// Checks, repairs when asked to, and tells.
pub fn run(arguments: DoctorArguments) -> Outcome {
    let DoctorArguments { config, data_dir, repair, read_only, json } = arguments;
    let (settings, _) = SettingsFlags { config, data_dir, ..SettingsFlags::default() }.load()?;
    let mode = match (repair, read_only) {
        (true, _) => Mode::Repair,
        (_, true) => Mode::ReadOnly,
        _ => Mode::Check,
    };
    let bar = progress_bar();
    let report = examine(&settings.store.data_dir, mode, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| anyhow!(error))?;
    if json {
        print_line(&serde_json::to_string(&report).map_err(|error| anyhow!(error))?)?;
    } else {
        tell(&report)?;
    }
    if report.problems.is_empty() { Ok(()) } else { Err(Ending::Problems) }
}

fn tell(report: &Report) -> std::io::Result<()> {
    for problem in &report.problems {
        print_line(&told(problem))?;
    }
    print_line(&format!(
        "read {} splits ({} log records), {} series blocks ({} windows), {} journal records ({} rows)",
        report.splits, report.split_rows, report.blocks, report.samples, report.journal_records, report.journal_rows
    ))?;
    let repaired = report.problems.iter().filter(|problem| problem.repaired.is_some()).count();
    let left: Vec<&Problem> = report.problems.iter().filter(|problem| problem.repaired.is_none()).collect();
    let repairable = left.iter().filter(|problem| problem.kind.remedy().is_some()).count();
    print_line(&match (report.problems.len(), repaired) {
        (0, _) => "all is sound".to_owned(),
        (_, 0) if repairable > 0 => {
            format!("{} problems; {repairable} of them can be repaired with --repair", left.len())
        }
        (_, 0) => format!("{} problems, which cannot be repaired here", left.len()),
        (_, _) if left.is_empty() => format!("{repaired} problems, all repaired"),
        (_, _) => format!("{repaired} problems were repaired, {} remain and cannot be repaired here", left.len()),
    })
}

fn told(problem: &Problem) -> String {
    let Problem { kind, place, message, repaired } = problem;
    let remedy = match (repaired, kind.remedy()) {
        (Some(done), _) => format!("repaired: {done}"),
        (None, Some(remedy)) => format!("--repair {remedy}"),
        (None, None) => "cannot be repaired here".to_owned(),
    };
    format!(
        "{}: {}\n  {}",
        harmless(place, Format::Plain),
        harmless(message, Format::Plain),
        harmless(&remedy, Format::Plain)
    )
}

/// A bar on standard error; indicatif draws none where standard error is no terminal.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("checking {bar:30} {bytes}/{total_bytes} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_ingest::doctor::ProblemKind;

    #[test]
    fn a_problem_says_what_was_or_can_be_done() {
        let check = |kind, repaired: Option<&str>, expected: &str| {
            let repaired = repaired.map(str::to_owned);
            let problem = Problem { kind, place: "splits/a".into(), message: "it is\ncut".into(), repaired };
            assert_eq!(told(&problem), format!("splits/a: it is\\ncut\n  {expected}"));
        };
        check(ProblemKind::SplitDamaged, None, "--repair moves it to quarantine/ and goes on without it");
        check(ProblemKind::SplitDamaged, Some("moved to quarantine/a"), "repaired: moved to quarantine/a");
        check(ProblemKind::JournalGap, None, "cannot be repaired here");
    }
}
