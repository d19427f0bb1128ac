//! What a word is, in one place: the filter, the split's tokenizer and the query parser must agree to the letter.
//!
//! Words are maximal runs of alphanumeric characters (Unicode `Alphanumeric`) and `_`. Letters compare folded: by Unicode's
//! simple lower case, one character for one, so that folding never moves a word's edge.

/// Whether the character belongs to words.
pub fn is_word_character(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The character without case.
pub fn fold_character(character: char) -> char {
    if character.is_ascii() {
        character.to_ascii_lowercase()
    } else {
        character.to_lowercase().next().unwrap_or(character)
    }
}

/// The text without case.
pub fn fold(text: &str) -> String {
    text.chars().map(fold_character).collect()
}

/// The words of a text in order, as they are written.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| !is_word_character(character)).filter(|word| !word.is_empty())
}

/// Whether the folded words stand in the text, next to each other and in this order. No words stand in every text.
pub fn contains_phrase(text: &str, phrase: &[String]) -> bool {
    let Some((first, rest)) = phrase.split_first() else { return true };
    if text.is_ascii() {
        return contains_phrase_ascii(text.as_bytes(), first.as_bytes(), rest);
    }
    for word in words(text) {
        if word_equals(word, first) {
            let mut ahead = words(tail_of(text, word));
            if rest.iter().all(|wanted| ahead.next().is_some_and(|word| word_equals(word, wanted))) {
                return true;
            }
        }
    }
    false
}

/// Whether the text, folded, equals the folded text.
pub fn word_equals(text: &str, folded: &str) -> bool {
    if text.is_ascii() {
        text.eq_ignore_ascii_case(folded)
    } else {
        text.chars().map(fold_character).eq(folded.chars())
    }
}

/// Whether the text, folded, starts with the folded text.
pub fn starts_with(text: &str, folded: &str) -> bool {
    let mut characters = text.chars().map(fold_character);
    folded.chars().all(|wanted| characters.next() == Some(wanted))
}

/// A pattern of `*` (any run of characters, none included) and `?` (any one), compared with folded text as a whole.
#[derive(Clone, Debug)]
pub struct Wildcard(Vec<char>);

impl Wildcard {
    /// The pattern; its letters are folded.
    pub fn new(pattern: &str) -> Wildcard {
        Wildcard(pattern.chars().map(fold_character).collect())
    }

    /// A regular expression that matches the texts of ASCII of which a word fits; none when no word of ASCII can.
    pub fn as_regex(&self) -> Option<String> {
        let word = |character: &char| matches!(character, '*' | '?') || is_word_character(*character);
        if self.0.is_empty() || !self.0.iter().all(|character| character.is_ascii() && word(character)) {
            return None;
        }
        let fits: String = match self.0.iter().all(|character| *character == '*') {
            true => "[0-9A-Za-z_]+".to_owned(),
            false => self
                .0
                .iter()
                .map(|character| match character {
                    '*' => "[0-9A-Za-z_]*".to_owned(),
                    '?' => "[0-9A-Za-z_]".to_owned(),
                    literal => literal.to_string(),
                })
                .collect(),
        };
        Some(format!("(?i)(?:^|[^0-9A-Za-z_]){fits}(?:$|[^0-9A-Za-z_])"))
    }

    /// Whether the text fits. Takes at most text length × pattern length steps.
    pub fn matches(&self, text: &str) -> bool {
        let pattern = &self.0;
        let mut rest = text.chars();
        let mut at = 0;
        // Where to go on when a guess at the last star's length fails: after the star, one character further on.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let mut ahead = rest.clone();
            match (pattern.get(at), ahead.next()) {
                (Some('*'), _) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                (Some('?'), Some(_)) => {
                    at += 1;
                    rest = ahead;
                    continue;
                }
                (Some(&wanted), Some(found)) if wanted == fold_character(found) => {
                    at += 1;
                    rest = ahead;
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after_star, longer)) = &mut retry else { return false };
            if longer.next().is_none() {
                return false;
            }
            at = *after_star;
            rest = longer.clone();
        }
    }
}

impl Wildcard {
    /// Whether some text could fit that is the folded `term` with a run of ASCII letters and digits in each place of the
    /// `placeholder`.
    pub fn may_match(&self, term: &str, placeholder: &str) -> bool {
        let pattern = &self.0;
        // Places in the pattern that may have been reached; stars may be passed over.
        let mut reached = vec![false; pattern.len() + 1];
        reached[0] = true;
        let pass_stars = |reached: &mut Vec<bool>| {
            for at in 0..pattern.len() {
                if reached[at] && pattern[at] == '*' {
                    reached[at + 1] = true;
                }
            }
        };
        let step = |reached: &[bool], fits: &dyn Fn(char) -> bool| {
            let mut next = vec![false; pattern.len() + 1];
            for at in (0..pattern.len()).filter(|&at| reached[at]) {
                match pattern[at] {
                    '*' => next[at] = true,
                    '?' => next[at + 1] = true,
                    wanted if fits(wanted) => next[at + 1] = true,
                    _ => {}
                }
            }
            pass_stars(&mut next);
            next
        };
        pass_stars(&mut reached);
        let mut rest = term;
        while let Some(character) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix(placeholder) {
                // At least one character, then as many more as the pattern takes: each place is passed once.
                let mut any = step(&reached, &|wanted| wanted.is_ascii_alphanumeric());
                for at in 0..pattern.len() {
                    let takes = matches!(pattern[at], '*' | '?') || pattern[at].is_ascii_alphanumeric();
                    any[at + 1] |= any[at] && takes;
                }
                reached = any;
                rest = after;
            } else {
                reached = step(&reached, &|wanted| wanted == character);
                rest = &rest[character.len_utf8()..];
            }
        }
        reached[pattern.len()]
    }
}

fn contains_phrase_ascii(text: &[u8], first: &[u8], rest: &[String]) -> bool {
    let Some(&initial) = first.first() else { return false };
    if !initial.is_ascii() {
        return false;
    }
    let word_byte = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let word_at = |from: usize, wanted: &[u8]| {
        let end = from + wanted.len();
        end <= text.len()
            && text[from..end].eq_ignore_ascii_case(wanted)
            && !text.get(end).is_some_and(|&byte| word_byte(byte))
    };
    for start in memchr::memchr2_iter(initial, initial.to_ascii_uppercase(), text) {
        let starts_word = start == 0 || !word_byte(text[start - 1]);
        if !starts_word || !word_at(start, first) {
            continue;
        }
        let mut end = start + first.len();
        let all = rest.iter().all(|wanted| {
            let Some(gap) = text[end..].iter().position(|&byte| word_byte(byte)) else { return false };
            let from = end + gap;
            end = from + wanted.len();
            word_at(from, wanted.as_bytes())
        });
        if all {
            return true;
        }
    }
    false
}

/// What follows `part`, a slice of `text`.
fn tail_of<'a>(text: &'a str, part: &str) -> &'a str {
    let end = part.as_ptr() as usize + part.len() - text.as_ptr() as usize;
    &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_runs_of_alphanumerics_and_underscores() {
        let check = |text, expected: &[&str]| assert_eq!(words(text).collect::<Vec<_>>(), expected, "{text}");
        check("", &[]);
        check("--", &[]);
        check("GET /api/v1_0?x=1", &["GET", "api", "v1_0", "x", "1"]);
        check("größe:Ⅷ 数据库 ok", &["größe", "Ⅷ", "数据库", "ok"]);
    }

    #[test]
    fn phrases_are_adjacent_whole_words_without_case() {
        let check = |text, phrase: &str, expected| {
            let phrase: Vec<String> = words(phrase).map(fold).collect();
            assert_eq!(contains_phrase(text, &phrase), expected, "{phrase:?} in {text:?}");
        };
        check("Connection timed-out", "timed out", true);
        check("Connection timed out", "time", false);
        check("timeout timed timed out", "timed out", true);
        check("timed, and out", "timed out", false);
        check("timed", "timed out", false);
        check("a_b", "a", false);
        check("GRÖSSE größe", "GRÖßE", true);
        check("300 \u{212A}elvin", "kelvin", true);
        check("kelvin", "\u{212A}elvin", true);
        check("é timed out", "timed out", true);
        check("anything", "", true);
    }

    #[test]
    fn wildcards_fit_whole_texts() {
        let check =
            |pattern, text, expected| assert_eq!(Wildcard::new(pattern).matches(text), expected, "{pattern} {text}");
        check("*", "", true);
        check("?", "", false);
        check("time*", "Timeout", true);
        check("*out", "timeout", true);
        check("t*e*t", "timeout", true);
        check("t?me", "time", true);
        check("t?me", "tme", false);
        check("*a*b", "aXbXa", false);
        check("gr?ße", "größe", true);
        check("", "", true);
    }

    fn plain_phrase(text: &str, phrase: &[String]) -> bool {
        let all: Vec<String> = words(text).map(fold).collect();
        phrase.is_empty() || all.windows(phrase.len()).any(|window| window == phrase)
    }

    fn plain_wildcard(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| plain_wildcard(rest, &text[skip..])),
            Some((&wanted, rest)) => text
                .split_first()
                .is_some_and(|(&c, more)| (wanted == '?' || wanted == c) && plain_wildcard(rest, more)),
        }
    }

    proptest! {
        #[test]
        fn phrases_equal_the_plain_definition(text in "[aAbB_1 .é\u{212A}]{0,24}", phrase in "[aAb1 é\u{212A}k]{0,6}") {
            let phrase: Vec<String> = words(&phrase).map(fold).collect();
            prop_assert_eq!(contains_phrase(&text, &phrase), plain_phrase(&text, &phrase));
        }

        #[test]
        fn wildcards_find_words_as_their_expressions_do(text in "[abAB_1 .-]{0,9}", pattern in "[ab_1*?]{0,5}") {
            let wildcard = Wildcard::new(&pattern);
            let found = wildcard.as_regex().is_some_and(|regex| regex::Regex::new(&regex).expect("good").is_match(&text));
            prop_assert_eq!(found, words(&text).any(|word| wildcard.matches(word)), "{:?}", wildcard.as_regex());
        }

        #[test]
        fn wildcards_may_match_what_they_match_for_some_run(text in "[ab_]{0,5}", run in "[ab]{1,3}", behind in "[ab_]{0,4}", pattern in "[ab_*?]{0,7}") {
            let wildcard = Wildcard::new(&pattern);
            let whole = format!("{text}{run}{behind}");
            prop_assert!(!wildcard.matches(&whole) || wildcard.may_match(&format!("{text}\u{11}{behind}"), "\u{11}"), "{whole}");
        }

        #[test]
        fn wildcards_equal_the_plain_definition(text in "[abAé]{0,9}", pattern in "[abé*?]{0,7}") {
            let plain: Vec<char> = fold(&text).chars().collect();
            let expected = plain_wildcard(&pattern.chars().collect::<Vec<_>>(), &plain);
            prop_assert_eq!(Wildcard::new(&pattern).matches(&text), expected);
        }
    }
}
