//! What is wrong with the settings, where, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    place: Place,
    message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File { path: PathBuf, line: usize, column: usize },
    WholeFile(PathBuf),
    Setting(String),
}

impl Mistake {
    /// Of a key, a flag or a variable.
    pub fn of_setting(setting: impl Into<String>, message: String) -> Mistake {
        Mistake { place: Place::Setting(setting.into()), message }
    }

    /// Of a file that cannot be read.
    pub fn of_file(path: &Path, message: String) -> Mistake {
        Mistake { place: Place::WholeFile(path.to_owned()), message }
    }

    /// Of a stretch of a file's text.
    pub fn in_file(path: &Path, text: &str, error: &toml::de::Error) -> Mistake {
        let message = explain(error.message(), |unknown| error.span().and_then(|span| full_name(text, span, unknown)));
        let Some(Range { start, .. }) = error.span() else { return Mistake::of_file(path, message) };
        let before = &text[..text.floor_char_boundary(start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |tail| tail.chars().count()) + 1;
        Mistake { place: Place::File { path: path.to_owned(), line, column }, message }
    }

    /// Of a value that overrides the file's.
    pub fn of_override(source: &str, error: &toml::de::Error) -> Mistake {
        Mistake::of_setting(source, explain(error.message(), |_| None))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}: {}", path.display(), self.message),
            Place::WholeFile(path) => write!(f, "{}: {}", path.display(), self.message),
            Place::Setting(setting) => write!(f, "{setting}: {}", self.message),
        }
    }
}

impl std::error::Error for Mistake {}

/// The candidate that differs from `word` by the fewest letters, when those are few.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = candidates.into_iter().map(|candidate| (edit_distance(word, candidate), candidate));
    let (distance, candidate) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + word.chars().count() / 4).then_some(candidate)
}

/// serde says "unknown field `x`, expected one of `a`, `b`" (or "expected `a`"); people want to know which one they meant.
fn explain(message: &str, full_name: impl Fn(&str) -> Option<String>) -> String {
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().unwrap_or_default();
    let known: Vec<&str> = names.collect();
    let shown = full_name(unknown).unwrap_or_else(|| unknown.to_owned());
    match closest(unknown, known.iter().copied()) {
        Some(meant) => format!("unknown key `{shown}`; did you mean `{meant}`?"),
        None => format!("unknown key `{shown}`; the keys here are {}", known.join(", ")),
    }
}

/// The key with the section that stands above it in the file.
fn full_name(text: &str, span: Range<usize>, key: &str) -> Option<String> {
    let above = text.get(..span.start)?;
    let header = above.lines().rev().map(str::trim).find(|line| line.starts_with('['))?;
    let section = header.trim_start_matches('[').split(']').next()?.trim();
    // The unknown key may be the header itself: `[sever]` is found with its bracket only.
    (header.contains(']') && !section.is_empty()).then(|| format!("{section}.{key}"))
}

/// Levenshtein's distance (insertions, deletions, substitutions), two rows at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let substituted = above[j] + usize::from(from != *to);
            row.push(substituted.min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_found_when_it_is_close() {
        let words = ["data_dir", "http", "insecure", "host_names"];
        let check = |word, expected| assert_eq!(closest(word, words), expected, "{word}");
        check("htpp", Some("http"));
        check("datadir", Some("data_dir"));
        check("hostnames", Some("host_names"));
        check("port", None);
        check("", None);
    }
}
