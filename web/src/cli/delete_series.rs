//! `taffrail delete series`: removes metric series for good, after showing how many, and waits until they are off the disk.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use serde_json::Value;

use super::client::Client;
use super::delete::confirm;
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Outcome, ServerChoice, until_interrupted};

/// How often the server is asked whether it is done.
const LOOK: Duration = Duration::from_millis(250);

/// Which series.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Deletes the samples of every series that one of the selectors selects, as far as they were stored before; what comes later
stays. No answer shows them any more once this command has been answered; then the files that held them are rewritten.
A record of who deleted what and when is kept for ever. Backups made before still hold what was deleted.

Examples:
  taffrail delete series '{user=\"alice\"}' --dry-run
  taffrail delete series '{__name__=~\"debug[.].*\"}' 'tmp_total' --to 2026-05-03 --yes
  taffrail delete series --list"
)]
pub struct DeleteSeriesArguments {
    /// Selectors of PromQL; what one of them selects is deleted
    #[arg(value_name = "SELECTOR", required_unless_present = "list")]
    selectors: Vec<String>,
    /// From when: RFC 3339 or Unix time; from the beginning when absent
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// To when, included; to the end when absent
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Show how many series and samples match, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Delete without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Do not wait until the samples are off the disk
    #[arg(long)]
    no_wait: bool,
    /// Show what was deleted so far, and delete nothing
    #[arg(long, conflicts_with_all = ["selectors", "from", "to", "dry_run", "yes", "no_wait"])]
    list: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Counts, deletes, or lists deletions.
pub fn run(arguments: DeleteSeriesArguments) -> Outcome {
    until_interrupted(async {
        let client = Client::new(&arguments.server.server)?;
        let format = Format::choose(arguments.json);
        if arguments.list {
            for deletion in deletions(&client).await? {
                print_line(&line(&deletion, format))?;
            }
            return Ok(());
        }
        delete(&client, &arguments, format).await
    })
}

async fn deletions(client: &Client) -> anyhow::Result<Vec<Value>> {
    let answer = client.ask("/api/v1/series/deletions", &[]).await?;
    Ok(answer["deletions"].as_array().context("the answer has no deletions")?.clone())
}

async fn delete(client: &Client, arguments: &DeleteSeriesArguments, format: Format) -> Outcome {
    let mut parameters: Vec<(&str, &str)> =
        arguments.selectors.iter().map(|selector| ("match[]", selector.as_str())).collect();
    parameters.extend(arguments.from.as_deref().map(|from| ("start", from)));
    parameters.extend(arguments.to.as_deref().map(|to| ("end", to)));
    let counted = client.ask("/api/v1/series/count", &parameters).await?;
    if arguments.dry_run && format == Format::Json {
        return Ok(print_line(&counted.to_string())?);
    }
    let count = counts(&counted);
    if arguments.dry_run {
        return Ok(print_line(&count)?);
    }
    if !arguments.yes {
        confirm(&count).await?;
    }
    let before = deletions(client).await?.first().and_then(|newest| newest["id"].as_u64()).unwrap_or(0);
    let user = std::env::var("USER").unwrap_or_default();
    parameters.push(("by", &user));
    client.tell("/api/v1/admin/tsdb/delete_series", &parameters).await?;
    let is_ours = |deletion: &Value| {
        deletion["id"].as_u64().is_some_and(|id| id > before)
            && deletion["match"].as_array().is_some_and(|selectors| selectors.iter().eq(&arguments.selectors))
    };
    let spinner = ProgressBar::new_spinner().with_message("removing samples from the disk");
    if !arguments.no_wait {
        print_remark(
            "no answer shows them any more; removing them from the disk (Ctrl-C ends the waiting, not the removal)",
        );
        spinner.enable_steady_tick(LOOK);
    }
    loop {
        let all = deletions(client).await?;
        let deletion = all.into_iter().find(is_ours).context("the server does not know the deletion any more")?;
        if arguments.no_wait || deletion["state"] == "done" {
            spinner.finish_and_clear();
            return Ok(print_line(&line(&deletion, format))?);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn counts(counted: &Value) -> String {
    let count = |name: &str| HumanCount(counted[name].as_u64().unwrap_or(0));
    let at_least = if counted["summary"]["partial"] == false { "" } else { "at least " };
    format!("{at_least}{} series with {} samples match", count("series"), count("samples"))
}

fn line(deletion: &Value, format: Format) -> String {
    if format == Format::Json {
        return deletion.to_string();
    }
    let text = |value: &Value| harmless(value.as_str().unwrap_or_default(), Format::Plain);
    let selectors: Vec<String> = deletion["match"].as_array().into_iter().flatten().map(text).collect();
    let between = match (deletion["from"].as_str(), deletion["to"].as_str()) {
        (None, None) => String::new(),
        (from, to) => format!(" from {} to {}", from.unwrap_or("the beginning"), to.unwrap_or("the end")),
    };
    format!(
        "{} {} {}: {}{between}, by {}",
        deletion["id"],
        text(&deletion["asked_at"]),
        text(&deletion["state"]),
        selectors.join(" "),
        text(&deletion["asked_by"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_count_and_a_deletion_are_told_in_a_line() {
        let mut counted = json!({ "series": 1_200, "samples": 3_000_000, "summary": { "partial": false } });
        assert_eq!(counts(&counted), "1,200 series with 3,000,000 samples match");
        counted["summary"]["partial"] = "out of time (query.time_max)".into();
        assert_eq!(counts(&counted), "at least 1,200 series with 3,000,000 samples match");
        let deletion = json!({
            "id": 3, "match": ["{user=\"a\"}", "b\n"], "from": null, "to": "2026-05-03T00:00:00.000Z", "asked_by": "ann, from 127.0.0.1:9",
            "asked_at": "2026-05-04T00:00:00.000Z", "state": "pending", "finished_at": null,
        });
        assert_eq!(
            line(&deletion, Format::Plain),
            "3 2026-05-04T00:00:00.000Z pending: {user=\"a\"} b from the beginning to 2026-05-03T00:00:00.000Z, by ann, from 127.0.0.1:9"
        );
        assert_eq!(line(&deletion, Format::Json), deletion.to_string());
    }
}
