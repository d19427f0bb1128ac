//! Tags in the five forms that StatsD's dialects have for them, and which of them a listener reads.
//!
//! ```text
//! DogStatsD   name:1|c|#key:value,bare          a bare tag has the value `true`
//! Graphite    name;key=value;key=value:1|c
//! Influx      name,key=value,key=value:1|c      Telegraf writes it too
//! Librato     name#key=value,key=value:1|c
//! SignalFx    na[key=value,key=value]me:1|c     the name is what stands around the brackets
//! ```
//! Tags inside a name are tags only when all of them read as `key=value`; otherwise the name stands as it is. The brackets are
//! looked for first, since they may hold commas; of the others the first delimiter that a listener reads decides.
//! Sources: `prometheus/statsd_exporter:pkg/line/line.go`, `graphite-project/graphite-web:docs/tags.rst`.
//!
//! Nothing here runs for a line whose series is known: such a line is found by how it is spelled.

use std::borrow::Cow;

use memchr::memchr;
use serde::{Deserialize, Serialize};

/// A form of tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TagDialect {
    /// `name:1|c|#key:value,bare`.
    DogStatsD = 1,
    /// `name;key=value:1|c`.
    Graphite = 2,
    /// `name,key=value:1|c`.
    Influx = 4,
    /// `name#key=value:1|c`.
    Librato = 8,
    /// `na[key=value]me:1|c`.
    SignalFx = 16,
}

impl TagDialect {
    /// All of them.
    pub const ALL: [TagDialect; 5] =
        [TagDialect::DogStatsD, TagDialect::Graphite, TagDialect::Influx, TagDialect::Librato, TagDialect::SignalFx];
}

/// The forms that a listener reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagDialects(u8);

impl FromIterator<TagDialect> for TagDialects {
    fn from_iter<I: IntoIterator<Item = TagDialect>>(dialects: I) -> TagDialects {
        TagDialects(dialects.into_iter().fold(0, |bits, dialect| bits | dialect as u8))
    }
}

impl TagDialects {
    /// Whether this form is read.
    pub const fn reads(self, dialect: TagDialect) -> bool {
        self.0 & dialect as u8 != 0
    }

    /// What a spelled name is, once the tags inside it are taken out.
    pub fn split(self, spelled: &str) -> Named<'_> {
        self.brackets(spelled).or_else(|| self.tail(spelled)).unwrap_or(Named {
            head: spelled,
            tail: "",
            tags: "",
            separator: b',',
        })
    }

    fn brackets(self, spelled: &str) -> Option<Named<'_>> {
        if !self.reads(TagDialect::SignalFx) {
            return None;
        }
        let open = memchr(b'[', spelled.as_bytes())?;
        let close = open + memchr(b']', &spelled.as_bytes()[open..])?;
        let tags = &spelled[open + 1..close];
        are_pairs(tags, ',').then_some(Named {
            head: &spelled[..open],
            tail: &spelled[close + 1..],
            tags,
            separator: b',',
        })
    }

    fn tail(self, spelled: &str) -> Option<Named<'_>> {
        let at = spelled.bytes().position(|byte| match byte {
            b';' => self.reads(TagDialect::Graphite),
            b',' => self.reads(TagDialect::Influx),
            b'#' => self.reads(TagDialect::Librato),
            _ => false,
        })?;
        let separator = if spelled.as_bytes()[at] == b';' { b';' } else { b',' };
        let tags = &spelled[at + 1..];
        are_pairs(tags, char::from(separator)).then_some(Named { head: &spelled[..at], tail: "", tags, separator })
    }
}

/// A name and the tags that stood inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    head: &'a str,
    tail: &'a str,
    tags: &'a str,
    separator: u8,
}

impl<'a> Named<'a> {
    /// The name without its tags; copied only when they stood in its middle.
    pub fn name(&self) -> Cow<'a, str> {
        match (self.head, self.tail) {
            (head, "") => Cow::Borrowed(head),
            ("", tail) => Cow::Borrowed(tail),
            (head, tail) => Cow::Owned([head, tail].concat()),
        }
    }

    /// Key and value of each.
    pub fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        tag_pairs(self.tags, self.separator, b'=')
    }
}

/// Key and value of each tag of a DogStatsD list; a bare tag has the value `true`.
pub fn tag_list(text: &str) -> impl Iterator<Item = (&str, &str)> + use<'_> {
    tag_pairs(text, b',', b':')
}

fn are_pairs(tags: &str, separator: char) -> bool {
    !tags.is_empty() && tags.split(separator).all(|pair| pair.find('=').is_some_and(|equals| equals > 0))
}

/// Keys and values of a list of tags; pieces without a key are left out. One look at each byte finds both delimiters:
/// tags are too short for a vectorised search to pay.
fn tag_pairs(text: &str, separator: u8, equals: u8) -> impl Iterator<Item = (&str, &str)> + use<'_> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut key_end = None;
            let mut end = rest.len();
            for (at, byte) in rest.bytes().enumerate() {
                if byte == separator {
                    end = at;
                    break;
                }
                if byte == equals && key_end.is_none() {
                    key_end = Some(at);
                }
            }
            let tag = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            match key_end {
                Some(0) => {}
                Some(at) => return Some((&tag[..at], &tag[at + 1..])),
                None if tag.is_empty() => {}
                None => return Some((tag, "true")),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dialects: &[TagDialect], spelled: &str, name: &str, tags: &[(&str, &str)]) {
        let named = dialects.iter().copied().collect::<TagDialects>().split(spelled);
        assert_eq!((&*named.name(), named.tags().collect::<Vec<_>>()), (name, tags.to_vec()), "{spelled}");
    }

    #[test]
    fn each_form_is_read_where_it_is_on_and_stands_in_the_name_where_it_is_off() {
        use TagDialect::{Graphite, Influx, Librato, SignalFx};
        let cases = [
            (Graphite, "a.b;k=v;l=w=x", "a.b", vec![("k", "v"), ("l", "w=x")]),
            (Influx, "a.b,k=v,l=", "a.b", vec![("k", "v"), ("l", "")]),
            (Librato, "a.b#k=v,l=w", "a.b", vec![("k", "v"), ("l", "w")]),
            (SignalFx, "a.[k=v,l=w]b", "a.b", vec![("k", "v"), ("l", "w")]),
            (SignalFx, "[k=v]b", "b", vec![("k", "v")]),
            (SignalFx, "a[k=v]", "a", vec![("k", "v")]),
        ];
        for (dialect, spelled, name, tags) in cases {
            check(&TagDialect::ALL, spelled, name, &tags);
            check(&[dialect], spelled, name, &tags);
            let others: Vec<TagDialect> = TagDialect::ALL.into_iter().filter(|other| *other != dialect).collect();
            let named = others.iter().copied().collect::<TagDialects>().split(spelled);
            assert_ne!(named.name(), name, "{spelled} without {dialect:?}");
            check(&[], spelled, spelled, &[]);
        }
    }

    #[test]
    fn what_does_not_read_as_pairs_belongs_to_the_name() {
        for spelled in ["a,b", "a;=v", "a;", "a#b", "a[0]", "a[k=v", "a]k=v[", "a[]", "a;k=v;l"] {
            check(&TagDialect::ALL, spelled, spelled, &[]);
        }
        check(&TagDialect::ALL, "a[0],k=v", "a[0]", &[("k", "v")]);
    }
}
