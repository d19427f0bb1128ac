//! The window of one reading thread: from lines to cells, without asking any other thread.
//!
//! Windows start at whole multiples of the interval, so that those of many hosts lie on one grid. A line belongs to the
//! window in which it arrives; one with `|T` belongs to the window of its own moment and is handed over with the one that
//! gathers. At its end a window is handed over whole ([`Handover`]): the list of cells goes to the merger, an emptied one that the
//! merger has given back takes its place, and the thread reads on at once. The table of spellings stays until it is full.
//!
//! Lines are looked up some at a time ([`Window::look_up`]): with many series each step of a look-up is a wait for memory, and a processor
//! can wait for many places at once.
//!
//! A series that is known costs one hash, one compare and one cell, and nothing is allocated for it. What a new one is called is
//! written down for the merger, who makes its labels.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use rapidhash::fast::RandomState;

use super::cell::{Cell, Reading, Taken};
use super::exemplars::{Dice, Exemplars};
use super::identity;
use super::line::{Malformed, Metric, MetricKind, Segment, number};
use super::plain_line::PlainLine;
use super::spelling_table::{Spelling, SpellingTable};
use super::trace_tags::TraceTags;
use crate::model::{Exemplar, Timestamp};

/// How far ahead of our clock a `|T` may be: clocks of neighbours differ, and `T` has whole seconds.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// Spellings known to one thread for each series of the limit, on average; beyond that the thread hands over what it has and
/// learns them anew.
const SPELLINGS_PER_SERIES: usize = 2;

/// Bytes of spellings known to one thread for each series of the limit, on average. Real spellings are a quarter of it.
const SPELLING_BYTES_PER_SERIES: usize = 512;

/// … but at least so many: room for the longest spellings of all.
const SPELLING_BYTES_MIN: usize = 1 << 20;

/// Lines that are looked up together at most: as many places in memory are waited for at once as processors can.
pub const LINES_AT_ONCE: usize = 32;

/// The slot of a line whose series is new.
const NO_SLOT: u32 = u32::MAX;

/// What a window is told once.
#[derive(Clone, Copy, Debug)]
pub struct WindowSettings {
    /// How long a window is; whole milliseconds.
    pub interval: Duration,
    /// Whether a signed gauge value changes the level.
    pub signed_is_delta: bool,
    /// How many series are held at once.
    pub series_max: usize,
    /// Whether the values of timers are kept as they came.
    pub keeps_timer_values: bool,
}

/// Where some lines' series are, for as long as the table is not begun anew.
#[derive(Debug)]
pub struct LookedUp {
    slots: [u32; LINES_AT_ONCE],
    /// The table that was asked, by its number.
    table: u32,
}

/// What became of a line that was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Values taken into series, and values that were no numbers.
    pub taken: Taken,
    /// Values counted in the overflow series only.
    pub beyond_limit: u32,
    /// Whether a trace tag held no id.
    pub unreadable_trace: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Window {
    reader: usize,
    settings: WindowSettings,
    start: Timestamp,
    table: SpellingTable,
    /// How many tables were begun after the first.
    tables: u32,
    /// By slot of the table.
    cells: Vec<Cell>,
    /// Emptied cells that take the place of those handed over.
    spare: Vec<Cell>,
    /// Whether a value came into a cell.
    touched: bool,
    /// What was handed over because the table was full, and not fetched yet.
    outgoing: Vec<Handover>,
    gathered: Gathered,
    /// The last question that was seen.
    asked: u64,
    identity: String,
    dice: Dice,
}

/// What a window gathers beside its cells.
#[derive(Debug, Default)]
pub struct Gathered {
    /// What the series behind the newest slots are called, by slot.
    pub learnt: Vec<(MetricKind, Box<str>)>,
    /// Traces, by slot.
    pub exemplars: HashMap<u32, Exemplars, RandomState>,
    /// Values of windows that their sender named.
    pub dated: HashMap<Dated, (Cell, Option<Box<Exemplars>>), RandomState>,
    /// Values beyond the limit, in the order of
    /// [`SampleKind`](crate::model::SampleKind)'s numbers.
    pub overflow: [u64; 4],
}

/// A window of a series, as its sender named it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dated {
    /// Its start.
    pub window: Timestamp,
    /// What the series measures, and its unit.
    pub kind: MetricKind,
    /// What it is called, as [`identity`] writes it.
    pub identity: Box<str>,
}

/// What a thread hands to the merger: all it gathered since the last time.
#[derive(Debug)]
pub struct Handover {
    /// Which thread.
    pub reader: usize,
    /// Start of the window that gathered.
    pub window: Timestamp,
    /// Start of the window that the thread gathers from now on: the same when it was only asked for what it has so far; none when
    /// it has ended.
    pub next: Option<Timestamp>,
    /// By slot; empty when no value came.
    pub cells: Vec<Cell>,
    /// The rest.
    pub gathered: Gathered,
    /// Whether the thread has forgotten all its slots and counts from 0 again.
    pub forgot: bool,
    /// The last question that the thread has seen ([`super::ask`]).
    pub asked: u64,
}

impl Window {
    /// The first window of a thread, which holds `now`.
    pub fn new(reader: usize, settings: WindowSettings, now: Timestamp) -> Window {
        Window {
            reader,
            start: now.floor_to(settings.interval),
            table: new_table(settings.series_max),
            tables: 0,
            cells: Vec::new(),
            spare: Vec::new(),
            touched: false,
            outgoing: Vec::new(),
            gathered: Gathered::default(),
            asked: 0,
            identity: String::new(),
            dice: Dice::default(),
            settings,
        }
    }

    /// Where the window starts that gathers.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Looks up the series of up to [`LINES_AT_ONCE`] lines. Each loop fetches what the next one reads.
    pub fn look_up(&self, lines: &[PlainLine<'_>]) -> LookedUp {
        let mut slots = [NO_SLOT; LINES_AT_ONCE];
        let mut hashes = [0; LINES_AT_ONCE];
        let mut fetched = 0;
        for (hash, line) in hashes.iter_mut().zip(lines) {
            *hash = self.table.hash(Spelling::of(line));
        }
        let hashes = &hashes[..lines.len()];
        for &hash in hashes {
            fetched ^= self.table.bucket_of(hash);
        }
        for &hash in hashes {
            fetched ^= u32::from(self.table.spelling_of(hash));
        }
        for ((slot, &hash), line) in slots.iter_mut().zip(hashes).zip(lines) {
            *slot = self.table.find(Spelling::of(line), hash).unwrap_or(NO_SLOT);
        }
        let cells = || slots[..lines.len()].iter().filter_map(|&slot| self.cells.get(slot as usize));
        for cell in cells() {
            fetched ^= u32::from(cell.is_empty());
        }
        for cell in cells() {
            fetched ^= cell.fetch();
        }
        black_box(fetched); // else the compiler would leave out reading what is not used
        LookedUp { slots, table: self.tables }
    }

    /// Takes in the line that was looked up at this place, as [`add`](Window::add) would. None when its series was new, or when the
    /// table was begun anew since then.
    pub fn add_known(
        &mut self,
        looked_up: &LookedUp,
        at: usize,
        line: &PlainLine<'_>,
        reading: &Reading,
    ) -> Option<Taken> {
        let slot = looked_up.slots[at];
        if slot == NO_SLOT || looked_up.table != self.tables {
            return None;
        }
        self.touched = true;
        Some(self.cells[slot as usize].take(&line.segment, reading))
    }

    /// How lines are read that arrive now, give no time of their own and name no trace.
    pub fn reading(&self, now: Timestamp) -> Reading {
        Reading {
            signed_is_delta: self.settings.signed_is_delta,
            aggregated: false,
            moment: now,
            traces: TraceTags::default(),
            keeps_timer_values: self.settings.keeps_timer_values,
        }
    }

    /// Takes in a line that arrives now. Call [`roll`](Window::roll) with `now` before.
    ///
    /// # Errors
    /// What is wrong with a line of which nothing was taken.
    pub fn add(&mut self, metric: &Metric<'_>, now: Timestamp) -> Result<Added, Malformed> {
        let mut reading = self.reading(now);
        let mut added = Added::default();
        if let Some(seconds) = metric.timestamp {
            let moment = Timestamp::from_unix_seconds(seconds);
            if moment > now.saturating_add(CLOCK_SKEW_MAX) {
                return Err(Malformed::FutureTimestamp);
            }
            reading = Reading { signed_is_delta: false, aggregated: true, moment, ..reading };
            let window = moment.floor_to(self.settings.interval);
            if window != self.start {
                return self.add_dated(metric, window, reading);
            }
        }
        for segment in metric.segments() {
            let spelling = Spelling {
                kind: segment.kind.sample_kind(),
                name: metric.spelled_name.as_bytes(),
                tags: metric.spelled_tags.as_bytes(),
            };
            let hash = self.table.hash(spelling);
            match self.table.find(spelling, hash) {
                Some(slot) => {
                    self.touched = true;
                    added.count(self.cells[slot as usize].take(segment, &reading));
                }
                None => self.add_new(metric, segment, spelling, hash, reading, &mut added)?,
            }
        }
        Ok(added)
    }

    /// Ends the window that gathers when `now` lies outside it. After a leap of the clock, in either direction, what was
    /// gathered is handed over for the window in which it began.
    pub fn roll(&mut self, now: Timestamp) -> Option<Handover> {
        let age = now.unix_nanos().saturating_sub(self.start.unix_nanos());
        let interval = i64::try_from(self.settings.interval.as_nanos()).unwrap_or(i64::MAX);
        let is_over = !(-interval..interval).contains(&age);
        is_over.then(|| self.hand_over(Some(now.floor_to(self.settings.interval))))
    }

    /// Hands over what was gathered, and goes on with the window that starts at `next`.
    pub fn hand_over(&mut self, next: Option<Timestamp>) -> Handover {
        let cells = if std::mem::take(&mut self.touched) {
            std::mem::replace(&mut self.cells, std::mem::take(&mut self.spare))
        } else {
            Vec::new()
        };
        self.cells.resize_with(self.table.len(), Cell::default);
        let handover = Handover {
            reader: self.reader,
            window: self.start,
            next,
            cells,
            gathered: std::mem::take(&mut self.gathered),
            forgot: false,
            asked: self.asked,
        };
        self.start = next.unwrap_or(self.start);
        handover
    }

    /// What was handed over in between because the table of spellings was full, in order.
    pub fn take_outgoing(&mut self) -> Vec<Handover> {
        std::mem::take(&mut self.outgoing)
    }

    /// Hands over what was gathered so far when `question` is a new one. When it is of another [`naming`], all spellings are
    /// forgotten, since the series behind them may be called otherwise now.
    pub fn answer(&mut self, question: u64) -> Option<Handover> {
        let before = std::mem::replace(&mut self.asked, question);
        (before < question).then(|| {
            let handover = self.hand_over(Some(self.start));
            if naming(before) == naming(question) {
                return handover;
            }
            self.forget();
            Handover { forgot: true, ..handover }
        })
    }

    /// Takes back the cells of a handover, which the merger has emptied.
    pub fn reuse(&mut self, emptied: Vec<Cell>) {
        if self.spare.capacity() < emptied.capacity() {
            self.spare = emptied;
        }
    }

    /// Takes in the values of a series that is not known by this spelling.
    fn add_new(
        &mut self,
        metric: &Metric<'_>,
        segment: &Segment<'_>,
        spelling: Spelling<'_>,
        hash: u32,
        mut reading: Reading,
        added: &mut Added,
    ) -> Result<(), Malformed> {
        reading.traces = identity::write(metric, &mut self.identity)?;
        added.unreadable_trace = reading.traces.unreadable;
        let Some(values) = good_values(segment, added) else { return Ok(()) };
        let (mut spelling, mut hash) = (spelling, hash);
        let identity = std::mem::take(&mut self.identity);
        if reading.traces != TraceTags::default() {
            // A line with a trace is spelled like this once only: what is learnt is how it looks without.
            spelling = Spelling { name: identity.as_bytes(), tags: b"", ..spelling };
            hash = self.table.hash(spelling);
        }
        let slot = self.table.find(spelling, hash).or_else(|| self.learn(spelling, hash, segment.kind, &identity));
        self.identity = identity;
        let Some(slot) = slot else {
            self.gathered.overflow[segment.kind.sample_kind() as usize - 1] += u64::from(values);
            added.beyond_limit += values;
            return Ok(());
        };
        self.touched = true;
        let (cell, dice) = (&mut self.cells[slot as usize], &mut self.dice);
        added.count(match exemplar_of(&reading) {
            None => cell.take(segment, &reading),
            Some(exemplar) => {
                let exemplars = self.gathered.exemplars.entry(slot).or_default();
                cell.take_each(segment, &reading, |value| {
                    exemplars.note(Exemplar { value, ..exemplar.clone() }, dice.roll());
                })
            }
        });
        Ok(())
    }

    /// Gives a slot to a new spelling. When the table is full, what was gathered is handed over and the table begun anew; none when
    /// even that makes no room.
    fn learn(&mut self, spelling: Spelling<'_>, hash: u32, kind: MetricKind, identity: &str) -> Option<u32> {
        let slot = self.table.insert(spelling, hash).or_else(|| {
            let handover = self.hand_over(Some(self.start));
            self.outgoing.push(Handover { forgot: true, ..handover });
            self.forget();
            self.table.insert(spelling, self.table.hash(spelling))
        })?;
        self.cells.push(Cell::Empty);
        self.gathered.learnt.push((kind, identity.into()));
        Some(slot)
    }

    /// Begins a new table.
    fn forget(&mut self) {
        self.table = new_table(self.settings.series_max);
        self.tables = self.tables.wrapping_add(1);
        self.cells.clear();
    }

    /// Takes in a line whose sender names another window than the one that gathers.
    fn add_dated(&mut self, metric: &Metric<'_>, window: Timestamp, mut reading: Reading) -> Result<Added, Malformed> {
        reading.traces = identity::write(metric, &mut self.identity)?;
        let mut added = Added { unreadable_trace: reading.traces.unreadable, ..Added::default() };
        for segment in metric.segments() {
            let Some(values) = good_values(segment, &mut added) else { continue };
            let dated = Dated { window, kind: segment.kind, identity: self.identity.as_str().into() };
            if self.gathered.dated.len() >= self.settings.series_max && !self.gathered.dated.contains_key(&dated) {
                self.gathered.overflow[segment.kind.sample_kind() as usize - 1] += u64::from(values);
                added.beyond_limit += values;
                continue;
            }
            let (cell, exemplars) = self.gathered.dated.entry(dated).or_default();
            let dice = &mut self.dice;
            added.count(match exemplar_of(&reading) {
                None => cell.take(segment, &reading),
                Some(exemplar) => cell.take_each(segment, &reading, |value| {
                    exemplars.get_or_insert_default().note(Exemplar { value, ..exemplar.clone() }, dice.roll());
                }),
            });
        }
        Ok(added)
    }
}

impl Added {
    fn count(&mut self, taken: Taken) {
        self.taken.values += taken.values;
        self.taken.bad_values += taken.bad_values;
    }
}

/// Which rules gave names when a question was asked: the upper half of its number.
pub const fn naming(question: u64) -> u64 {
    question >> 32
}

fn new_table(series_max: usize) -> SpellingTable {
    let of_series = |each: usize| series_max.saturating_mul(each);
    SpellingTable::new(of_series(SPELLINGS_PER_SERIES), of_series(SPELLING_BYTES_PER_SERIES).max(SPELLING_BYTES_MIN))
}

/// How many values of a segment are values; none when there is none, and then the bad ones are counted: they make no series.
fn good_values(segment: &Segment<'_>, added: &mut Added) -> Option<u32> {
    let is_good = |text: &&[u8]| segment.kind == MetricKind::Set || number(text).is_ok();
    let good = u32::try_from(segment.values().filter(is_good).count()).unwrap_or(u32::MAX);
    if good == 0 {
        added.taken.bad_values += u32::try_from(segment.values().count()).unwrap_or(u32::MAX);
        return None;
    }
    Some(good)
}

/// The exemplar that a line's values become, all but the value; none without a trace.
fn exemplar_of(reading: &Reading) -> Option<Exemplar> {
    let (timestamp, span_id) = (reading.moment, reading.traces.span_id);
    reading.traces.trace_id.map(|trace_id| Exemplar { timestamp, value: 0.0, trace_id, span_id })
}
