//! Alerts that silence others while they fire: when the whole rack is down, nobody needs to hear of each of its hosts
//! (<https://prometheus.io/docs/alerting/latest/configuration/#inhibit_rule>).

use std::collections::HashMap;

use taffrail_query::alert::state::Labels;

use super::matcher::{Matcher, all_match};

/// While a source fires, targets with the same values of some labels are not told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InhibitRule {
    /// Which alerts silence others.
    pub sources: Vec<Matcher>,
    /// Which they silence.
    pub targets: Vec<Matcher>,
    /// The labels that both must have alike; one that is absent counts as empty.
    pub equal: Vec<String>,
}

/// What fires now, made ready for the question who silences whom.
pub struct Inhibitor<'a> {
    rules: Vec<(&'a InhibitRule, HashMap<Vec<&'a str>, Sources<'a>>)>,
}

/// Sources with the same values of a rule's labels.
#[derive(Default)]
struct Sources<'a> {
    any: Option<&'a Labels>,
    /// One that is no target of the same rule.
    pure: Option<&'a Labels>,
}

impl<'a> Inhibitor<'a> {
    /// Of these rules and everything that fires.
    pub fn new(rules: &'a [InhibitRule], firing: impl Iterator<Item = &'a Labels> + Clone) -> Inhibitor<'a> {
        let rules = rules.iter().map(|rule| {
            let mut sources: HashMap<Vec<&str>, Sources<'_>> = HashMap::new();
            for labels in firing.clone().filter(|labels| all_match(&rule.sources, labels)) {
                let alike = sources.entry(values(&rule.equal, labels)).or_default();
                alike.any.get_or_insert(labels);
                if !all_match(&rule.targets, labels) {
                    alike.pure.get_or_insert(labels);
                }
            }
            (rule, sources)
        });
        Inhibitor { rules: rules.collect() }
    }

    /// The alert that silences one with these labels. One that could silence itself is silenced only by an alert that is a
    /// source and no target, as in Alertmanager.
    pub fn source_of(&self, labels: &Labels) -> Option<&'a Labels> {
        self.rules.iter().find_map(|(rule, sources)| {
            if !all_match(&rule.targets, labels) {
                return None;
            }
            let alike = sources.get(&values(&rule.equal, labels))?;
            if all_match(&rule.sources, labels) { alike.pure } else { alike.any }
        })
    }
}

fn values<'a>(names: &[String], labels: &'a Labels) -> Vec<&'a str> {
    names.iter().map(|name| labels.get(name).map_or("", String::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::routing::matcher::parse_matchers;

    fn labels(text: &str) -> Labels {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn sources_silence_targets_with_the_same_labels_but_not_themselves() {
        let check = |rule: (&str, &str, &[&str]), firing: &[&str], expected: &[bool]| {
            let (sources, targets, equal) = rule;
            let rules = [InhibitRule {
                sources: parse_matchers(sources).unwrap(),
                targets: parse_matchers(targets).unwrap(),
                equal: equal.iter().map(|name| (*name).to_owned()).collect(),
            }];
            let all: Vec<Labels> = firing.iter().map(|text| labels(text)).collect();
            let inhibitor = Inhibitor::new(&rules, all.iter());
            let found: Vec<bool> = all.iter().map(|labels| inhibitor.source_of(labels).is_some()).collect();
            assert_eq!(found, expected, "{rule:?} {firing:?}");
        };
        let rack = ("severity=critical", "severity=warning", &["rack"][..]);
        check(rack, &["severity=critical rack=1", "severity=warning rack=1"], &[false, true]);
        check(rack, &["severity=critical rack=1", "severity=warning rack=2"], &[false, false]);
        check(rack, &["severity=critical", "severity=warning"], &[false, true]);
        check(rack, &["severity=warning rack=1"], &[false]);
        // Both source and target: alone it is told; two of a kind do not silence each other.
        check(("a=1", "a=~.+", &[]), &["a=1 i=1", "a=1 i=2", "a=2"], &[false, false, true]);
        // A pure source silences one that is both.
        check(("s=1", "t=1", &[]), &["s=1 t=1", "s=1"], &[true, false]);
    }
}
