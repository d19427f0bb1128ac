//! Finds the stack trace in a text: which exceptions it tells of, with their frames in order.
//!
//! Line by line: a frame belongs to the exception whose header came before it (after it, in Python). A text in which no
//! frame is found has no trace.

use super::frame::{self, Frame, Language};

/// So much of a text is looked at, in bytes …
const TEXT_BYTES_MAX: usize = 128 << 10;
/// … and so many frames of it are kept.
const FRAMES_MAX: usize = 2_000;
/// A header stands at most so many lines before its first frame: messages may have several lines.
const HEADER_LINES_MAX: usize = 12;

/// What a text tells of exceptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackTrace<'t> {
    /// Who wrote it.
    pub language: Language,
    /// In the order of the text; there is one at least.
    pub exceptions: Vec<Exception<'t>>,
}

/// An exception and where it came from, the innermost function first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception<'t> {
    /// Its type (`java.lang.NullPointerException`, `panic`); empty when the text does not say.
    pub kind: &'t str,
    /// Its message, one line of it.
    pub message: &'t str,
    /// The functions at work.
    pub frames: Vec<Frame<'t>>,
}

/// Finds the trace in a text; none when there is none.
pub fn find(text: &str) -> Option<StackTrace<'_>> {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let mut walk = Walk::default();
    let lines: Vec<&str> = text.lines().collect();
    let mut at = 0;
    while at < lines.len() && walk.frames < FRAMES_MAX {
        at += walk.line(&lines, at);
    }
    walk.finish(&lines)
}

#[derive(Default)]
struct Walk<'t> {
    language: Option<Language>,
    exceptions: Vec<Exception<'t>>,
    /// Whether frames go to the last exception; else the next one begins another.
    is_open: bool,
    frames: usize,
    /// The line after the last one that was part of the trace: headers are looked for from here on.
    after: usize,
    /// A second goroutine, or a thread dump's next thread: what follows is no part of the error.
    is_over: bool,
}

impl<'t> Walk<'t> {
    /// Takes a line, or more when they belong together; returns how many.
    fn line(&mut self, lines: &[&'t str], at: usize) -> usize {
        let line = lines[at];
        if self.is_over {
            return 1;
        }
        if matches!(self.language, None | Some(Language::Go))
            && let Some((file, number)) = lines.get(at + 1).copied().and_then(frame::place_of_go)
            && let Some(function) = frame::function_of_go(line)
        {
            let is_own = frame::is_own_go(function, file);
            self.push(lines, at, Language::Go, Frame { function, file, line: number, is_own });
            self.after = at + 2;
            return 2;
        }
        if self.language == Some(Language::Go) && line.trim().is_empty() && self.frames > 0 {
            // The first goroutine is the one that failed.
            self.is_over = true;
            return 1;
        }
        if matches!(self.language, None | Some(Language::Rust)) && self.is_rust(lines, at) {
            if let Some(function) = frame::function_of_rust(line) {
                let place = lines.get(at + 1).copied().and_then(frame::place_of_rust);
                let (file, number) = place.map_or(("", None), |(file, number)| (file, Some(number)));
                let is_own = frame::is_own_rust(function, file);
                self.push(lines, at, Language::Rust, Frame { function, file, line: number, is_own });
                self.after = at + 1 + usize::from(place.is_some());
                return 1 + usize::from(place.is_some());
            }
            if let Some((file, number)) = panic_place(line) {
                self.language = Some(Language::Rust);
                let message = panic_message(line).or_else(|| lines.get(at + 1).copied()).unwrap_or_default();
                self.exceptions.push(Exception { kind: "panic", message: message.trim(), frames: Vec::new() });
                let is_own = frame::is_own_rust("", file);
                self.push(lines, at, Language::Rust, Frame { function: "", file, line: Some(number), is_own });
                return 1;
            }
            return 1;
        }
        if let Some((language, frame)) = frame::read(line)
            && self.language.is_none_or(|known| known == language)
        {
            self.push(lines, at, language, frame);
            return 1;
        }
        if self.is_open && is_next_exception(line) {
            self.is_open = false;
            self.after = at;
        } else if self.is_open && self.language == Some(Language::Python) && !line.starts_with(char::is_whitespace) {
            // Python names the exception behind its frames.
            if let Some((kind, message)) = header(line)
                && let Some(last) = self.exceptions.last_mut()
            {
                (last.kind, last.message) = (kind, message);
                // The oldest call stands first.
                last.frames.reverse();
                self.is_open = false;
                self.after = at + 1;
            }
        }
        1
    }

    /// Whether a line may be one of Rust's: after `stack backtrace:`, or a panic.
    fn is_rust(&self, lines: &[&str], at: usize) -> bool {
        lines[at].contains("panicked at ")
            || self.language == Some(Language::Rust)
            || at > 0 && lines[at - 1].trim().eq_ignore_ascii_case("stack backtrace:")
    }

    fn push(&mut self, lines: &[&'t str], at: usize, language: Language, frame: Frame<'t>) {
        self.language = Some(language);
        // Rust tells of one panic, whose place and frames come apart.
        if !self.is_open && (language != Language::Rust || self.exceptions.is_empty()) {
            let (kind, message) = match language {
                Language::Python => Default::default(),
                _ => self.header_before(lines, at, language),
            };
            self.exceptions.push(Exception { kind, message, frames: Vec::new() });
        }
        self.is_open = true;
        self.frames += 1;
        self.after = at + 1;
        if let Some(last) = self.exceptions.last_mut() {
            last.frames.push(frame);
        }
    }

    /// The header that stands before a first frame, or in its own line.
    fn header_before(&self, lines: &[&'t str], at: usize, language: Language) -> (&'t str, &'t str) {
        if language == Language::Ruby
            && let Some(found) = ruby_header(lines[at])
        {
            return found;
        }
        let from = self.after.max(at.saturating_sub(HEADER_LINES_MAX)).min(at);
        if language == Language::Go {
            // `%+v` of an error has its message alone before the frames.
            return lines[from..at].iter().rev().copied().find_map(go_header).unwrap_or_default();
        }
        let before = || lines[from..at].iter().rev().copied();
        let found = before().find_map(header).or_else(|| before().find_map(header_within));
        // .NET tells the outermost exception first, and its frames last.
        let outermost = || lines[..at].iter().copied().find_map(header);
        let is_outermost = language == Language::DotNet && !self.exceptions.is_empty();
        found.or_else(|| is_outermost.then(outermost).flatten()).unwrap_or_default()
    }

    fn finish(mut self, lines: &[&'t str]) -> Option<StackTrace<'t>> {
        let language = self.language?;
        if language == Language::Python
            && self.is_open
            && let Some(last) = self.exceptions.last_mut()
        {
            last.frames.reverse();
        }
        self.exceptions.retain(|exception| !exception.frames.is_empty() || !exception.kind.is_empty());
        // A lone frame without an exception is a line that looks like one.
        let is_trace = self.frames > 1 || self.exceptions.iter().any(|exception| !exception.kind.is_empty());
        (is_trace && !lines.is_empty() && !self.exceptions.is_empty())
            .then_some(StackTrace { language, exceptions: self.exceptions })
    }
}

/// Whether what follows belongs to another exception of the chain.
fn is_next_exception(line: &str) -> bool {
    let line = line.trim_start();
    [
        "Caused by: ",
        "Suppressed: ",
        "---> ",
        "Wrapped by: ",
        "[cause]: ",
        "Next ",
        "During handling of the above",
        "The above exception was",
    ]
    .iter()
    .any(|start| line.starts_with(start))
        || line.starts_with("--- End of inner exception")
        || line.starts_with("Traceback (most recent call last)")
}

/// `thread 'main' panicked at src/cart.rs:42:7:`, and as it was written before 1.73 `… panicked at 'message', src/cart.rs:42:7`.
fn panic_place(line: &str) -> Option<(&str, u32)> {
    let place = line.split_once("panicked at ")?.1;
    let place = place.rsplit_once("', ").map_or(place, |(_, place)| place);
    frame::file_line_column(place.trim_end_matches(':'))
}

fn panic_message(line: &str) -> Option<&str> {
    let (message, _) = line.split_once("panicked at '")?.1.rsplit_once("', ")?;
    Some(message)
}

fn go_header(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (kind, message) = ["panic: ", "fatal error: "].iter().find_map(|start| {
        let at = line.find(start)?;
        Some((&start[..start.len() - 2], &line[at + start.len()..]))
    })?;
    match message.strip_prefix("runtime error: ") {
        Some(message) => Some(("runtime error", message)),
        None => Some((kind, message)),
    }
}

/// `/app/cart.rb:42:in 'total': undefined method (NoMethodError)`
fn ruby_header(line: &str) -> Option<(&str, &str)> {
    let (_, said) = line.split_once(":in ")?.1.split_once(": ")?;
    let (message, kind) = said.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    is_type(kind).then_some((kind, message))
}

/// What programs write before a header.
const BEFORE: [&str; 13] = [
    "Exception in thread ",
    "Caused by: ",
    "Suppressed: ",
    "Wrapped by: ",
    "Unhandled exception. ",
    "Unhandled Exception: ",
    "---> ",
    "[cause]: ",
    "Uncaught ",
    "PHP Fatal error: ",
    "Fatal error: ",
    "(Uncaught) ",
    "Next ",
];

/// A line that is a header: `Type: message`, `Type`, with what programs write before it.
fn header(line: &str) -> Option<(&str, &str)> {
    let mut line = line.trim();
    while let Some(rest) = BEFORE.iter().find_map(|before| line.strip_prefix(before)) {
        line = rest.trim_start();
        if let Some(thread) = line.strip_prefix('"') {
            line = thread.split_once("\" ").map_or(line, |(_, rest)| rest);
        }
    }
    let (kind, message) = match line.find(": ") {
        Some(at) => (&line[..at], &line[at + 2..]),
        None => (line.trim_end_matches(':'), ""),
    };
    // `NoMethodError (undefined method …):`, `Error [ERR_X]`
    let (kind, message) = match kind.split_once([' ', '(']) {
        Some((name, rest)) if rest.ends_with(')') || rest.ends_with(']') => {
            (name, if message.is_empty() { rest.trim_matches(['(', ')', '[', ']']) } else { message })
        }
        _ => (kind, message),
    };
    is_type(kind).then_some((kind, message.trim()))
}

/// A type somewhere in a line of log text: `… failed: java.lang.IllegalStateException: closed`.
fn header_within(line: &str) -> Option<(&str, &str)> {
    line.split_whitespace().find_map(|word| {
        let kind = word.trim_matches(|c: char| !c.is_alphanumeric());
        let named = ["Exception", "Error", "Throwable"].iter().any(|end| kind.ends_with(end));
        let after = &line[kind.as_ptr() as usize + kind.len() - line.as_ptr() as usize..];
        (named && is_type(kind)).then(|| (kind, after.trim_start_matches([':', ' ', ')']).trim()))
    })
}

/// Whether a word names a type of exception: an identifier with dots, `::` or backslashes whose last part begins with a capital,
/// and that is a path or says what it is.
fn is_type(word: &str) -> bool {
    let is_inside = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | ':' | '\\' | '`' | '+');
    if word.is_empty() || word.len() > 200 || !word.chars().all(is_inside) || word.starts_with(|c: char| c.is_numeric())
    {
        return false;
    }
    let last = word.rsplit(['.', ':', '\\', '$', '+']).next().unwrap_or(word);
    let says_so = [
        "Error",
        "Exception",
        "Throwable",
        "Failure",
        "Fault",
        "Interrupt",
        "Warning",
        "Exit",
        "Panic",
        "Timeout",
        "Invalid",
    ];
    last.starts_with(char::is_uppercase)
        && last.len() > 1
        && (word.contains(['.', '\\']) || word.contains("::") || says_so.iter().any(|end| last.contains(end)))
}
