//! Globs over dotted names, all at once: a tree of the parts between the dots, one for each kind of series.
//!
//! A name walks down the tree by its parts, at each node to the child of that part and to the child of `*`. Every node is reached by
//! one way only, so a search looks at no node twice, and at few of them, since a branch that holds no earlier rule than the one found
//! is left out.

use std::collections::HashMap;

use crate::model::SampleKind;

/// The kinds that a rule may be for.
pub const KINDS: [SampleKind; 4] = [SampleKind::Counter, SampleKind::Gauge, SampleKind::Distribution, SampleKind::Set];

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Globs {
    /// By [`KINDS`].
    roots: [Node; 4],
    /// Whether the most exact glob wins instead of the first in the file.
    most_exact_wins: bool,
}

#[derive(Debug)]
struct Node {
    parts: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// The rule that ends here.
    rule: Option<u32>,
    /// The first rule that ends here or below.
    first_below: u32,
}

impl Default for Node {
    fn default() -> Node {
        Node { parts: HashMap::new(), any: None, rule: None, first_below: u32::MAX }
    }
}

impl Globs {
    /// None yet.
    pub fn new(most_exact_wins: bool) -> Globs {
        Globs { most_exact_wins, ..Globs::default() }
    }

    /// Adds the glob of a rule that is for one kind or for all; rules are numbered in the order of their file.
    pub fn add(&mut self, pattern: &str, kind: Option<SampleKind>, rule: u32) {
        for (root, _) in self.roots.iter_mut().zip(KINDS).filter(|(_, of)| kind.is_none_or(|kind| kind == *of)) {
            let mut node = root;
            node.first_below = node.first_below.min(rule);
            for part in pattern.split('.') {
                node = match part {
                    "*" => node.any.get_or_insert_default(),
                    part => node.parts.entry(part.into()).or_default(),
                };
                node.first_below = node.first_below.min(rule);
            }
            node.rule.get_or_insert(rule);
        }
    }

    /// The rule that a name of this kind falls under.
    pub fn find(&self, name: &str, kind: SampleKind) -> Option<u32> {
        let root = &self.roots[KINDS.iter().position(|of| *of == kind)?];
        if self.most_exact_wins {
            return most_exact(root, Some(name));
        }
        let mut best = u32::MAX;
        first(root, Some(name), &mut best);
        (best != u32::MAX).then_some(best)
    }
}

/// What the wildcards of a pattern stand for in a name that it matches.
pub fn captures<'n>(pattern: &str, name: &'n str) -> Vec<&'n str> {
    pattern.split('.').zip(name.split('.')).filter(|(part, _)| *part == "*").map(|(_, part)| part).collect()
}

/// Notes the first rule in the file that matches what is left of a name; none is left behind its last part.
fn first(node: &Node, name: Option<&str>, best: &mut u32) {
    if node.first_below >= *best {
        return;
    }
    let Some(name) = name else {
        *best = node.rule.map_or(*best, |rule| rule.min(*best));
        return;
    };
    let (part, rest) = split(name);
    if let Some(next) = node.parts.get(part) {
        first(next, rest, best);
    }
    if let Some(next) = &node.any {
        first(next, rest, best);
    }
}

/// The rule that is met first when an exact part goes before a wildcard.
fn most_exact(node: &Node, name: Option<&str>) -> Option<u32> {
    let Some(name) = name else { return node.rule };
    let (part, rest) = split(name);
    let exact = node.parts.get(part).and_then(|next| most_exact(next, rest));
    exact.or_else(|| most_exact(node.any.as_deref()?, rest))
}

fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('.').map_or((name, None), |(part, rest)| (part, Some(rest)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let (pattern, name): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), name.split('.').collect());
        pattern.len() == name.len() && pattern.iter().zip(name).all(|(part, of)| *part == "*" || *part == of)
    }

    proptest! {
        #[test]
        fn the_tree_equals_asking_rule_by_rule(
            rules in prop::collection::vec(("(a|b|\\*)(\\.(a|b|\\*)){0,4}", 0usize..5), 0..30),
            names in prop::collection::vec("[abc]{0,1}(\\.[abc]){0,5}", 0..30),
        ) {
            let mut globs = Globs::new(false);
            for (at, (pattern, kind)) in rules.iter().enumerate() {
                globs.add(pattern, KINDS.get(*kind).copied(), u32::try_from(at).unwrap());
            }
            for name in &names {
                for (at, kind) in KINDS.into_iter().enumerate() {
                    let plain = rules.iter().position(|(pattern, of)| (*of == at || *of == 4) && matches(pattern, name));
                    prop_assert_eq!(globs.find(name, kind).map(|rule| rule as usize), plain, "{}", name);
                }
            }
        }
    }

    #[test]
    fn the_most_exact_glob_wins_where_order_is_off() {
        let mut globs = Globs::new(true);
        for (rule, pattern) in (0..).zip(["a.*.*", "a.*.c", "a.b.*", "*.b.c"]) {
            globs.add(pattern, None, rule);
        }
        let check = |name, expected| assert_eq!(globs.find(name, SampleKind::Gauge), expected, "{name}");
        check("a.b.c", Some(2));
        check("a.x.c", Some(1));
        check("a.x.x", Some(0));
        check("x.b.c", Some(3));
        check("x.b", None);
    }

    #[test]
    fn a_wildcard_captures_one_part() {
        assert_eq!(captures("*.signup.*.x", "shop.signup.face-book.x"), ["shop", "face-book"]);
    }
}
