//! The setting `multiline`: `"auto"`, `"off"`, `{ start = "regex" }` or `{ continue = "regex" }`.

use std::fmt;
use std::sync::Arc;

use regex::bytes::Regex;
use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::source::StartError;

/// Which lines are joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Multiline {
    /// Stack traces of Java, Python, Go, Rust, JavaScript, PHP, .NET and Ruby, and lines that are indented.
    #[default]
    Auto,
    /// None.
    Off,
    /// A line that matches starts a group; all others go on with it.
    Start(String),
    /// A line that matches goes on with the group before it.
    Continue(String),
}

/// The setting, checked.
#[derive(Clone, Debug)]
pub enum Rules {
    /// As [`Multiline::Auto`].
    Auto,
    /// As [`Multiline::Off`].
    Off,
    /// As [`Multiline::Start`].
    Start(Arc<Regex>),
    /// As [`Multiline::Continue`].
    Continue(Arc<Regex>),
}

impl Multiline {
    /// Compiles the expression, if there is one; `setting` is where it stands.
    pub fn rules(&self, setting: &'static str) -> Result<Rules, StartError> {
        let compiled = |expression: &str| {
            Regex::new(expression).map(Arc::new).map_err(|error| StartError { setting, message: error.to_string() })
        };
        Ok(match self {
            Multiline::Auto => Rules::Auto,
            Multiline::Off => Rules::Off,
            Multiline::Start(expression) => Rules::Start(compiled(expression)?),
            Multiline::Continue(expression) => Rules::Continue(compiled(expression)?),
        })
    }
}

impl Serialize for Multiline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, expression) = match self {
            Multiline::Auto => return serializer.serialize_str("auto"),
            Multiline::Off => return serializer.serialize_str("off"),
            Multiline::Start(expression) => ("start", expression),
            Multiline::Continue(expression) => ("continue", expression),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, expression)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Multiline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Multiline, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// Reads the setting as it is written.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Multiline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\", \"off\", { start = \"regex\" } or { continue = \"regex\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Multiline, E> {
        match text {
            "auto" => Ok(Multiline::Auto),
            "off" => Ok(Multiline::Off),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Multiline, A::Error> {
        let Some((key, expression)) = map.next_entry::<String, String>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        if let Some((key, _)) = map.next_entry::<String, String>()? {
            return Err(A::Error::custom(format!("`{key}` cannot stand beside another: a group has one rule")));
        }
        match &*key {
            "start" => Ok(Multiline::Start(expression)),
            "continue" => Ok(Multiline::Continue(expression)),
            other => Err(A::Error::unknown_field(other, &["start", "continue"])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_read_as_it_is_written_and_mistakes_are_named() {
        let check = |written: &str, expected: Result<Multiline, &str>| {
            let read = serde_json::from_str::<Multiline>(written);
            match expected {
                Ok(setting) => {
                    assert_eq!(serde_json::to_string(&setting).unwrap(), written);
                    assert_eq!(read.unwrap(), setting);
                }
                Err(part) => assert!(read.unwrap_err().to_string().contains(part), "{written}"),
            }
        };
        check(r#""auto""#, Ok(Multiline::Auto));
        check(r#""off""#, Ok(Multiline::Off));
        check(r#"{"start":"^\\d"}"#, Ok(Multiline::Start(r"^\d".to_owned())));
        check(r#"{"continue":"^ "}"#, Ok(Multiline::Continue("^ ".to_owned())));
        check(r#""on""#, Err("expected \"auto\""));
        check(r#"{"begin":"x"}"#, Err("unknown field `begin`"));
        check(r#"{"start":"x","continue":"y"}"#, Err("one rule"));
        check("{}", Err("expected \"auto\""));
        assert!(Multiline::Start("(".to_owned()).rules("collector.files.multiline").is_err());
    }
}
