//! `taffrail tail`: log records as they arrive, after some of the past when that is wanted, with every gap said.

use clap::Args;

use super::client::Client;
use super::following::Following;
use super::output::OutputChoice;
use super::terminal::print_line;
use super::{Outcome, ServerChoice, until_interrupted};

/// What to follow.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "On a terminal: space holds the stream and goes on where it was, / asks something else, q and Ctrl-C end it.

Examples:
  taffrail tail 'level:error' --since 5m
  taffrail tail 'service:checkout' -n 20 --fields took_ms,trace_id
  taffrail tail 'level:>=warn' -o json | jq .message"
)]
pub struct TailArguments {
    /// As in `taffrail query`; nothing follows everything
    #[arg(value_name = "QUESTION", default_value = "")]
    question: String,
    /// Begin with the records since then: 5m, 1h, or a time
    #[arg(long, value_name = "SPAN")]
    since: Option<String>,
    /// Begin with so many of the newest records
    #[arg(short = 'n', long, value_name = "COUNT")]
    last: Option<usize>,
    /// Attributes to show behind the message, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    fields: Vec<String>,
    /// End after so many records
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    #[command(flatten)]
    output: OutputChoice,
    /// Follow nothing: print the address of the page that shows the same
    #[arg(long)]
    link: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Follows until interrupted.
pub fn run(arguments: TailArguments) -> Outcome {
    let TailArguments { question, since, last, fields, limit, output, link, server } = arguments;
    let client = Client::new(&server.server)?;
    if link {
        let parameters = [("q", question.as_str()), ("live", "1")];
        let given = parameters.iter().filter(|(_, value)| !value.is_empty()).copied().collect::<Vec<_>>();
        return Ok(print_line(&client.url("/logs", &given))?);
    }
    let output = output.for_records();
    until_interrupted(Following { client, question, since, last, output, fields, limit }.run())
}
