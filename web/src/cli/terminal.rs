//! Writes for people and for pipes: records as coloured lines, stored text made harmless, errors on standard error.
//!
//! Stored text is hostile: control characters that would move the cursor or change the terminal are shown, not sent.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Color, Style};
use serde_json::Value;

/// How standard output is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of JSON as the server sent them.
    Json,
    /// One line a record, whatever its text holds.
    Plain,
    /// For eyes: text of several lines stays so.
    Terminal,
}

impl Format {
    /// JSON when asked for, else by where standard output leads.
    pub fn choose(json: bool) -> Format {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Format::Json,
            (false, true) => Format::Terminal,
            (false, false) => Format::Plain,
        }
    }
}

const ERROR: Style = Style::new().fg_color(Some(Color::Ansi(AnsiColor::Red))).bold();
const DIM: Style = Style::new().dimmed();

/// Writes one line to standard output.
pub fn print_line(line: &str) -> std::io::Result<()> {
    writeln!(anstream::stdout().lock(), "{line}")
}

/// Writes text to standard output as it is, without an end of line.
pub fn print_verbatim(text: &str) -> std::io::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// Whether standard output leads to somebody's eyes.
pub fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// How many characters fit beside each other where standard output is a terminal.
pub fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col.into())
}

/// Writes an error to standard error.
pub fn print_error(message: &str) {
    // Nothing is left to be done when standard error is closed.
    let _ = writeln!(anstream::stderr().lock(), "{ERROR}error:{ERROR:#} {message}");
}

/// Writes a remark to standard error.
pub fn print_remark(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{DIM}{message}{DIM:#}");
}

/// A record as one line (or, for a terminal, as many as its message has): time, level, host, service, message, and the
/// attributes that were asked for.
pub fn record_line(record: &Value, fields: &[String], format: Format) -> String {
    if format == Format::Json {
        return record.to_string();
    }
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let level = text("level");
    let style = level_style(level);
    let mut line = format!("{DIM}{}{DIM:#} {style}{:<5}{style:#}", text("time"), level.to_ascii_uppercase());
    for name in ["host", "service"] {
        let value = text(name);
        if !value.is_empty() {
            let _ = write!(line, " {}", harmless(value, Format::Plain));
        }
    }
    let _ = write!(line, " {style}{}{style:#}", harmless(text("message"), format));
    for name in fields {
        let value = match &record["attributes"][name] {
            Value::Null => &record[name],
            value => value,
        };
        match value {
            Value::Null => {}
            Value::String(value) => {
                let _ = write!(line, " {DIM}{name}={DIM:#}{}", harmless(value, Format::Plain));
            }
            value => {
                let _ = write!(line, " {DIM}{name}={DIM:#}{value}");
            }
        }
    }
    line
}

/// The text with every control character written out (`\n`, `\x1b`); on a terminal, lines of a message stay lines, indented.
pub fn harmless(text: &str, format: Format) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_end_matches(['\n', '\r']).chars() {
        match c {
            '\n' if format == Format::Terminal => shown.push_str("\n    "),
            '\t' if format == Format::Terminal => shown.push_str("    "),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            // C1 controls are control sequences to some terminals; the bidirectional marks reorder what is read.
            c if c.is_control() && (c as u32) < 0x100 => {
                let _ = write!(shown, "\\x{:02x}", c as u32);
            }
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(shown, "\\u{{{:x}}}", c as u32);
            }
            c => shown.push(c),
        }
    }
    shown
}

fn level_style(level: &str) -> Style {
    let color = match level {
        "fatal" => return Style::new().fg_color(Some(Color::Ansi(AnsiColor::Magenta))).bold(),
        "error" => AnsiColor::Red,
        "warn" => AnsiColor::Yellow,
        "debug" | "trace" => AnsiColor::BrightBlack,
        _ => return Style::new(),
    };
    Style::new().fg_color(Some(Color::Ansi(color)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn stored_text_cannot_steer_the_terminal() {
        let check = |text, format, expected: &str| assert_eq!(harmless(text, format), expected);
        check("red \x1b[31m and \x07", Format::Terminal, "red \\x1b[31m and \\x07");
        check("c1 \u{9b}2J", Format::Terminal, "c1 \\x9b2J");
        check("two\nlines\n", Format::Terminal, "two\n    lines");
        check("two\nlines\r\n", Format::Plain, "two\\nlines");
        check("bidi \u{202e}x", Format::Plain, "bidi \\u{202e}x");
        check("naïve ✓", Format::Plain, "naïve ✓");
    }

    #[test]
    fn a_record_is_a_line_with_what_was_asked_for() {
        let record = json!({
            "time": "2026-11-21T07:00:00.250Z", "level": "error", "host": "h1", "service": "web",
            "message": "no\nway", "trace_id": "ab", "attributes": {"port": 80, "path": "/a b"}
        });
        let fields = ["port", "path", "trace_id", "gone"].map(str::to_owned);
        let line = record_line(&record, &fields, Format::Plain);
        let bare = anstream::adapter::strip_str(&line).to_string();
        assert_eq!(bare, "2026-11-21T07:00:00.250Z ERROR h1 web no\\nway port=80 path=/a b trace_id=ab");
        assert_eq!(record_line(&record, &[], Format::Json), record.to_string());
    }
}
