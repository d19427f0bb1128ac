//! The tree that says who is told of an alert, as Alertmanager's `route`
//! (<https://prometheus.io/docs/alerting/latest/configuration/#route>): an alert goes down as far as matchers let it, to the
//! first child that takes it and, where that one says `continue`, to those after it.

use std::collections::BTreeMap;
use std::time::Duration;

use taffrail_query::alert::state::Labels;

use super::matcher::{Matcher, all_match, write_matchers};

/// A node with everything that it inherits filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where it stands: the matchers from the root on. Ledgers know it by this, so that reordering a file tells nobody twice.
    pub key: String,
    /// Who is told.
    pub receiver: String,
    /// Which alerts.
    pub matchers: Vec<Matcher>,
    /// Which of them are told together.
    pub group_by: GroupBy,
    /// Whether siblings after this one are asked too.
    pub goes_on: bool,
    /// When they are told.
    pub timing: Timing,
    /// Names of time intervals in which nobody is told.
    pub mute_intervals: Vec<String>,
    /// Names of time intervals outside of which nobody is told; none means always.
    pub active_intervals: Vec<String>,
    /// The nodes below.
    pub routes: Vec<Route>,
}

/// Which alerts are told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupBy {
    /// Those that have the same values of these labels.
    Labels(Vec<String>),
    /// Each alone (`['...']`).
    All,
}

/// When alerts of a group are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new group waits for more of its kind.
    pub group_wait: Duration,
    /// How long it waits before what changed is told.
    pub group_interval: Duration,
    /// How often people are reminded of what still fires.
    pub repeat_interval: Duration,
}

impl Default for Timing {
    /// Alertmanager's.
    fn default() -> Timing {
        Timing {
            group_wait: Duration::from_secs(30),
            group_interval: Duration::from_secs(5 * 60),
            repeat_interval: Duration::from_secs(4 * 3600),
        }
    }
}

impl Route {
    /// A tree of one node that takes everything.
    pub fn everything(receiver: &str, group_by: GroupBy, timing: Timing) -> Route {
        Route {
            key: "{}".to_owned(),
            receiver: receiver.to_owned(),
            matchers: Vec::new(),
            group_by,
            goes_on: false,
            timing,
            mute_intervals: Vec::new(),
            active_intervals: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// The nodes that tell of an alert with these labels, in the order of the file.
    pub fn takers<'a>(&'a self, labels: &Labels) -> Vec<&'a Route> {
        let mut takers = Vec::new();
        self.collect(labels, &mut takers);
        takers
    }

    /// The key of a child with these matchers.
    pub fn key_below(&self, matchers: &[Matcher]) -> String {
        format!("{}/{}", self.key, write_matchers(matchers))
    }

    /// This node and all below it.
    pub fn all(&self) -> Vec<&Route> {
        std::iter::once(self).chain(self.routes.iter().flat_map(Route::all)).collect()
    }

    fn collect<'a>(&'a self, labels: &Labels, takers: &mut Vec<&'a Route>) -> bool {
        if !all_match(&self.matchers, labels) {
            return false;
        }
        let before = takers.len();
        for route in &self.routes {
            if route.collect(labels, takers) && !route.goes_on {
                break;
            }
        }
        if takers.len() == before {
            takers.push(self);
        }
        true
    }
}

impl GroupBy {
    /// The labels by which an alert finds its group.
    pub fn labels_of(&self, labels: &Labels) -> Labels {
        match self {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => names
                .iter()
                .filter_map(|name| labels.get(name).map(|value| (name.clone(), value.clone())))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::routing::matcher::parse_matchers;

    /// A tree from lines of `depth matchers -> receiver [continue]`.
    fn tree(lines: &[(usize, &str, &str, bool)]) -> Route {
        fn below(parent: &Route, lines: &[(usize, &str, &str, bool)], depth: usize) -> Vec<Route> {
            let mut routes = Vec::new();
            for (at, (own, matchers, receiver, goes_on)) in lines.iter().enumerate() {
                if *own < depth {
                    break;
                }
                if *own == depth {
                    let matchers = parse_matchers(matchers).unwrap();
                    let mut route = Route {
                        key: parent.key_below(&matchers),
                        receiver: (*receiver).to_owned(),
                        matchers,
                        goes_on: *goes_on,
                        routes: Vec::new(),
                        ..parent.clone()
                    };
                    route.routes = below(&route, &lines[at + 1..], depth + 1);
                    routes.push(route);
                }
            }
            routes
        }
        let mut root = Route::everything("root", GroupBy::Labels(Vec::new()), Timing::default());
        root.routes = below(&root, lines, 1);
        root
    }

    #[test]
    fn alerts_go_down_the_tree_as_in_alertmanager() {
        // The tree of dispatch/route_test.go, written anew.
        let root = tree(&[
            (1, r#"owner="team-A""#, "A", false),
            (2, r#"env="testing""#, "A-testing", false),
            (2, r#"env="production""#, "A-production", true),
            (2, r#"env=~"produ.*""#, "A-production-too", false),
            (1, r#"owner=~"^(?:team-(?:B|C))$""#, "BC", false),
            (1, r#"group_by="role""#, "role", false),
            (2, r#"env="testing""#, "role-testing", false),
        ]);
        let check = |labels: &[(&str, &str)], expected: &[&str]| {
            let labels: Labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let found: Vec<&str> = root.takers(&labels).iter().map(|route| route.receiver.as_str()).collect();
            assert_eq!(found, expected, "{labels:?}");
        };
        check(&[], &["root"]);
        check(&[("owner", "team-A")], &["A"]);
        check(&[("owner", "team-A"), ("env", "unset")], &["A"]);
        check(&[("owner", "team-A"), ("env", "testing")], &["A-testing"]);
        check(&[("owner", "team-A"), ("env", "production")], &["A-production", "A-production-too"]);
        check(&[("owner", "team-B")], &["BC"]);
        check(&[("owner", "team-D")], &["root"]);
        check(&[("group_by", "role"), ("env", "testing")], &["role-testing"]);
        check(&[("group_by", "role"), ("env", "staging")], &["role"]);
        let keys: Vec<&str> = root.all().iter().map(|route| route.key.as_str()).collect();
        assert_eq!(keys[0..3], ["{}", r#"{}/{owner="team-A"}"#, r#"{}/{owner="team-A"}/{env="testing"}"#]);
    }

    #[test]
    fn groups_are_the_labels_they_are_made_by() {
        let labels: Labels = [("a", "1"), ("b", "2")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let by = |names: &[&str]| GroupBy::Labels(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(by(&["a", "z"]).labels_of(&labels), Labels::from([("a".to_owned(), "1".to_owned())]));
        assert_eq!(by(&[]).labels_of(&labels), Labels::new());
        assert_eq!(GroupBy::All.labels_of(&labels), labels);
    }
}
