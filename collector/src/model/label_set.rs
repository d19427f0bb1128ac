//! The identity of a series: its name and labels.

use std::fmt;

/// The label that holds a series' name, as in Prometheus.
pub const NAME_LABEL: &str = "__name__";

/// Labels sorted by name, each name once, no empty values (as in Prometheus, an empty value is no label).
/// The name is the label [`NAME_LABEL`], kept verbatim (a StatsD name keeps its dots).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Box<[(Box<str>, Box<str>)]>);

impl LabelSet {
    /// Sorts the pairs; of two with one name the later stands; pairs with an empty value are left out.
    pub fn new<N: Into<Box<str>>, V: Into<Box<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> LabelSet {
        let mut pairs: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(&mut later.1, &mut kept.1);
            }
            same
        });
        pairs.retain(|(_, value)| !value.is_empty());
        LabelSet(pairs.into_boxed_slice())
    }

    /// The value of `name`, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(key, _)| (**key).cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// The series' name, or the empty string.
    pub fn name(&self) -> &str {
        self.get(NAME_LABEL)
    }

    /// Name and value pairs in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many labels there are, the name included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The Prometheus text form, `name{label="value"}`; names that need it are quoted inside the braces.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn plain(name: &str, first: fn(char) -> bool) -> bool {
            name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
        }
        let name = self.name();
        let bare = name.is_empty() || plain(name, |c| c.is_ascii_alphabetic() || c == '_' || c == ':');
        if bare {
            f.write_str(name)?;
        }
        if bare && self.iter().all(|(label, _)| label == NAME_LABEL) {
            return if name.is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        f.write_str("{")?;
        let mut first = true;
        if !bare {
            write!(f, "{name:?}")?;
            first = false;
        }
        for (label, value) in self.iter().filter(|(label, _)| *label != NAME_LABEL) {
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if plain(label, |c| c.is_ascii_alphabetic() || c == '_') {
                write!(f, "{label}={value:?}")?;
            } else {
                write!(f, "{label:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_the_later_of_two_stands_and_empty_values_are_no_labels() {
        let labels = LabelSet::new([("env", "prod"), ("__name__", "web.hits"), ("zone", ""), ("env", "test")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("__name__", "web.hits"), ("env", "test")]);
        assert_eq!(labels.name(), "web.hits");
        assert_eq!(labels.get("zone"), "");
    }

    #[test]
    fn prints_as_prometheus_does() {
        let check = |pairs: &[(&str, &str)], expected| {
            assert_eq!(LabelSet::new(pairs.iter().copied()).to_string(), expected);
        };
        check(&[], "{}");
        check(&[("__name__", "up")], "up");
        check(&[("__name__", "up"), ("job", "a\"b")], r#"up{job="a\"b"}"#);
        check(&[("__name__", "web.hits"), ("k", "v")], r#"{"web.hits", k="v"}"#);
        check(&[("k.x", "v")], r#"{"k.x"="v"}"#);
    }
}
