//! `taffrail silence`: add, list and end silences. Each says who wants it, why, and until when.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_query::time_range::parse_span;

use super::client::Client;
use super::quantity::span;
use super::terminal::{Format, harmless, print_line, width};
use super::text_table::{Cell, Table, gives_way, left, right};
use super::{Outcome, ServerChoice, until_interrupted};
use crate::notify::routing::matcher::{Matcher, parse_matchers, write_matchers};
use crate::notify::routing::silence::WrittenMatcher;

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum SilenceCommand {
    /// Silence alerts for a while
    Add(AddArguments),
    /// Show silences: active ones first
    List(ListArguments),
    /// End a silence now
    Expire(ExpireArguments),
}

/// Which alerts, for how long, who and why.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  taffrail silence add alertname=DiskFull host=db-1 --for 2h --reason 'disks are being replaced'
  taffrail silence add 'service=~\"web|api\"' severity!=page --for 30m --reason deploy")]
pub struct AddArguments {
    /// Matchers that an alert must pass: name=value, name!=value, name=~pattern, name!~pattern
    #[arg(value_name = "MATCHER", required = true)]
    matchers: Vec<String>,
    /// For how long: 30m, 2h, 1d
    #[arg(long = "for", value_name = "SPAN")]
    length: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who wants it
    #[arg(long, value_name = "NAME", env = "USER")]
    author: String,
    #[command(flatten)]
    server: ServerChoice,
}

/// Which ones.
#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// Ended ones too, for five days
    #[arg(long)]
    all: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Which one.
#[derive(Args, Clone, Debug)]
pub struct ExpireArguments {
    /// Ids, as `taffrail silence list` shows them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    server: ServerChoice,
}

/// Does it.
pub fn run(command: SilenceCommand) -> Outcome {
    until_interrupted(async {
        match command {
            SilenceCommand::Add(arguments) => add(&arguments).await,
            SilenceCommand::List(arguments) => list(&arguments).await,
            SilenceCommand::Expire(arguments) => expire(&arguments).await,
        }
    })
}

async fn add(arguments: &AddArguments) -> Outcome {
    let mut matchers: Vec<Matcher> = Vec::new();
    for text in &arguments.matchers {
        matchers.extend(parse_matchers(text).map_err(|message| anyhow!(message))?);
    }
    let length = parse_span(&arguments.length).map_err(|message| anyhow!("--for: {message}"))?;
    let now = Timestamp::now();
    let client = Client::new(&arguments.server.server)?;
    let posted = json!({
        "matchers": matchers.iter().map(WrittenMatcher::from).collect::<Vec<_>>(),
        "startsAt": now.to_string(),
        "endsAt": now.saturating_add(length).to_string(),
        "createdBy": arguments.author,
        "comment": arguments.reason,
    });
    let headers = [("content-type", "application/json")];
    let answer = client.send_body(Method::POST, "/api/v2/silences", &headers, posted.to_string()).await?;
    let id = answer["silenceID"].as_str().context("the answer has no id")?;
    print_line(&harmless(id, Format::Plain))?;
    Ok(())
}

async fn list(arguments: &ListArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let answer = client.ask("/api/v2/silences", &[]).await?;
    let shown = answer.as_array().into_iter().flatten();
    let shown: Vec<&Value> = shown.filter(|one| arguments.all || one["status"]["state"] != "expired").collect();
    if arguments.json {
        for silence in shown {
            print_line(&silence.to_string())?;
        }
        return Ok(());
    }
    let mut table = Table::new(vec![
        left("ID"),
        left("STATE"),
        right("ENDS IN"),
        left("AUTHOR"),
        gives_way("MATCHERS"),
        left("REASON"),
    ]);
    for silence in shown {
        let text = |name: &str| silence[name].as_str().unwrap_or_default().to_owned();
        let ends: Option<jiff::Timestamp> = text("endsAt").parse().ok();
        let left = ends.map_or(0.0, |ends| ends.duration_since(jiff::Timestamp::now()).as_secs_f64());
        let matchers: Vec<WrittenMatcher> = serde_json::from_value(silence["matchers"].clone()).unwrap_or_default();
        let matchers: Vec<Matcher> = matchers.into_iter().filter_map(|one| Matcher::try_from(one).ok()).collect();
        table.row(vec![
            Cell::new(text("id")),
            Cell::new(silence["status"]["state"].as_str().unwrap_or_default()),
            Cell::new(if left > 0.0 { span(left) } else { String::new() }),
            Cell::new(text("createdBy")),
            Cell::new(write_matchers(&matchers)),
            Cell::new(text("comment")),
        ]);
    }
    for line in table.lines(width().unwrap_or(usize::MAX)) {
        print_line(&line)?;
    }
    Ok(())
}

async fn expire(arguments: &ExpireArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    for id in &arguments.ids {
        let safe = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !safe {
            return Err(anyhow!("{id:?} is no id of a silence; `taffrail silence list` shows them").into());
        }
        client.delete(&format!("/api/v2/silence/{id}")).await?;
    }
    Ok(())
}
