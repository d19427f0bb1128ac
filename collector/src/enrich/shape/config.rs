//! A `[[collector.shape]]` section as it is written.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

/// One rule. What is not said matches everything and does nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name under which its effects are counted. Default `shape-1` and so on, by its place in the file.
    pub name: String,
    /// Sources whose records it is for: `files`, `journald`, `syslog`, `stdin`, `json_lines`. Default all.
    #[serde(deserialize_with = "one_or_more")]
    pub source: Vec<String>,
    /// Services whose records it is for; `*` stands for anything. Default all.
    #[serde(deserialize_with = "one_or_more")]
    pub service: Vec<String>,
    /// Patterns of the files (`log.file.path`) whose records it is for, as in `[[collector.files]]`. Default all records, of files
    /// or not.
    #[serde(deserialize_with = "one_or_more")]
    pub path: Vec<String>,
    /// What fields must hold, all of them: a text with `*` for anything, `"/regular expression/"`, a number, `">=500"`, true or
    /// false, or a list of such. `message`, `level`, `host`, `service` and `trace_id` are fields too; a level compares by gravity
    /// (`level = "<info"`). Default anything.
    #[serde(rename = "where")]
    pub fields: BTreeMap<String, Json>,
    /// Keep these records: no later rule drops, samples or limits them. Default false.
    pub keep: bool,
    /// Drop these records. Default false.
    pub drop_records: bool,
    /// Keep so much of these records, 0 to 1. Records of one trace stay or go together, on all hosts alike; errors stay
    /// (`sample_errors`). Default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<f64>,
    /// Sample errors like other records. Default false: records of level error and above are kept.
    pub sample_errors: bool,
    /// Keep at most so many of these records: `"1000/s"`, `"60/m"`, `"500/h"`. Default no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// So many may come at once before the limit holds. Default the number of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// New fields that get the value of others: `{ new = "old" }` keeps both. Default none.
    pub copy: BTreeMap<String, String>,
    /// Fields that get another name: `{ old = "new" }`. `service`, `host`, `level`, `message` and `trace_id` set the record's own.
    /// Default none.
    pub rename: BTreeMap<String, String>,
    /// Fields that are left out; `*` stands for anything. Default none.
    #[serde(deserialize_with = "one_or_more")]
    pub drop: Vec<String>,
    /// Fields that get a fixed value; `${NAME}` in a text stands for a variable of the environment. Default none.
    pub add: BTreeMap<String, Json>,
}

/// `"x"` or `["x", "y"]`.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMore;

    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut all = Vec::new();
            while let Some(item) = items.next_element()? {
                all.push(item);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(OneOrMore)
}
