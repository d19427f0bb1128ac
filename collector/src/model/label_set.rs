//! The identity of a series: its name and labels.
//!
//! A set is one piece of text, so that a million of them are a million small allocations, and comparing two for equality
//! is comparing bytes:
//!
//! ```text
//! packed  := label…                                        ; by rising name, each name once, no empty value
//! label   := length name length value
//! length  := digit… last                                   ; bytes, six bits a character, the low ones first, as short as can be
//! digit   := a character of 0x40–0x7F: six bits, more follow
//! last    := a character of 0x00–0x3F: six bits
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

use rapidhash::quality::RandomState;

/// The label that holds a series' name, as in Prometheus.
pub const NAME_LABEL: &str = "__name__";

/// Two, each seeded anew in each process, so that nobody can prepare sets whose hashes fall together.
static HASHING: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

/// Labels sorted by name, each name once, no empty values (as in Prometheus, an empty value is no label).
/// The name is the label [`NAME_LABEL`], kept verbatim (a StatsD name keeps its dots).
#[derive(Clone)]
pub struct LabelSet {
    packed: Box<str>,
    hashes: [u64; 2],
    count: u32,
}

impl LabelSet {
    /// Sorts the pairs; of two with one name the later stands; pairs with an empty value are left out.
    pub fn new<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> LabelSet {
        let mut pairs: Vec<(N, V)> = pairs.into_iter().collect();
        let is_sorted = pairs.windows(2).all(|two| two[0].0.as_ref() < two[1].0.as_ref());
        if !is_sorted {
            pairs.sort_by(|a, b| a.0.as_ref().cmp(b.0.as_ref()));
            pairs.dedup_by(|later, kept| {
                let same = later.0.as_ref() == kept.0.as_ref();
                if same {
                    std::mem::swap(&mut later.1, &mut kept.1);
                }
                same
            });
        }
        LabelSet::pack(pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
    }

    /// From pairs that are sorted by name already, each name once: without a detour. Those with an empty value are left out.
    /// None when they are not sorted.
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<LabelSet> {
        let mut before: Option<&str> = None;
        let is_sorted = pairs.clone().all(|(name, _)| before.replace(name).is_none_or(|before| before < name));
        is_sorted.then(|| LabelSet::pack(pairs))
    }

    /// From its packed form. None when the text is not the packed form of any set.
    pub fn from_packed(packed: &str) -> Option<LabelSet> {
        let (mut rest, mut before, mut count) = (packed, None, 0);
        while !rest.is_empty() {
            let (name, value);
            (name, rest) = checked_text(rest)?;
            (value, rest) = checked_text(rest)?;
            if value.is_empty() || before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            count += 1;
        }
        Some(LabelSet { packed: packed.into(), hashes: hashes_of(packed), count })
    }

    /// The packed form, drawn at the top of this file.
    pub fn packed(&self) -> &str {
        &self.packed
    }

    /// 128 bits that stand for all labels as long as the process lives. Of a billion sets no two share them: the odds are
    /// one in 10^20, and nobody can work towards it who does not know the process's random seeds.
    pub fn fingerprint(&self) -> u128 {
        u128::from(self.hashes[0]) | u128::from(self.hashes[1]) << 64
    }

    /// The value of `name`, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        // Sets are small: a walk over neighbouring bytes beats a search that has to know where each label starts.
        self.iter().find(|(label, _)| *label == name).map_or("", |(_, value)| value)
    }

    /// The series' name, or the empty string.
    pub fn name(&self) -> &str {
        self.get(NAME_LABEL)
    }

    /// Name and value pairs in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        Labels { rest: &self.packed, count: self.count }
    }

    /// How many labels there are, the name included.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn pack<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> LabelSet {
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        let length = |text: &str| text.len() + digits(text.len());
        let mut packed = String::with_capacity(pairs.clone().map(|(name, value)| length(name) + length(value)).sum());
        let mut count = 0;
        for (name, value) in pairs {
            for text in [name, value] {
                push_length(&mut packed, text.len());
                packed.push_str(text);
            }
            count += 1;
        }
        let packed = packed.into_boxed_str();
        LabelSet { hashes: hashes_of(&packed), packed, count }
    }
}

fn hashes_of(packed: &str) -> [u64; 2] {
    HASHING.each_ref().map(|state| {
        let mut hasher = state.build_hasher();
        hasher.write(packed.as_bytes());
        hasher.finish()
    })
}

/// How many characters a length takes.
fn digits(mut length: usize) -> usize {
    let mut digits = 1;
    while length >= 0x40 {
        length >>= 6;
        digits += 1;
    }
    digits
}

fn push_length(packed: &mut String, mut length: usize) {
    while length >= 0x40 {
        packed.push(char::from(0x40 | (length & 0x3F) as u8));
        length >>= 6;
    }
    packed.push(char::from(length as u8));
}

/// Reads a text behind its length. What is no length or longer than the text has no answer.
#[inline]
fn checked_text(packed: &str) -> Option<(&str, &str)> {
    let (mut length, mut at) = (0usize, 0);
    loop {
        let digit = *packed.as_bytes().get(at).filter(|digit| digit.is_ascii())?;
        if at >= 6 {
            return None; // over 64 GiB
        }
        length |= usize::from(digit & 0x3F) << (6 * at);
        at += 1;
        if digit < 0x40 {
            // A last digit of nothing would be a second way to write the same.
            let shortest = digit > 0 || at == 1;
            return if shortest { packed[at..].split_at_checked(length) } else { None };
        }
    }
}

/// The labels of a set, from its packed form.
#[derive(Clone)]
struct Labels<'a> {
    rest: &'a str,
    count: u32,
}

impl<'a> Labels<'a> {
    #[inline]
    fn text(&mut self) -> &'a str {
        let first = usize::from(self.rest.as_bytes()[0]);
        let (text, rest) = if first < 0x40 {
            self.rest[1..].split_at(first)
        } else {
            checked_text(self.rest).expect("a set is packed as its own constructors do it")
        };
        self.rest = rest;
        text
    }
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.count = self.count.checked_sub(1)?;
        Some((self.text(), self.text()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for Labels<'_> {}

impl Default for LabelSet {
    fn default() -> LabelSet {
        LabelSet::pack(std::iter::empty())
    }
}

impl PartialEq for LabelSet {
    fn eq(&self, other: &LabelSet) -> bool {
        self.hashes[0] == other.hashes[0] && self.packed == other.packed
    }
}

impl Eq for LabelSet {}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hashes[0]);
    }
}

/// By the first pair that differs: its name, then its value.
impl Ord for LabelSet {
    fn cmp(&self, other: &LabelSet) -> Ordering {
        if self == other { Ordering::Equal } else { self.iter().cmp(other.iter()) }
    }
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &LabelSet) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LabelSet")?;
        f.debug_map().entries(self.iter()).finish()
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
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![8 => "[a-c]{0,3}", 2 => "\\PC{0,5}", 1 => (60usize..70).prop_map(|n| "ü".repeat(n)), 1 => Just("x".repeat(5_000))]
    }

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::vec((text(), text()), 0..6)
    }

    fn plain(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
        let map: BTreeMap<&str, &str> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        map.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn a_set_equals_a_plain_map(left in pairs(), right in pairs(), absent in text()) {
            let (a, b) = (plain(&left), plain(&right));
            let (set, other) = (LabelSet::new(left.clone()), LabelSet::new(right.clone()));
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), a.clone());
            prop_assert_eq!((set.len(), set.iter().len(), set.is_empty()), (a.len(), a.len(), a.is_empty()));
            prop_assert_eq!(set == other, a == b);
            prop_assert_eq!(set.cmp(&other), a.cmp(&b));
            for name in a.iter().map(|pair| pair.0).chain([&*absent]) {
                let expected = a.iter().find(|pair| pair.0 == name).map_or("", |pair| pair.1);
                prop_assert_eq!(set.get(name), expected);
            }
            for again in [LabelSet::from_packed(set.packed()), LabelSet::from_sorted(a.iter().copied())] {
                let again = again.expect("it is packed and sorted");
                prop_assert_eq!(&again, &set);
                prop_assert_eq!(again.fingerprint(), set.fingerprint());
            }
        }

        #[test]
        fn any_text_is_a_packed_set_or_none(mut text in "[\\x00-\\x05a-b@]{0,12}", packed in pairs(), at: prop::sample::Index) {
            for _ in 0..2 {
                if let Some(set) = LabelSet::from_packed(&text) {
                    let again = LabelSet::new(set.iter());
                    prop_assert_eq!(&again, &set);
                    prop_assert_eq!(again.packed(), &*text, "one set has one packed form");
                }
                LabelSet::new(packed.clone()).packed().clone_into(&mut text);
                let place = text.floor_char_boundary(at.index(text.len() + 1));
                text.insert(place, '\u{1}');
            }
        }
    }

    #[test]
    fn pairs_that_are_not_sorted_are_not_taken_for_sorted() {
        assert!(LabelSet::from_sorted([("b", "1"), ("a", "2")].into_iter()).is_none());
        assert!(LabelSet::from_sorted([("a", "1"), ("a", "2")].into_iter()).is_none());
    }

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
