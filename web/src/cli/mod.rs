//! The command line: what can be typed, and what an ending means to a shell.
//!
//! One file per command: [`serve`] (also what `taffrail` alone does), [`collect`], [`query`], [`tail`], [`top`], [`tap`], [`delete`], [`annotate`], [`deploys`], [`check`], [`demo`],
//! [`promql_test`], [`rules`], [`dashboards`], [`doctor`], [`backup`] (and restore), [`notify`], [`silence`].
//! [`client`] asks a server, [`output`] and [`promql_answer`] show answers in the form that `-o` asks for, [`terminal`] writes for people and for pipes, [`settings_flags`] turns flags into settings, [`logging`] is
//! our own log.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong settings (`EX_CONFIG` of sysexits.h), 130 interrupted.

use std::io;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::alert_rules::BadRules;
use crate::config::Mistake;

mod agent_choice;
mod annotate;
mod backup;
mod check;
mod client;
mod collect;
mod dashboards;
mod delete;
mod delete_series;
mod demo;
mod deploys;
mod doctor;
mod explanation;
mod following;
mod keyboard;
mod live_screen;
mod logging;
mod notify;
mod output;
mod patterns;
mod promql_answer;
mod promql_test;
mod quantity;
mod query;
mod rules;
mod serve;
mod settings_flags;
mod silence;
mod tail;
mod tail_console;
mod tap;
mod terminal;
mod text_table;
mod top;
mod top_view;

/// Logs and StatsD metrics of every host in one binary: collected, stored, searched, alerted on.
///
/// Without a command it serves: it collects this host's logs and metrics, takes what is sent to it, and shows it all at
/// http://127.0.0.1:6464.
#[derive(Debug, Parser)]
#[command(name = "taffrail", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::ServeArguments,
    /// Colour the output: auto, always or never. `NO_COLOR` switches it off too.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server: collect, store, answer (the default)
    Serve(serve::ServeArguments),
    /// Run an agent: collect on this host, deliver to a server
    Collect(collect::CollectArguments),
    /// Serve beside a small simulated shop, so that every page is alive
    Demo(demo::DemoArguments),
    /// Ask for log records or, with --promql, for metrics
    Query(query::QueryArguments),
    /// Follow log records as they arrive
    Tail(tail::TailArguments),
    /// Show what an agent or a server is doing, live
    Top(top::TopArguments),
    /// Show log records as they pass an agent
    Tap(tap::TapArguments),
    /// Delete log records, or metric series, for good
    Delete(delete::DeleteArguments),
    /// Write down that something happened: a deploy, an incident, a note
    Annotate(annotate::AnnotateArguments),
    /// List deploys, or tell what one of them changed
    Deploys(deploys::DeploysArguments),
    /// Check settings and rules files without starting anything
    Check(check::CheckArguments),
    /// Check every byte below the data directory, and repair what can be
    Doctor(doctor::DoctorArguments),
    /// Back the store up into a directory, while it is in use
    Backup(backup::BackupArguments),
    /// Make a data directory from a backup
    Restore(backup::RestoreArguments),
    /// Alert rules
    #[command(subcommand)]
    Rules(rules::RulesCommand),
    /// Dashboards as files: list, export, import (also from Grafana), check
    #[command(subcommand)]
    Dashboards(dashboards::DashboardsCommand),
    /// Who is told of alerts
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Promises not to be told of some alerts for a while
    #[command(subcommand)]
    Silence(silence::SilenceCommand),
    /// PromQL without a server
    #[command(subcommand)]
    Promql(PromqlCommand),
    /// Print the completions of a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum PromqlCommand {
    /// Run test scripts in Prometheus' language for them
    Test(promql_test::PromqlTestArguments),
}

/// How a command ends when it does not end well.
#[derive(Debug)]
enum Ending {
    /// It failed; the message is for a person.
    Failed(anyhow::Error),
    /// The settings are wrong; there may be several mistakes.
    WrongSettings(Vec<String>),
    /// It was found, and printed, that not all is well.
    Problems,
    /// Ctrl-C.
    Interrupted,
}

type Outcome = Result<(), Ending>;

impl From<anyhow::Error> for Ending {
    fn from(error: anyhow::Error) -> Ending {
        match error.downcast::<BadRules>() {
            Ok(bad) => bad.into(),
            Err(error) => Ending::Failed(error),
        }
    }
}

impl From<BadRules> for Ending {
    fn from(BadRules(problems): BadRules) -> Ending {
        Ending::WrongSettings(problems.iter().map(ToString::to_string).collect())
    }
}

impl From<io::Error> for Ending {
    fn from(error: io::Error) -> Ending {
        Ending::Failed(error.into())
    }
}

impl From<Mistake> for Ending {
    fn from(mistake: Mistake) -> Ending {
        Ending::WrongSettings(vec![mistake.to_string()])
    }
}

/// Which server to ask.
#[derive(Args, Clone, Debug)]
struct ServerChoice {
    /// The server to ask
    #[arg(long, value_name = "URL", env = "TAFFRAIL_SERVER", default_value = "http://127.0.0.1:6464")]
    server: String,
}

/// The program.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let choice = match arguments.color {
        clap::ColorChoice::Auto => anstream::ColorChoice::Auto,
        clap::ColorChoice::Always => anstream::ColorChoice::Always,
        clap::ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    let outcome = match arguments.command {
        None => serve::run(arguments.serve),
        Some(Command::Serve(serve)) => serve::run(serve),
        Some(Command::Collect(collect)) => collect::run(collect),
        Some(Command::Demo(demo)) => demo::run(demo),
        Some(Command::Query(query)) => query::run(query),
        Some(Command::Tail(tail)) => tail::run(tail),
        Some(Command::Top(top)) => top::run(top),
        Some(Command::Tap(tap)) => tap::run(tap),
        Some(Command::Delete(delete)) => delete::run(delete),
        Some(Command::Annotate(annotate)) => annotate::run(annotate),
        Some(Command::Deploys(deploys)) => deploys::run(deploys),
        Some(Command::Check(check)) => check::run(check),
        Some(Command::Doctor(doctor)) => doctor::run(doctor),
        Some(Command::Backup(backup)) => backup::run(backup),
        Some(Command::Restore(restore)) => backup::restore(restore),
        Some(Command::Rules(command)) => rules::run(command),
        Some(Command::Dashboards(command)) => dashboards::run(command),
        Some(Command::Notify(command)) => notify::run(command),
        Some(Command::Silence(command)) => silence::run(command),
        Some(Command::Promql(PromqlCommand::Test(test))) => promql_test::run(&test),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Arguments::command(), "taffrail", &mut io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(ending) => exit_code(&ending),
    }
}

fn exit_code(ending: &Ending) -> ExitCode {
    match ending {
        // Whoever reads our output has seen enough (`| head`).
        Ending::Failed(error) if is_broken_pipe(error) => ExitCode::SUCCESS,
        Ending::Failed(error) => {
            terminal::print_error(&format!("{error:#}"));
            ExitCode::FAILURE
        }
        Ending::WrongSettings(mistakes) => {
            for mistake in mistakes {
                terminal::print_error(mistake);
            }
            ExitCode::from(78)
        }
        Ending::Problems => ExitCode::FAILURE,
        Ending::Interrupted => ExitCode::from(130),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Runs a short command's future on one thread until it ends or Ctrl-C comes; dropping it closes its connection, and the
/// server stops working for it.
fn until_interrupted(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = command => outcome,
            signal = tokio::signal::ctrl_c() => {
                signal?;
                Err(Ending::Interrupted)
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serving_needs_no_command() {
        let check = |arguments: &[&str]| {
            let words = std::iter::once("taffrail").chain(arguments.iter().copied());
            Arguments::try_parse_from(words).map(|parsed| parsed.command.is_none()).map_err(|error| error.kind())
        };
        assert_eq!(check(&[]), Ok(true));
        assert_eq!(check(&["--http", "127.0.0.1:0", "--no-host"]), Ok(true));
        assert_eq!(check(&["serve", "--http", "127.0.0.1:0"]), Ok(false));
        assert_eq!(check(&["query", "--nonsense"]), Err(clap::error::ErrorKind::UnknownArgument));
    }
}
