//! From the lines of a file to what becomes records: text is decoded, container formats are unwrapped, parts of a line and
//! lines of a group are joined, each output stream for itself.
//!
//! Nothing that is unfinished is ever behind the place that is remembered: [`Assembly::places`] says for each stream where the first
//! line starts that was not given. After a restart reading goes on at the earlier of the two, and what was given of the other
//! stream since is passed over.

use std::time::{Duration, Instant};

use super::container::{Format, Inner, Reader, Stream};
use super::encoding::TextEncoding;
use crate::enrich::cut_at_character;
use crate::model::Timestamp;
use crate::source::line_splitter::Line;
use crate::source::multiline::{Group, Grouper, Limits, Part, Rules};

/// What a wrapped line may have beyond a line: Docker splits lines at 16 KiB, and escapes can make six bytes of one.
pub(super) const WRAPPING_BYTES_MAX: usize = 128 << 10;

/// How the lines of a group of files are read.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) format: Format,
    pub(super) rules: Rules,
    pub(super) line_bytes_max: usize,
    pub(super) line_timeout: Duration,
}

/// Who wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Whoever writes into the file.
    File,
    /// A container's standard output.
    Stdout,
    /// A container's standard error.
    Stderr,
}

impl Origin {
    /// The number of its stream; what is not wrapped counts to standard output.
    pub(super) fn stream(self) -> usize {
        usize::from(self == Origin::Stderr)
    }
}

/// What becomes one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether there was more than is kept.
    pub(super) truncated: bool,
    pub(super) origin: Origin,
    /// When the runtime took it.
    pub(super) time: Option<Timestamp>,
    /// Where its first line starts.
    pub(super) start: u64,
    /// What is to be counted about it.
    pub(super) problem: Option<&'static str>,
    /// What the runtime says of the container.
    pub(super) attributes: &'a [(String, String)],
}

/// What is held of one file between two reads.
pub(super) struct Assembly {
    reading: Reading,
    encoding: TextEncoding,
    reader: Reader,
    /// What the lines are; [`Format::Auto`] until one is met that a runtime wrote.
    format: Format,
    /// Standard output, which is also what is not wrapped, and standard error.
    lanes: [Lane; 2],
    /// What the runtime says of the container, with every line the same.
    attributes: Vec<(String, String)>,
    /// Lines of a stream before this were given in an earlier run.
    given_before: [u64; 2],
}

/// One output stream.
struct Lane {
    /// The start of a line whose parts have not all come; no longer than one byte more than a line may be.
    partial: Vec<u8>,
    /// Bytes of that line, kept or not; none when there is no such line.
    partial_length: Option<u64>,
    partial_start: u64,
    partial_time: Option<Timestamp>,
    partial_at: Instant,
    grouper: Grouper,
}

impl Assembly {
    /// Goes on where lines of both streams were given up to these places.
    pub(super) fn new(reading: Reading, encoding: TextEncoding, given_before: [u64; 2]) -> Assembly {
        let format = reading.format;
        let limits = Limits::new(reading.line_bytes_max, reading.line_timeout);
        let lane = || Lane {
            partial: Vec::new(),
            partial_length: None,
            partial_start: 0,
            partial_time: None,
            partial_at: Instant::now(),
            grouper: Grouper::new(reading.rules.clone(), limits),
        };
        let lanes = [lane(), lane()];
        Assembly { encoding, reader: Reader::new(), format, lanes, attributes: Vec::new(), given_before, reading }
    }

    /// Takes a line that was read at `now`, and gives what it completes.
    #[inline]
    pub(super) fn push(&mut self, line: Line<'_>, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        let text = self.encoding.decode(line.bytes, line.start);
        if self.format == Format::Auto {
            match self.reader.detect(&text) {
                Some(format) => {
                    self.format = format;
                    self.lanes[0].finish(
                        now,
                        self.reading.line_bytes_max,
                        &mut of(Origin::File, &self.attributes, take),
                    );
                }
                None => return self.push_plain(&text, line, now, take),
            }
        }
        let inner = match self.format {
            Format::Cri => self.reader.cri(&text),
            Format::Docker => self.reader.docker(&text),
            Format::Plain | Format::Auto => return self.push_plain(&text, line, now, take),
        };
        match inner {
            Some(mut inner) => {
                let stream = inner.stream;
                if inner.attributes != self.attributes {
                    self.attributes = std::mem::take(&mut inner.attributes);
                }
                if line.start >= self.given_before[stream as usize] {
                    let kept = self.reading.line_bytes_max;
                    self.lanes[stream as usize].push(
                        inner,
                        kept,
                        line,
                        now,
                        &mut of(stream.into(), &self.attributes, take),
                    );
                }
            }
            None if text.is_empty() => {}
            None => self.push_unwrapped(&text, line, now, take),
        }
    }

    fn push_plain(&mut self, text: &[u8], line: Line<'_>, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        if line.start < self.given_before[0] {
            return;
        }
        let bytes = cut_at_character(text, self.reading.line_bytes_max);
        let truncated = line.truncated || bytes.len() < text.len();
        let part = Part { bytes, truncated, start: line.start, time: None };
        self.lanes[0].grouper.push(part, now, &mut of(Origin::File, &self.attributes, take));
    }

    /// A line that is not wrapped where all others are: a torn one, or one that an operator wrote.
    fn push_unwrapped(&mut self, text: &[u8], line: Line<'_>, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        if line.start < self.given_before[0] {
            return;
        }
        // It takes its place in the order of one of the streams.
        self.lanes[0].finish(now, self.reading.line_bytes_max, &mut of(Origin::Stdout, &self.attributes, take));
        let bytes = cut_at_character(text, self.reading.line_bytes_max);
        let truncated = line.truncated || bytes.len() < text.len();
        let problem = Some("malformed_container_line");
        let attributes = &[];
        take(Whole { bytes, truncated, origin: Origin::File, time: None, start: line.start, problem, attributes });
    }

    /// Gives what is held for long enough.
    pub(super) fn give_old(&mut self, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let origin = self.origin(stream);
            let lane = &mut self.lanes[stream as usize];
            let mut take = of(origin, &self.attributes, take);
            let is_old = now.duration_since(lane.partial_at) >= self.reading.line_timeout;
            if lane.partial_length.is_some() && is_old {
                lane.finish(now, self.reading.line_bytes_max, &mut take);
            }
            lane.grouper.give_old(now, &mut take);
        }
    }

    /// When something that is held is to be given at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        let partial = |lane: &Lane| lane.partial_length.map(|_| lane.partial_at + self.reading.line_timeout);
        self.lanes.iter().flat_map(|lane| [partial(lane), lane.grouper.due()]).flatten().min()
    }

    /// Gives everything that is held, as at the end of a file.
    pub(super) fn finish(&mut self, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        (0..2).for_each(|stream| self.finish_stream(stream, now, take));
    }

    /// Gives what is held of one stream, as at its end. Files that no runtime wrote have one.
    pub(super) fn finish_stream(&mut self, stream: usize, now: Instant, take: &mut impl FnMut(Whole<'_>)) {
        let (stream, is_wrapped) = match stream {
            0 => (Stream::Stdout, true),
            _ => (Stream::Stderr, matches!(self.format, Format::Cri | Format::Docker)),
        };
        if is_wrapped {
            let origin = self.origin(stream);
            self.lanes[stream as usize].finish(
                now,
                self.reading.line_bytes_max,
                &mut of(origin, &self.attributes, take),
            );
        }
    }

    /// Forgets what is held and begins anew, as with another file.
    pub(super) fn restart(&mut self) {
        *self = Assembly::new(self.reading.clone(), self.encoding, [0; 2]);
    }

    /// Nothing behind this place was given before: the file ends there now. Only when nothing is held.
    pub(super) fn go_back_to(&mut self, end: u64) {
        self.given_before = self.given_before.map(|given| given.min(end));
    }

    /// Takes another encoding, that of a file which took the place of the first.
    pub(super) fn set_encoding(&mut self, encoding: TextEncoding) {
        self.encoding = encoding;
    }

    /// Whether anything is held.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.start().is_none())
    }

    /// Where, in each stream, the first line starts that was not given, when `next` is where the next line starts.
    pub(super) fn places(&self, next: u64) -> [u64; 2] {
        let place = |at: usize| self.lanes[at].start().unwrap_or(next).max(self.given_before[at]);
        [place(0), place(1)]
    }

    fn origin(&self, stream: Stream) -> Origin {
        match self.format {
            Format::Cri | Format::Docker => stream.into(),
            Format::Auto | Format::Plain => Origin::File,
        }
    }
}

impl Lane {
    #[inline]
    fn push(&mut self, inner: Inner<'_>, kept: usize, line: Line<'_>, now: Instant, take: &mut impl FnMut(Group<'_>)) {
        if self.partial_length.is_none() && !inner.is_partial {
            let bytes = cut_at_character(&inner.text, kept);
            let truncated = line.truncated || bytes.len() < inner.text.len();
            return self.grouper.push(Part { bytes, truncated, start: line.start, time: inner.time }, now, take);
        }
        if self.partial_length.is_none() {
            (self.partial_start, self.partial_time) = (line.start, inner.time);
        }
        // What a cut outer line lacks makes the whole one longer than it is kept.
        let missing = if line.truncated { kept as u64 } else { 0 };
        *self.partial_length.get_or_insert(0) += inner.text.len() as u64 + missing;
        let room = (kept + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&inner.text[..inner.text.len().min(room)]);
        self.partial_at = now;
        if !inner.is_partial {
            self.give_partial(now, kept, take);
        }
    }

    fn give_partial(&mut self, now: Instant, kept: usize, take: &mut impl FnMut(Group<'_>)) {
        let Some(length) = self.partial_length.take() else { return };
        let partial = std::mem::take(&mut self.partial);
        let bytes = cut_at_character(&partial, kept);
        let truncated = (bytes.len() as u64) < length;
        let part = Part { bytes, truncated, start: self.partial_start, time: self.partial_time };
        self.grouper.push(part, now, take);
    }

    fn finish(&mut self, now: Instant, kept: usize, take: &mut impl FnMut(Group<'_>)) {
        self.give_partial(now, kept, take);
        self.grouper.finish(take);
    }

    fn start(&self) -> Option<u64> {
        self.grouper.start().or(self.partial_length.map(|_| self.partial_start))
    }
}

impl From<Stream> for Origin {
    fn from(stream: Stream) -> Origin {
        match stream {
            Stream::Stdout => Origin::Stdout,
            Stream::Stderr => Origin::Stderr,
        }
    }
}

/// Hands groups on with their origin.
#[inline]
fn of(origin: Origin, attributes: &[(String, String)], take: &mut impl FnMut(Whole<'_>)) -> impl FnMut(Group<'_>) {
    move |group: Group<'_>| {
        let Group { bytes, truncated, time, start, cut_by: problem } = group;
        take(Whole { bytes, truncated, origin, time, start, problem, attributes });
    }
}

#[cfg(test)]
mod tests;
