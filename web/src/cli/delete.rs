//! `taffrail delete`: removes log records for good, after showing how many, and waits until they are off the disk. `taffrail delete series`
//! does the same to metrics ([`super::delete_series`]).

use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::client::Client;
use super::delete_series::{self, DeleteSeriesArguments};
use super::query::point_at;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Ending, Outcome, ServerChoice, until_interrupted};

/// How often the server is asked how far it has come.
const LOOK: Duration = Duration::from_millis(250);

/// What to delete.
#[derive(Args, Clone, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Deletes what matches and was stored before; what comes later stays. No answer shows the records any more once this command has
been answered; then the files that held them are rewritten. A record of who deleted what, when and why is kept for ever.
Backups made before still hold what was deleted.

Examples:
  taffrail delete 'user:alice' --reason 'request of 3 May'
  taffrail delete 'card_number:*' --from 2026-05-01 --to 2026-05-03 --reason 'logged by mistake' --yes
  taffrail delete --list
  taffrail delete series '{__name__=~\"debug.*\"}'"
)]
pub struct DeleteArguments {
    #[command(subcommand)]
    of_series: Option<OfSeries>,
    /// Which records, as in `taffrail query`
    #[arg(value_name = "QUESTION", required_unless_present = "list")]
    question: Option<String>,
    /// From when: RFC 3339, Unix time or now-2h; from the beginning when absent
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To when; to the end when absent
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "dry_run"])]
    reason: Option<String>,
    /// Delete without asking
    #[arg(long)]
    yes: bool,
    /// Do not wait until the records are off the disk
    #[arg(long)]
    no_wait: bool,
    /// Show what was deleted so far, and delete nothing
    #[arg(long, conflicts_with_all = ["question", "from", "to", "reason", "yes", "no_wait"])]
    list: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// Show how many records match, and delete nothing
    #[arg(long, conflicts_with_all = ["list", "yes", "no_wait"])]
    dry_run: bool,
    #[command(flatten)]
    server: ServerChoice,
}

#[derive(Clone, Debug, Subcommand)]
enum OfSeries {
    /// Delete metric series for good
    Series(DeleteSeriesArguments),
}

/// Deletes, or lists deletions.
pub fn run(arguments: DeleteArguments) -> Outcome {
    if let Some(OfSeries::Series(series)) = arguments.of_series {
        return delete_series::run(series);
    }
    until_interrupted(async {
        let client = Client::new(&arguments.server.server)?;
        let format = Format::choose(arguments.json);
        match &arguments.question {
            Some(question) => delete(&client, &arguments, question, format).await,
            None => list(&client, format).await,
        }
    })
}

async fn list(client: &Client, format: Format) -> Outcome {
    let answer = client.ask("/api/v1/logs/deletions", &[]).await?;
    for deletion in answer["deletions"].as_array().into_iter().flatten() {
        print_line(&line(deletion, format))?;
    }
    Ok(())
}

async fn delete(client: &Client, arguments: &DeleteArguments, question: &str, format: Format) -> Outcome {
    let mut parameters = vec![("q", question)];
    parameters.extend(arguments.from.as_deref().map(|from| ("from", from)));
    parameters.extend(arguments.to.as_deref().map(|to| ("to", to)));
    let preview = [parameters.as_slice(), &[("preview", "true")]].concat();
    let preview = client.post("/api/v1/logs/delete", &preview).await.map_err(|error| point_at(question, error))?;
    let matching = preview["matching"].as_u64().context("the answer has no count")?;
    let whole = preview["summary"]["partial"] == false;
    let count = format!("{}{} records match", if whole { "" } else { "at least " }, HumanCount(matching));
    let Some(reason) = arguments.reason.as_deref().filter(|_| !arguments.dry_run) else {
        return Ok(print_line(&count)?);
    };
    if !arguments.yes {
        confirm(&count).await?;
    }
    let user = std::env::var("USER").unwrap_or_default();
    parameters.push(("reason", reason));
    parameters.push(("by", &user));
    let answer = client.post("/api/v1/logs/delete", &parameters).await.map_err(|error| point_at(question, error))?;
    let mut deletion = answer["deletion"].clone();
    if !arguments.no_wait {
        print_remark(
            "no answer shows them any more; removing them from the disk (Ctrl-C ends the waiting, not the removal)",
        );
        deletion = finished(client, deletion).await?;
    }
    print_line(&line(&deletion, format))?;
    Ok(())
}

/// Waits beside a bar until the records are off the disk.
async fn finished(client: &Client, mut deletion: Value) -> anyhow::Result<Value> {
    let style = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} splits, {msg}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while deletion["state"] != "done" {
        tokio::time::sleep(LOOK).await;
        let answer = client.ask("/api/v1/logs/deletions", &[]).await?;
        let all = answer["deletions"].as_array().into_iter().flatten();
        let same = |other: &&Value| other["id"] == deletion["id"];
        deletion = all.clone().find(same).context("the server does not know the deletion any more")?.clone();
        bar.set_length(deletion["splits"].as_u64().unwrap_or(0));
        bar.set_position(deletion["splits_done"].as_u64().unwrap_or(0));
        bar.set_message(format!("{} records removed", deletion["rows_removed"]));
    }
    bar.finish_and_clear();
    Ok(deletion)
}

/// Asks whoever sits at the terminal; what is counted so is not deleted unless they say yes.
pub(super) async fn confirm(count: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(anyhow!("{count}; nothing was deleted: nobody can be asked here, so say --yes").into());
    }
    if !confirmed(&format!("{count}. Delete them for good? [y/N] ")).await? {
        print_remark("nothing was deleted");
        return Err(Ending::Interrupted);
    }
    Ok(())
}

/// Reads on a thread that nobody waits for, so that Ctrl-C ends the question too.
async fn confirmed(question: &str) -> std::io::Result<bool> {
    {
        let mut stderr = anstream::stderr().lock();
        stderr.write_all(question.as_bytes())?;
        stderr.flush()?;
    }
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        drop(told.send(std::io::stdin().lock().read_line(&mut line).map(|_| line)));
    });
    let answer = answer.await.map_err(std::io::Error::other)??;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn line(deletion: &Value, format: Format) -> String {
    if format == Format::Json {
        return deletion.to_string();
    }
    let text = |name: &str| harmless(deletion[name].as_str().unwrap_or_default(), Format::Plain);
    let splits = match (deletion["state"].as_str(), deletion["splits"].as_u64()) {
        (Some("rewriting"), Some(splits)) => format!(" {}/{splits} splits", deletion["splits_done"]),
        _ => String::new(),
    };
    let damaged = deletion["damaged_splits"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let damaged: String = damaged.map(|name| format!("; damaged split {}", harmless(name, Format::Plain))).collect();
    let between = match (deletion["from"].as_str(), deletion["to"].as_str()) {
        (None, None) => String::new(),
        (from, to) => format!(" from {} to {}", from.unwrap_or("the beginning"), to.unwrap_or("the end")),
    };
    format!(
        "{} {} {}{splits}: {} records removed of {:?}{between}, by {}: {}{damaged}",
        deletion["id"],
        text("asked_at"),
        text("state"),
        deletion["rows_removed"],
        text("q"),
        text("asked_by"),
        text("reason")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deletion_is_told_in_a_line() {
        let mut deletion = json!({
            "id": 3, "q": "user:alice", "from": null, "to": "2026-05-03T00:00:00.000Z", "asked_by": "ann, from 127.0.0.1:9",
            "asked_at": "2026-05-04T00:00:00.000Z", "reason": "asked\nto", "state": "rewriting", "splits": 4,
            "splits_done": 1, "rows_removed": 7, "damaged_splits": [], "finished_at": null,
        });
        let check = |deletion: &Value, expected: &str| assert_eq!(line(deletion, Format::Plain), expected);
        check(
            &deletion,
            "3 2026-05-04T00:00:00.000Z rewriting 1/4 splits: 7 records removed of \"user:alice\" from the beginning to \
             2026-05-03T00:00:00.000Z, by ann, from 127.0.0.1:9: asked\\nto",
        );
        deletion["state"] = "done".into();
        deletion["to"] = Value::Null;
        deletion["damaged_splits"] = json!(["a.split"]);
        check(
            &deletion,
            "3 2026-05-04T00:00:00.000Z done: 7 records removed of \"user:alice\", by ann, from 127.0.0.1:9: asked\\nto; \
             damaged split a.split",
        );
    }
}
