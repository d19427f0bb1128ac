//! Text to dashboard and back. JSON is YAML too, so one reader takes both.

use std::fmt;

use serde::Serialize;
use serde_saphyr::Location;

use super::check::check;
use super::model::Dashboard;

/// The longest text of a dashboard, in bytes: far above any that people write.
pub const TEXT_BYTES_MAX: usize = 1 << 20;

/// Something wrong with a dashboard: line and column in characters from 1; 0 where it is the whole text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
    /// What is wrong, in a sentence.
    pub message: String,
}

impl Problem {
    /// With the text as a whole.
    pub fn whole(message: impl Into<String>) -> Problem {
        Problem { line: 0, column: 0, message: message.into() }
    }

    /// At a place.
    pub fn at(place: Location, message: impl Into<String>) -> Problem {
        Problem { line: place.line(), column: place.column(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.message),
            line => write!(f, "{line}:{}: {}", self.column, self.message),
        }
    }
}

/// Reads and checks a dashboard.
///
/// # Errors
/// The first thing that is no dashboard's YAML, or everything that a dashboard's YAML says and cannot be.
pub fn read(text: &str) -> Result<Dashboard, Vec<Problem>> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("{} bytes are more than the {TEXT_BYTES_MAX} that a dashboard may have", text.len());
        return Err(vec![Problem::whole(message)]);
    }
    // "yes" and "on" are names like any other; only true and false are truth values.
    let options = serde_saphyr::options! { strict_booleans: true };
    let dashboard: Dashboard = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let message = sentence(&error);
        vec![match error.location() {
            Some(place) => Problem::at(place, message),
            None => Problem::whole(message),
        }]
    })?;
    let problems = check(&dashboard);
    if problems.is_empty() { Ok(dashboard) } else { Err(problems) }
}

/// Writes a dashboard as YAML, which [`read`] reads.
pub fn write(dashboard: &Dashboard) -> String {
    serde_saphyr::to_string(dashboard).expect("a dashboard is made of texts, numbers, lists and names")
}

/// What is wrong, without the excerpt that the crate draws around it.
fn sentence(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.split(" at line ").next().unwrap_or(first);
    match first {
        "expected sequence start" => "a list is expected here: lines that start with -".to_owned(),
        "expected mapping start" => "names and their values are expected here: name: value".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_has_a_place_and_a_sentence() {
        let check = |text: &str, expected: &str| {
            let problems = read(text).expect_err(text);
            let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(told, expected, "{text}");
        };
        check(
            "title: x\nrows:\n- panles: []\n",
            "3:3: unknown field `panles`, expected one of title, collapsed, repeat, panels",
        );
        check("title: x\nrows: 3\n", "2:7: a list is expected here: lines that start with -");
        check("title: x\n", "1:1: missing field `rows`");
        check("title: [\nrows: []\n", "1:8: expected string scalar");
        check(
            "title: x\nrows:\n- panels:\n  - type: pie\n",
            "4:11: unknown variant `pie`, expected one of chart, stat, gauge, bars, table, heatmap, logs, text",
        );
        check(
            "title: x\nrows:\n- panels:\n  - queries:\n    - promql: sum(rate(x[5m])\n",
            "5:15: PromQL: 1:16: parse error: unexpected end of input, expected \",\"",
        );
    }

    #[test]
    fn the_documentations_examples_are_right() {
        let text = include_str!("../../dashboards.md");
        let examples = text.split("```yaml\n").skip(1).map(|behind| behind.split("```").next().unwrap());
        let read: Vec<_> =
            examples.map(|example| read(example).unwrap_or_else(|problems| panic!("{problems:?}"))).collect();
        assert!(!read.is_empty());
    }

    #[test]
    fn json_is_read_as_well() {
        let read = read(r#"{"title":"x","rows":[{"panels":[{"type":"stat","queries":[{"promql":"up"}]}]}]}"#).unwrap();
        assert_eq!(read.panels().count(), 1);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let text = "title: 'yes: 1.10'\ntags: [a, 'null']\ntime: {from: now-3h}\nrefresh: 30s\nvariables:\n- name: host\n  label: host\n  of: up\n  multi: true\n  all: true\nrows:\n- title: R\n  panels:\n  - title: C\n    width: 12\n    draw: stacked\n    unit: /s\n    queries:\n    - promql: |\n        sum by (host) (\n          rate({\"a.b\", host=~\"$host\"}[$__rate_interval])\n        )\n      name: '{{host}}'\n    thresholds:\n    - {from: 0.5, level: bad}\n  - type: text\n    text: |\n      # A\n\n      - b: \"c\"\n";
        let once = read(text).unwrap();
        let again = read(&write(&once)).unwrap_or_else(|problems| panic!("{problems:?}\n{}", write(&once)));
        assert_eq!(serde_json::to_value(&again).unwrap(), serde_json::to_value(&once).unwrap());
    }
}
