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
use super::plain_line::{self, PlainLine};
use super::tags::TagDialect;
use super::window::{Handover, LINES_AT_ONCE, Window};
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

    /// Takes in the lines of packets, or of pieces of a stream that end with a line. Empty lines are skipped, as every
    /// server does. [`count`](Intake::count) tells the tally what was taken.
    pub fn take<'a>(&mut self, packets: impl IntoIterator<Item = &'a [u8]>, now: Timestamp, tally: &Tally) {
        let mut taking = Taking {
            now,
            dialects: self.dialects,
            window: &mut self.window,
            resource: &self.resource,
            events: &self.events,
            reads_tags: self.dialects.tags.reads(TagDialect::DogStatsD),
            waiting: Vec::with_capacity(LINES_AT_ONCE),
            lines: 0,
            problems: Vec::new(),
        };
        for packet in packets {
            taking.packet(packet);
            self.bytes += packet.len() as u64;
        }
        taking.flush();
        taking.problems.iter().for_each(|&(reason, count, line)| tally.problem(reason, count.into(), line));
        self.lines += taking.lines;
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

/// Packets being taken in.
struct Taking<'a, 'w> {
    now: Timestamp,
    dialects: Dialects,
    window: &'w mut Window,
    resource: &'w Arc<Resource>,
    events: &'w Events,
    reads_tags: bool,
    /// Lines that wait for others to be looked up with.
    waiting: Vec<PlainLine<'a>>,
    /// Lines of which anything was taken.
    lines: u64,
    /// What went wrong, added up by reason so that a flood of bad lines costs little: how often, and the last line.
    problems: Vec<(&'static str, u32, &'a [u8])>,
}

impl<'a> Taking<'a, '_> {
    fn packet(&mut self, packet: &'a [u8]) {
        let is_plain = plain_line::is_plain(packet);
        let mut start = 0;
        for end in memchr_iter(b'\n', packet) {
            self.line(packet[start..end].trim_ascii(), is_plain);
            start = end + 1;
        }
        self.line(packet[start..].trim_ascii(), is_plain);
    }

    fn line(&mut self, line: &'a [u8], is_plain: bool) {
        if line.is_empty() {
            return;
        }
        let is_plain = is_plain || plain_line::is_plain(line);
        match is_plain.then(|| plain_line::read(line, self.reads_tags)).flatten() {
            Some(line) => {
                self.waiting.push(line);
                if self.waiting.len() == LINES_AT_ONCE {
                    self.flush();
                }
            }
            None => {
                self.flush(); // what came before it is taken before it
                self.any_line(line);
            }
        }
    }

    /// Gives the lines that wait to the window.
    fn flush(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let looked_up = self.window.look_up(&waiting);
        let reading = self.window.reading(self.now);
        for (at, line) in waiting.iter().enumerate() {
            match self.window.add_known(&looked_up, at, line, &reading) {
                Some(taken) => {
                    self.lines += u64::from(taken.values > 0);
                    self.problem(Malformed::BadValue.reason(), taken.bad_values, line.text);
                }
                None => self.any_line(line.text),
            }
        }
        waiting.clear();
        self.waiting = waiting;
    }

    /// Takes in a line of whatever form.
    fn any_line(&mut self, line: &'a [u8]) {
        let taken = match str::from_utf8(line) {
            Ok(text) if event::is_event(text) => self.event(text),
            Ok(text) => self.metric(text),
            Err(_) => Err(Malformed::InvalidUtf8),
        };
        match taken {
            Ok(taken) => self.lines += u64::from(taken),
            Err(malformed) => self.problem(malformed.reason(), 1, line),
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
