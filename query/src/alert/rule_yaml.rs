//! The YAML of a rules file with the place of every value, before anybody asks whether it makes sense.
//!
//! Values are kept as they are written (`1.10` stays `1.10`), as Prometheus keeps them; keys that nobody knows are
//! collected instead of ending the reading, so that all of them can be reported.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A place in the file: line and column in characters, both from 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub line: u64,
    pub column: u64,
}

/// A scalar and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub value: String,
    pub place: Place,
}

/// A key that nobody knows.
pub(super) type Unknown = Placed;

/// A rules file as written.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    pub groups: Vec<RawGroup>,
    pub unknown: Vec<Unknown>,
}

/// A group as written.
#[derive(Debug, Default)]
pub(super) struct RawGroup {
    pub place: Place,
    pub name: Option<Placed>,
    pub interval: Option<Placed>,
    pub limit: Option<Placed>,
    pub query_offset: Option<Placed>,
    pub language: Option<Placed>,
    pub no_data: Option<Placed>,
    pub labels: Vec<(Placed, Placed)>,
    pub rules: Vec<RawRule>,
    pub unknown: Vec<Unknown>,
}

/// A rule as written.
#[derive(Debug, Default)]
pub(super) struct RawRule {
    pub place: Place,
    pub record: Option<Placed>,
    pub alert: Option<Placed>,
    pub expr: Option<Placed>,
    pub hold: Option<Placed>,
    pub keep_firing: Option<Placed>,
    pub labels: Vec<(Placed, Placed)>,
    pub annotations: Vec<(Placed, Placed)>,
    pub language: Option<Placed>,
    pub window: Option<Placed>,
    pub no_data: Option<Placed>,
    pub log_lines: Option<RawLogLines>,
    pub severity: Option<Placed>,
    pub runbook: Option<Placed>,
    pub unknown: Vec<Unknown>,
}

/// `log_lines:` as written.
#[derive(Debug, Default)]
pub(super) struct RawLogLines {
    pub place: Place,
    pub query: Option<Placed>,
    pub max: Option<Placed>,
    pub unknown: Vec<Unknown>,
}

/// Reads the file; an error is the first thing that is no YAML of this shape.
pub(super) fn read_yaml(text: &str) -> Result<RawFile, (Place, String)> {
    // "yes" and "on" are labels like any other; only true and false are truth values.
    let options = serde_saphyr::options! { strict_booleans: true };
    let parsed: Result<Option<RawFile>, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let place = error.location().map(Place::from).unwrap_or_default();
        (place, plain_message(&error))
    })
}

/// What is wrong, without the excerpt that the crate draws around it.
pub(super) fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    match first.split(" at line ").next().unwrap_or(first) {
        "expected sequence start" => "a list is expected here: lines that start with -".to_owned(),
        "expected mapping start" => "names and their values are expected here: name: value".to_owned(),
        other => other.to_owned(),
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place { line: location.line(), column: location.column() }
    }
}

impl From<Spanned<String>> for Placed {
    fn from(spanned: Spanned<String>) -> Placed {
        Placed { place: spanned.referenced.into(), value: spanned.value }
    }
}

/// Something that is filled key by key and keeps what it does not know.
trait Keyed: Default {
    /// What it is, for the message that says what was expected.
    const EXPECTING: &'static str;
    /// Takes the value of a key it knows and says so; leaves the value of one it does not know.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
    /// Notes a key it does not know.
    fn unknown(&mut self, key: Placed);
}

struct KeyedVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Keyed> Visitor<'de> for KeyedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTING)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut filled = T::default();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            if !filled.take(&key.value, &mut map)? {
                map.next_value::<IgnoredAny>()?;
                filled.unknown(key.into());
            }
        }
        Ok(filled)
    }
}

macro_rules! deserialize_keyed {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_map(KeyedVisitor(std::marker::PhantomData))
            }
        }
    )*};
}

deserialize_keyed!(RawFile, RawGroup, RawRule, RawLogLines);

impl Keyed for RawFile {
    const EXPECTING: &'static str = "a rules file, which starts with groups:";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        if key != "groups" {
            return Ok(false);
        }
        let groups: Option<Vec<Spanned<RawGroup>>> = map.next_value()?;
        self.groups = groups
            .into_iter()
            .flatten()
            .map(|group| RawGroup { place: group.referenced.into(), ..group.value })
            .collect();
        Ok(true)
    }

    fn unknown(&mut self, key: Placed) {
        self.unknown.push(key);
    }
}

impl Keyed for RawGroup {
    const EXPECTING: &'static str = "a group: name: and rules:";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "name" => self.name = scalar(map)?,
            "interval" => self.interval = scalar(map)?,
            "limit" => self.limit = scalar(map)?,
            "query_offset" => self.query_offset = scalar(map)?,
            "type" => self.language = scalar(map)?,
            "no_data" => self.no_data = scalar(map)?,
            "labels" => self.labels = pairs(map)?,
            "rules" => {
                let rules: Option<Vec<Spanned<RawRule>>> = map.next_value()?;
                self.rules = rules
                    .into_iter()
                    .flatten()
                    .map(|rule| RawRule { place: rule.referenced.into(), ..rule.value })
                    .collect();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn unknown(&mut self, key: Placed) {
        self.unknown.push(key);
    }
}

impl Keyed for RawRule {
    const EXPECTING: &'static str = "a rule: alert: or record:, and expr:";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "record" => self.record = scalar(map)?,
            "alert" => self.alert = scalar(map)?,
            "expr" => self.expr = scalar(map)?,
            "for" => self.hold = scalar(map)?,
            "keep_firing_for" => self.keep_firing = scalar(map)?,
            "labels" => self.labels = pairs(map)?,
            "annotations" => self.annotations = pairs(map)?,
            "type" => self.language = scalar(map)?,
            "window" => self.window = scalar(map)?,
            "no_data" => self.no_data = scalar(map)?,
            "log_lines" => {
                let lines: Option<Spanned<RawLogLines>> = map.next_value()?;
                self.log_lines = lines.map(|lines| RawLogLines { place: lines.referenced.into(), ..lines.value });
            }
            "severity" => self.severity = scalar(map)?,
            "runbook" => self.runbook = scalar(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn unknown(&mut self, key: Placed) {
        self.unknown.push(key);
    }
}

impl Keyed for RawLogLines {
    const EXPECTING: &'static str = "log_lines: with query: (a search) and max:";

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "query" => self.query = scalar(map)?,
            "max" => self.max = scalar(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn unknown(&mut self, key: Placed) {
        self.unknown.push(key);
    }
}

/// Names and values, in order.
#[derive(Default)]
struct Pairs(Vec<(Placed, Placed)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names and their values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(name) = map.next_key::<Spanned<String>>()? {
                    let value: Spanned<String> = map.next_value()?;
                    pairs.push((name.into(), value.into()));
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

fn scalar<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Placed>, A::Error> {
    Ok(map.next_value::<Option<Spanned<String>>>()?.map(Placed::from))
}

fn pairs<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<(Placed, Placed)>, A::Error> {
    Ok(map.next_value::<Option<Pairs>>()?.unwrap_or_default().0)
}
