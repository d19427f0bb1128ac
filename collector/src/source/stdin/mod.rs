//! Lines of standard input, as `program | taffrail collect` sends them.
//!
//! Nothing can be read twice from a pipe, so there is no checkpoint. At its end the source ends; the process goes on.

use std::io::{self, Read};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::enrich::{Enricher, Parse, ReceivedLine};
use crate::model::{Resource, Timestamp};
use crate::source::feeder::{self, Feed, Portion};
use crate::source::line_splitter::{Line, LineSplitter};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "stdin";
const READ_BYTES: usize = 64 << 10;

/// The section `collector.stdin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether standard input is read. Default false.
    pub enabled: bool,
    /// The service that lines belong to which name none. Default none.
    pub service: String,
    /// How lines are read: `auto`, `json`, `logfmt`, `nginx`, `apache`, `syslog`, `grok:…`, `regex:…` or `none`. Default `auto`.
    pub parse: Parse,
    /// Longest line, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config { enabled: false, service: String::new(), parse: Parse::Auto, line_bytes_max: 1 << 20 }
    }
}

/// Starts to read standard input; where it is not enabled, the task ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    if !config.enabled {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    }
    start_reading(config, context, io::stdin())
}

/// Reads lines of `input` on a thread of its own: nothing else can wait for a pipe and be stopped.
fn start_reading(
    config: Config,
    context: SourceContext,
    input: impl Read + Send + 'static,
) -> Result<Running, StartError> {
    let tally = context.tallies.of(KIND, "standard input");
    let (feed, feeder) = feeder::start(&context, Arc::clone(&tally));
    let resource = match config.service.as_str() {
        "" => Arc::clone(&context.resource),
        service => Arc::new(Resource { service: service.into(), ..(*context.resource).clone() }),
    };
    let enricher = context.enricher.clone().of_source(KIND).with_parse(&config.parse, "collector.stdin.parse")?;
    let reader = Reader { enricher, resource, tally, splitter: LineSplitter::new(config.line_bytes_max) };
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    let stop = context.stop.clone();
    // A portion that is read after the stop finds the feeder gone.
    let gate = Arc::new(parking_lot::Mutex::new(Some(feed)));
    let of_thread = Arc::clone(&gate);
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            reader.run(input, &of_thread);
            drop(ended);
        })
        .map_err(|error| StartError {
            setting: "collector.stdin.enabled",
            message: format!("cannot start a thread: {error}"),
        })?;
    let task = tokio::spawn(async move {
        tokio::select! {
            _ = has_ended => {}
            () = stop.cancelled() => {}
        }
        gate.lock().take();
        let _ = feeder.await;
    });
    Ok(Running { kind: KIND, address: None, task })
}

struct Reader {
    enricher: Enricher,
    resource: Arc<Resource>,
    tally: Arc<Tally>,
    splitter: LineSplitter,
}

impl Reader {
    fn run(mut self, mut input: impl Read, feed: &parking_lot::Mutex<Option<Feed>>) {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = match input.read(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.tally.problem("read_failed", 1, error.to_string().as_bytes());
                    0
                }
            };
            let mut portion = Portion { bytes: length as u64, ..Portion::default() };
            let (enricher, resource) = (&mut self.enricher, &self.resource);
            let mut take = |line: Line<'_>| {
                let received = ReceivedLine::plain(line.bytes, Timestamp::now(), resource);
                portion.logs.extend(enricher.enrich(ReceivedLine { truncated: line.truncated, ..received }));
            };
            self.splitter.push(&buffer[..length], &mut take);
            if length == 0 {
                self.splitter.finish(&mut take);
            }
            self.enricher.notes().report(&self.tally);
            // The feed is cloned so that a full feeder does not hold the lock that the stop waits for.
            let Some(feed) = feed.lock().clone() else { return };
            if (!portion.logs.is_empty() && feed.blocking_send(portion).is_err()) || length == 0 {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::delivery::{self, Outcome};

    #[tokio::test]
    async fn lines_are_stored_and_the_last_needs_no_end() {
        let (outlet, mut deliveries) = delivery::channel(1);
        let context = SourceContext {
            outlet,
            tallies: Arc::default(),
            enricher: Enricher::default(),
            resource: Arc::default(),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        };
        let config = Config { service: "shop".to_owned(), line_bytes_max: 20, ..Config::default() };
        let input = io::Cursor::new(b"one\r\n\n{\"msg\":\"two\"}\nthree is longer than it may be\nfour");
        let running = start_reading(config, context.clone(), input).unwrap();
        let delivery = deliveries.recv().await.unwrap();
        let said: Vec<_> =
            delivery.batch.logs.iter().map(|record| (&*record.body, &*record.resource.service)).collect();
        assert_eq!(said, [("one", "shop"), ("two", "shop"), ("three is longer than", "shop"), ("four", "shop")]);
        delivery.receipt.answer(Outcome::Stored { acked_through: None });
        running.task.await.unwrap();
        let tally = &context.tallies.snapshot()[0];
        assert_eq!((tally.records, tally.problems[0].reason), (4, "line_too_long"));
    }
}
