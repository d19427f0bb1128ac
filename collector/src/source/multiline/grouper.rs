//! What is held of one stream: a group in the making, and when it is given.

use std::time::{Duration, Instant};

use super::config::Rules;
use super::traces::{self, Held, State};
use crate::model::Timestamp;

/// A single line that could begin a group is held for this part of the time that a group is.
const LONE_PART: u32 = 20;
/// Blank lines that a group may hold between two lines of it.
const BLANKS_MAX: u32 = 2;
/// Room for held text that is kept for the next group.
const KEPT_BYTES: usize = 64 << 10;

/// How large a group may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its lines …
    pub lines: u32,
    /// … and bytes.
    pub bytes: usize,
    /// A group is given when its first line is older than this, whatever may follow; a single line after a twentieth of it.
    pub age: Duration,
}

impl Limits {
    /// Goroutine dumps of busy servers have thousands of lines.
    pub const LINES: u32 = 10_000;

    /// Limits with [`Limits::LINES`].
    pub fn new(bytes: usize, age: Duration) -> Limits {
        Limits { lines: Limits::LINES, bytes, age }
    }
}

/// One line of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Its bytes without its end; may be empty.
    pub bytes: &'a [u8],
    /// Whether it was longer.
    pub truncated: bool,
    /// Where it starts, in the reader's own count.
    pub start: u64,
    /// When it was written, where its transport says so.
    pub time: Option<Timestamp>,
}

/// A complete line or group of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The lines, joined by line feeds.
    pub bytes: &'a [u8],
    /// Whether one of them was longer.
    pub truncated: bool,
    /// When the first was written.
    pub time: Option<Timestamp>,
    /// Where the first starts.
    pub start: u64,
    /// Which limit ended it, as problems are called.
    pub cut_by: Option<&'static str>,
}

/// Joins the lines of one stream.
#[derive(Debug)]
pub struct Grouper {
    rules: Rules,
    limits: Limits,
    text: Vec<u8>,
    /// Of the lines in `text`; nothing is held when there are none.
    lines: u32,
    blanks: u32,
    state: State,
    truncated: bool,
    start: u64,
    time: Option<Timestamp>,
    /// Where in the text the last line starts, and the last that is not indented.
    last: usize,
    flush_left: usize,
    first_at: Instant,
    last_at: Instant,
}

impl Grouper {
    /// A grouper that holds nothing.
    pub fn new(rules: Rules, limits: Limits) -> Grouper {
        let now = Instant::now();
        Grouper {
            rules,
            limits,
            text: Vec::new(),
            lines: 0,
            blanks: 0,
            state: State::Plain,
            truncated: false,
            start: 0,
            time: None,
            last: 0,
            flush_left: 0,
            first_at: now,
            last_at: now,
        }
    }

    /// Takes a line that was read at `now`, and gives the group that it ends or is.
    #[inline]
    pub fn push(&mut self, part: Part<'_>, now: Instant, take: &mut impl FnMut(Group<'_>)) {
        let is_alone = match self.rules {
            Rules::Off => true,
            Rules::Auto => is_json_object(part.bytes),
            Rules::Start(_) | Rules::Continue(_) => false,
        };
        if !is_alone {
            return self.hold(part, now, take);
        }
        self.finish(take);
        if !part.bytes.is_empty() {
            take(Group {
                bytes: part.bytes,
                truncated: part.truncated,
                time: part.time,
                start: part.start,
                cut_by: None,
            });
        }
    }

    fn hold(&mut self, part: Part<'_>, now: Instant, take: &mut impl FnMut(Group<'_>)) {
        if part.bytes.trim_ascii().is_empty() {
            self.blanks += 1;
            if self.blanks > BLANKS_MAX {
                self.finish(take);
            }
            return;
        }
        if self.lines > 0 {
            match self.state_after(part.bytes) {
                Some(_) if self.lines >= self.limits.lines => self.give(Some("multiline_lines_max"), take),
                Some(_) if self.text.len() + part.bytes.len() >= self.limits.bytes => {
                    self.give(Some("multiline_bytes_max"), take);
                }
                Some(_) if now.duration_since(self.first_at) >= self.limits.age => {
                    self.give(Some("multiline_age_max"), take);
                }
                Some(state) => return self.append(part, state, now),
                None => self.give(None, take),
            }
        }
        self.begin(part, now);
    }

    /// The state with this line, if it goes on with the held ones.
    fn state_after(&self, line: &[u8]) -> Option<State> {
        let joins = match &self.rules {
            Rules::Off => false,
            Rules::Auto => {
                let held = Held {
                    state: self.state,
                    lines: self.lines,
                    blanks: self.blanks,
                    flush_left: self.line_at(self.flush_left),
                    last: self.line_at(self.last),
                };
                return traces::state_after(held, line);
            }
            Rules::Start(expression) => !expression.is_match(line),
            Rules::Continue(expression) => expression.is_match(line),
        };
        joins.then_some(State::Plain)
    }

    fn line_at(&self, at: usize) -> &[u8] {
        let rest = &self.text[at..];
        &rest[..memchr::memchr(b'\n', rest).unwrap_or(rest.len())]
    }

    fn begin(&mut self, part: Part<'_>, now: Instant) {
        self.text.clear();
        self.text.extend_from_slice(part.bytes);
        self.state = match self.rules {
            Rules::Auto => traces::state_of_first(part.bytes),
            _ => State::Plain,
        };
        (self.lines, self.blanks, self.last, self.flush_left) = (1, 0, 0, 0);
        (self.truncated, self.start, self.time) = (part.truncated, part.start, part.time);
        (self.first_at, self.last_at) = (now, now);
    }

    fn append(&mut self, part: Part<'_>, state: State, now: Instant) {
        for _ in 0..=self.blanks {
            self.text.push(b'\n');
        }
        self.last = self.text.len();
        if !part.bytes[0].is_ascii_whitespace() {
            self.flush_left = self.last;
        }
        self.text.extend_from_slice(part.bytes);
        self.lines += 1;
        self.blanks = 0;
        self.state = state;
        self.truncated |= part.truncated;
        self.last_at = now;
    }

    /// Gives what is held, as at the end of a stream.
    pub fn finish(&mut self, take: &mut impl FnMut(Group<'_>)) {
        self.blanks = 0;
        if self.lines > 0 {
            self.give(None, take);
        }
    }

    /// Gives what was held for long enough.
    pub fn give_old(&mut self, now: Instant, take: &mut impl FnMut(Group<'_>)) {
        let age = now.duration_since(self.first_at);
        if self.lines == 0 || age < self.wait() {
            return;
        }
        // A group that grew until now is cut; one that has been silent is complete.
        let still_grew = self.lines > 1 && now.duration_since(self.last_at) < self.limits.age / LONE_PART;
        self.give(still_grew.then_some("multiline_age_max"), take);
    }

    /// How long what is held waits for more.
    fn wait(&self) -> Duration {
        // A line that says what follows is worth waiting for.
        let is_lone = self.lines == 1 && self.state == State::Plain;
        if is_lone { self.limits.age / LONE_PART } else { self.limits.age }
    }

    /// When what is held is to be given at the latest.
    pub fn due(&self) -> Option<Instant> {
        (self.lines > 0).then(|| self.first_at + self.wait())
    }

    /// Where the held group starts.
    pub fn start(&self) -> Option<u64> {
        (self.lines > 0).then_some(self.start)
    }

    fn give(&mut self, cut_by: Option<&'static str>, take: &mut impl FnMut(Group<'_>)) {
        self.lines = 0;
        self.blanks = 0;
        take(Group { bytes: &self.text, truncated: self.truncated, time: self.time, start: self.start, cut_by });
        if self.text.capacity() > KEPT_BYTES {
            self.text = Vec::new();
        }
    }
}

/// Whether it looks like one from its ends.
#[inline]
fn is_json_object(line: &[u8]) -> bool {
    match line {
        [b'{', .., b'}'] => true,
        [b' ' | b'\t' | b'{', ..] => matches!(line.trim_ascii(), [b'{', .., b'}']),
        _ => false,
    }
}
