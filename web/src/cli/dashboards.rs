//! `taffrail dashboards`: what there is, as files, from files and from Grafana, checked.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::Client;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Ending, Outcome, ServerChoice, until_interrupted};
use crate::dashboards::files::{Files, read_file, slug_of};
use crate::dashboards::{grafana, yaml};

/// What to do with dashboards.
#[derive(Debug, Subcommand)]
pub enum DashboardsCommand {
    /// List a server's dashboards and where each lives
    List(ListArguments),
    /// Print a dashboard's YAML, or write several as files
    Export(ExportArguments),
    /// Take a dashboard from a file: our YAML or JSON, or what Grafana exports
    Import(ImportArguments),
    /// Check dashboards' files without a server
    Check {
        /// Files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

/// How to list.
#[derive(Args, Debug)]
pub struct ListArguments {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// What to export.
#[derive(Args, Debug)]
pub struct ExportArguments {
    /// The dashboards' names, as `list` tells them; with --to all of them when absent
    #[arg(value_name = "NAME", required_unless_present = "to")]
    names: Vec<String>,
    /// Write NAME.yaml into this directory instead of printing
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    server: ServerChoice,
}

/// What to import.
#[derive(Args, Debug)]
pub struct ImportArguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The dashboard's name in addresses; made of its title when absent
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Replace a dashboard of this name
    #[arg(long)]
    replace: bool,
    /// Print the YAML instead of storing it; needs no server
    #[arg(long, conflicts_with_all = ["replace", "name"])]
    print: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Runs the command.
pub fn run(command: DashboardsCommand) -> Outcome {
    match command {
        DashboardsCommand::List(arguments) => until_interrupted(list(arguments)),
        DashboardsCommand::Export(arguments) => until_interrupted(export(arguments)),
        DashboardsCommand::Import(arguments) => import(&arguments),
        DashboardsCommand::Check { files } => check(&files),
    }
}

/// Checks what the patterns of `dashboards.files` name.
pub fn check_files(patterns: &[String]) -> Outcome {
    let (_, problems) = Files::new(patterns.to_vec()).look();
    told(problems.iter().map(|found| located(&found.file, &found.problem)).collect())
}

fn check(files: &[PathBuf]) -> Outcome {
    let mut mistakes = Vec::new();
    for path in files {
        let name = path.display().to_string();
        match read_file(path) {
            Ok(_) => print_line(&format!("{name}: good"))?,
            Err(problems) => mistakes.extend(problems.iter().map(|problem| located(&name, problem))),
        }
    }
    told(mistakes)
}

fn told(mistakes: Vec<String>) -> Outcome {
    if mistakes.is_empty() { Ok(()) } else { Err(Ending::WrongSettings(mistakes)) }
}

fn located(file: &str, problem: &yaml::Problem) -> String {
    if problem.line == 0 { format!("{file}: {problem}") } else { format!("{file}:{problem}") }
}

async fn list(arguments: ListArguments) -> Outcome {
    let answer = Client::new(&arguments.server.server)?.ask("/api/v1/dashboards", &[]).await?;
    let format = Format::choose(arguments.json);
    for one in answer["dashboards"].as_array().into_iter().flatten() {
        if matches!(format, Format::Json) {
            print_line(&one.to_string())?;
            continue;
        }
        let text = |name: &str| harmless(one[name].as_str().unwrap_or_default(), Format::Plain);
        let lives = match text("origin").as_str() {
            "file" => text("path"),
            "catalog" => "catalog".to_owned(),
            _ => "built in".to_owned(),
        };
        print_line(&format!("{:<24} {:<32} {:>3} panels  {lives}", text("slug"), text("title"), one["panels"]))?;
    }
    for problem in answer["problems"].as_array().into_iter().flatten() {
        let text = |name: &str| harmless(problem[name].as_str().unwrap_or_default(), Format::Plain);
        print_remark(&format!("{}:{}:{}: {}", text("file"), problem["line"], problem["column"], text("message")));
    }
    Ok(())
}

async fn export(arguments: ExportArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let mut names = arguments.names;
    if names.is_empty() {
        let answer = client.ask("/api/v1/dashboards", &[]).await?;
        let all = answer["dashboards"].as_array().into_iter().flatten();
        names = all.filter_map(|one| one["slug"].as_str()).map(str::to_owned).collect();
    }
    for name in names {
        let answer = client.ask(&path_of(&name)?, &[]).await?;
        let text = answer["yaml"].as_str().context("the answer has no YAML")?;
        match &arguments.to {
            None => print_line(text.trim_end())?,
            Some(directory) => {
                std::fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
                let path = directory.join(format!("{name}.yaml"));
                std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
                print_remark(&format!("{}: written", path.display()));
            }
        }
    }
    Ok(())
}

fn import(arguments: &ImportArguments) -> Outcome {
    let shown = arguments.file.display().to_string();
    let text = std::fs::read_to_string(&arguments.file).with_context(|| format!("read {shown}"))?;
    let (slug, text) = match yaml::read(&text) {
        Ok(dashboard) => (slug_of(&dashboard.title.value), text),
        Err(problems) if !text.trim_start().starts_with('{') => {
            return told(problems.iter().map(|problem| located(&shown, problem)).collect());
        }
        Err(_) => {
            let imported = grafana::import(&text).map_err(|message| anyhow!("{shown}: {message}"))?;
            for left in &imported.not_mapped {
                print_remark(&format!(
                    "not mapped: {}: {}",
                    harmless(&left.place, Format::Plain),
                    harmless(&left.what, Format::Plain)
                ));
            }
            (imported.slug, imported.yaml)
        }
    };
    if arguments.print {
        return Ok(print_line(text.trim_end())?);
    }
    until_interrupted(store(arguments, slug, text))
}

async fn store(arguments: &ImportArguments, slug: String, text: String) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let slug = arguments.name.clone().unwrap_or(slug);
    let path = path_of(&slug)?;
    let version = if arguments.replace {
        let there = client.ask(&path, &[]).await.ok();
        there.and_then(|there| there["version"].as_str().map(|version| format!("\"{version}\"")))
    } else {
        None
    };
    let condition = match &version {
        Some(version) => ("if-match", version.as_str()),
        None => ("if-none-match", "*"),
    };
    let headers = [condition, ("content-type", "application/yaml")];
    let stored: Value = client.send_body(Method::PUT, &path, &headers, text).await.map_err(|error| {
        if arguments.replace {
            error
        } else {
            error.context(format!("`{slug}` was not stored; --replace replaces it, --as names it otherwise"))
        }
    })?;
    let problems = stored["problems"].as_array().map_or(0, Vec::len);
    if problems > 0 {
        return Err(Ending::Problems);
    }
    print_line(&format!("{}/d/{slug}", arguments.server.server.trim_end_matches('/')))?;
    Ok(())
}

/// A name that is no name would be another path.
fn path_of(name: &str) -> anyhow::Result<String> {
    if Path::new(name).components().count() == 1 && slug_of(name) == name {
        return Ok(format!("/api/v1/dashboards/{name}"));
    }
    Err(anyhow!("`{name}` is no dashboard's name: small letters, digits, - and _"))
}
