//! What is meant to happen to the fields, and what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use taffrail_collector::crash_point::CRASH_POINTS;

use crate::server::Random;

/// Who is meant to die where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The agent.
    Agent(&'static str),
    /// A server.
    Server(&'static str),
}

impl Fate {
    /// The crash point.
    pub fn point(self) -> &'static str {
        match self {
            Fate::Agent(point) | Fate::Server(point) => point,
        }
    }

    fn name(self) -> String {
        match self {
            Fate::Agent(point) => format!("agent at {point}"),
            Fate::Server(point) => format!("server at {point}"),
        }
    }

    /// Every step of both. Files are written by both; the rest belongs to one of them.
    fn all() -> impl Iterator<Item = Fate> {
        let of_agent = |point: &&str| point.starts_with("file:") || point.starts_with("ship:");
        let of_server = |point: &&str| !point.starts_with("ship:");
        let points = || CRASH_POINTS.iter().copied();
        points().filter(of_agent).map(Fate::Agent).chain(points().filter(of_server).map(Fate::Server))
    }
}

/// Fates still to be met, shuffled; filled again when all were met.
pub struct Deck(Mutex<(Vec<Fate>, Random)>);

impl Deck {
    /// An empty one.
    pub fn new(random: Random) -> Deck {
        Deck(Mutex::new((Vec::new(), random)))
    }

    /// The next.
    pub fn draw(&self) -> Fate {
        let (fates, random) = &mut *self.0.lock().expect("the deck");
        if fates.is_empty() {
            fates.extend(Fate::all());
            for last in (1..fates.len()).rev() {
                fates.swap(last, random.below(last as u64 + 1) as usize);
            }
        }
        fates.pop().expect("there are crash points")
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Account {
    /// Processes that died.
    pub kills: u64,
    /// Resends that servers recognised.
    pub duplicate_batches: u64,
    /// Lines written and found again, each once.
    pub lines: u64,
    /// Lines that were stored behind a later one.
    pub reordered: u64,
    fields: u64,
    by_kind: BTreeMap<&'static str, u64>,
    /// Deaths at their crash point, and those who were killed because they did not come there.
    fates: BTreeMap<String, (u64, u64)>,
}

impl Account {
    /// Counts a fault of a kind that cost so many processes their lives.
    pub fn count(&mut self, kind: &'static str, kills: u64) {
        self.kills += kills;
        *self.by_kind.entry(kind).or_default() += 1;
    }

    /// Counts a fate that was met or not.
    pub fn meet(&mut self, fate: Fate, met: bool) {
        let (at_point, elsewhere) = self.fates.entry(fate.name()).or_default();
        *(if met { at_point } else { elsewhere }) += 1;
    }

    /// Adds what happened to another field.
    pub fn add(&mut self, other: Account) {
        self.kills += other.kills;
        self.duplicate_batches += other.duplicate_batches;
        self.lines += other.lines;
        self.reordered += other.reordered;
        self.fields += 1;
        for (kind, count) in other.by_kind {
            *self.by_kind.entry(kind).or_default() += count;
        }
        for (fate, (met, not_met)) in other.fates {
            let mine = self.fates.entry(fate).or_default();
            *mine = (mine.0 + met, mine.1 + not_met);
        }
    }

    /// Deaths at this crash point, whoever it was.
    pub fn reached(&self, point: &str) -> u64 {
        self.fates.iter().filter(|(fate, _)| fate.ends_with(point)).map(|(_, (met, _))| met).sum()
    }

    /// Fates that nobody met although somebody tried at least thrice.
    pub fn never_reached(&self) -> impl Iterator<Item = &str> {
        self.fates.iter().filter(|(_, (met, tried))| *met == 0 && *tried >= 3).map(|(fate, _)| fate.as_str())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { kills, duplicate_batches, lines, reordered, fields, by_kind, fates } = self;
        for (kind, count) in by_kind {
            writeln!(f, "{count:6} × {kind}")?;
        }
        for (fate, (met, not_met)) in fates {
            writeln!(f, "{met:6} × {fate} (and {not_met} × killed before)")?;
        }
        writeln!(
            f,
            "{kills} kills in {fields} fields: {lines} lines, each there once; {duplicate_batches} resends recognised, {reordered} \
             lines reordered"
        )?;
        let bound = 300.0 / (*kills).max(1) as f64;
        write!(f, "with 95 % confidence less than {bound:.2} % of kills do harm (3/N)")
    }
}
