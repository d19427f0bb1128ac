//! What `taffrail tail` shows and reads beside the records where a person sits before it: a line at the bottom that says how the
//! stream stands, and keys that hold it, end it, or change the question. Nothing of it exists where output goes to a pipe.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};

use super::keyboard::Keyboard;
use super::quantity;
use super::terminal::{Format, harmless, width};
use super::text_table::cut;

/// How often the line is drawn again after records went by.
const DRAWN_EVERY: Duration = Duration::from_millis(100);

/// What somebody typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Stop showing, until the next wish to go on.
    Hold,
    /// Go on where it was held.
    GoOn,
    /// Ask this from where it was held.
    Ask(String),
    /// End.
    End,
}

/// The line and the keys; both absent for pipes.
pub struct Console {
    keyboard: Option<(Keyboard, mpsc::Receiver<u8>)>,
    ticks: Interval,
    line: Line,
    is_drawn: bool,
}

/// What the line says and what keys mean.
#[derive(Debug, Default)]
struct Line {
    mode: Mode,
    connection: &'static str,
    counts: Value,
    /// Matching records since it was held.
    waiting: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Shows,
    Holds,
    /// A question is typed; it was held before when that is true.
    Types(Vec<u8>, bool),
}

impl Console {
    /// Takes the keyboard where input and output are a terminal.
    pub fn open() -> io::Result<Console> {
        let is_for_eyes = io::stdout().is_terminal() && io::stderr().is_terminal();
        let keyboard = if is_for_eyes { Keyboard::take()? } else { None };
        let mut ticks = tokio::time::interval(DRAWN_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Console { keyboard, ticks, line: Line::default(), is_drawn: false })
    }

    /// The next wish; never without a keyboard. Cancel-safe: a key is taken and answered at once.
    pub async fn wish(&mut self) -> Wish {
        loop {
            let Some((_, keys)) = &mut self.keyboard else { return std::future::pending().await };
            tokio::select! {
                key = keys.recv() => {
                    let Some(key) = key else { return std::future::pending().await };
                    let wish = self.line.typed(key);
                    self.draw();
                    if let Some(wish) = wish {
                        return wish;
                    }
                }
                _ = self.ticks.tick() => if !self.is_drawn {
                    self.draw();
                },
            }
        }
    }

    /// Whether records are held back.
    pub fn holds(&self) -> bool {
        self.line.mode != Mode::Shows
    }

    /// Notes a matching record that is held back.
    pub fn hold_one(&mut self) {
        self.line.waiting += 1;
        self.is_drawn = false;
    }

    /// Says how the connection stands.
    pub fn connection(&mut self, state: &'static str) {
        self.line.connection = state;
        self.draw();
    }

    /// Shows the counts of a heartbeat.
    pub fn counts(&mut self, heartbeat: &Value) {
        self.line.counts = heartbeat.clone();
        self.draw();
    }

    /// Prints between two drawings of the line.
    pub fn clear_for<T>(&mut self, print: impl FnOnce() -> T) -> T {
        self.clear();
        print()
    }

    /// Makes room for what is printed next; the line comes back soon.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_drawn) {
            put("\r\x1b[K");
        }
    }

    fn draw(&mut self) {
        if self.keyboard.is_some() {
            let text = cut(&self.line.text(), width().unwrap_or(80).saturating_sub(1));
            put(&format!("\r\x1b[K\x1b[7m{text}\x1b[0m"));
            self.is_drawn = true;
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Line {
    fn typed(&mut self, key: u8) -> Option<Wish> {
        let held = |held: bool| if held { Mode::Holds } else { Mode::Shows };
        match (&mut self.mode, key) {
            (Mode::Types(text, _), b'\r' | b'\n') => {
                let question = String::from_utf8_lossy(text).into_owned();
                self.go_on();
                Some(Wish::Ask(question))
            }
            (Mode::Types(_, was_held), 0x1b) => {
                let was_held = *was_held;
                self.mode = held(was_held);
                (!was_held).then(|| {
                    self.go_on();
                    Wish::GoOn
                })
            }
            // Backspace takes a whole character.
            (Mode::Types(text, _), 0x7f | 0x08) => {
                while text.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                None
            }
            // Ctrl-U takes all.
            (Mode::Types(text, _), 0x15) => {
                text.clear();
                None
            }
            (Mode::Types(text, _), key) => {
                if key >= b' ' {
                    text.push(key);
                }
                None
            }
            (Mode::Shows, b' ') => {
                self.mode = Mode::Holds;
                Some(Wish::Hold)
            }
            (Mode::Holds, b' ') => {
                self.go_on();
                Some(Wish::GoOn)
            }
            (mode, b'/') => {
                let was_held = *mode == Mode::Holds;
                self.mode = Mode::Types(Vec::new(), was_held);
                (!was_held).then_some(Wish::Hold)
            }
            (_, b'q') => Some(Wish::End),
            _ => None,
        }
    }

    fn go_on(&mut self) {
        (self.mode, self.waiting) = (Mode::Shows, 0);
    }

    fn text(&self) -> String {
        if let Mode::Types(text, _) = &self.mode {
            let typed = harmless(&String::from_utf8_lossy(text), Format::Plain);
            return format!("/{typed}▏  Enter: follow this · Esc: as before");
        }
        let of = |name: &str| self.counts[name].as_u64().unwrap_or(0);
        let count = |rows: u64| quantity::count(rows as f64);
        let mut text = match self.mode {
            Mode::Holds => format!("held · {} waiting", count(self.waiting)),
            _ => self.connection.to_owned(),
        };
        let _ = write!(text, " · {} received · {} shown", count(of("received")), count(of("shown")));
        if of("dropped") > 0 {
            let _ = write!(text, " · {} dropped", count(of("dropped")));
        }
        text + " · space: hold · /: question · q: end"
    }
}

/// Past `anstream`: the line is for terminals alone.
fn put(text: &str) {
    let mut out = io::stderr().lock();
    // Nothing is left to be done when the terminal is gone.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_go_on_and_change_the_question() {
        let mut line = Line { connection: "live", ..Line::default() };
        let mut typed = |keys: &str| keys.bytes().filter_map(|key| line.typed(key)).collect::<Vec<_>>();
        assert_eq!(typed("x "), [Wish::Hold]);
        assert_eq!(typed("  "), [Wish::GoOn, Wish::Hold]);
        assert_eq!(typed(" "), [Wish::GoOn]);
        assert_eq!(typed("/level:errör\x7f\x7for q\r"), [Wish::Hold, Wish::Ask("level:error q".into())]);
        assert_eq!(typed("/abc\x15\x1b"), [Wish::Hold, Wish::GoOn]);
        assert_eq!(typed(" /a\x1b"), [Wish::Hold], "what was held before stays held");
        assert_eq!(typed("q"), [Wish::End]);
    }

    #[test]
    fn the_line_says_how_the_stream_stands() {
        let mut line = Line { connection: "live", ..Line::default() };
        line.counts = serde_json::json!({"received": 12_000, "shown": 7, "dropped": 0});
        assert!(line.text().starts_with("live · 12,000 received · 7 shown · space"), "{}", line.text());
        line.counts["dropped"] = 3.into();
        line.typed(b' ');
        line.waiting = 2;
        assert!(line.text().starts_with("held · 2 waiting · 12,000 received · 7 shown · 3 dropped"), "{}", line.text());
        line.typed(b'/');
        line.typed(b'a');
        assert!(line.text().starts_with("/a▏"), "{}", line.text());
    }
}
