//! Random records, half of them sealed, and random questions: whatever way the answer takes (counts of the store, columns read
//! by several threads, rows in order), it is the one of a plain model that puts all records through the stages one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use proptest::prelude::*;
use taffrail_collector::model::{Attributes, LogRecord, Severity, Value};
use taffrail_ingest::Scan;
use taffrail_ingest::log_store::Order;
use taffrail_ingest::log_store::field::visit_value;

use super::cases::{Store, asked, now, record, shown};
use super::question::Question;
use super::row::{Cell, SortKey};
use super::run::{Asked, run};

/// Questions asked of each store.
const QUESTIONS: u64 = 60;

/// splitmix64 (S. Vigna, <https://prng.di.unimi.it/splitmix64.c>).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// A row of the model: a record's fields by name, or a table's cells.
#[derive(Clone, Debug)]
struct Plain {
    /// A record's place.
    id: Option<(i64, u64)>,
    cells: Vec<(String, Cell)>,
}

impl Plain {
    fn get(&self, name: &str) -> Cell {
        self.cells.iter().find(|(other, _)| other == name).map_or(Cell::MISSING, |(_, cell)| cell.clone())
    }

    /// The texts of a field, each different item of an array.
    fn texts(&self, name: &str) -> Vec<String> {
        let mut found = Vec::new();
        match self.get(name) {
            Cell::Time(time) => found.push(time.to_string()),
            Cell::Value(value) => visit_value(&value, &mut |text| found.push(text.into_owned())),
        }
        found
    }

    fn numbers(&self, name: &str) -> Vec<i64> {
        fn walk(value: &Value, found: &mut Vec<i64>) {
            match value {
                Value::Int(number) => found.push(*number),
                Value::String(text) => found.extend(text.parse::<i64>().ok()),
                Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        if let Cell::Value(value) = self.get(name) {
            walk(&value, &mut found);
        }
        found
    }

    fn key(&self, name: &str) -> SortKey {
        match (self.id, name) {
            (Some((time, seq)), "time") => SortKey::Time(time, seq),
            _ => SortKey::of(name, &self.get(name)),
        }
    }

    fn shown(&self) -> String {
        match self.id {
            Some(_) => self.get("message").to_text(),
            None => {
                self.cells.iter().map(|(name, cell)| format!("{name}={}", cell.to_text())).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

fn plain(seq: usize, record: &LogRecord) -> Plain {
    let text = |text: &str| if text.is_empty() { Cell::MISSING } else { Cell::Value(text.into()) };
    let mut cells = vec![
        ("time".to_owned(), Cell::Time(record.timestamp)),
        ("level".to_owned(), text(record.severity.name())),
        ("host".to_owned(), text(&record.resource.host)),
        ("message".to_owned(), text(&record.body)),
    ];
    cells.extend(record.attributes.iter().map(|(name, value)| (name.to_string(), Cell::Value(value.clone()))));
    Plain { id: Some((record.timestamp.unix_nanos(), seq as u64)), cells }
}

fn records(random: &mut Random) -> Vec<LogRecord> {
    (0..random.below(60))
        .map(|n| {
            let mut attributes: Attributes = Vec::new();
            let a = match random.below(9) {
                0 | 1 => None,
                2 => Some(Value::Null),
                3 => Some("1".into()),
                4 => Some("x".into()),
                5 => Some(Value::Array(vec![Value::Int(1), "x".into(), Value::Int(1)])),
                _ => Some(Value::Int(random.below(4) as i64)),
            };
            attributes.extend(a.map(|a| ("a".into(), a)));
            let b = [None, Some(""), Some("p"), Some("q"), Some("12")][random.below(5)];
            attributes.extend(b.map(|b| ("b".into(), b.into())));
            attributes.push(("n".into(), Value::Int(n as i64)));
            let level = [Severity::UNSPECIFIED, Severity::INFO, Severity::ERROR][random.below(3)];
            let host = random.pick(&["", "h1", "h2"]);
            let second = random.below(6) as i64 * 37;
            record(second, level, format!("m{n}"), None, host, "s", attributes)
        })
        .collect()
}

/// A stage as text, what the model does of it, and the columns of the table behind it.
type Step = (String, Box<dyn Fn(Vec<Plain>) -> Vec<Plain>>, Option<Vec<String>>);

/// `columns`: of the table that comes in; none when records do.
fn step(random: &mut Random, columns: Option<&[String]>) -> Step {
    let fields: Vec<String> = match columns {
        None => ["a", "b", "n", "host", "level", "time"].map(str::to_owned).to_vec(),
        Some(columns) => columns.to_vec(),
    };
    let field = |random: &mut Random| fields[random.below(fields.len())].clone();
    let same = columns.map(<[String]>::to_vec);
    match random.below(12) {
        0 => {
            let (name, least) = (field(random), random.below(4) as i64);
            if name == "time" || name == "level" || is_fraction(&name) {
                return step(random, columns);
            }
            let text = format!("where {name}:>={least}");
            let keep = move |row: &Plain| row.numbers(&name).iter().any(|number| *number >= least);
            (text, Box::new(move |rows| rows.into_iter().filter(|row| keep(row)).collect()), same)
        }
        1 => {
            let (name, wanted) = (field(random), random.pick(&["1", "x", "p", "h1", "info"]));
            if name == "time" || name == "level" || name == "host" {
                return step(random, columns);
            }
            let text = format!("where NOT {name}={wanted}");
            let keep = move |row: &Plain| !row.texts(&name).iter().any(|text| text == wanted);
            (text, Box::new(move |rows| rows.into_iter().filter(|row| keep(row)).collect()), same)
        }
        2 => {
            let mut names: Vec<String> = (0..1 + random.below(3)).map(|_| field(random)).collect();
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(name.clone()));
            let of = names.clone();
            let work = move |rows: Vec<Plain>| {
                let row = |row: Plain| Plain {
                    id: None,
                    cells: of.iter().map(|name| (name.clone(), row.get(name))).collect(),
                };
                rows.into_iter().map(row).collect()
            };
            (format!("fields {}", names.join(", ")), Box::new(work), Some(names))
        }
        3 => {
            let count = random.below(30);
            (
                format!("head {count}"),
                Box::new(move |mut rows| {
                    rows.truncate(count);
                    rows
                }),
                same,
            )
        }
        4 => {
            let count = random.below(30);
            let work = move |mut rows: Vec<Plain>| rows.split_off(rows.len().saturating_sub(count));
            (format!("tail {count}"), Box::new(work), same)
        }
        5 | 6 => {
            let by: Vec<(String, bool)> =
                (0..1 + random.below(2)).map(|_| (field(random), random.below(2) == 0)).collect();
            let words = by.iter().map(|(name, falling)| format!("{name}{}", if *falling { " desc" } else { "" }));
            let text = format!("sort by {}", words.collect::<Vec<_>>().join(", "));
            let work = move |mut rows: Vec<Plain>| {
                rows.sort_by(|one, other| {
                    let orders = by.iter().map(|(name, falling)| {
                        let (one, other) = (one.key(name), other.key(name));
                        if *falling && !one.is_missing() && !other.is_missing() {
                            other.cmp(&one)
                        } else {
                            one.cmp(&other)
                        }
                    });
                    orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
                });
                rows
            };
            (text, Box::new(work), same)
        }
        7 => {
            let (count, name) = (1 + random.below(2), field(random));
            let text = format!("dedup {count} {name}");
            let work = move |rows: Vec<Plain>| {
                let mut seen: BTreeMap<String, usize> = BTreeMap::new();
                let first = |row: &Plain| {
                    let times = seen.entry(row.get(&name).to_text()).or_default();
                    *times += 1;
                    *times <= count
                };
                rows.into_iter().filter(first).collect()
            };
            (text, Box::new(work), same)
        }
        8 => {
            let (count, name) = (1 + random.below(4), field(random));
            if name == "time" || name == "count" || name == "percent" {
                return step(random, columns);
            }
            let rare = random.below(3) == 0;
            let text = format!("{} {count} {name}", if rare { "rare" } else { "top" });
            let of = name.clone();
            let work = move |rows: Vec<Plain>| {
                let mut counts: BTreeMap<String, i64> = BTreeMap::new();
                rows.iter().flat_map(|row| row.texts(&of)).for_each(|text| *counts.entry(text).or_default() += 1);
                let all: i64 = counts.values().sum();
                let mut counts: Vec<(String, i64)> = counts.into_iter().collect();
                counts.sort_by_key(|(text, _)| (SortKey::of(&of, &Cell::Value(text.as_str().into())), text.clone()));
                counts.sort_by_key(|(_, times)| if rare { *times } else { -times });
                counts.truncate(count);
                let row = |(text, times): (String, i64)| Plain {
                    id: None,
                    cells: vec![
                        (of.clone(), Cell::Value(text.into())),
                        ("count".to_owned(), Cell::Value(times.into())),
                        ("percent".to_owned(), Cell::number((times as f64 / all as f64 * 10_000.0).round() / 100.0)),
                    ],
                };
                counts.into_iter().map(row).collect()
            };
            (text, Box::new(work), Some(vec![name, "count".to_owned(), "percent".to_owned()]))
        }
        _ => stats(random, &fields, columns.is_none()),
    }
}

/// Whether the column holds numbers that are not whole.
fn is_fraction(name: &str) -> bool {
    name == "percent" || name.starts_with("avg")
}

type Computed = (&'static str, fn(&[&Plain], &str) -> Cell);

/// Functions that the model knows. `rows` are in the order of the records' places, or of the table.
const FUNCTIONS: [Computed; 10] = [
    ("count()", |rows, _| Cell::count(rows.len() as u64)),
    ("count(F)", |rows, field| Cell::count(rows.iter().filter(|row| !row.texts(field).is_empty()).count() as u64)),
    ("count_distinct(F)", |rows, field| {
        Cell::count(rows.iter().flat_map(|row| row.texts(field)).collect::<BTreeSet<_>>().len() as u64)
    }),
    ("sum(F)", |rows, field| Cell::Value(rows.iter().flat_map(|row| row.numbers(field)).sum::<i64>().into())),
    ("avg(F)", |rows, field| {
        let numbers: Vec<i64> = rows.iter().flat_map(|row| row.numbers(field)).collect();
        Cell::number(numbers.iter().sum::<i64>() as f64 / numbers.len() as f64)
    }),
    ("quantile(0.5, F)", |rows, field| {
        let mut numbers: Vec<i64> = rows.iter().flat_map(|row| row.numbers(field)).collect();
        numbers.sort_unstable();
        let at = numbers.len().saturating_sub(1) / 2;
        numbers.get(at).map_or(Cell::MISSING, |number| Cell::Value((*number).into()))
    }),
    ("first(F)", |rows, field| {
        rows.iter().map(|row| row.get(field)).find(|cell| *cell != Cell::MISSING).unwrap_or(Cell::MISSING)
    }),
    ("last(F)", |rows, field| {
        rows.iter().rev().map(|row| row.get(field)).find(|cell| *cell != Cell::MISSING).unwrap_or(Cell::MISSING)
    }),
    ("min(n)", |rows, _| {
        let least = rows.iter().flat_map(|row| row.numbers("n")).min();
        least.map_or(Cell::MISSING, |number| Cell::Value(number.into()))
    }),
    ("max(n)", |rows, _| {
        let most = rows.iter().flat_map(|row| row.numbers("n")).max();
        most.map_or(Cell::MISSING, |number| Cell::Value(number.into()))
    }),
];

fn stats(random: &mut Random, fields: &[String], of_records: bool) -> Step {
    let mut keys: Vec<String> = Vec::new();
    for _ in 0..random.below(3) {
        let name = fields[random.below(fields.len())].clone();
        if name != "time" && !keys.contains(&name) {
            keys.push(name);
        }
    }
    let by_time = of_records && random.below(3) == 0;
    let functions: Vec<(String, Computed, String)> = (0..1 + random.below(2))
        .map(|at| {
            // What the store counts itself is asked more often.
            let known = if fields.iter().any(|name| name == "n") { FUNCTIONS.len() } else { FUNCTIONS.len() - 2 };
            let function = FUNCTIONS[if random.below(3) == 0 { 0 } else { random.below(known) }];
            let not_time: Vec<&String> = fields.iter().filter(|name| *name != "time" && !is_fraction(name)).collect();
            let field = not_time
                .get(random.below(not_time.len().max(1)))
                .map_or_else(|| "time".to_owned(), |name| (*name).clone());
            let function = if field == "time" { FUNCTIONS[0] } else { function };
            // Means are no whole numbers, and nothing is computed of them.
            let prefix = if function.0.starts_with("avg") { "avg" } else { "f" };
            (format!("{prefix}{}_{at}", random.below(1_000_000)), function, field)
        })
        .collect();
    let words = functions.iter().map(|(label, (text, _), field)| format!("{} as {label}", text.replace('F', field)));
    let mut text = format!("stats {}", words.collect::<Vec<_>>().join(", "));
    let mut by = keys.clone();
    if by_time {
        by.insert(random.below(keys.len() + 1), "time:1m".to_owned());
    }
    if !by.is_empty() {
        text += &format!(" by {}", by.join(", "));
    }
    let names: Vec<String> = by.iter().map(|name| name.trim_end_matches(":1m").to_owned()).collect();
    let columns: Vec<String> = names.iter().cloned().chain(functions.iter().map(|(label, ..)| label.clone())).collect();
    let work = move |mut rows: Vec<Plain>| {
        rows.sort_by_key(|row| row.id);
        type Group<'a> = (Vec<Cell>, Vec<&'a Plain>);
        let mut groups: BTreeMap<Vec<(SortKey, String)>, Group<'_>> = BTreeMap::new();
        if names.is_empty() {
            groups.insert(Vec::new(), Default::default());
        }
        for row in &rows {
            let mut all: Vec<Vec<Cell>> = vec![Vec::new()];
            for name in &names {
                let cells: Vec<Cell> = match (row.get(name), name.as_str()) {
                    (Cell::Time(time), "time") => vec![Cell::Time(time.floor_to(Duration::from_secs(60)))],
                    _ => {
                        let texts = row.texts(name);
                        let texts = if texts.is_empty() { vec![String::new()] } else { texts };
                        texts
                            .into_iter()
                            .map(|text| if text.is_empty() { Cell::MISSING } else { Cell::Value(text.into()) })
                            .collect()
                    }
                };
                all = all
                    .into_iter()
                    .flat_map(|key| cells.iter().map(move |cell| [key.clone(), vec![cell.clone()]].concat()))
                    .collect();
            }
            for key in all {
                let sorted =
                    names.iter().zip(&key).map(|(name, cell)| (SortKey::of(name, cell), cell.to_text())).collect();
                groups.entry(sorted).or_insert_with(|| (key, Vec::new())).1.push(row);
            }
        }
        let row = |(key, rows): (Vec<Cell>, Vec<&Plain>)| {
            let mut cells: Vec<(String, Cell)> = names.iter().cloned().zip(key).collect();
            cells.extend(functions.iter().map(|(label, (_, compute), field)| (label.clone(), compute(&rows, field))));
            Plain { id: None, cells }
        };
        groups.into_values().map(row).collect()
    };
    (text, Box::new(work), Some(columns))
}

fn check(store: &Store, all: &[Plain], random: &mut Random) {
    let order = if random.below(2) == 0 { Order::NewestFirst } else { Order::OldestFirst };
    let mut rows = all.to_vec();
    rows.sort_by_key(|row| row.id);
    if order == Order::NewestFirst {
        rows.reverse();
    }
    let mut text = random
        .pick(&["*", "n:>5", "level:error OR host:h1", "host:h1", "-a:1", "time:<2024-11-21T07:02:00Z"])
        .to_owned();
    let found = Question::parse_at(&text, now()).unwrap();
    let found = {
        let mut ids = BTreeSet::new();
        let search = run(
            &found,
            store.ingest.logs(),
            &Asked { limit: 10_000, order, ..asked(10_000) },
            &Scan::unlimited(),
            &mut |row| {
                ids.insert(shown(&row));
                ControlFlow::Continue(())
            },
        );
        search.unwrap();
        ids
    };
    rows.retain(|row| found.contains(&row.shown()));
    let mut columns: Option<Vec<String>> = None;
    for _ in 0..1 + random.below(4) {
        let (stage, work, next) = step(random, columns.as_deref());
        text += &format!(" | {stage}");
        rows = work(rows);
        columns = next;
    }
    let limit = [1_000, 1_000, 3][random.below(3)];
    let question = Question::parse_at(&text, now()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut answer = Vec::new();
    let outcome =
        run(&question, store.ingest.logs(), &Asked { order, ..asked(limit) }, &Scan::unlimited(), &mut |row| {
            answer.push(shown(&row));
            ControlFlow::Continue(())
        });
    let outcome = outcome.unwrap_or_else(|error| panic!("{text}: {error}"));
    let expected: Vec<String> = rows.iter().take(limit).map(Plain::shown).collect();
    assert_eq!(answer, expected, "{text} {order:?}");
    assert!(outcome.more || rows.len() <= limit, "{text}");
    assert_eq!((outcome.stopped, outcome.gaps), (None, Vec::new()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(20) })]
    #[test]
    fn random_questions_are_answered_as_a_plain_model_answers_them(seed: u64) {
        let mut random = Random(seed);
        let all = records(&mut random);
        let (one, other) = (random.below(all.len() + 1), random.below(all.len() + 1));
        let (first, second) = (one.min(other), one.max(other));
        let batches = vec![all[..first].to_vec(), all[first..second].to_vec(), all[second..].to_vec()];
        let model: Vec<Plain> = all.iter().enumerate().map(|(seq, record)| plain(seq, record)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Store::of(batches));
        for _ in 0..QUESTIONS {
            check(&store, &model, &mut random);
        }
    }
}
