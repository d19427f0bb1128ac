//! What `stats` computes of the rows of a group: `count()`, `sum(bytes)`, `quantile(0.95, took_ms)` …
//!
//! Numbers are numbers and texts that are numbers, with the units that the language knows ([`quantity`](super::super::quantity)); other values are passed
//! over. Every function gives the same whatever the order of the rows, so that parts can be computed apart and joined.
//! - `quantile(q, f)` is the value at rank ⌊q × (n − 1)⌋ of the sorted numbers: exact up to [`EXACT_MAX`](super::accumulator::EXACT_MAX) numbers in a group, beyond
//!   within 1 % of the value (a DDSketch, the one that metrics are kept in).
//! - `count_distinct(f)` is exact up to [`DISTINCT_EXACT_MAX`](super::accumulator::DISTINCT_EXACT_MAX) values in a group, beyond within about 2 % (HyperLogLog, standard error
//!   1.6 %).
//! - `min` and `max` compare numbers where there are any, else texts; `first` and `last` are the values of the oldest and newest
//!   record that has one (in a table: of the first and last row).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use taffrail_collector::model::Value;
use taffrail_ingest::log_store::Field;

use super::super::ParseError;
use super::super::near::did_you_mean;
use super::super::row::{Cell, Number, RowView, SortKey};
use super::accumulator::{Accumulator, Distinct, Numbers, Place, Sum};
use super::arguments::{Arguments, Name, error_at};
use super::shape::ColumnKind;

/// Values that `values` lists when nobody says how many, and how many it may list.
const VALUES_DEFAULT: usize = 100;
const VALUES_MAX: usize = 10_000;

/// A function of the rows of a group.
#[derive(Clone, Debug)]
pub enum Function {
    /// Rows, or rows that have the field.
    Count(Option<Field>),
    /// Rows a second, or the field's sum a second.
    Rate(Option<Field>),
    /// Different values.
    CountDistinct(Field),
    /// The sum of numbers.
    Sum(Field),
    /// Their mean.
    Avg(Field),
    /// The least value.
    Min(Field),
    /// The greatest value.
    Max(Field),
    /// The number at this rank.
    Quantile(f64, Field),
    /// Different values in order, so many at most.
    Values(Field, usize),
    /// The oldest value.
    First(Field),
    /// The newest value.
    Last(Field),
}

const NAMES: [(&str, &str); 13] = [
    ("count", "count()"),
    ("count_distinct", "count_distinct(user)"),
    ("sum", "sum(bytes)"),
    ("avg", "avg(took_ms)"),
    ("min", "min(took_ms)"),
    ("max", "max(took_ms)"),
    ("median", "median(took_ms)"),
    ("quantile", "quantile(0.95, took_ms)"),
    ("p95", "p95(took_ms)"),
    ("rate", "rate()"),
    ("values", "values(path) or values(path, 20)"),
    ("first", "first(message)"),
    ("last", "last(message)"),
];

impl Function {
    /// Reads one with its parentheses: the function, and what its column is called when nobody says.
    pub(super) fn parse(arguments: &mut Arguments<'_>) -> Result<(Function, String), ParseError> {
        let names = || NAMES.iter().map(|(name, _)| *name);
        let all = || names().collect::<Vec<_>>().join(", ");
        let column = arguments.column();
        let Some(name) = arguments.any_name()? else {
            return Err(error_at(column, format!("a function is missing here; there are {}", all())));
        };
        let wanted = name.text.to_ascii_lowercase();
        let percentile = wanted.strip_prefix('p').and_then(percentile_of);
        let known = percentile.map_or_else(
            || NAMES.iter().find(|(name, _)| *name == wanted),
            |_| NAMES.iter().find(|(name, _)| *name == "p95"),
        );
        let Some((_, how)) = known else {
            let near = did_you_mean(&wanted, names());
            return Err(error_at(column, format!("there is no function `{}`{near}; there are {}", name.text, all())));
        };
        arguments.expect("(", how)?;
        let function = Function::with_arguments(&wanted, percentile, arguments, how)?;
        arguments.expect(")", how)?;
        let label = function.label();
        Ok((function, label))
    }

    fn with_arguments(
        name: &str,
        percentile: Option<f64>,
        arguments: &mut Arguments<'_>,
        how: &str,
    ) -> Result<Function, ParseError> {
        let optional = |arguments: &mut Arguments<'_>| match arguments.looks_at(')') || arguments.take("*") {
            true => Ok(None),
            false => arguments.field(how).map(|name| Some(name.field())),
        };
        let field = |arguments: &mut Arguments<'_>| arguments.field(how).map(|name: Name| name.field());
        if let Some(q) = percentile {
            return Ok(Function::Quantile(q, field(arguments)?));
        }
        Ok(match name {
            "count" => Function::Count(optional(arguments)?),
            "rate" => Function::Rate(optional(arguments)?),
            "count_distinct" => Function::CountDistinct(field(arguments)?),
            "sum" => Function::Sum(field(arguments)?),
            "avg" => Function::Avg(field(arguments)?),
            "min" => Function::Min(field(arguments)?),
            "max" => Function::Max(field(arguments)?),
            "median" => Function::Quantile(0.5, field(arguments)?),
            "quantile" => {
                let column = arguments.column();
                let q = arguments.number(how)?;
                if !(0.0..=1.0).contains(&q) {
                    return Err(error_at(column, format!("a quantile lies between 0 and 1, not {q}: write {how}")));
                }
                arguments.expect(",", how)?;
                Function::Quantile(q, field(arguments)?)
            }
            "values" => {
                let field = field(arguments)?;
                let mut most = VALUES_DEFAULT;
                if arguments.take(",") {
                    let column = arguments.column();
                    most = arguments.count()?.filter(|most| (1..=VALUES_MAX).contains(most)).ok_or_else(|| {
                        error_at(column, format!("a number from 1 to {VALUES_MAX} is missing here: write {how}"))
                    })?;
                }
                Function::Values(field, most)
            }
            "first" => Function::First(field(arguments)?),
            _ => Function::Last(field(arguments)?),
        })
    }

    /// What its column is called: `count`, `sum_bytes`, `p95_took_ms`.
    fn label(&self) -> String {
        let of = |name: &str, field: &Field| format!("{name}_{}", field.name());
        match self {
            Function::Count(None) => "count".to_owned(),
            Function::Rate(None) => "rate".to_owned(),
            Function::Count(Some(field)) => of("count", field),
            Function::Rate(Some(field)) => of("rate", field),
            Function::CountDistinct(field) => of("count_distinct", field),
            Function::Sum(field) => of("sum", field),
            Function::Avg(field) => of("avg", field),
            Function::Min(field) => of("min", field),
            Function::Max(field) => of("max", field),
            // Through a text, as 0.29 × 100 is 28.999999999999996.
            Function::Quantile(q, field) => {
                of(&format!("p{}", format!("{:.4}", q * 100.0).trim_end_matches('0').trim_end_matches('.')), field)
            }
            Function::Values(field, _) => of("values", field),
            Function::First(field) => of("first", field),
            Function::Last(field) => of("last", field),
        }
    }

    /// What stands in its column, given what stands in its field.
    pub(super) fn kind(&self, of_field: impl Fn(&str) -> ColumnKind) -> ColumnKind {
        match self {
            Function::Values(..) => ColumnKind::List,
            Function::Min(field) | Function::Max(field) | Function::First(field) | Function::Last(field) => {
                of_field(field.name())
            }
            _ => ColumnKind::Number,
        }
    }

    /// The field that it reads.
    pub(super) fn field(&self) -> Option<&Field> {
        match self {
            Function::Count(field) | Function::Rate(field) => field.as_ref(),
            Function::CountDistinct(field)
            | Function::Sum(field)
            | Function::Avg(field)
            | Function::Min(field)
            | Function::Max(field)
            | Function::Quantile(_, field)
            | Function::Values(field, _)
            | Function::First(field)
            | Function::Last(field) => Some(field),
        }
    }

    /// Whether a group takes more memory with every row.
    pub(super) fn grows(&self) -> bool {
        !matches!(self, Function::Count(_) | Function::Rate(_) | Function::Sum(_) | Function::Avg(_))
    }

    pub(super) fn start(&self) -> Accumulator {
        match self {
            Function::Count(_) | Function::Rate(None) => Accumulator::Count(0),
            Function::CountDistinct(_) => Accumulator::Distinct(Distinct::Exact(HashSet::new())),
            Function::Sum(_) | Function::Avg(_) | Function::Rate(Some(_)) => Accumulator::Sum(Sum::default()),
            Function::Min(_) | Function::Max(_) => Accumulator::Extreme(None),
            Function::Quantile(..) => Accumulator::Quantile(Numbers::Few(Vec::new())),
            Function::Values(..) => Accumulator::Values(BTreeMap::new()),
            Function::First(_) | Function::Last(_) => Accumulator::Picked(None),
        }
    }

    /// Takes a row in; returns about how many bytes of memory that took.
    pub(super) fn add(&self, to: &mut Accumulator, row: RowView<'_>, place: Place) -> usize {
        match (self, to) {
            (Function::Count(None) | Function::Rate(None), Accumulator::Count(count)) => *count += 1,
            (Function::Count(Some(field)), Accumulator::Count(count)) => *count += u64::from(row.has(field)),
            (Function::Sum(field) | Function::Avg(field) | Function::Rate(Some(field)), Accumulator::Sum(sum)) => {
                row.visit_numbers(field, &mut |number| sum.add(number));
            }
            (Function::CountDistinct(field), Accumulator::Distinct(distinct)) => {
                let mut bytes = 0;
                row.visit_texts(field, &mut |text| bytes += distinct.add(&text));
                return bytes;
            }
            (Function::Quantile(_, field), Accumulator::Quantile(numbers)) => {
                let mut bytes = 0;
                row.visit_numbers(field, &mut |number| bytes += numbers.add(number.as_f64()));
                return bytes;
            }
            (Function::Min(field) | Function::Max(field), Accumulator::Extreme(extreme)) => {
                let cell = row.cell(field);
                let key = match &cell {
                    Cell::Value(Value::Array(_)) => SortKey::Missing,
                    _ => SortKey::of(field.name(), &cell),
                };
                let before = extreme.as_ref().map_or(0, |(_, cell)| cell.bytes());
                self.pick_extreme(extreme, key, cell);
                return extreme.as_ref().map_or(0, |(_, cell)| cell.bytes()).saturating_sub(before);
            }
            (Function::Values(field, most), Accumulator::Values(values)) => {
                let mut bytes = 0;
                let mut put = |cell: Cell| {
                    let key = SortKey::of(field.name(), &cell);
                    if let Some(known) = values.get_mut(&key) {
                        keep_first_text(known, cell);
                    } else if !key.is_missing() {
                        let length = cell.to_text().len();
                        values.insert(key, cell);
                        match values.len() > *most {
                            true => drop(values.pop_last()),
                            false => bytes += VALUE_BYTES + 2 * length,
                        }
                    }
                };
                match row.cell(field) {
                    Cell::Value(Value::Array(_)) => {
                        row.visit_texts(field, &mut |text: Cow<'_, str>| {
                            put(Cell::Value(Value::String(text.into_owned())))
                        });
                    }
                    cell => put(cell),
                }
                return bytes;
            }
            (Function::First(field) | Function::Last(field), Accumulator::Picked(picked))
                if self.is_better(picked, place) && row.has(field) =>
            {
                let before = picked.as_ref().map_or(0, |(_, cell)| cell.bytes());
                let cell = row.cell(field);
                let bytes = cell.bytes();
                *picked = Some((place, cell));
                return bytes.saturating_sub(before);
            }
            _ => {}
        }
        0
    }

    /// Takes in what the same function made of other rows.
    pub(super) fn merge(&self, to: &mut Accumulator, other: Accumulator) {
        match (to, other) {
            (Accumulator::Count(count), Accumulator::Count(more)) => *count += more,
            (Accumulator::Sum(sum), Accumulator::Sum(more)) => sum.merge(&more),
            (Accumulator::Distinct(distinct), Accumulator::Distinct(more)) => distinct.merge(more),
            (Accumulator::Quantile(numbers), Accumulator::Quantile(more)) => numbers.merge(more),
            (Accumulator::Extreme(extreme), Accumulator::Extreme(Some((key, cell)))) => {
                self.pick_extreme(extreme, key, cell);
            }
            (Accumulator::Values(values), Accumulator::Values(more)) => {
                for (key, cell) in more {
                    match values.get_mut(&key) {
                        Some(known) => keep_first_text(known, cell),
                        None => drop(values.insert(key, cell)),
                    }
                }
                if let Function::Values(_, most) = self {
                    while values.len() > *most {
                        values.pop_last();
                    }
                }
            }
            (Accumulator::Picked(picked), Accumulator::Picked(Some((place, cell))))
                if self.is_better(picked, place) =>
            {
                *picked = Some((place, cell));
            }
            _ => {}
        }
    }

    /// The function's value. The rows lie in so many seconds.
    pub(super) fn value(&self, of: Accumulator, seconds: f64) -> Cell {
        match (self, of) {
            (Function::Rate(None), Accumulator::Count(count)) => Cell::number(count as f64 / seconds),
            (Function::Rate(Some(_)), Accumulator::Sum(sum)) => Cell::number(sum.total() / seconds),
            (_, Accumulator::Count(count)) => Cell::count(count),
            (Function::Avg(_), Accumulator::Sum(sum)) => Cell::number(sum.total() / sum.numbers as f64),
            (_, Accumulator::Sum(sum)) => sum.cell(),
            (_, Accumulator::Distinct(distinct)) => Cell::count(distinct.count()),
            (Function::Quantile(q, _), Accumulator::Quantile(numbers)) => {
                numbers.quantile(*q).map_or(Cell::MISSING, Cell::number)
            }
            (_, Accumulator::Extreme(extreme)) => {
                extreme.map_or(Cell::MISSING, |(_, cell)| as_number(self.field(), cell))
            }
            (_, Accumulator::Values(values)) => {
                let values = values.into_values().map(|cell| match cell {
                    Cell::Value(value) => value,
                    time @ Cell::Time(_) => Value::String(time.to_text()),
                });
                Cell::Value(Value::Array(values.collect()))
            }
            (_, Accumulator::Picked(picked)) => picked.map_or(Cell::MISSING, |(_, cell)| cell),
            (_, Accumulator::Quantile(_)) => Cell::MISSING,
        }
    }

    fn pick_extreme(&self, extreme: &mut Option<(SortKey, Cell)>, key: SortKey, cell: Cell) {
        if key.is_missing() {
            return;
        }
        let number = |key: &SortKey| !matches!(key, SortKey::Text(_));
        let better = match extreme {
            None => true,
            // Where there are numbers, texts do not count.
            Some((old, _)) if number(old) != number(&key) => number(&key),
            Some((old, _)) => match self {
                Function::Max(_) => key > *old,
                _ => key < *old,
            },
        };
        if better {
            *extreme = Some((key, cell));
        }
    }

    fn is_better(&self, picked: &Option<(Place, Cell)>, place: Place) -> bool {
        picked.as_ref().is_none_or(|(old, _)| match self {
            Function::First(_) => place < *old,
            _ => place > *old,
        })
    }
}

/// What an entry of a map of values takes besides its text.
const VALUE_BYTES: usize = 96;

/// Of values that stand alike (7, "7", "7.0") the same one whatever comes first.
fn keep_first_text(known: &mut Cell, other: Cell) {
    let order = |cell: &Cell| (cell.to_text(), matches!(cell, Cell::Value(Value::String(_))));
    if order(&other) < order(known) {
        *known = other;
    }
}

/// A text that is a number, as the number.
fn as_number(field: Option<&Field>, cell: Cell) -> Cell {
    match (&cell, field) {
        (Cell::Value(Value::String(text)), Some(field)) => match Number::of_text(field.name(), text) {
            Some(Number::Int(number)) => Cell::Value(Value::Int(number)),
            Some(Number::Float(number)) => Cell::number(number),
            None => cell,
        },
        _ => cell,
    }
}

/// The quantile of `95`, `99.9`, in `p95`.
fn percentile_of(digits: &str) -> Option<f64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits.parse::<f64>().ok().filter(|percent| plain && (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0)
}
