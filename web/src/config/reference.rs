//! `taffrail check --print`: the settings as a file that can be pasted.

use std::fmt::Write as _;

use toml::Value;

use super::keys::{
    ANNOTATION_KEYS, CHECK_KEYS, FILES_KEYS, METRIC_RETENTION_KEYS, RETENTION_KEYS, SCRAPE_KEYS, SHAPE_KEYS, keys,
};
use super::layers::{Layers, Origin};

/// The settings as a file: every key with its explanation, its value, and where that came from.
pub fn print(layers: &Layers) -> String {
    let mut text = String::from(
        "# Taffrail's settings. A flag beats a variable, a variable beats this file, this file beats the default.\n",
    );
    let mut section = "";
    for key in keys() {
        let (of_section, name) = key.path.rsplit_once('.').expect("every key lies in a section");
        if of_section == section {
            text.push('\n');
        } else {
            section = of_section;
            let _ = write!(text, "\n[{section}]\n");
        }
        for line in wrapped(key.doc, 110) {
            let _ = writeln!(text, "# {line}");
        }
        let setters: Vec<String> = key.flag.map(str::to_owned).into_iter().chain(key.variables().take(1)).collect();
        let origin = layers.origin(key.path);
        let _ = writeln!(text, "# {}; {origin}", setters.join(", "));
        match layers.value(key.path) {
            Some(value) if origin == Origin::Default => {
                let _ = writeln!(text, "# {name} = {}", inline(&value));
            }
            Some(value) => {
                let _ = writeln!(text, "{name} = {}", inline(&value));
            }
            None => {
                let _ = writeln!(text, "# {name} =");
            }
        }
    }
    let tables = [
        ("retention", "Log records that are kept for a time of their own: a table for each rule.", RETENTION_KEYS),
        (
            "metric_retention",
            "Metric series that are kept for times of their own: a table for each rule.",
            METRIC_RETENTION_KEYS,
        ),
        (
            "annotations.from_logs",
            "Log records that are annotations (deploys): a table for each rule.",
            ANNOTATION_KEYS,
        ),
        ("checks", "What this server looks at from outside: a table for each check.", CHECK_KEYS),
        ("collector.files", "Log files to follow: a table for each group of files.", FILES_KEYS),
        ("collector.scrape", "Prometheus endpoints to read: a table for each group of targets.", SCRAPE_KEYS),
        (
            "collector.shape",
            "Rules that change, drop, sample or limit log records, in order: a table for each.",
            SHAPE_KEYS,
        ),
    ];
    for (table, what, keys) in tables {
        print_tables(&mut text, table, what, keys, layers.value(table).as_ref());
    }
    text
}

/// A repeated table: explained, and as often as it is there.
fn print_tables(text: &mut String, table: &str, what: &str, keys: &[(&str, &str, &str)], value: Option<&Value>) {
    let _ = write!(text, "\n# {what}\n# [[{table}]]\n");
    for (name, doc, example) in keys {
        for line in wrapped(doc, 106) {
            let _ = writeln!(text, "#   # {line}");
        }
        let _ = writeln!(text, "#   {name} = {example}");
    }
    for entry in value.and_then(Value::as_array).into_iter().flatten() {
        let _ = write!(text, "\n[[{table}]]\n");
        for (name, value) in entry.as_table().into_iter().flatten() {
            let _ = writeln!(text, "{name} = {}", inline(value));
        }
    }
}

/// The value on one line, as it may stand after `=`.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let pairs = table.iter().map(|(name, value)| format!("{name:?} = {}", inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a first line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;

    #[test]
    fn the_printed_settings_read_back_as_the_same_settings() {
        let value = Value::String("127.0.0.1:7".into());
        let flags = vec![Override { key: "server.http", flag: "--http", value }];
        let layers = Layers::read(None, std::iter::empty(), flags).unwrap();
        let text = print(&layers);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taffrail.toml");
        std::fs::write(&path, &text).unwrap();
        let again = Layers::read(Some(&path), std::iter::empty(), Vec::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(again.value("server.http"), layers.value("server.http"));
        assert!(matches!(again.origin("server.http"), Origin::File(_)));
        assert!(text.contains("# --http, TAFFRAIL_HTTP; from --http\nhttp = \"127.0.0.1:7\"\n"), "{text}");
        assert!(text.contains("; the default\n# limit_max = 10000\n"), "{text}");
        // A default may be pasted without its comment sign.
        let is_key = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let defaults = text.lines().map(|line| match line.strip_prefix("# ").and_then(|line| line.split_once(" = ")) {
            Some((name, value)) if is_key(name) => format!("{name} = {value}\n"),
            _ => format!("{line}\n"),
        });
        toml::from_str::<crate::config::sections::File>(&defaults.collect::<String>()).unwrap();
    }
}
