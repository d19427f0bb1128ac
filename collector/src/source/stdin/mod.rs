//! Lines of standard input, as `program | taffrail collect` sends them.
//!
//! Nothing can be read twice from a pipe, so there is no checkpoint. At its end the source ends; the process goes on.
//! Two threads: one waits for the pipe, which nothing can interrupt; the other makes records of what it read, gives what has
//! waited for long enough, and ends at the stop with everything that was read.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::enrich::{Enricher, Parse, ReceivedLine};
use crate::model::{Resource, Timestamp};
use crate::source::feeder::{self, Ended, Feed, Portion};
use crate::source::line_splitter::{Line, LineSplitter};
use crate::source::multiline::{Group, Grouper, Limits, Multiline, Part};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "stdin";
const READ_BYTES: usize = 64 << 10;
/// Reads that wait to be made records.
const READS_MAX: usize = 2;
/// A group of lines is given after so long, a lone line after a twentieth of it, as in files.
const GROUP_AGE: Duration = Duration::from_secs(5);
/// The longest until a stop or the age of what is held is noticed.
const TICK: Duration = Duration::from_millis(100);

/// The section `collector.stdin`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether standard input is read. Default false; `taffrail collect` reads it all the same when it is a pipe and nothing is said here.
    pub enabled: bool,
    /// The service that lines belong to which name none. Default none.
    pub service: String,
    /// How lines are read: `auto`, `json`, `logfmt`, `nginx`, `apache`, `syslog`, `grok:…`, `regex:…` or `none`. Default `auto`.
    pub parse: Parse,
    /// Which lines are joined: `auto` (stack traces, indented lines), `{ start = "regex" }`, `{ continue = "regex" }` or `off`.
    /// Default `auto`.
    pub multiline: Multiline,
    /// Longest line, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            enabled: false,
            service: String::new(),
            parse: Parse::Auto,
            multiline: Multiline::Auto,
            line_bytes_max: 1 << 20,
        }
    }
}

/// Starts to read standard input; where it is not enabled, the task ends at once.
pub fn start(config: Config, context: SourceContext) -> Result<Running, StartError> {
    if !config.enabled {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    }
    start_reading(config, context, io::stdin())
}

/// Reads lines of `input`.
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
    let limits = Limits::new(config.line_bytes_max, GROUP_AGE);
    let reader = Reader {
        enricher,
        resource,
        feed,
        tally: Arc::clone(&tally),
        splitter: LineSplitter::new(config.line_bytes_max).with_empty_lines(),
        grouper: Grouper::new(config.multiline.rules("collector.stdin.multiline")?, limits),
        stop: context.stop.clone(),
    };
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    let (chunks, to_read) = sync_channel(READS_MAX);
    let on_thread = |name: &str, run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| StartError {
            setting: "collector.stdin.enabled",
            message: format!("cannot start a thread: {error}"),
        })
    };
    on_thread("stdin", Box::new(move || read_all(input, &chunks, &tally)))?;
    on_thread(
        "stdin-lines",
        Box::new(move || {
            // An end before the stop is the feeder's, which has said why.
            let _ = reader.run(&to_read);
            drop(ended);
        }),
    )?;
    let task = tokio::spawn(async move {
        let _ = has_ended.await;
        let _ = feeder.await;
    });
    Ok(Running { kind: KIND, address: None, task })
}

/// Passes on what is read, until the end or until nobody takes it any more.
fn read_all(mut input: impl Read, chunks: &SyncSender<Vec<u8>>, tally: &Tally) {
    loop {
        let mut chunk = vec![0; READ_BYTES];
        match input.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => {
                chunk.truncate(length);
                if chunks.send(chunk).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return tally.problem("read_failed", 1, error.to_string().as_bytes()),
        }
    }
}

struct Reader {
    enricher: Enricher,
    resource: Arc<Resource>,
    feed: Feed,
    tally: Arc<Tally>,
    splitter: LineSplitter,
    grouper: Grouper,
    stop: CancellationToken,
}

impl Reader {
    fn run(mut self, chunks: &Receiver<Vec<u8>>) -> Result<(), Ended> {
        loop {
            let chunk = match chunks.recv_timeout(TICK) {
                Ok(chunk) => Some(chunk),
                Err(RecvTimeoutError::Timeout) if !self.stop.is_cancelled() => None,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return self.give(None, true),
            };
            self.give(chunk, false)?;
            if self.stop.is_cancelled() {
                // What was read before the stop; a program that never pauses would keep us for ever.
                for chunk in chunks.try_iter().take(READS_MAX + 1) {
                    self.give(Some(chunk), false)?;
                }
                return self.give(None, true);
            }
        }
    }

    /// Makes records of what was read, of what has waited, and at the end of all that is held.
    fn give(&mut self, chunk: Option<Vec<u8>>, is_end: bool) -> Result<(), Ended> {
        let chunk = chunk.unwrap_or_default();
        let mut portion = Portion { bytes: chunk.len() as u64, ..Portion::default() };
        let (now, arrival) = (Instant::now(), Timestamp::now());
        let Reader { enricher, resource, tally, splitter, grouper, .. } = self;
        let mut take = |group: Group<'_>| {
            if let Some(limit) = group.cut_by {
                tally.problem(limit, 1, group.bytes);
            }
            let received = ReceivedLine::plain(group.bytes, arrival, resource);
            portion.logs.extend(enricher.enrich(ReceivedLine { truncated: group.truncated, ..received }));
        };
        splitter.push(&chunk, |line| grouper.push(part_of(line), now, &mut take));
        grouper.give_old(now, &mut take);
        if is_end {
            splitter.finish(|line| grouper.push(part_of(line), now, &mut take));
            grouper.finish(&mut take);
        }
        enricher.notes().report(tally);
        if portion.logs.is_empty() { Ok(()) } else { self.feed.blocking_send(portion) }
    }
}

fn part_of(line: Line<'_>) -> Part<'_> {
    Part { bytes: line.bytes, truncated: line.truncated, start: line.start, time: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{self, Outcome};

    /// Gives its text and then nothing more, like a program that is silent.
    struct Silent(&'static [u8]);

    impl Read for Silent {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => loop {
                    std::thread::park();
                },
                length => Ok(length),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_trace_is_one_record_and_what_a_silent_program_said_last_is_given_at_the_stop() {
        let (outlet, mut deliveries) = delivery::channel(1);
        let context = SourceContext::bare(outlet);
        let text = b"one\nError: no\n    at x (y.js:1:1)\n{\"msg\":\"two\"}\nError: no\n    at z (y.js:2:2)\n";
        let running = start_reading(Config::default(), context.clone(), Silent(text)).unwrap();
        let mut bodies = Vec::new();
        while bodies.len() < 4 {
            let delivery = deliveries.recv().await.unwrap();
            bodies.extend(delivery.batch.logs.iter().map(|record| record.body.clone()));
            delivery.receipt.answer(Outcome::Stored { acked_through: None });
            context.stop.cancel();
        }
        running.task.await.unwrap();
        assert_eq!(bodies, ["one", "Error: no\n    at x (y.js:1:1)", "two", "Error: no\n    at z (y.js:2:2)"]);
    }

    /// Never pauses.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let text = b"yes\n";
            buffer[..text.len()].copy_from_slice(text);
            Ok(text.len())
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_program_that_never_pauses_does_not_hold_up_the_stop() {
        let (outlet, mut deliveries) = delivery::channel(1);
        let context = SourceContext::bare(outlet);
        let running = start_reading(Config::default(), context.clone(), Endless).unwrap();
        let stop = context.stop.clone();
        drop(context);
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
                stop.cancel();
            }
        });
        tokio::time::timeout(Duration::from_secs(60), running.task).await.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn lines_are_stored_and_the_last_needs_no_end() {
        let (outlet, mut deliveries) = delivery::channel(1);
        let context = SourceContext::bare(outlet);
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
