//! `taffrail tail`: log records as they arrive, with every gap said. When the connection breaks it goes on where it was.

use std::time::Duration;

use clap::Args;

use super::client::{BadQuestion, Client};
use super::query::point_at;
use super::terminal::{Format, print_line, print_remark, record_line};
use super::{Outcome, ServerChoice, until_interrupted};

/// How long to wait before asking again after the connection broke.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What to follow.
#[derive(Args, Clone, Debug)]
pub struct TailArguments {
    /// As in `taffrail query`; nothing follows everything
    #[arg(value_name = "QUESTION", default_value = "")]
    question: String,
    /// Attributes to show behind the message, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Follows until interrupted.
pub fn run(arguments: TailArguments) -> Outcome {
    until_interrupted(async {
        let client = Client::new(&arguments.server.server)?;
        let format = Format::choose(arguments.json);
        let mut next_seq: Option<u64> = None;
        loop {
            let ended = follow(&client, &arguments, format, &mut next_seq).await;
            match ended {
                // A first connection that fails is a mistake of the one who typed it.
                Err(error) if next_seq.is_none() || error.is::<BadQuestion>() || error.is::<std::io::Error>() => {
                    return Err(point_at(&arguments.question, error));
                }
                Err(error) => print_remark(&format!("{error:#}; trying again")),
                Ok(()) => print_remark("the server ended the stream; trying again"),
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    })
}

/// Follows one connection to its end; `next_seq` is the number that the next one goes on with.
async fn follow(
    client: &Client,
    arguments: &TailArguments,
    format: Format,
    next_seq: &mut Option<u64>,
) -> anyhow::Result<()> {
    let from_seq = next_seq.map(|seq| seq.to_string());
    let mut parameters = vec![("q", arguments.question.as_str())];
    parameters.extend(from_seq.as_deref().map(|seq| ("from_seq", seq)));
    let mut lines = client.lines("/api/v1/logs/tail", &parameters).await?;
    while let Some(line) = lines.next().await? {
        let next = if let Some(record) = line.get("record") {
            print_line(&record_line(record, &arguments.fields, format))?;
            record["seq"].as_u64().map(|seq| seq + 1)
        } else if let Some(gap) = line.get("gap") {
            if format == Format::Json {
                print_line(&line.to_string())?;
            }
            print_remark(&format!("… {} rows passed too fast to be shown; `taffrail query` finds them", gap["rows"]));
            gap["to_seq"].as_u64().map(|seq| seq + 1)
        } else {
            line["heartbeat"]["seq"].as_u64()
        };
        *next_seq = next.or(*next_seq);
    }
    Ok(())
}
