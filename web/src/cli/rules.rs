//! `taffrail rules`: check rules files, run their unit tests, rehearse them over what a server has stored, print those that come
//! with the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use taffrail_query::alert::rule::Problem;
use taffrail_query::alert::rule_files::RuleFiles;
use taffrail_query::alert::unit_test::{self, Failure, Report};

use super::client::Client;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Ending, Outcome, ServerChoice, until_interrupted};
use crate::alert_rules::BadRules;
use crate::default_rules;

/// What to do with rules.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check rules files
    Check(CheckArguments),
    /// Run unit tests of rules, in the files of promtool test rules
    Test(TestArguments),
    /// Show what rules would have done over stored data: every firing, its message, pages by night
    Replay(ReplayArguments),
    /// Print the rules that come with the program
    Default,
}

/// What to check.
#[derive(Args, Clone, Debug)]
pub struct CheckArguments {
    /// Names or patterns of rules files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to test.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Beyond promtool's files a test may have input_logs:

  input_logs:
    - { at: 2m, every: 10s, times: 6, level: error, service: shop, message: payment failed, fields: { status: 502 } }")]
pub struct TestArguments {
    /// Files of tests; their rule_files are found beside them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What to rehearse.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  taffrail rules replay --since 30d rules.yml
  taffrail rules replay --since 7d --json | jq .summary.nights")]
pub struct ReplayArguments {
    /// Rules files; without one the rules at work on the server
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// How far back: 12h, 30d
    #[arg(long, value_name = "SPAN", default_value = "30d", conflicts_with = "from")]
    since: String,
    /// From when: RFC 3339, Unix time or now-2h
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To when; now when absent
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How often groups are evaluated that do not say it; the server's own interval when absent
    #[arg(long, value_name = "SPAN")]
    interval: Option<String>,
    /// Whose nights, as in Europe/Berlin; the server's when absent
    #[arg(long, value_name = "NAME")]
    timezone: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Runs a command.
pub fn run(command: RulesCommand) -> Outcome {
    match command {
        RulesCommand::Check(arguments) => check(&arguments),
        RulesCommand::Test(arguments) => test(&arguments),
        RulesCommand::Replay(arguments) => until_interrupted(rehearse(&arguments)),
        RulesCommand::Default => Ok(print_line(default_rules::TEXT.trim_end())?),
    }
}

fn check(arguments: &CheckArguments) -> Outcome {
    let read = RuleFiles::read(&arguments.files, &[]).and_then(|files| files.parse());
    if arguments.json {
        let problems = read.as_ref().err();
        let rules: usize = read.iter().flatten().map(|group| group.rules.len()).sum();
        let groups = read.as_ref().map_or(0, Vec::len);
        let json =
            json!({ "groups": groups, "rules": rules, "problems": problems.into_iter().flatten().collect::<Vec<_>>() });
        print_line(&json.to_string())?;
        return if read.is_ok() { Ok(()) } else { Err(Ending::WrongSettings(Vec::new())) };
    }
    let groups = read.map_err(BadRules)?;
    let rules: usize = groups.iter().map(|group| group.rules.len()).sum();
    Ok(print_line(&format!("{}: good, {rules} rules in {} groups", arguments.files.join(", "), groups.len()))?)
}

fn test(arguments: &TestArguments) -> Outcome {
    let mut failed = 0;
    let mut answers = Vec::new();
    for file in &arguments.files {
        match unit_test::run_file(file) {
            Ok(report) => {
                failed += report.failures.len();
                if arguments.json {
                    answers.push(json!({ "file": file, "report": report }));
                } else {
                    print_report(file, &report)?;
                }
            }
            Err(problems) => {
                failed += problems.len();
                if arguments.json {
                    answers.push(json!({ "file": file, "problems": problems }));
                } else {
                    problems.iter().try_for_each(|problem: &Problem| print_line(&problem.to_string()))?;
                }
            }
        }
    }
    if arguments.json {
        print_line(&Value::from(answers).to_string())?;
    }
    if failed > 0 { Err(Ending::Problems) } else { Ok(()) }
}

fn print_report(file: &Path, report: &Report) -> std::io::Result<()> {
    report.remarks.iter().for_each(|remark| print_remark(remark));
    for Failure { file, line, column, test, message } in &report.failures {
        let shown = format!("{file}:{line}:{column}: {test}: {message}");
        shown.lines().try_for_each(|line| print_line(&harmless(line, Format::Plain)))?;
    }
    let (passed, failed) = (report.passed, report.failures.len());
    print_line(&format!("{}: {passed} as expected, {failed} not", file.display()))
}

async fn rehearse(arguments: &ReplayArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let from = arguments.from.clone().unwrap_or_else(|| arguments.since.clone());
    let mut form = json!({ "from": from });
    let given = [("to", &arguments.to), ("interval", &arguments.interval), ("timezone", &arguments.timezone)];
    for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        form[name] = value.as_str().into();
    }
    if !arguments.files.is_empty() {
        form["rules"] = one_text(&arguments.files)?.into();
    }
    let progress = ProgressBar::with_draw_target(Some(1_000), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {percent}% {msg}").context("draw the progress")?;
    progress.set_style(style);
    let mut lines = client.post_lines("/api/v1/rules/replay", &form).await?;
    let (mut rules, mut summary) = (Vec::new(), None);
    while let Some(mut line) = lines.next().await? {
        if let Some(told) = line.get("progress") {
            progress.set_position((told["done"].as_f64().unwrap_or_default() * 1_000.0) as u64);
            let (time, firings) = (told["time"].as_str().unwrap_or_default(), &told["firings"]);
            progress.set_message(format!("{} {firings} firings", time.get(..10).unwrap_or(time)));
        } else if let Some(error) = line.get("error") {
            progress.finish_and_clear();
            return Err(anyhow!("{}", error["message"].as_str().unwrap_or("the server gave no reason")).into());
        } else if line.get("rule").is_some() {
            rules.push(line["rule"].take());
        } else {
            summary = Some(line["summary"].take());
        }
    }
    progress.finish_and_clear();
    let Some(summary) = summary else { return Err(anyhow!("the answer broke off").into()) };
    if arguments.json {
        return Ok(print_line(&json!({ "rules": rules, "summary": summary }).to_string())?);
    }
    Ok(print_rehearsal(&rules, &summary)?)
}

/// The groups of several files as one text: the server reads one.
fn one_text(patterns: &[String]) -> Result<String, Ending> {
    let files = RuleFiles::read(patterns, &[]).map_err(BadRules)?;
    files.parse().map_err(BadRules)?;
    let texts: Vec<&str> = files.texts().collect();
    match texts[..] {
        [one] => Ok(one.to_owned()),
        _ => Err(anyhow!("rehearse one rules file at a time: the pattern names {}", texts.len()).into()),
    }
}

fn print_rehearsal(rules: &[Value], summary: &Value) -> std::io::Result<()> {
    let text = |value: &Value| harmless(value.as_str().unwrap_or_default(), Format::Plain);
    for rule in rules {
        for firing in rule["firings"].as_array().into_iter().flatten() {
            let end = firing["end"].as_str().unwrap_or("fires still");
            print_line(&format!("{} – {end}  value {}", text(&firing["start"]), firing["value"]))?;
            for line in firing["message"].as_str().unwrap_or_default().lines() {
                print_line(&format!("    {}", harmless(line, Format::Plain)))?;
            }
        }
    }
    for rule in rules.iter().filter(|rule| rule["type"] == "alerting" || rule["error"].is_string()) {
        let (name, group) = (text(&rule["name"]), text(&rule["group"]));
        print_line(&format!(
            "{name} ({group}): {} firings, {} only pending",
            rule["firing_total"], rule["pending_only"]
        ))?;
        if let Some(error) = rule["error"].as_str() {
            print_line(&format!(
                "    {} evaluations failed: {}",
                rule["failed_evaluations"],
                harmless(error, Format::Plain)
            ))?;
        }
    }
    for night in summary["nights"].as_array().into_iter().flatten() {
        print_line(&format!(
            "night of {}: {} firings, {} pages",
            text(&night["night"]),
            night["firings"],
            night["pages"]
        ))?;
    }
    print_line(&format!(
        "{} firings, {} pages in {} evaluations from {} to {}",
        summary["firings"],
        summary["pages"],
        summary["evaluations"],
        text(&summary["from"]),
        text(&summary["to"])
    ))?;
    if let Some(partial) = summary["partial"].as_str() {
        print_remark(&format!("not everything: {partial}"));
    }
    Ok(())
}
