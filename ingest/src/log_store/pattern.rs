//! What a pattern is: the text of like messages, with holes where they differ.
//!
//! A record's pattern follows from its message alone, so it is the same in memory and in every split, before and after a
//! merge, whatever else is stored, and a message belongs to exactly one. Holes are
//! - runs of ASCII letters and digits that hold a digit, as in a template;
//! - runs of [`HEX_LETTERS_MIN`] or more of the letters `a`–`f`;
//! - parts of a UUID that happen to hold no digit.
//!
//! Holes with nothing but a dot between them are one: `12` and `12.5`, `1.2` and `1.2.3`, addresses.
//!
//! The template of a service that has templates says its pattern without a look at its rows. Services that stepped down to
//! frequent words or raw text have templates cut otherwise: their messages are read, and cut by this rule.
//!
//! ```text
//! message    user_42 of face1234-cafe-4bad-8bad-012345678900 took 12.5 ms
//! canonical  user_P of P-P-P-P-P took P ms             P: the placeholder of templates; what the id is a hash of
//! shown      user_<num> of <uuid> took <num> ms        by what the holes held
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::template::{Cut, PLACEHOLDER, TEMPLATE_TEXT_MAX, literals};
use super::variable_column::{Shape, class};

/// A run of so many letters `a`–`f` is a number that happens to hold no digit: there is no such word.
const HEX_LETTERS_MIN: usize = 8;

/// Of a text that is too long for a template so many bytes say its pattern: the lines of one stack trace begin alike.
const LONG_TEXT_BYTES: usize = 1 << 10;

/// How many characters each part of a UUID has.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// A pattern's name: a hash of its canonical text, the same for ever. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatternId(u64);

/// A message's canonical text, and what stood in its holes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// The text with [`PLACEHOLDER`] for each hole.
    pub canonical: Vec<u8>,
    /// What each hole held.
    pub holes: Vec<Hole>,
}

/// What a hole held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// Of what shape the parts between dots were.
    pub shape: Shape,
    /// The least and the most parts.
    pub parts: (u32, u32),
}

impl PatternId {
    /// The pattern of a message.
    pub fn of(message: &str) -> PatternId {
        PatternId::of_canonical(&Pattern::of(message).canonical)
    }

    /// The pattern of this canonical text: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), 64 bits.
    pub(super) fn of_canonical(canonical: &[u8]) -> PatternId {
        let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        PatternId(canonical.iter().fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// The name of any text by the same hash.
    pub(crate) fn of_text(text: &str) -> PatternId {
        PatternId::of_canonical(text.as_bytes())
    }

    /// The id that was written so; none when it is none.
    pub fn parse(text: &str) -> Option<PatternId> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(PatternId)
    }
}

impl fmt::Display for PatternId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Pattern {
    /// The pattern of a message.
    pub fn of(message: &str) -> Pattern {
        let message = match message.len() {
            0..=TEMPLATE_TEXT_MAX => message,
            _ => &message[..message.floor_char_boundary(LONG_TEXT_BYTES)],
        };
        let (mut template, mut shapes) = (Vec::with_capacity(message.len()), Vec::new());
        Cut::Digits.cut(message, &mut template, |variable| shapes.push(shape_of(variable)));
        Pattern::of_template(&template, &shapes)
    }

    /// The pattern of the messages of a template that was cut by [`Cut::Digits`]; of what shape its variables are is known.
    pub fn of_template(template: &[u8], variables: &[Shape]) -> Pattern {
        let mut pattern = Pattern { canonical: Vec::with_capacity(template.len()), holes: Vec::new() };
        let mut variables = variables.iter();
        let mut rest = template;
        while !rest.is_empty() {
            let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(*byte, b'-' | PLACEHOLDER);
            let end = rest.iter().position(|byte| !is_inside(byte)).unwrap_or(rest.len());
            let (token, behind) = rest.split_at(end);
            let parts: Vec<&[u8]> = if end == 0 { Vec::new() } else { token.split(|byte| *byte == b'-').collect() };
            let of_uuids = uuid_parts(&parts);
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    pattern.canonical.push(b'-');
                }
                let is_hex = part.len() >= HEX_LETTERS_MIN && is_hex_letters(part);
                match *part {
                    [PLACEHOLDER] => pattern.hole(variables.next().copied().unwrap_or(Shape::NONE)),
                    part if is_hex || of_uuids.contains(&at) => pattern.hole(shape_of(part)),
                    part => pattern.canonical.extend_from_slice(part),
                }
            }
            // What ends a token is no part of one.
            let others = behind.iter().position(is_inside).unwrap_or(behind.len());
            pattern.canonical.extend_from_slice(&behind[..others]);
            rest = &behind[others..];
        }
        pattern
    }

    fn hole(&mut self, shape: Shape) {
        if self.canonical.ends_with(&[PLACEHOLDER, b'.'])
            && let Some(last) = self.holes.last_mut()
        {
            self.canonical.pop();
            last.shape = united(last.shape, shape);
            last.parts = (last.parts.0 + 1, last.parts.1 + 1);
            return;
        }
        self.canonical.push(PLACEHOLDER);
        self.holes.push(Hole { shape, parts: (1, 1) });
    }

    /// Takes in what the holes of the same pattern held elsewhere.
    pub fn unite(&mut self, holes: &[Hole]) {
        for (own, other) in self.holes.iter_mut().zip(holes) {
            own.shape = united(own.shape, other.shape);
            own.parts = (own.parts.0.min(other.parts.0), own.parts.1.max(other.parts.1));
        }
    }

    /// Its name.
    pub fn id(&self) -> PatternId {
        PatternId::of_canonical(&self.canonical)
    }

    /// The text as people read it: holes named by what they held.
    pub fn shown(&self) -> String {
        let pieces: Vec<&[u8]> = literals(&self.canonical).collect();
        let mut shown = String::with_capacity(self.canonical.len() + 4 * self.holes.len());
        let mut at = 0;
        while let Some(piece) = pieces.get(at) {
            shown.push_str(&String::from_utf8_lossy(piece));
            let (between, holes) = (&pieces[at + 1..], self.holes.get(at..).unwrap_or_default());
            if holes.is_empty() {
                break;
            }
            let before = if at > 0 { *piece } else { b"" };
            let known = COMPOUNDS.iter().find(|compound| compound.fits(before, between, holes));
            let (name, count) = known.map_or((kind(&holes[0]), 1), |known| (known.name, known.holes.len()));
            shown.push_str(name);
            at += count;
        }
        shown
    }
}

/// Several holes that are one thing to people.
struct Compound {
    name: &'static str,
    /// Whether each hole may be so.
    holes: &'static [fn(&Hole) -> bool],
    /// What stands between them.
    between: &'static [&'static str],
}

/// The longest first.
const COMPOUNDS: [Compound; 3] = [
    Compound {
        name: "<time>",
        holes: &[|h| is_digits(h, 4), |h| is_digits(h, 2), is_day_and_hour, |h| is_digits(h, 2), is_seconds],
        between: &["-", "-", ":", ":"],
    },
    Compound {
        name: "<uuid>",
        holes: &[|h| is_hex(h, 8), |h| is_hex(h, 4), |h| is_hex(h, 4), |h| is_hex(h, 4), |h| is_hex(h, 12)],
        between: &["-", "-", "-", "-"],
    },
    Compound {
        name: "<date>",
        holes: &[|h| is_digits(h, 4), |h| is_digits(h, 2), |h| is_digits(h, 2)],
        between: &["-", "-"],
    },
];

impl Compound {
    /// Whether the first of these holes are one, with what stands behind each of them; `before` stands between the hole
    /// before and the first: a part of a longer row of holes is none.
    fn fits(&self, before: &[u8], behind: &[&[u8]], holes: &[Hole]) -> bool {
        let count = self.holes.len();
        let (first, last) = (self.between[0].as_bytes(), self.between[count - 2].as_bytes());
        let is_part = before == first || holes.len() > count && behind[count - 1] == last;
        let separators = behind.iter().zip(self.between).all(|(piece, wanted)| *piece == wanted.as_bytes());
        holes.len() >= count && separators && !is_part && self.holes.iter().zip(holes).all(|(fits, hole)| fits(hole))
    }
}

/// What a single hole is called.
fn kind(hole: &Hole) -> &'static str {
    match (is_number(&hole.shape), hole.parts) {
        (true, (4, 4)) if hole.shape.longest <= 3 => "<ip>",
        (true, (_, 1 | 2)) => "<num>",
        (_, (1, 1)) if is_hexadecimal(&hole.shape) && hole.shape.shortest >= 4 => "<hex>",
        _ => "<*>",
    }
}

fn is_number(shape: &Shape) -> bool {
    shape.classes == class::DIGIT
}

fn is_hexadecimal(shape: &Shape) -> bool {
    let letters = shape.classes & !class::DIGIT;
    letters == class::SMALL_HEX || letters == class::CAPITAL_HEX || letters == 0
}

fn is_long(hole: &Hole, length: u32) -> bool {
    hole.parts == (1, 1) && (hole.shape.shortest, hole.shape.longest) == (length, length)
}

fn is_digits(hole: &Hole, length: u32) -> bool {
    is_number(&hole.shape) && is_long(hole, length)
}

fn is_hex(hole: &Hole, length: u32) -> bool {
    is_hexadecimal(&hole.shape) && is_long(hole, length)
}

/// `21T07`
fn is_day_and_hour(hole: &Hole) -> bool {
    hole.shape.classes == class::DIGIT | class::CAPITAL && is_long(hole, 5)
}

/// `00`, `00Z`, `00.123456Z`
fn is_seconds(hole: &Hole) -> bool {
    hole.shape.classes & !(class::DIGIT | class::CAPITAL) == 0 && hole.parts.1 <= 2 && hole.shape.longest <= 10
}

fn united(a: Shape, b: Shape) -> Shape {
    Shape {
        classes: a.classes | b.classes,
        shortest: a.shortest.min(b.shortest),
        longest: a.longest.max(b.longest),
        numbers: None,
    }
}

fn shape_of(text: &[u8]) -> Shape {
    let mut shape = Shape::NONE;
    shape.add(text);
    shape
}

fn is_hex_letters(part: &[u8]) -> bool {
    !part.is_empty() && part.iter().all(|byte| byte.is_ascii_alphabetic() && byte.is_ascii_hexdigit())
}

/// Which parts of a token that is cut at its dashes belong to UUIDs.
fn uuid_parts(parts: &[&[u8]]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(window) = parts.get(at..at + UUID_PARTS.len()) {
        let fits =
            |(part, length): (&&[u8], &usize)| **part == [PLACEHOLDER] || part.len() == *length && is_hex_letters(part);
        let some_hole = window.iter().any(|part| **part == [PLACEHOLDER]);
        if some_hole && window.iter().zip(&UUID_PARTS).all(fits) {
            found.extend(at..at + UUID_PARTS.len());
            at += UUID_PARTS.len();
        } else {
            at += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log_store::test_records::text;

    fn canonical(message: &str) -> String {
        String::from_utf8_lossy(&Pattern::of(message).canonical).replace('\u{FFFD}', "*")
    }

    #[test]
    fn like_messages_have_one_canonical_text() {
        let check = |message: &str, expected: &str| assert_eq!(canonical(message), expected, "{message}");
        check("", "");
        check("connection timed out", "connection timed out");
        check("user_42 took 12.5 ms", "user_* took * ms");
        check("from 10.1.2.3:80 by v1.2.x and 5.", "from *:* by *.x and *.");
        check("id deadbeefcafe done", "id * done");
        check("a bad cafe", "a bad cafe");
        check("of face1234-cafe-4bad-8bad-012345678900!", "of *-*-*-*-*!");
        check("req-face1234-cafe-4bad-8bad-012345678900-x", "req-*-*-*-*-*-x");
        check("facade-cafe-5", "facade-cafe-*");
        check("- 5 - größe-7-é-9", "- * - größe-*-é-*");
    }

    #[test]
    fn holes_are_named_by_what_they_held() {
        let check = |messages: &[&str], expected: &str| {
            let mut pattern = Pattern::of(messages[0]);
            for message in &messages[1..] {
                let other = Pattern::of(message);
                assert_eq!(pattern.canonical, other.canonical, "{message}");
                pattern.unite(&other.holes);
            }
            assert_eq!(pattern.shown(), expected, "{messages:?}");
        };
        check(&["no hole"], "no hole");
        check(&["took 5 of 0x7f", "took 55 of 0x80"], "took <num> of <*>");
        check(&["from 10.1.2.3:80 ok", "from 192.168.0.1:65000 ok"], "from <ip>:<num> ok");
        check(&["version 1.2.3.4.5", "version 1.2"], "version <*>");
        check(&["took 1.5s, 2.25 or 7.125 in all", "took 2s, 2 or 7 in all"], "took <*>, <num> or <num> in all");
        check(&["1-2024-11-21", "2024-11-21-5"][..1], "<num>-<num>-<num>-<num>");
        check(&["of face1234-cafe-4bad-8bad-012345678900"], "of <uuid>");
        check(&["etag 5f3a9c01", "etag 00ff00ff"], "etag <hex>");
        check(&["at 2024-11-21T07:00:00.123Z", "at 2024-11-21T07:00:01.5Z"], "at <time>");
        check(&["at 2024-11-21T07:00:00Z and 2024-11-21"], "at <time> and <date>");
        check(&["abc1", "123"], "<*>");
    }

    #[test]
    fn ids_are_written_and_read() {
        let id = PatternId::of("took 5 ms");
        assert_eq!(id, PatternId::of("took 1234 ms"));
        assert_ne!(id, PatternId::of("took 5 s"));
        // Ids stand in saved questions and links: they never change.
        assert_eq!(id.to_string(), "a76a1ab304a70eb9");
        assert_eq!(PatternId::parse(&id.to_string()), Some(id));
        for text in ["", "12", "00000000000000000", "000000000000000g", "+00000000000000f"] {
            assert_eq!(PatternId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn long_messages_go_by_how_they_begin() {
        let long = |end: &str| format!("trace {}{end}", "at frame\n".repeat(2_000));
        assert_eq!(PatternId::of(&long("a")), PatternId::of(&long("b")));
        assert_ne!(PatternId::of(&long("a")), PatternId::of("trace "));
    }

    proptest! {
        #[test]
        fn the_template_says_the_same_as_the_message(message in prop_oneof![text(), "[a-g0-9 -]{0,60}"]) {
            let (mut template, mut shapes) = (Vec::new(), Vec::new());
            Cut::Digits.cut(&message, &mut template, |variable| shapes.push(shape_of(variable)));
            let pattern = Pattern::of_template(&template, &shapes);
            if message.len() <= TEMPLATE_TEXT_MAX {
                prop_assert_eq!(&pattern, &Pattern::of(&message));
            }
            prop_assert_eq!(literals(&pattern.canonical).count(), pattern.holes.len() + 1);
            // A canonical text is its own: cutting it again changes nothing.
            let shapes: Vec<Shape> = pattern.holes.iter().map(|hole| hole.shape).collect();
            prop_assert_eq!(&Pattern::of_template(&pattern.canonical, &shapes).canonical, &pattern.canonical);
            prop_assert!(pattern.shown().len() < message.len() * 4 + 8);
        }
    }
}
