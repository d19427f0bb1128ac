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
    let TailArguments { question, fields, json, server } = arguments;
    let client = Client::new(&server.server)?;
    let following = Following { client, question, fields, format: Format::choose(json), limit: None };
    until_interrupted(following.run())
}

/// What is followed, and how it is shown.
#[derive(Debug)]
pub struct Following {
    /// The server.
    pub client: Client,
    /// What matches.
    pub question: String,
    /// Attributes to show.
    pub fields: Vec<String>,
    /// How records are written.
    pub format: Format,
    /// How many are shown before it ends.
    pub limit: Option<u64>,
}

impl Following {
    /// Follows through broken connections until the limit.
    pub async fn run(mut self) -> Outcome {
        let mut next_seq: Option<u64> = None;
        loop {
            match self.follow(&mut next_seq).await {
                // A first connection that fails is a mistake of the one who typed it.
                Err(error) if next_seq.is_none() || error.is::<BadQuestion>() || error.is::<std::io::Error>() => {
                    return Err(point_at(&self.question, error));
                }
                Err(error) => print_remark(&format!("{error:#}; trying again")),
                Ok(()) if self.limit == Some(0) => return Ok(()),
                Ok(()) => print_remark("the server ended the stream; trying again"),
            }
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    /// Follows one connection to its end; `next_seq` is the number that the next one goes on with.
    async fn follow(&mut self, next_seq: &mut Option<u64>) -> anyhow::Result<()> {
        let from_seq = next_seq.map(|seq| seq.to_string());
        let mut parameters = vec![("q", self.question.as_str())];
        parameters.extend(from_seq.as_deref().map(|seq| ("from_seq", seq)));
        let mut lines = self.client.lines("/api/v1/logs/tail", &parameters).await?;
        while self.limit != Some(0)
            && let Some(line) = lines.next().await?
        {
            let next = if let Some(record) = line.get("record") {
                print_line(&record_line(record, &self.fields, self.format))?;
                self.limit = self.limit.map(|left| left - 1);
                record["seq"].as_u64().map(|seq| seq + 1)
            } else if let Some(gap) = line.get("gap") {
                if self.format == Format::Json {
                    print_line(&line.to_string())?;
                }
                print_remark(&format!(
                    "… {} rows passed too fast to be shown; `taffrail query` finds them",
                    gap["rows"]
                ));
                gap["to_seq"].as_u64().map(|seq| seq + 1)
            } else {
                line["heartbeat"]["seq"].as_u64()
            };
            *next_seq = next.or(*next_seq);
        }
        Ok(())
    }
}
