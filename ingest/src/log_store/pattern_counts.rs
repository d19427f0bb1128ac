//! Records by their [`Pattern`]: how many there are of each, when, of which severity and service.
//!
//! Rows are counted by template, without a look at what is in them: templates say the pattern, postings say which rows, and the
//! superblocks that lie within one step of the trend are counted whole (`time_cells`). Only messages of services that have no templates
//! are read.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rapidhash::fast::RandomState;
use taffrail_collector::model::{LogRecord, Severity, Timestamp};

use super::mask::MaskedFilter;
use super::matching::CompiledFilter;
use super::pattern::{Pattern, PatternId};
use super::row_conditions::utf8;
use super::split_filter::{SplitFilter, Stop, parts};
use super::split_reader::SplitReader;
use super::split_records::{BodyReader, RecordReader};
use super::split_values::each_hit;
use super::store::Snapshot;
use super::template::Holds;
use super::time_cells::{Counted, RowCells, TimeCells};
use super::work::{NO_NUMBER, Values, Work, works};
use super::{Ending, LogStoreError, OTHER, RecordId};
use crate::scan::{Scan, TimeRange};

/// Services that are told apart.
const SERVICES_MAX: usize = 10_000;

/// Bytes of the texts of all patterns together, at most; what comes when that is reached is counted with the rest.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// What is asked besides which records.
#[derive(Clone, Copy, Debug)]
pub struct PatternQuestion {
    /// A moment at which a step of the trend starts.
    pub origin: Timestamp,
    /// How long a step is.
    pub step: Duration,
    /// So many patterns are told apart; records of further ones are counted together.
    pub patterns_max: usize,
}

/// Patterns, commonest first.
#[derive(Clone, Debug, Default)]
pub struct PatternCounts {
    /// The patterns.
    pub patterns: Vec<PatternCount>,
    /// Records whose pattern is not among them.
    pub other: u64,
    /// All records counted.
    pub total: u64,
    /// How the scan ended.
    pub ending: Ending,
}

/// A pattern and the records that have it.
#[derive(Clone, Debug)]
pub struct PatternCount {
    /// Its name.
    pub id: PatternId,
    /// Its text, and what its holes held.
    pub pattern: Pattern,
    /// How many records.
    pub count: u64,
    /// The oldest of them.
    pub first: RecordId,
    /// The newest of them.
    pub last: RecordId,
    /// How many of each severity, by rising severity.
    pub severities: Vec<(Severity, u64)>,
    /// How many of each service, commonest first.
    pub services: Vec<(String, u64)>,
    /// How many in each step: (its number, counted from the origin; count), rising; steps without a record are left out.
    pub trend: Vec<(i64, u64)>,
}

/// See [`LogStore::patterns`](super::LogStore::patterns).
pub fn patterns(
    snapshot: &Snapshot,
    filter: &MaskedFilter,
    range: TimeRange,
    question: PatternQuestion,
    scan: &Scan,
) -> Result<PatternCounts, LogStoreError> {
    let (work, ending) = works(snapshot, filter, range, scan, PatternWork::new(question))?;
    Ok(work.finish(ending))
}

struct PatternWork {
    question: PatternQuestion,
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
    text_bytes: usize,
    tallies: Vec<Tally>,
    services: Values,
    other: u64,
}

/// What is known of a pattern.
#[derive(Debug, Default)]
struct Tally {
    pattern: Pattern,
    count: u64,
    /// The oldest and the newest; none until the first record is counted.
    ends: Option<(RecordId, RecordId)>,
    severities: BTreeMap<u8, u64>,
    services: BTreeMap<u32, u64>,
    trend: BTreeMap<i64, u64>,
}

impl Tally {
    fn add(&mut self, count: u64, step: i64) {
        self.count += count;
        *self.trend.entry(step).or_default() += count;
    }

    fn add_origin(&mut self, count: u64, severity: Severity, service: u32) {
        *self.severities.entry(severity.number()).or_default() += count;
        *self.services.entry(service).or_default() += count;
    }

    fn saw(&mut self, oldest: RecordId, newest: RecordId) {
        self.ends = Some(match self.ends {
            None => (oldest, newest),
            Some((first, last)) => (first.min(oldest), last.max(newest)),
        });
    }
}

impl PatternQuestion {
    /// The step in which a moment lies.
    pub fn step_of(&self, moment: Timestamp) -> i64 {
        let since = i128::from(moment.unix_nanos()) - i128::from(self.origin.unix_nanos());
        let step = since.div_euclid(self.step.as_nanos().max(1) as i128);
        step.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    /// When a step starts, as far as that can be said.
    pub fn start_of(&self, step: i64) -> Timestamp {
        let nanos = i128::from(step) * self.step.as_nanos().max(1) as i128 + i128::from(self.origin.unix_nanos());
        Timestamp::from_unix_nanos(nanos.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

impl PatternWork {
    fn new(question: PatternQuestion) -> PatternWork {
        PatternWork {
            question,
            numbers: HashMap::default(),
            text_bytes: 0,
            tallies: Vec::new(),
            services: Values::new(SERVICES_MAX),
            other: 0,
        }
    }

    /// Where the pattern is counted; none when there are enough others.
    fn tally(&mut self, pattern: Pattern) -> Option<u32> {
        if let Some(&number) = self.numbers.get(pattern.canonical.as_slice()) {
            self.tallies[number as usize].pattern.unite(&pattern.holes);
            return Some(number);
        }
        let bytes = self.text_bytes + pattern.canonical.len();
        if self.tallies.len() >= self.question.patterns_max || bytes > TEXT_BYTES_MAX {
            return None;
        }
        self.text_bytes = bytes;
        let number = self.tallies.len() as u32;
        self.numbers.insert(pattern.canonical.as_slice().into(), number);
        self.tallies.push(Tally { pattern, ..Tally::default() });
        Some(number)
    }

    fn finish(self, ending: Ending) -> PatternCounts {
        let names = self.services.names();
        let name = |number: u32| names.get(number as usize).map_or(OTHER, String::as_str).to_owned();
        let mut total = self.other;
        let mut patterns = Vec::with_capacity(self.tallies.len());
        for tally in self.tallies {
            // A pattern of which the split that had it broke was counted nowhere.
            let Some((first, last)) = tally.ends else { continue };
            total += tally.count;
            let severity = |(number, count)| Some((Severity::from_number(number)?, count));
            let mut services: Vec<(String, u64)> =
                tally.services.into_iter().map(|(number, count)| (name(number), count)).collect();
            services.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            patterns.push(PatternCount {
                id: tally.pattern.id(),
                pattern: tally.pattern,
                count: tally.count,
                first,
                last,
                severities: tally.severities.into_iter().filter_map(severity).collect(),
                services,
                trend: tally.trend.into_iter().collect(),
            });
        }
        patterns
            .sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.pattern.canonical.cmp(&b.pattern.canonical)));
        PatternCounts { patterns, other: self.other, total, ending }
    }
}

impl TimeCells for PatternQuestion {
    fn cell_of(&self, moment: Timestamp) -> i64 {
        self.step_of(moment)
    }

    fn start_of(&self, cell: i64) -> Timestamp {
        PatternQuestion::start_of(self, cell)
    }
}

impl Work for PatternWork {
    fn fresh(&self) -> PatternWork {
        PatternWork { services: self.services.fresh(), ..PatternWork::new(self.question) }
    }

    fn record(&mut self, id: RecordId, record: &LogRecord) {
        let Some(number) = self.tally(Pattern::of(&record.body)) else {
            self.other += 1;
            return;
        };
        let (step, service) = (self.question.step_of(id.time), self.services.number(&record.resource.service));
        let tally = &mut self.tallies[number as usize];
        tally.add(1, step);
        tally.add_origin(1, record.severity, service);
        tally.saw(id, id);
    }

    fn split(
        &mut self,
        split: &SplitReader,
        filter: &CompiledFilter,
        range: TimeRange,
        scan: &Scan,
    ) -> Result<(), Stop> {
        let Some((filter, rows)) = SplitFilter::of_rows_in(split, filter, range, scan)? else { return Ok(()) };
        let steps = RowCells::new(split, rows.clone(), &self.question, scan)?;
        let table = split.table()?;
        // The newest and the oldest row of each pattern.
        let mut ends: HashMap<u32, (u32, u32), RandomState> = HashMap::default();
        for part in parts(split, &rows) {
            filter.visit(SplitFilter::superblocks_of(&part), &mut |window, hits| {
                scan.touch(0, 0)?;
                let template = &table.templates[window.template as usize];
                let service = self.services.number(&table.services[template.service as usize]);
                let mut found = |work: &mut PatternWork, number: Option<u32>, counted: Counted| {
                    let Some(number) = number else {
                        work.other += counted.count;
                        return;
                    };
                    let tally = &mut work.tallies[number as usize];
                    counted.cells.iter().for_each(|(step, count)| tally.add(*count, *step));
                    tally.add_origin(counted.count, template.severity, service);
                    let end = ends.entry(number).or_insert((counted.newest, counted.oldest));
                    *end = (end.0.min(counted.newest), end.1.max(counted.oldest));
                };
                if template.holds == Holds::Digits {
                    let counted = steps.count(window, &hits, &part)?;
                    if counted.count > 0 {
                        let shapes = &table.shapes(template)[..template.variables as usize];
                        let number = self.tally(Pattern::of_template(table.text(template), shapes));
                        found(self, number, counted);
                    }
                    return Ok(());
                }
                scan.touch(u64::from(window.len()), window.bytes()?)?;
                let mut bodies = BodyReader::new(split, window.template)?;
                let (mut body, mut cursor) = (Vec::new(), steps.cursor(window, &part));
                each_hit(window, &hits, &part, scan, |ordinal, row| {
                    body.clear();
                    bodies.append(ordinal as usize, &mut body)?;
                    let number = self.tally(Pattern::of(utf8(&body)?));
                    let cells = vec![(cursor.of(row), 1)];
                    found(self, number, Counted { count: 1, newest: row, oldest: row, cells });
                    Ok(())
                })
            })?;
        }
        self.resolve(split, &ends)
    }

    fn merge(&mut self, other: PatternWork) {
        let services: Vec<u32> = other.services.names().iter().map(|name| self.services.number(name)).collect();
        self.other += other.other;
        for tally in other.tallies {
            let Some(number) = self.tally(tally.pattern) else {
                self.other += tally.count;
                continue;
            };
            let own = &mut self.tallies[number as usize];
            tally.trend.iter().for_each(|(step, count)| own.add(*count, *step));
            tally
                .severities
                .iter()
                .for_each(|(severity, count)| *own.severities.entry(*severity).or_default() += count);
            for (service, count) in tally.services {
                let service = services.get(service as usize).copied().unwrap_or(NO_NUMBER);
                *own.services.entry(service).or_default() += count;
            }
            if let Some((oldest, newest)) = tally.ends {
                own.saw(oldest, newest);
            }
        }
    }
}

impl PatternWork {
    /// From rows to the records that they are, in their order: neighbours lie on the same pages.
    fn resolve(&mut self, split: &SplitReader, ends: &HashMap<u32, (u32, u32), RandomState>) -> Result<(), Stop> {
        let mut rows: Vec<(u32, u32)> =
            ends.iter().flat_map(|(number, (newest, oldest))| [(*newest, *number), (*oldest, *number)]).collect();
        rows.sort_unstable();
        let mut reader = RecordReader::new(split)?;
        for (row, number) in rows {
            let id = reader.id(row)?;
            self.tallies[number as usize].saw(id, id);
        }
        Ok(())
    }
}
