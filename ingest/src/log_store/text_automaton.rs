//! A regular expression as a table of states over ASCII, so that it can be asked of a template: literal pieces move the
//! state on, and a variable moves it on without being read where every text of its shape leads to the same state.
//!
//! The table answers one question, whether the text contains a match, for texts of nothing but ASCII; there it equals the
//! `regex` crate with Unicode on, as classes are cut to ASCII and Unicode's word boundaries become ASCII's. Other texts, and
//! expressions whose table would be too large, are asked whole.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

use super::variable_column::{Shape, class};

/// Characters that the table knows.
const ASCII: usize = 128;
/// States of the largest table: half a megabyte. What people type takes some tens.
const STATES_MAX: usize = 2048;
/// Bytes that making the table may take.
const BUILD_BYTES_MAX: usize = 2 << 20;
/// Variables longer than this are read, and so are those that lead to so many states.
const LENGTH_MAX: u32 = 64;
const FAN_MAX: usize = 16;

/// A state: a row of the table.
pub type State = u16;

/// The state of texts that contain a match, whatever follows.
pub const MATCHED: State = 0;

/// A state, and of a shape: classes, shortest, longest.
type ImageKey = (State, u8, u32, u32);

/// See the module's documentation.
#[derive(Debug)]
pub struct TextAutomaton {
    table: Vec<[State; ASCII]>,
    /// Whether a text that ends in the state contains a match.
    at_end: Vec<bool>,
    start: State,
    /// Where texts of a shape lead from a state, as far as somebody asked; none where they must be read.
    images: Mutex<HashMap<ImageKey, Option<Vec<State>>>>,
}

impl TextAutomaton {
    /// The table of an expression that the `regex` crate has compiled; none when it would be too large.
    pub fn new(pattern: &str) -> Option<TextAutomaton> {
        let hir = to_ascii(&regex_syntax::parse(pattern).ok()?);
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(BUILD_BYTES_MAX)))
            .build_from_hir(&hir)
            .ok()?;
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .accelerate(false)
            .dfa_size_limit(Some(BUILD_BYTES_MAX))
            .determinize_size_limit(Some(BUILD_BYTES_MAX));
        let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
        let start = dfa.start_state_forward(&Input::new("").anchored(Anchored::No)).ok()?;
        TextAutomaton::tabulate(&dfa, start)
    }

    fn tabulate(dfa: &dense::DFA<Vec<u32>>, start: StateID) -> Option<TextAutomaton> {
        let mut numbers: HashMap<StateID, State> = HashMap::new();
        let mut table = vec![[MATCHED; ASCII]];
        let mut at_end = vec![true];
        let mut open = vec![start];
        numbers.insert(start, 1);
        table.push([MATCHED; ASCII]);
        at_end.push(false);
        while let Some(from) = open.pop() {
            let row = numbers[&from];
            at_end[row as usize] = dfa.is_match_state(dfa.next_eoi_state(from));
            for byte in 0..ASCII {
                let to = dfa.next_state(from, byte as u8);
                if dfa.is_quit_state(to) {
                    return None;
                }
                if dfa.is_match_state(to) {
                    continue;
                }
                let known = table.len();
                let number = *numbers.entry(to).or_insert_with(|| {
                    open.push(to);
                    known as State
                });
                if number as usize == known {
                    if known == STATES_MAX {
                        return None;
                    }
                    table.push([MATCHED; ASCII]);
                    at_end.push(false);
                }
                table[row as usize][byte] = number;
            }
        }
        // The automaton says one byte later that it has matched: states that whatever follows leads there are there already.
        let matched: Vec<bool> =
            (0..table.len()).map(|state| at_end[state] && table[state].iter().all(|&to| to == MATCHED)).collect();
        for row in &mut table {
            row.iter_mut().filter(|to| matched[**to as usize]).for_each(|to| *to = MATCHED);
        }
        let start = if matched[1] { MATCHED } else { 1 };
        Some(TextAutomaton { table, at_end, start, images: Mutex::default() })
    }

    /// The state of the empty text.
    pub fn start(&self) -> State {
        self.start
    }

    /// Whether a text that ends in the state contains a match.
    pub fn at_end(&self, state: State) -> bool {
        self.at_end[state as usize]
    }

    /// The state after a text of ASCII.
    #[inline]
    pub fn run(&self, mut state: State, text: &[u8]) -> State {
        for &byte in text {
            if state == MATCHED {
                break;
            }
            state = self.table[state as usize][usize::from(byte) % ASCII];
        }
        state
    }

    /// The states that texts of the shape lead to; none where they must be read to know.
    pub fn image(&self, state: State, shape: &Shape) -> Option<Vec<State>> {
        if state == MATCHED {
            return Some(vec![MATCHED]);
        }
        if shape.classes & class::OTHER != 0 || shape.longest > LENGTH_MAX {
            return None;
        }
        let key = (state, shape.classes, shape.shortest, shape.longest);
        if let Some(known) = self.images.lock().get(&key) {
            return known.clone();
        }
        let image = self.reach(state, shape);
        self.images.lock().insert(key, image.clone());
        image
    }

    fn reach(&self, state: State, shape: &Shape) -> Option<Vec<State>> {
        let bytes: Vec<u8> = (0..ASCII as u8).filter(|&byte| class::of(&[byte]) & shape.classes != 0).collect();
        let (mut now, mut found) = (BTreeSet::from([state]), BTreeSet::new());
        if shape.shortest == 0 {
            found.insert(state);
        }
        for length in 1..=shape.longest {
            let mut next = BTreeSet::new();
            for &state in &now {
                next.extend(bytes.iter().map(|&byte| self.table[state as usize][byte as usize]));
            }
            now = next;
            if length >= shape.shortest {
                found.extend(&now);
            }
            if now.len() > FAN_MAX || found.len() > FAN_MAX {
                return None;
            }
        }
        Some(found.into_iter().collect())
    }
}

/// The expression for texts of ASCII.
fn to_ascii(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.is_ascii() => Hir::literal(literal.0.clone()),
        HirKind::Literal(_) => Hir::fail(),
        HirKind::Class(Class::Unicode(characters)) => {
            let mut ascii = characters.clone();
            ascii.intersect(&ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7F')]));
            Hir::class(Class::Unicode(ascii))
        }
        HirKind::Class(Class::Bytes(bytes)) => {
            let mut ascii = bytes.clone();
            ascii.intersect(&ClassBytes::new([ClassBytesRange::new(0, 0x7F)]));
            Hir::class(Class::Bytes(ascii))
        }
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => *other,
        }),
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(to_ascii(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Capture(capture) => Hir::capture(Capture { sub: Box::new(to_ascii(&capture.sub)), ..capture.clone() }),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(to_ascii).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(to_ascii).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    const PATTERNS: [&str; 16] = [
        "",
        "a",
        "^a",
        "a$",
        "^$",
        r"blk_-?\d{3}",
        r"\bab\b",
        r"\Bab",
        "(?i)aB",
        "[^a]",
        r"\w+\s",
        "a|b1|^c",
        "(ab)*c",
        "é|a",
        r"(?m)^b$",
        r"\d{2,4}x",
    ];

    proptest! {
        #[test]
        fn the_table_says_what_the_expression_says(text in "[abcAB0-9x_ \n-]{0,12}|blk_-?[0-9]{0,5}") {
            for pattern in PATTERNS {
                let automaton = TextAutomaton::new(pattern).expect("small");
                let found = automaton.at_end(automaton.run(automaton.start(), text.as_bytes()));
                prop_assert_eq!(found, Regex::new(pattern).expect("good").is_match(&text), "{} in {:?}", pattern, text);
            }
        }

        #[test]
        fn texts_of_a_shape_lead_into_its_image(before in "[ab1_ ]{0,4}", texts in prop::collection::vec("[a-c0-9]{1,4}", 1..4)) {
            let mut shape = Shape::NONE;
            texts.iter().for_each(|text| shape.add(text.as_bytes()));
            for pattern in PATTERNS {
                let automaton = TextAutomaton::new(pattern).expect("small");
                let state = automaton.run(automaton.start(), before.as_bytes());
                if let Some(image) = automaton.image(state, &shape) {
                    for text in &texts {
                        prop_assert!(image.contains(&automaton.run(state, text.as_bytes())), "{} {:?}", pattern, text);
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_behind_a_word_are_decided_without_being_read() {
        let automaton = TextAutomaton::new(r"blk_-?\d{3}").expect("small");
        let state = automaton.run(automaton.start(), b"got blk_");
        let mut shape = Shape::NONE;
        shape.add(b"1608999687919862906");
        shape.add(b"123");
        assert_eq!(automaton.image(state, &shape), Some(vec![MATCHED]));
        assert!(TextAutomaton::new(r"(?s).{60}a.{60}b.{200}").is_none());
    }
}
