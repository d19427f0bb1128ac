//! Follows live records through broken connections: every record once, in order, every gap said. A person may hold the stream and ask
//! something else; either goes on from the number where it was, so that nothing is passed over.

use std::time::Duration;

use anyhow::anyhow;
use serde_json::Value;

use super::client::{BadQuestion, Client, Lines};
use super::output::{Output, RecordPrinter};
use super::query::point_at;
use super::tail_console::{Console, Wish};
use super::terminal::{Format, harmless, print_line, print_remark};
use super::{Ending, Outcome};

/// How long to wait before asking again after the connection broke.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// A server says something each second; one that is silent for so long is not there any more.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What is followed, and how it is shown.
#[derive(Debug)]
pub struct Following {
    /// The server.
    pub client: Client,
    /// What matches.
    pub question: String,
    /// Records of the past from this time on come first.
    pub since: Option<String>,
    /// So many of the newest records of the past come first.
    pub last: Option<usize>,
    /// How records are written.
    pub output: Output,
    /// Attributes to show.
    pub fields: Vec<String>,
    /// How many are shown before it ends.
    pub limit: Option<u64>,
}

/// How one connection ended.
enum End {
    Limit,
    Wished(Wish),
    ServerEnded,
}

impl Following {
    /// Follows until the limit, or until the person wants no more.
    pub async fn run(mut self) -> Outcome {
        let mut printer = RecordPrinter::new(self.output, self.fields.clone());
        let mut console = Console::open()?;
        let mut next_seq: Option<u64> = None;
        let mut before: Option<String> = None;
        let mut is_broken = false;
        loop {
            console.connection("connecting");
            let connected = self.connect(next_seq).await;
            if connected.is_ok() && std::mem::take(&mut is_broken) {
                console.clear();
                print_remark("connected again, from where it was");
            }
            let ended = match connected {
                Ok(lines) => {
                    before = None;
                    console.connection("live");
                    self.follow(lines, &mut next_seq, &mut printer, &mut console).await
                }
                Err(error) => Err(error),
            };
            console.clear();
            match ended {
                Ok(End::Limit | End::Wished(Wish::End)) => return Ok(printer.flush()?),
                Ok(End::Wished(Wish::Ask(question))) => {
                    before = Some(std::mem::replace(&mut self.question, question));
                    continue;
                }
                Ok(End::Wished(_)) => continue,
                Ok(End::ServerEnded) => print_remark("the server ended the stream; trying again"),
                // A question that was typed meanwhile and is wrong leaves the one before.
                Err(error) if error.is::<BadQuestion>() && before.is_some() => {
                    if let Ending::Failed(error) = point_at(&self.question, error) {
                        print_remark(&format!("{error:#}"));
                    }
                    self.question = before.take().unwrap_or_default();
                    continue;
                }
                // A first connection that fails is a mistake of the one who typed it.
                Err(error) if next_seq.is_none() || error.is::<BadQuestion>() || error.is::<std::io::Error>() => {
                    return Err(point_at(&self.question, error));
                }
                Err(error) => print_remark(&format!("{error:#}; trying again")),
            }
            is_broken = true;
            console.connection("broken");
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }

    async fn connect(&self, next_seq: Option<u64>) -> anyhow::Result<Lines> {
        let from_seq = next_seq.map(|seq| seq.to_string());
        let last = self.last.map(|rows| rows.to_string());
        let mut parameters = vec![("q", self.question.as_str())];
        match &from_seq {
            Some(seq) => parameters.push(("from_seq", seq)),
            None => {
                parameters.extend(self.since.as_deref().map(|since| ("since", since)));
                parameters.extend(last.as_deref().map(|rows| ("last", rows)));
            }
        }
        self.client.lines("/api/v1/logs/tail", &parameters).await
    }

    /// Follows one connection to its end; `next_seq` is the number that the next one goes on with.
    async fn follow(
        &mut self,
        mut lines: Lines,
        next_seq: &mut Option<u64>,
        printer: &mut RecordPrinter,
        console: &mut Console,
    ) -> anyhow::Result<End> {
        while self.limit != Some(0) {
            // Both are cancel-safe, as they say of themselves.
            let line = tokio::select! {
                biased;
                wish = console.wish() => match wish {
                    Wish::Hold => continue,
                    wish => return Ok(End::Wished(wish)),
                },
                line = tokio::time::timeout(SILENCE_MAX, lines.next()) => {
                    line.map_err(|_| anyhow!("the server has been silent for {SILENCE_MAX:?}"))??
                }
            };
            let Some(line) = line else { return Ok(End::ServerEnded) };
            if console.holds() {
                // Shown once it goes on: the stream is asked for again from where it was held.
                if line.get("record").is_some() {
                    console.hold_one();
                }
                line.get("heartbeat").inspect(|heartbeat| console.counts(heartbeat));
                continue;
            }
            let next = self.show(&line, printer, console)?;
            *next_seq = next.or(*next_seq);
            if !lines.has_line() {
                console.clear_for(|| printer.flush())?;
            }
        }
        Ok(End::Limit)
    }

    /// Shows a line, and gives the number to go on with after it.
    fn show(
        &mut self,
        line: &Value,
        printer: &mut RecordPrinter,
        console: &mut Console,
    ) -> std::io::Result<Option<u64>> {
        if let Some(record) = line.get("record") {
            console.clear();
            printer.print(record)?;
            self.limit = self.limit.map(|left| left - 1);
            return Ok(record["seq"].as_u64().map(|seq| seq + 1));
        }
        if let Some(heartbeat) = line.get("heartbeat") {
            console.counts(heartbeat);
            return Ok(heartbeat["seq"].as_u64());
        }
        let is_told = ["gap", "reset"].iter().any(|name| line.get(*name).is_some());
        if is_told && self.output == Output::Json {
            console.clear();
            print_line(&line.to_string())?;
        }
        let reason = |of: &Value| harmless(of["reason"].as_str().unwrap_or_default(), Format::Plain);
        if let Some(gap) = line.get("gap") {
            console.clear();
            print_remark(&format!("… {} rows are not shown: {}", gap["rows"], reason(gap)));
            return Ok(gap["to_seq"].as_u64().map(|seq| seq + 1));
        }
        if let Some(reset) = line.get("reset") {
            console.clear();
            print_remark(&format!("… {}", reason(reset)));
            return Ok(reset["seq"].as_u64());
        }
        let live = &line["live"];
        if let Some(why) = live["partial"].as_str() {
            console.clear();
            print_remark(&format!("… of the past, not all is shown: {}", harmless(why, Format::Plain)));
        }
        Ok(live["seq"].as_u64())
    }
}
