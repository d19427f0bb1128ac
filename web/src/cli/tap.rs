//! `taffrail tap`: records as they pass an agent, before any server has them; of a server, as it stores them.

use clap::Args;

use super::agent_choice::{AgentChoice, Asked};
use super::client::Client;
use super::following::Following;
use super::output::Output;
use super::query::point_at;
use super::terminal::{Format, print_line, print_remark, record_line};
use super::{Outcome, until_interrupted};

/// What to show.
#[derive(Args, Clone, Debug)]
pub struct TapArguments {
    /// As in `taffrail query`; nothing shows everything
    #[arg(value_name = "QUESTION", default_value = "")]
    question: String,
    /// Only what this kind of source took (files, journald, syslog …); of an agent
    #[arg(long, value_name = "KIND")]
    source: Option<String>,
    /// End after so many records
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Attributes to show behind the message, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    of: AgentChoice,
}

/// Shows until the limit, the agent's end, or an interruption.
pub fn run(arguments: TapArguments) -> Outcome {
    let format = Format::choose(arguments.json);
    match arguments.of.choose()? {
        Asked::Agent(client) => until_interrupted(async {
            follow(&client, &arguments, format).await.map_err(|error| point_at(&arguments.question, error))
        }),
        Asked::Server(_) if arguments.source.is_some() => {
            Err(anyhow::anyhow!("--source is for agents: a server's records no longer say which source took them")
                .into())
        }
        Asked::Server(client) => {
            let following = Following {
                client,
                question: arguments.question,
                since: None,
                last: None,
                output: if arguments.json { Output::Json } else { Output::Lines },
                fields: arguments.fields,
                limit: arguments.limit,
            };
            until_interrupted(following.run())
        }
    }
}

async fn follow(client: &Client, arguments: &TapArguments, format: Format) -> anyhow::Result<()> {
    let mut parameters = vec![("q", arguments.question.as_str())];
    parameters.extend(arguments.source.as_deref().map(|source| ("source", source)));
    let mut lines = client.lines("/tap", &parameters).await?;
    let mut left = arguments.limit;
    while left != Some(0) {
        let Some(line) = lines.next().await? else {
            print_remark("the agent has stopped");
            return Ok(());
        };
        if let Some(record) = line.get("record") {
            print_line(&record_line(record, &arguments.fields, format))?;
            left = left.map(|left| left - 1);
        } else if let Some(gap) = line.get("gap") {
            if format == Format::Json {
                print_line(&line.to_string())?;
            }
            print_remark(&format!(
                "… {} records passed too fast to be looked at; ask for fewer, or the server for all",
                gap["rows"]
            ));
        }
    }
    Ok(())
}
