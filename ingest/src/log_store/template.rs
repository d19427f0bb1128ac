//! What a template is: a text with its variables taken out.
//!
//! A variable is a maximal run of ASCII letters and digits that holds a digit; in the template a byte that no text can hold
//! ([`PLACEHOLDER`]) stands for it. So a template is told from a text by nothing but itself, the two together give the text
//! back byte for byte, and a placeholder never touches another letter or digit of ASCII. How services whose texts have no
//! templates are cut is [`Cut`]'s.
//!
//! ```text
//! text        connect 10.1.2.3:80 user_42 ok
//! template    connect P.P.P.P:P user_P ok         P: the placeholder
//! variables   10 1 2 3 80 42
//! ```

use std::collections::HashSet;

use super::words::{fold_character, is_word_character};

/// Stands for a variable: UTF-8 never holds it.
pub const PLACEHOLDER: u8 = 0xFF;

/// Texts longer than this are one variable: nobody prints a template of that size twice.
pub const TEMPLATE_TEXT_MAX: usize = 8 << 10;

/// How the texts of a service are cut.
#[derive(Clone, Debug, Default)]
pub enum Cut {
    /// Runs with a digit are variables.
    #[default]
    Digits,
    /// Runs with a digit are, and those that are not among these frequent words.
    RareWords(HashSet<Box<[u8]>>),
    /// The text as a whole is one variable.
    Raw,
}

/// Whether a placeholder of the template may stand for something else than a run that holds a digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Holds {
    /// Each stands for a run that holds a digit.
    Digits = 0,
    /// Each stands for a run of letters and digits.
    Words = 1,
    /// The template is one placeholder for any text at all.
    Anything = 2,
}

const LETTER: u8 = 1;
const DIGIT: u8 = 2;
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        classes[byte] = if character.is_ascii_digit() {
            DIGIT
        } else if character.is_ascii_alphabetic() {
            LETTER
        } else {
            0
        };
        byte += 1;
    }
    classes
};

impl Cut {
    /// Appends the text's template, and calls `variable` with each of its variables in order.
    #[inline]
    pub fn cut<'t>(&self, text: &'t str, template: &mut Vec<u8>, mut variable: impl FnMut(&'t [u8])) -> Holds {
        let bytes = text.as_bytes();
        if matches!(self, Cut::Raw) || bytes.len() > TEMPLATE_TEXT_MAX {
            template.push(PLACEHOLDER);
            variable(bytes);
            return Holds::Anything;
        }
        let (mut at, mut copied) = (0, 0);
        while at < bytes.len() {
            let mut seen = CLASSES[bytes[at] as usize];
            if seen == 0 {
                at += 1;
                continue;
            }
            let start = at;
            at += 1;
            while at < bytes.len() {
                let class = CLASSES[bytes[at] as usize];
                if class == 0 {
                    break;
                }
                seen |= class;
                at += 1;
            }
            let run = &bytes[start..at];
            let varies = seen & DIGIT != 0
                || match self {
                    Cut::RareWords(frequent) => !frequent.contains(run),
                    Cut::Digits | Cut::Raw => false,
                };
            if varies {
                template.extend_from_slice(&bytes[copied..start]);
                template.push(PLACEHOLDER);
                variable(run);
                copied = at;
            }
        }
        template.extend_from_slice(&bytes[copied..]);
        match self {
            Cut::RareWords(_) => Holds::Words,
            Cut::Digits | Cut::Raw => Holds::Digits,
        }
    }
}

/// The runs of ASCII letters and digits of a text: what a cut may take out.
pub fn runs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| CLASSES[*byte as usize] == 0).filter(|run| !run.is_empty())
}

/// The pieces of a template: literals before, between and behind its placeholders, so one more than there are variables.
pub fn literals(template: &[u8]) -> impl Iterator<Item = &[u8]> {
    template.split(|byte| *byte == PLACEHOLDER)
}

/// How many variables the template has.
pub fn variables_of(template: &[u8]) -> usize {
    memchr::memchr_iter(PLACEHOLDER, template).count()
}

/// Whether a literal holds a character that is not ASCII but folds to one: next to a variable it would make a word whose
/// folded form looks as if the variable were longer.
pub fn folds_into_ascii(template: &[u8]) -> bool {
    !template.is_ascii()
        && literals(template).any(|literal| {
            String::from_utf8_lossy(literal).chars().any(|c| !c.is_ascii() && fold_character(c).is_ascii())
        })
}

/// A word of a template: folded literals, variables by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateWord {
    /// Its parts in order; two literals never follow each other.
    pub parts: Vec<WordPart>,
}

/// A part of a word of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordPart {
    /// Folded text.
    Literal(String),
    /// The variable of this number.
    Variable(usize),
}

impl TemplateWord {
    /// The word as an index term: folded, with [`TERM_PLACEHOLDER`] for each variable.
    pub fn term(&self) -> String {
        self.parts
            .iter()
            .map(|part| match part {
                WordPart::Literal(text) => text.as_str(),
                WordPart::Variable(_) => TERM_PLACEHOLDER,
            })
            .collect()
    }
}

/// Stands for a variable in an index term: not a character of words, so no literal word holds it.
pub const TERM_PLACEHOLDER: &str = "\u{11}";

/// The words of a template, in order. A placeholder is part of the word that it touches.
pub fn template_words(template: &[u8]) -> Vec<TemplateWord> {
    let mut found = Vec::new();
    let mut parts: Vec<WordPart> = Vec::new();
    let mut text = String::new();
    let close_text = |text: &mut String, parts: &mut Vec<WordPart>| {
        if !text.is_empty() {
            parts.push(WordPart::Literal(std::mem::take(text)));
        }
    };
    for (variable, literal) in literals(template).enumerate() {
        if variable > 0 {
            close_text(&mut text, &mut parts);
            parts.push(WordPart::Variable(variable - 1));
        }
        for character in String::from_utf8_lossy(literal).chars() {
            if is_word_character(character) {
                text.push(fold_character(character));
                continue;
            }
            close_text(&mut text, &mut parts);
            if !parts.is_empty() {
                found.push(TemplateWord { parts: std::mem::take(&mut parts) });
            }
        }
    }
    close_text(&mut text, &mut parts);
    if !parts.is_empty() {
        found.push(TemplateWord { parts });
    }
    found
}

/// The term under which a template's word stands that may equal this folded word, when placeholders hold digits only.
pub fn term_of(word: &str) -> String {
    let (mut template, mut term) = (Vec::new(), String::new());
    Cut::Digits.cut(word, &mut template, |_| {});
    for (at, literal) in literals(&template).enumerate() {
        if at > 0 {
            term.push_str(TERM_PLACEHOLDER);
        }
        term.push_str(&String::from_utf8_lossy(literal));
    }
    term
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log_store::words::{fold, words};

    fn cut<'t>(cut: &Cut, text: &'t str) -> (Vec<u8>, Vec<&'t [u8]>) {
        let (mut template, mut variables) = (Vec::new(), Vec::new());
        cut.cut(text, &mut template, |variable| variables.push(variable));
        (template, variables)
    }

    fn joined(template: &[u8], variables: &[&[u8]]) -> Vec<u8> {
        let mut text = Vec::new();
        for (at, literal) in literals(template).enumerate() {
            if at > 0 {
                text.extend_from_slice(variables[at - 1]);
            }
            text.extend_from_slice(literal);
        }
        text
    }

    #[test]
    fn runs_with_digits_are_taken_out() {
        let check = |text: &str, template: &str, variables: &[&str]| {
            let (found, taken) = cut(&Cut::Digits, text);
            let shown: String = String::from_utf8_lossy(&found).replace('\u{FFFD}', "*");
            assert_eq!(shown, template, "{text}");
            assert_eq!(taken, variables.iter().map(|v| v.as_bytes()).collect::<Vec<_>>(), "{text}");
        };
        check("connect 10.1.2.3:80 user_42 ok", "connect *.*.*.*:* user_* ok", &["10", "1", "2", "3", "80", "42"]);
        check("", "", &[]);
        check("no digits", "no digits", &[]);
        check("007", "*", &["007"]);
        check("é42é", "é*é", &["42"]);
        check("blk_-1608", "blk_-*", &["1608"]);
    }

    #[test]
    fn words_that_are_not_frequent_are_taken_out_too() {
        let frequent = Cut::RareWords([b"login".as_slice().into()].into());
        assert_eq!(cut(&frequent, "login alice x9").1, [b"alice".as_slice(), b"x9"]);
        assert_eq!(cut(&Cut::Raw, "login alice").1, [b"login alice".as_slice()]);
    }

    proptest! {
        #[test]
        fn template_and_variables_give_the_text_back(text in "\\PC{0,40}|[a-c0-2 _é\u{11}\u{0}-]{0,24}", mode in 0..3) {
            let how = [Cut::Digits, Cut::RareWords([b"ab".as_slice().into()].into()), Cut::Raw][mode as usize].clone();
            let (template, variables) = cut(&how, &text);
            prop_assert_eq!(variables.len(), variables_of(&template));
            prop_assert_eq!(joined(&template, &variables), text.as_bytes());
        }

        #[test]
        fn words_of_the_template_are_the_words_of_the_text(text in "[a-cA-C0-2 _éÉ-]{0,24}") {
            let (template, variables) = cut(&Cut::Digits, &text);
            let filled: Vec<String> = template_words(&template)
                .iter()
                .map(|word| {
                    let part = |part: &WordPart| match part {
                        WordPart::Literal(text) => text.clone(),
                        WordPart::Variable(at) => fold(std::str::from_utf8(variables[*at]).expect("ASCII")),
                    };
                    word.parts.iter().map(part).collect()
                })
                .collect();
            let plain: Vec<String> = words(&text).map(fold).collect();
            prop_assert_eq!(&filled, &plain);
            for (word, text) in template_words(&template).iter().zip(&plain) {
                prop_assert_eq!(word.term(), term_of(text));
            }
        }
    }
}
