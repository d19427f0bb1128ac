//! The rules that come with the program: they watch the server's own figures (`server.own_metrics` stores them as series), its
//! agents and the log, and are at work unless `alerts.default_rules` says otherwise.

/// Their text, as `taffrail rules default` prints it.
pub const TEXT: &str = include_str!("rules.yml");

/// What stands in the place of their file's name.
pub const NAME: &str = "taffrail/default.yml";

/// Name and text, as the rules' manager takes them.
pub const BUILT_IN: &[(&str, &str)] = &[(NAME, TEXT)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use taffrail_query::alert::rule::{Action, parse_rules};
    use taffrail_query::alert::unit_test::run_texts;

    use super::*;

    const TESTS: &str = include_str!("tests.yml");

    #[test]
    fn every_default_rule_fires_when_it_should_and_else_not() {
        let report = run_texts("tests.yml", TESTS, BUILT_IN).unwrap();
        assert!(report.failures.is_empty(), "{:#?}", report.failures);
        let groups = parse_rules(NAME, TEXT).unwrap();
        let rules = groups.iter().flat_map(|group| &group.rules);
        let named: BTreeSet<&str> = rules.map(|rule| rule.name.as_str()).collect();
        let untested: Vec<&&str> =
            named.iter().filter(|name| !TESTS.contains(&format!("alertname: {name}, exp_alerts"))).collect();
        assert!(untested.is_empty(), "these rules have no test in which they fire: {untested:?}");
    }

    #[test]
    fn every_default_rule_says_how_bad_it_is_and_what_to_do() {
        for rule in parse_rules(NAME, TEXT).unwrap().iter().flat_map(|group| &group.rules) {
            let Action::Alert { annotations, .. } = &rule.action else { panic!("{} is no alert", rule.name) };
            let has = |name: &str| annotations.contains_key(name);
            assert!(rule.labels.contains_key("severity") && has("summary") && has("description"), "{}", rule.name);
        }
    }
}
