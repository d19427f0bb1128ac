//! The commands of a script.
//!
//! ```text
//! load STEP                                   ; then lines `SERIES VALUES…`
//! load_with_nhcb STEP                         ; the same, classic buckets as native histograms too
//! clear
//! eval[_fail|_warn|_info|_ordered] instant at TIME QUERY
//! eval[_…] range from TIME to TIME step STEP QUERY     ; then lines of expectations:
//!     expect fail|warn|info [msg: TEXT | regex: PATTERN]
//!     expect no_warn|no_info|ordered
//!     expect string "TEXT"
//!     expect range vector from TIME to TIME step STEP
//!     SERIES VALUES…                          ; or NUMBER alone
//! ```
//!
//! An empty line or a comment (`#`) ends a command's lines.

use regex::Regex;

use super::notation::{ExpectedSeries, LoadedSeries, duration_ms, expected_series, loaded_series};
use super::{ScriptError, classic};

/// A command.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load { step_ms: i64, series: Vec<LoadedSeries> },
    Eval(Box<Eval>),
}

/// A question and what its answer should be.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) query: String,
    pub(super) when: When,
    pub(super) fail: Option<Option<Message>>,
    pub(super) warn: Expected,
    pub(super) info: Expected,
    pub(super) ordered: bool,
    pub(super) text: Option<String>,
    pub(super) number: Option<f64>,
    /// The moments of an expected range vector: start, end, step.
    pub(super) window: Option<(i64, i64, i64)>,
    pub(super) series: Vec<ExpectedSeries>,
}

/// When a question is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Instant { time_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: u64 },
}

/// Whether there should be annotations.
#[derive(Debug, Default)]
pub(super) enum Expected {
    #[default]
    Either,
    None,
    Some(Option<Message>),
}

/// How a message should read.
#[derive(Debug)]
pub(super) enum Message {
    Is(String),
    Matches(Regex),
}

impl Message {
    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Message::Is(wanted) => wanted == text,
            Message::Matches(regex) => regex.is_match(text),
        }
    }
}

/// The commands with their lines, from 1.
pub(super) fn commands(text: &str) -> Result<Vec<(usize, Command)>, ScriptError> {
    let lines: Vec<&str> = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        let line = at + 1;
        at += 1;
        if head.is_empty() {
            continue;
        }
        let error = |message: String| ScriptError { line, message };
        let (word, rest) = head.split_once(char::is_whitespace).unwrap_or((head, ""));
        if word == "clear" {
            commands.push((line, Command::Clear));
            continue;
        }
        let length = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        let body = lines[at..at + length].iter().enumerate().map(|(i, &text)| (at + i + 1, text));
        let command = match word {
            "load" | "load_with_nhcb" => {
                let step_ms = duration_ms(rest).map_err(error)?;
                let mut series = Vec::new();
                for (line, text) in body {
                    let loaded = loaded_series(text).map_err(|message| ScriptError { line, message })?;
                    series.push(loaded);
                }
                if word == "load_with_nhcb" {
                    series.extend(classic::as_native_histograms(&series));
                }
                Command::Load { step_ms, series }
            }
            _ if word == "eval" || word.starts_with("eval_") => {
                let mut eval = Eval::new(word, rest).map_err(error)?;
                for (line, text) in body {
                    eval.expect(text).map_err(|message| ScriptError { line, message })?;
                }
                Command::Eval(Box::new(eval))
            }
            _ => return Err(error(format!("unknown command {word:?}"))),
        };
        at += length;
        commands.push((line, command));
    }
    Ok(commands)
}

impl Eval {
    fn new(word: &str, rest: &str) -> Result<Eval, String> {
        let usage = "an eval reads `instant at TIME QUERY` or `range from TIME to TIME step STEP QUERY`";
        let mut words = Words(rest);
        let when = match words.next() {
            "instant" => {
                words.skip("at").ok_or(usage)?;
                When::Instant { time_ms: duration_ms(words.next())? }
            }
            "range" => {
                words.skip("from").ok_or(usage)?;
                let start_ms = duration_ms(words.next())?;
                words.skip("to").ok_or(usage)?;
                let end_ms = duration_ms(words.next())?;
                words.skip("step").ok_or(usage)?;
                let step_ms = u64::try_from(duration_ms(words.next())?).map_err(|_| usage)?;
                When::Range { start_ms, end_ms, step_ms }
            }
            _ => return Err(usage.to_owned()),
        };
        let mut eval = Eval {
            query: words.0.to_owned(),
            when,
            fail: None,
            warn: Expected::Either,
            info: Expected::Either,
            ordered: false,
            text: None,
            number: None,
            window: None,
            series: Vec::new(),
        };
        match word {
            "eval" => {}
            "eval_fail" => eval.fail = Some(None),
            "eval_warn" => eval.warn = Expected::Some(None),
            "eval_info" => eval.info = Expected::Some(None),
            "eval_ordered" => eval.ordered = true,
            _ => return Err(format!("unknown command {word:?}")),
        }
        Ok(eval)
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        let mut words = Words(text);
        match words.next() {
            "expect" => return self.expect_kind(words),
            "expected_fail_message" => {
                self.fail = Some(Some(Message::Is(words.0.to_owned())));
                return Ok(());
            }
            "expected_fail_regexp" => {
                self.fail = Some(Some(Message::Matches(pattern(words.0)?)));
                return Ok(());
            }
            _ => {}
        }
        match super::histogram_notation::number(text) {
            Ok(number) => self.number = Some(number),
            Err(_) => self.series.push(expected_series(text)?),
        }
        Ok(())
    }

    fn expect_kind(&mut self, mut words: Words<'_>) -> Result<(), String> {
        match words.next() {
            "fail" => self.fail = Some(message(words.0)?),
            "warn" => self.warn = Expected::Some(message(words.0)?),
            "info" => self.info = Expected::Some(message(words.0)?),
            "no_warn" => self.warn = Expected::None,
            "no_info" => self.info = Expected::None,
            "ordered" => self.ordered = true,
            "string" => self.text = Some(super::super::syntax::unquote(words.0)?),
            "range" => {
                let usage = "it reads `expect range vector from TIME to TIME step STEP`";
                words.skip("vector").ok_or(usage)?;
                words.skip("from").ok_or(usage)?;
                let start = duration_ms(words.next())?;
                words.skip("to").ok_or(usage)?;
                let end = duration_ms(words.next())?;
                words.skip("step").ok_or(usage)?;
                self.window = Some((start, end, duration_ms(words.next())?));
            }
            other => return Err(format!("nothing is known of `expect {other}`")),
        }
        Ok(())
    }
}

fn message(text: &str) -> Result<Option<Message>, String> {
    if let Some(wanted) = text.strip_prefix("msg:") {
        Ok(Some(Message::Is(wanted.trim().to_owned())))
    } else if let Some(wanted) = text.strip_prefix("regex:") {
        pattern(wanted).map(|regex| Some(Message::Matches(regex)))
    } else if text.is_empty() {
        Ok(None)
    } else {
        Err(format!("`msg:` or `regex:` is wanted, not {text:?}"))
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text.trim()).map_err(|error| error.to_string())
}

/// Words from the left, and what is left of them.
struct Words<'a>(&'a str);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a str {
        let (word, rest) = self.0.split_once(char::is_whitespace).unwrap_or((self.0, ""));
        self.0 = rest.trim_start();
        word
    }

    fn skip(&mut self, wanted: &str) -> Option<()> {
        (self.next() == wanted).then_some(())
    }
}
