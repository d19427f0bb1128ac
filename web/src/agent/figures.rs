//! Every number of an agent's status as a named figure: what its own metrics are made of.
//!
//! The table [`PARTS`] says where in the status figures stand, what their names begin with, and which fields are labels; whatever
//! number stands there has a figure, so that a field added to a snapshot needs no line here (unless it is a level: see
//! [`LEVELS`]). Names are `taffrail_agent_` + the part's prefix + the field; a field `state` with a word becomes a figure of
//! value 1 with that word as its label.

use serde_json::Value;

/// What every name begins with.
pub const NAME_PREFIX: &str = taffrail_collector::source::agent::OWN_FIGURES;
/// The figure, always 1, whose labels say which version runs, and on what.
pub const INFO: &str = "info";
/// Those labels, and the fields of the status that they are made of.
pub const INFO_LABELS: [&str; 3] = ["version", "os", "arch"];

/// A number of the status.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name, with [`NAME_PREFIX`].
    pub name: String,
    /// Which of several it is.
    pub labels: Vec<(&'static str, String)>,
    /// What it measures.
    pub value: Measured,
}

/// A figure's value and what can be done with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measured {
    /// A level that goes up and down.
    Level(f64),
    /// A count since the agent's start.
    Count(f64),
}

/// A part of the status whose numbers are figures.
pub struct Part {
    /// Where it stands: names of fields from the top.
    pub at: &'static [&'static str],
    /// What stands between [`NAME_PREFIX`] and the field's name.
    pub prefix: &'static str,
    /// Fields of an item that tell it from the others; none when the part is one object and no list.
    pub labels: &'static [&'static str],
}

/// Every part. What belongs to one source only is a list within a list: [`OF_SOURCES`].
pub const PARTS: &[Part] = &[
    Part { at: &["process"], prefix: "process_", labels: &[] },
    Part { at: &["ship"], prefix: "", labels: &[] },
    Part { at: &["own_log"], prefix: "own_log_", labels: &[] },
    Part { at: &["sources"], prefix: "source_", labels: SOURCE_LABELS },
    Part { at: &["ship", "endpoints"], prefix: "endpoint_", labels: &["url"] },
    Part { at: &["ship", "lanes"], prefix: "lane_", labels: &["lane"] },
];

/// A list that each source has, whose items count something.
pub struct OfSource {
    /// Its field in the source.
    pub field: &'static str,
    /// Its figure.
    pub figure: &'static str,
    /// Fields of an item that tell it from the others; they are labels beside [`SOURCE_LABELS`].
    pub labels: &'static [&'static str],
}

/// What tells a source from others.
pub const SOURCE_LABELS: &[&str] = &["kind", "name"];
/// What went wrong at a source, what rules of the configuration did with its records, and what it gave up.
pub const OF_SOURCES: &[OfSource] = &[
    OfSource { field: "problems", figure: "source_problems", labels: &["reason"] },
    OfSource { field: "rules", figure: "source_rules", labels: &["rule", "effect"] },
    OfSource { field: "shed", figure: "source_shed", labels: &["reason"] },
];

/// Fields that are levels; every other number counts up.
const LEVELS: &[&str] = &[
    "uptime_seconds",
    "resident_bytes",
    "open_files",
    "lag_bytes",
    "lag_seconds",
    "receive_buffer_bytes",
    "spool_bytes",
    "spool_bytes_max",
    "waiting_batches",
    "oldest_waiting_ms",
    "backlog_batches",
    "in_flight",
    "concurrency",
    "deadline_ms",
    "rtt_ms",
    "failures_in_a_row",
];

/// Every figure of a status in JSON.
pub fn figures(status: &Value) -> Vec<Figure> {
    let told = INFO_LABELS.iter().filter_map(|name| Some((*name, status[*name].as_str()?.to_owned())));
    let info = format!("{NAME_PREFIX}{INFO}");
    let mut figures = vec![Figure { name: info, labels: told.collect(), value: Measured::Level(1.0) }];
    for part in PARTS {
        let there = part.at.iter().fold(status, |value, field| &value[field]);
        match there {
            Value::Array(items) => items.iter().for_each(|item| of_item(part, item, &mut figures)),
            item => of_item(part, item, &mut figures),
        }
    }
    for source in status["sources"].as_array().into_iter().flatten() {
        for (list, item) in OF_SOURCES
            .iter()
            .flat_map(|list| source[list.field].as_array().into_iter().flatten().map(move |item| (list, item)))
        {
            let of_source = SOURCE_LABELS.iter().map(|label| (*label, text(&source[label])));
            let of_item = list.labels.iter().map(|label| (*label, text(&item[label])));
            figures.push(Figure {
                name: format!("{NAME_PREFIX}{}", list.figure),
                labels: of_source.chain(of_item).collect(),
                value: Measured::Count(item["count"].as_f64().unwrap_or_default()),
            });
        }
    }
    figures
}

fn of_item(part: &Part, item: &Value, into: &mut Vec<Figure>) {
    let labels: Vec<_> = part.labels.iter().map(|label| (*label, text(&item[label]))).collect();
    for (field, value) in item.as_object().into_iter().flatten() {
        let name = format!("{NAME_PREFIX}{}{field}", part.prefix);
        if part.labels.contains(&field.as_str()) {
            continue;
        }
        match value {
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let level = LEVELS.contains(&field.as_str());
                let value = if level { Measured::Level(number) } else { Measured::Count(number) };
                into.push(Figure { name, labels: labels.clone(), value });
            }
            Value::String(state) if field == "state" => {
                let labels = labels.iter().cloned().chain([("state", state.clone())]).collect();
                into.push(Figure { name, labels, value: Measured::Level(1.0) });
            }
            _ => {}
        }
    }
}

/// A label's text: lanes may be named or numbered.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The unit that a name ends in.
pub fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("bytes") => "bytes",
        Some("seconds") => "s",
        Some("ms") => "ms",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_number_has_a_name_and_labels_and_levels_are_told_from_counts() {
        let status = json!({
            "agent": "ab", "version": "1.2.3", "os": "linux", "arch": "x86_64", "started": "x",
            "process": {"cpu_seconds": 0.5, "resident_bytes": 7.0},
            "sources": [{"kind": "files", "name": "/a", "records": 3, "lag_bytes": 9, "last_seen": null,
                         "problems": [{"reason": "cut", "count": 2, "example": "x"}],
                         "rules": [{"rule": "noise", "effect": "dropped", "count": 4}],
                         "shed": [{"reason": "kernel_drop", "count": 10}]}],
            "ship": {"agent": "ab", "acked_rows": 5, "spool_bytes": 6, "last_acked": null,
                     "endpoints": [{"url": "http://a", "state": "open", "failures_in_a_row": 4, "last_error": "no"}],
                     "lanes": [{"lane": "normal", "waiting_batches": 1, "a_new_count": 8}]},
            "own_log": {"dropped": 1}
        });
        let shown: Vec<String> = figures(&status)
            .into_iter()
            .map(|figure| {
                let labels: Vec<_> = figure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let name = figure.name.strip_prefix(NAME_PREFIX).unwrap();
                match figure.value {
                    Measured::Level(value) => format!("{name} {} level {value}", labels.join(",")),
                    Measured::Count(value) => format!("{name} {} count {value}", labels.join(",")),
                }
            })
            .collect();
        assert_eq!(
            shown,
            [
                "info version=1.2.3,os=linux,arch=x86_64 level 1",
                "process_cpu_seconds  count 0.5",
                "process_resident_bytes  level 7",
                "acked_rows  count 5",
                "spool_bytes  level 6",
                "own_log_dropped  count 1",
                "source_records kind=files,name=/a count 3",
                "source_lag_bytes kind=files,name=/a level 9",
                "endpoint_state url=http://a,state=open level 1",
                "endpoint_failures_in_a_row url=http://a level 4",
                "lane_waiting_batches lane=normal level 1",
                "lane_a_new_count lane=normal count 8",
                "source_problems kind=files,name=/a,reason=cut count 2",
                "source_rules kind=files,name=/a,rule=noise,effect=dropped count 4",
                "source_shed kind=files,name=/a,reason=kernel_drop count 10",
            ]
        );
    }
}
