//! The step from received bytes to the aggregator: cuts packets into lines, counts what cannot be taken.
//!
//! One aggregator serves all sockets, behind a lock that is taken once a packet: a gauge's level is one, whichever way its
//! changes come in, and an uncontended lock costs a hundredth of the system call that brought the packet.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::aggregate::{Aggregator, Settings};
use super::event;
use super::line::{self, Dialects, Malformed};
use crate::model::{LogRecord, Resource, Sample, Timestamp};
use crate::source::Tally;

/// Events and service checks held until the next delivery; more are dropped and counted.
const EVENTS_MAX: usize = 10_000;

/// The aggregator, as several sockets share it.
#[derive(Debug)]
pub struct Intake {
    held: Mutex<Held>,
    dialects: Dialects,
    resource: Arc<Resource>,
    /// Told when an event came in, which need not wait for the end of a window.
    pub event_came: Notify,
}

#[derive(Debug)]
struct Held {
    aggregator: Aggregator,
    events: Vec<LogRecord>,
}

/// What is ready to be delivered.
#[derive(Debug, Default)]
pub struct Ready {
    /// Events and service checks.
    pub logs: Vec<LogRecord>,
    /// Windows that ended.
    pub samples: Vec<Sample>,
}

impl Intake {
    /// An empty one; `resource` is this host.
    pub fn new(settings: Settings, resource: Arc<Resource>) -> Intake {
        let dialects = settings.dialects;
        let held = Held { aggregator: Aggregator::new(settings, Timestamp::now()), events: Vec::new() };
        Intake { held: Mutex::new(held), dialects, resource, event_came: Notify::new() }
    }

    /// Takes in the lines of a packet or of a piece of a stream that ends with a line. Empty lines are skipped, as every
    /// server does.
    pub fn take(&self, packet: &[u8], tally: &Tally) {
        let mut taking = Taking {
            now: Timestamp::now(),
            dialects: self.dialects,
            resource: &self.resource,
            lines: 0,
            event_came: false,
            problems: Vec::new(),
            tags: Vec::with_capacity(16),
        };
        let mut held = self.held.lock();
        held.aggregator.roll(taking.now);
        match str::from_utf8(packet) {
            Ok(text) => text.split('\n').for_each(|line| taking.line(&mut held, line.trim_ascii())),
            Err(_) => packet.split(|&byte| byte == b'\n').for_each(|line| match str::from_utf8(line) {
                Ok(text) => taking.line(&mut held, text.trim_ascii()),
                Err(_) => taking.problem(Malformed::InvalidUtf8.reason(), 1, line),
            }),
        }
        drop(held);
        tally.took(taking.lines, packet.len() as u64);
        taking.problems.iter().for_each(|&(reason, count, line)| tally.problem(reason, count.into(), line));
        if taking.event_came {
            self.event_came.notify_one();
        }
    }

    /// Events so far and the windows that are over by `now`.
    pub fn ready(&self, now: Timestamp) -> Ready {
        let mut held = self.held.lock();
        held.aggregator.roll(now);
        Ready { logs: std::mem::take(&mut held.events), samples: held.aggregator.take_ended() }
    }

    /// Everything held, the window that gathers included.
    pub fn rest(&self) -> Ready {
        let mut held = self.held.lock();
        held.aggregator.end_window();
        Ready { logs: std::mem::take(&mut held.events), samples: held.aggregator.take_ended() }
    }
}

/// One packet being taken in.
struct Taking<'a> {
    now: Timestamp,
    dialects: Dialects,
    resource: &'a Arc<Resource>,
    /// Lines of which anything was taken.
    lines: u64,
    event_came: bool,
    /// What went wrong, added up by reason so that a flood of bad lines costs little: how often, and the last line.
    problems: Vec<(&'static str, u32, &'a [u8])>,
    tags: Vec<(&'a str, &'a str)>,
}

impl<'a> Taking<'a> {
    fn line(&mut self, held: &mut Held, line: &'a str) {
        if line.is_empty() {
            return;
        }
        let taken = if event::is_event(line) { self.event(held, line) } else { self.metric(held, line) };
        match taken {
            Ok(taken) => self.lines += u64::from(taken),
            Err(malformed) => self.problem(malformed.reason(), 1, line.as_bytes()),
        }
    }

    fn metric(&mut self, held: &mut Held, line: &'a str) -> Result<bool, Malformed> {
        let metric = line::parse(line, self.dialects)?;
        let added = held.aggregator.add(&metric, self.now, &self.resource.host, &mut self.tags)?;
        self.problem("unknown_field", metric.unknown_fields, line.as_bytes());
        self.problem(Malformed::BadValue.reason(), added.taken.bad_values, line.as_bytes());
        self.problem("series_limit", added.beyond_limit, line.as_bytes());
        self.problem("bad_trace_id", added.unreadable_trace.into(), line.as_bytes());
        Ok(added.taken.values > 0)
    }

    fn event(&mut self, held: &mut Held, line: &'a str) -> Result<bool, Malformed> {
        let event = event::parse(line, self.now, self.resource)?;
        self.problem("unknown_field", event.unknown_fields, line.as_bytes());
        if held.events.len() >= EVENTS_MAX {
            self.problem("event_limit", 1, line.as_bytes());
            return Ok(false);
        }
        held.events.push(event.record);
        self.event_came = true;
        Ok(true)
    }

    fn problem(&mut self, reason: &'static str, count: u32, line: &'a [u8]) {
        if count == 0 {
            return;
        }
        match self.problems.iter_mut().find(|(other, ..)| *other == reason) {
            Some(problem) => (problem.1, problem.2) = (problem.1.saturating_add(count), line),
            None => self.problems.push((reason, count, line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::source::{Tallies, TallySnapshot};

    fn take(packet: &[u8]) -> (Ready, TallySnapshot) {
        let settings = Settings {
            interval: Duration::from_secs(10),
            signed_is_delta: true,
            dialects: Dialects::default(),
            series_max: 3,
            gauge_ttl: Duration::from_secs(60),
            host: "h".into(),
        };
        let intake = Intake::new(settings, Arc::new(Resource { host: "h".into(), ..Resource::default() }));
        let tally = Tallies::default().of("statsd", "test");
        intake.take(packet, &tally);
        (intake.rest(), tally.snapshot())
    }

    #[test]
    fn bad_lines_are_counted_by_reason_and_cost_no_neighbour() {
        let packet = b"\na:1|c\r\n\xff:1|c\nb\n  c:2|zz \nd:1|c|@0\n_e{9,9}:x|y\n_e{1,1}:x|y\ne:1:x|ms|?\na:1|c";
        let (ready, tally) = take(packet);
        let mut names: Vec<&str> = ready.samples.iter().map(|sample| sample.labels.name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "e"]);
        assert_eq!(ready.logs.len(), 1);
        assert_eq!((tally.records, tally.bytes), (4, packet.len() as u64));
        let problems: Vec<(&str, u64, &str)> =
            tally.problems.iter().map(|p| (p.reason, p.count, p.example.as_str())).collect();
        assert_eq!(
            problems,
            [
                ("bad_event", 1, "_e{9,9}:x|y"),
                ("bad_sample_rate", 1, "d:1|c|@0"),
                ("bad_value", 1, "e:1:x|ms|?"),
                ("invalid_utf8", 1, "\u{FFFD}:1|c"),
                ("missing_value", 1, "b"),
                ("unknown_field", 1, "e:1:x|ms|?"),
                ("unknown_type", 1, "c:2|zz"),
            ]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_intake_panic(packet in prop::collection::vec(any::<u8>(), 0..300)) {
            take(&packet);
        }

        #[test]
        fn what_is_sent_is_taken_or_counted(lines in prop::collection::vec("[a-e]:([0-9]{1,3}|x)\\|(c|ms|zz)(\\|@(0|1))?", 0..20)) {
            let (_, tally) = take(lines.join("\n").as_bytes());
            let refused: u64 = tally.problems.iter().map(|problem| problem.count).sum();
            prop_assert_eq!(tally.records + refused, lines.len() as u64);
        }
    }
}
