//! The step from received bytes to a thread's window: cuts packets into lines, counts what cannot be taken.
//!
//! Each reading thread has one of its own, so that no line waits for another thread. Only events, which are rare, meet in one list.

use std::fmt;
use std::sync::Arc;

use memchr::memchr_iter;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::cell::Cell;
use super::event;
use super::line::{self, Dialects, Malformed};
use super::window::{Handover, Window};
use crate::model::{LogRecord, Resource, Timestamp};
use crate::source::Tally;

/// Events and service checks held until the next delivery; more are dropped and counted.
const EVENTS_MAX: usize = 10_000;

/// Events and service checks of all threads, which need not wait for the end of a window.
#[derive(Debug, Default)]
pub struct Events {
    held: Mutex<Vec<LogRecord>>,
    /// Told when one came.
    pub came: Notify,
}

/// Where handovers go; gives back emptied cells when there are some.
pub type HandOver = Box<dyn FnMut(Handover) -> Option<Vec<Cell>> + Send>;

/// See the module's documentation. When it is dropped, what it still holds is handed over.
pub struct Intake {
    window: Window,
    dialects: Dialects,
    resource: Arc<Resource>,
    events: Arc<Events>,
    hand_over: HandOver,
    /// Lines of which anything was taken, and bytes, that the tally was not told yet.
    lines: u64,
    bytes: u64,
}

impl Events {
    /// All so far.
    pub fn take(&self) -> Vec<LogRecord> {
        std::mem::take(&mut self.held.lock())
    }

    fn add(&self, record: LogRecord) -> bool {
        let mut held = self.held.lock();
        let has_room = held.len() < EVENTS_MAX;
        if has_room {
            held.push(record);
            self.came.notify_one();
        }
        has_room
    }
}

impl Intake {
    /// The intake of one thread; `resource` is this host.
    pub fn new(
        window: Window,
        dialects: Dialects,
        resource: Arc<Resource>,
        events: Arc<Events>,
        hand_over: HandOver,
    ) -> Intake {
        Intake { window, dialects, resource, events, hand_over, lines: 0, bytes: 0 }
    }

    /// Says what time it is: before packets are taken, and now and then when none come. `question` counts what the merger was asked.
    pub fn tick(&mut self, now: Timestamp, question: u64) {
        let handover = self.window.roll(now).or_else(|| self.window.answer(question));
        handover.into_iter().for_each(|handover| self.send(handover));
    }

    /// Takes in the lines of a packet, or of a piece of a stream that ends with a line. Empty lines are skipped, as every
    /// server does. [`count`](Intake::count) tells the tally what was taken.
    pub fn take(&mut self, packet: &[u8], now: Timestamp, tally: &Tally) {
        let mut taking = Taking {
            now,
            dialects: self.dialects,
            window: &mut self.window,
            resource: &self.resource,
            events: &self.events,
            lines: 0,
            problems: Vec::new(),
        };
        match str::from_utf8(packet) {
            Ok(text) => {
                let mut start = 0;
                for end in memchr_iter(b'\n', packet) {
                    taking.line(text[start..end].trim_ascii());
                    start = end + 1;
                }
                taking.line(text[start..].trim_ascii());
            }
            Err(_) => packet.split(|&byte| byte == b'\n').for_each(|line| match str::from_utf8(line) {
                Ok(text) => taking.line(text.trim_ascii()),
                Err(_) => taking.problem(Malformed::InvalidUtf8.reason(), 1, line),
            }),
        }
        taking.problems.iter().for_each(|&(reason, count, line)| tally.problem(reason, count.into(), line));
        self.lines += taking.lines;
        self.bytes += packet.len() as u64;
        self.window.take_outgoing().into_iter().for_each(|handover| self.send(handover));
    }

    /// Tells the tally what was taken since the last call.
    pub fn count(&mut self, tally: &Tally) {
        tally.took(std::mem::take(&mut self.lines), std::mem::take(&mut self.bytes));
    }

    fn send(&mut self, handover: Handover) {
        if let Some(emptied) = (self.hand_over)(handover) {
            self.window.reuse(emptied);
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        (self.hand_over)(self.window.hand_over(None));
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("window", &self.window.start()).finish_non_exhaustive()
    }
}

/// One packet being taken in.
struct Taking<'a, 'w> {
    now: Timestamp,
    dialects: Dialects,
    window: &'w mut Window,
    resource: &'w Arc<Resource>,
    events: &'w Events,
    /// Lines of which anything was taken.
    lines: u64,
    /// What went wrong, added up by reason so that a flood of bad lines costs little: how often, and the last line.
    problems: Vec<(&'static str, u32, &'a [u8])>,
}

impl<'a> Taking<'a, '_> {
    fn line(&mut self, line: &'a str) {
        if line.is_empty() {
            return;
        }
        let taken = if event::is_event(line) { self.event(line) } else { self.metric(line) };
        match taken {
            Ok(taken) => self.lines += u64::from(taken),
            Err(malformed) => self.problem(malformed.reason(), 1, line.as_bytes()),
        }
    }

    fn metric(&mut self, line: &'a str) -> Result<bool, Malformed> {
        let metric = line::parse(line, self.dialects)?;
        let added = self.window.add(&metric, self.now)?;
        self.problem("unknown_field", metric.unknown_fields, line.as_bytes());
        self.problem(Malformed::BadValue.reason(), added.taken.bad_values, line.as_bytes());
        self.problem("series_limit", added.beyond_limit, line.as_bytes());
        self.problem("bad_trace_id", added.unreadable_trace.into(), line.as_bytes());
        Ok(added.taken.values > 0)
    }

    fn event(&mut self, line: &'a str) -> Result<bool, Malformed> {
        let event = event::parse(line, self.now, self.resource)?;
        self.problem("unknown_field", event.unknown_fields, line.as_bytes());
        let has_room = self.events.add(event.record);
        self.problem("event_limit", u32::from(!has_room), line.as_bytes());
        Ok(has_room)
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

    use super::super::aggregate::{Aggregator, Ready, Settings};
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
            mapper: Arc::default(),
            etsy: None,
        };
        let now = Timestamp::now();
        let mut aggregator = Aggregator::new(&settings, 1, now);
        let tally = Tallies::default().of("statsd", "test");
        aggregator.take(0, packet, now, &tally);
        (aggregator.finish(), tally.snapshot())
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
        fn what_is_sent_is_taken_or_counted(lines in prop::collection::vec("[a-e]:([0-9]{1,3}|x)\\|(c|zz)(\\|@(0|1))?", 0..20)) {
            let (ready, tally) = take(lines.join("\n").as_bytes());
            let refused: u64 = tally.problems.iter().map(|problem| problem.count).sum();
            prop_assert_eq!(tally.records + refused, lines.len() as u64);
            prop_assert!(ready.samples.len() <= 4);
        }
    }
}
