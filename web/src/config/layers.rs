//! Who overrides whom: flag > environment > file > default, and where each value came from in the end.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::keys::keys;
use super::mistake::{Mistake, closest};
use super::sections::File;

/// Every variable of ours starts so.
const VARIABLE_PREFIX: &str = "TAFFRAIL_";
/// Variables that are not settings: read by the build, by the command line, or by tests.
const OTHER_VARIABLES: &[&str] = &[
    "TAFFRAIL_CONFIG",
    "TAFFRAIL_SERVER",
    "TAFFRAIL_LOG",
    "TAFFRAIL_UI_DIST",
    "TAFFRAIL_TEST_SEED",
    "TAFFRAIL_CRASH_AT",
    "TAFFRAIL_BREAK",
];

/// A value given on the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The key it stands for (`server.http`).
    pub key: &'static str,
    /// The flag that gave it (`--http`).
    pub flag: &'static str,
    /// The value.
    pub value: Value,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

/// The file and what overrides it.
#[derive(Clone, Debug)]
pub struct Layers {
    table: Table,
    origins: Vec<(String, Origin)>,
    unknown_variables: Vec<String>,
}

impl Layers {
    /// Reads the file and lays the environment and the flags over it. Each value is checked where it is met, so that the
    /// mistake names its place.
    pub fn read(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
        flags: Vec<Override>,
    ) -> Result<Layers, Mistake> {
        let mut layers = Layers { table: Table::new(), origins: Vec::new(), unknown_variables: Vec::new() };
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Mistake::of_file(path, format!("cannot be read: {error}")))?;
            toml::from_str::<File>(&text).map_err(|error| Mistake::in_file(path, &text, &error))?;
            layers.table = text.parse().map_err(|error| Mistake::in_file(path, &text, &error))?;
            for key in keys() {
                if find(&layers.table, key.path).is_some() {
                    layers.origins.push((key.path.to_owned(), Origin::File(path.to_owned())));
                }
            }
        }
        let defaults = default_table();
        let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX)).collect();
        variables.sort();
        for (name, text) in variables {
            match keys().find(|key| key.variables().any(|variable| variable == name)) {
                Some(key) => {
                    let value = read_as(find(&defaults, key.path), &text)
                        .map_err(|message| Mistake::of_setting(format!("{name}={text}"), message))?;
                    layers.lay(key.path, value, Origin::Variable(name))?;
                }
                None if OTHER_VARIABLES.contains(&name.as_str()) => {}
                None => layers.unknown_variables.push(name),
            }
        }
        for Override { key, flag, value } in flags {
            layers.lay(key, value, Origin::Flag(flag))?;
        }
        Ok(layers)
    }

    /// The settings as the layers leave them.
    pub fn merged(&self) -> Result<File, Mistake> {
        File::deserialize(self.table.clone()).map_err(|error| Mistake::of_override("the settings", &error))
    }

    /// The value of a key as the layers leave it; the default when nobody says anything; none when there is no default.
    pub fn value(&self, path: &str) -> Option<Value> {
        find(&self.table, path).cloned().or_else(|| find(&default_table(), path).cloned())
    }

    /// Takes over one key's value from other layers.
    pub fn take_value(&mut self, path: &str, from: &Layers) {
        if let Some(value) = from.value(path) {
            set(&mut self.table, path, value);
            self.origins.push((path.to_owned(), from.origin(path)));
        }
    }

    /// Where the value of a key came from.
    pub fn origin(&self, path: &str) -> Origin {
        // The layer that was laid last stands.
        let of_key = self.origins.iter().rev().find(|(key, _)| key == path);
        of_key.map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// A sentence for each variable that looks like ours and is not.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let known: Vec<String> = keys().flat_map(|key| key.variables().collect::<Vec<_>>()).collect();
        self.unknown_variables.iter().map(move |name| match closest(name, known.iter().map(String::as_str)) {
            Some(meant) => format!("the variable {name} is not known and changes nothing; did you mean {meant}?"),
            None => format!("the variable {name} is not known and changes nothing"),
        })
    }

    fn lay(&mut self, path: &str, value: Value, origin: Origin) -> Result<(), Mistake> {
        let shown = match &origin {
            Origin::Variable(name) => format!("{name}={}", plain(&value)),
            Origin::Flag(flag) => format!("{flag} {}", plain(&value)),
            Origin::Default | Origin::File(_) => path.to_owned(),
        };
        set(&mut self.table, path, value);
        File::deserialize(self.table.clone()).map_err(|error| Mistake::of_override(&shown, &error))?;
        self.origins.push((path.to_owned(), origin));
        Ok(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("the default"),
            Origin::File(path) => write!(f, "from {}", path.display()),
            Origin::Variable(name) => write!(f, "from {name}"),
            Origin::Flag(flag) => write!(f, "from {flag}"),
        }
    }
}

/// The defaults as they would stand in a file.
pub fn default_table() -> Table {
    Table::try_from(File::default()).expect("the default settings are a table")
}

/// The default of one key; none where there is none.
pub fn default_value(path: &str) -> Option<Value> {
    find(&default_table(), path).cloned()
}

/// The value at a dotted path.
pub fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let mut steps = path.split('.');
    let mut value = table.get(steps.next()?)?;
    for step in steps {
        value = value.as_table()?.get(step)?;
    }
    Some(value)
}

fn set(table: &mut Table, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    match rest {
        None => {
            table.insert(first.to_owned(), value);
        }
        Some(rest) => {
            let inner = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
            // The file was checked to have a table here.
            if let Value::Table(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// A variable's text as the kind of value that its key has.
fn read_as(default: Option<&Value>, text: &str) -> Result<Value, String> {
    match default {
        Some(Value::Boolean(_)) => match text {
            "true" | "1" | "yes" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" => Ok(Value::Boolean(false)),
            _ => Err("must be true or false".to_owned()),
        },
        Some(Value::Integer(_)) => text.parse().map(Value::Integer).map_err(|_| "must be a whole number".to_owned()),
        Some(Value::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, variables: &[(&str, &str)], flags: Vec<Override>) -> Result<Layers, Mistake> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taffrail.toml");
        std::fs::write(&path, file).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Layers::read(Some(&path), variables.collect::<Vec<_>>().into_iter(), flags)
    }

    fn http(address: &str) -> Override {
        Override { key: "server.http", flag: "--http", value: Value::String(address.into()) }
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
        let file = "[server]\nhttp = \"127.0.0.1:1\"\n";
        let variable = [("TAFFRAIL_HTTP", "127.0.0.1:2")];
        let check = |layers: Layers, port: u16| {
            assert_eq!(layers.merged().unwrap().server.http.0.port(), port);
            layers.origin("server.http")
        };
        assert_eq!(check(read("", &[], vec![]).unwrap(), 6464), Origin::Default);
        assert!(matches!(check(read(file, &[], vec![]).unwrap(), 1), Origin::File(_)));
        let of_variable = Origin::Variable("TAFFRAIL_HTTP".into());
        assert_eq!(check(read(file, &variable, vec![]).unwrap(), 2), of_variable);
        let of_flag = Origin::Flag("--http");
        assert_eq!(check(read(file, &variable, vec![http("127.0.0.1:3")]).unwrap(), 3), of_flag);
    }

    #[test]
    fn a_bad_override_names_itself() {
        let check = |layers: Result<Layers, Mistake>, expected: &str| {
            let mistake = layers.unwrap_err().to_string();
            assert!(mistake.starts_with(expected), "{mistake}");
        };
        check(read("", &[], vec![http("x")]), "--http x: `x` is not an address");
        check(read("", &[("TAFFRAIL_HTTP", "y")], vec![]), "TAFFRAIL_HTTP=y: `y` is not an address");
        check(read("", &[("TAFFRAIL_INSECURE", "maybe")], vec![]), "TAFFRAIL_INSECURE=maybe: must be true or false");
    }

    #[test]
    fn variables_have_the_kind_of_their_key_and_unknown_ones_are_told() {
        let variables = [
            ("TAFFRAIL_INSECURE", "yes"),
            ("TAFFRAIL_QUERY_ROWS_MAX", "7"),
            ("TAFFRAIL_ALERTS_RULES", "a.yml, b.yml"),
            ("TAFFRAIL_STATSD", "off"),
            ("TAFFRAIL_HTPP", "x"),
            ("PATH", "/bin"),
        ];
        let layers = read("", &variables, vec![]).unwrap();
        let file = layers.merged().unwrap();
        assert!(file.server.insecure);
        assert_eq!(file.query.rows_max, 7);
        assert_eq!(file.alerts.rules.len(), 2);
        assert_eq!(file.collector.statsd.address.address(), None);
        let warnings: Vec<_> = layers.warnings().collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("TAFFRAIL_HTPP") && warnings[0].contains("did you mean TAFFRAIL_HTTP?"));
    }
}
