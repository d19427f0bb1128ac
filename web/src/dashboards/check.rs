//! What no single value of a dashboard can show to be wrong: questions that are no questions, names that nobody declared, panels
//! that are wider than the grid, more of anything than one page can carry.

use std::collections::BTreeSet;

use regex::Regex;
use serde_saphyr::{Location, Spanned};
use taffrail_collector::model::Timestamp;
use taffrail_query::log_search::Question;
use taffrail_query::{promql, time_range};

use super::model::{COLUMNS, Dashboard, Panel, PanelType, Text, Variable};
use super::variables::{OWN_NAMES, check_filled, uses};
use super::yaml::Problem;

/// Panels of a dashboard.
pub const PANELS_MAX: usize = 300;
/// Questions of a panel.
pub const QUERIES_MAX: usize = 26;
/// Variables of a dashboard.
pub const VARIABLES_MAX: usize = 50;
/// Steps that a panel may be high.
const HEIGHT_MAX: u8 = 60;

/// Everything that is wrong, from the top.
pub fn check(dashboard: &Dashboard) -> Vec<Problem> {
    let mut check = Check { problems: Vec::new(), names: BTreeSet::new() };
    check.head(dashboard);
    for variable in &dashboard.variables {
        check.variable(variable);
    }
    for row in &dashboard.rows.value {
        check.repeat(row.repeat.as_ref());
        for panel in &row.panels {
            check.panel(panel);
        }
    }
    check.problems
}

struct Check<'a> {
    problems: Vec<Problem>,
    names: BTreeSet<&'a str>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, place: Location, message: impl Into<String>) {
        self.problems.push(Problem::at(place, message));
    }

    fn head(&mut self, dashboard: &'a Dashboard) {
        let title = &dashboard.title;
        if title.value.trim().is_empty() {
            self.wrong(title.referenced, "a dashboard needs a title");
        }
        if let Some(time) = &dashboard.time {
            let range = time_range::parse_range(Some(&time.value.from), Some(&time.value.to), Timestamp::now());
            if let Err(message) = range {
                self.wrong(time.referenced, message);
            }
        }
        if let Some(refresh) = &dashboard.refresh
            && taffrail_collector::config::span::parse(&refresh.value).is_none_or(|span| span.as_secs() < 1)
        {
            self.wrong(refresh.referenced, format!("`{}` is no time of a second or more, like 30s", refresh.value));
        }
        if dashboard.variables.len() > VARIABLES_MAX {
            let place = dashboard.variables[VARIABLES_MAX].referenced;
            self.wrong(place, format!("a dashboard has at most {VARIABLES_MAX} variables"));
        }
        if let Some(panel) = dashboard.panels().nth(PANELS_MAX) {
            self.wrong(panel.referenced, format!("a dashboard has at most {PANELS_MAX} panels"));
        }
    }

    /// A variable may be made of those above it, and not of itself.
    fn variable(&mut self, variable: &'a Spanned<Variable>) {
        let place = variable.referenced;
        let Variable { name, label, field, of, values, regex, .. } = &variable.value;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            self.wrong(place, format!("`{name}` cannot be a variable: letters, digits and _ make a name"));
        }
        if [label.is_some(), field.is_some(), !values.is_empty()].into_iter().filter(|&given| given).count() > 1 {
            self.wrong(place, format!("${name} has values from one of `label`, `field` and `values`"));
        }
        match (of, label, field) {
            (Some(of), Some(_), _) => {
                self.names_in(of);
                if let Err(error) = check_filled(&of.value, promql::only_selector) {
                    self.wrong(of.referenced, format!("PromQL: {error}"));
                }
            }
            (Some(of), None, Some(_)) => {
                self.names_in(of);
                self.search(of);
            }
            (Some(of), None, None) => self.wrong(of.referenced, "`of` narrows `label` or `field`, and neither is here"),
            (None, ..) => {}
        }
        if let Some(regex) = regex
            && let Err(error) = Regex::new(&regex.value)
        {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.wrong(regex.referenced, format!("this is no regular expression: {why}"));
        }
        if OWN_NAMES.contains(&name.as_str()) || !self.names.insert(name) {
            self.wrong(place, format!("${name} is there already"));
        }
    }

    fn panel(&mut self, panel: &'a Spanned<Panel>) {
        let place = panel.referenced;
        let panel = &panel.value;
        self.repeat(panel.repeat.as_ref());
        for (size, most, what) in [(&panel.width, COLUMNS, "wide"), (&panel.height, HEIGHT_MAX, "high")] {
            if let Some(size) = size
                && (size.value == 0 || size.value > most)
            {
                self.wrong(size.referenced, format!("a panel is 1 to {most} {what}, not {}", size.value));
            }
        }
        if panel.queries.len() > QUERIES_MAX {
            self.wrong(place, format!("a panel has at most {QUERIES_MAX} queries"));
        }
        match (panel.kind, &panel.text) {
            (PanelType::Text, None) => self.wrong(place, "a text panel needs `text`"),
            (PanelType::Text, Some(_)) if !panel.queries.is_empty() => {
                self.wrong(place, "a text panel asks nothing: it has no `queries`");
            }
            (kind, Some(text)) if kind != PanelType::Text => {
                self.wrong(text.referenced, "only a panel of `type: text` has `text`");
            }
            (kind, None) if kind != PanelType::Text && panel.queries.is_empty() => {
                self.wrong(place, "a panel needs `queries`: a list of `promql:` or `logs:`");
            }
            _ => {}
        }
        if panel.thresholds.windows(2).any(|pair| pair[0].from >= pair[1].from) {
            self.wrong(place, "thresholds stand in the order of their `from`");
        }
        for query in &panel.queries {
            match (&query.value.promql, &query.value.logs) {
                (Some(_), Some(_)) | (None, None) => {
                    self.wrong(query.referenced, "a query is either `promql:` or `logs:`");
                }
                (Some(text), None) if panel.kind == PanelType::Logs => {
                    self.wrong(text.referenced, "a panel of log records asks in the search language: `logs:`");
                }
                (Some(text), None) => {
                    self.names_in(text);
                    if let Err(error) = check_filled(&text.value, promql::format) {
                        self.wrong(text.referenced, format!("PromQL: {error}"));
                    }
                }
                (None, Some(text)) => {
                    self.names_in(text);
                    self.search(text);
                }
            }
        }
    }

    fn search(&mut self, text: &Text) {
        if let Err(error) = check_filled(&text.value, Question::parse) {
            self.wrong(text.referenced, format!("search: {}", error.message));
        }
    }

    fn repeat(&mut self, repeat: Option<&'a Text>) {
        if let Some(repeat) = repeat
            && !self.names.contains(repeat.value.as_str())
        {
            self.wrong(repeat.referenced, format!("there is no variable `{}` to repeat for", repeat.value));
        }
    }

    fn names_in(&mut self, text: &Text) {
        for one in uses(&text.value) {
            if !OWN_NAMES.contains(&one.name) && !self.names.contains(one.name) {
                self.wrong(text.referenced, format!("${} is not among the variables", one.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dashboards::yaml::read;

    #[test]
    fn what_contradicts_is_told_with_its_place() {
        let check = |body: &str, expected: &str| {
            let problems = read(&format!("title: t\n{body}")).err().unwrap_or_default();
            let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            assert_eq!(told, expected, "{body}");
        };
        let panel = |panel: &str| format!("rows:\n- panels:\n  - {panel}\n");
        check(&panel("queries: [{promql: up}]"), "");
        check(&panel("{width: 25, queries: [{promql: up}]}"), "4:13: a panel is 1 to 24 wide, not 25");
        check(&panel("title: a"), "4:5: a panel needs `queries`: a list of `promql:` or `logs:`");
        check(&panel("queries: [{promql: up, logs: a}]"), "4:15: a query is either `promql:` or `logs:`");
        check(&panel("queries: [{logs: 'a:('}]"), "4:22: search: this parenthesis is not closed");
        check(&panel("queries: [{promql: 'up{a=~\"$b\"}'}]"), "4:24: $b is not among the variables");
        check(&panel("{type: text, text: a, repeat: h}"), "4:35: there is no variable `h` to repeat for");
        check(
            &panel("{type: logs, queries: [{promql: up}]}"),
            "4:37: a panel of log records asks in the search language: `logs:`",
        );
        check("refresh: 3 parsecs\nrows: []\n", "2:10: `3 parsecs` is no time of a second or more, like 30s");
        check(
            "variables:\n- {name: a, of: up}\nrows: []\n",
            "3:17: `of` narrows `label` or `field`, and neither is here",
        );
        check(
            "variables:\n- {name: a, label: b, of: 'sum(x)'}\nrows: []\n",
            "3:27: PromQL: \"sum(x)\" is not one series selector",
        );
        check("variables:\n- {name: a}\n- {name: a}\nrows: []\n", "4:3: $a is there already");
        check(
            "variables:\n- {name: a, values: [x], regex: '('}\nrows: []\n",
            "3:33: this is no regular expression: unclosed group",
        );
        let problems = read("title: t\ntime: {from: whenever}\nrows: []\n").unwrap_err();
        assert!(problems[0].to_string().starts_with("2:7: from: "), "{problems:?}");
    }
}
