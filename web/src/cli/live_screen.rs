//! A terminal's screen that is drawn over and over, and given back as it was. Keys are read one by one.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The other screen, without a cursor.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
/// The usual screen again, with its cursor.
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen while it is ours; dropping it gives it back.
pub struct LiveScreen {
    /// How the keyboard was before.
    keyboard: Option<Termios>,
}

impl LiveScreen {
    /// Takes the screen, and the keys that are typed meanwhile.
    pub fn open() -> io::Result<(LiveScreen, mpsc::Receiver<u8>)> {
        let (typed, keys) = mpsc::channel(8);
        let mut keyboard = None;
        if io::stdin().is_terminal() {
            let before = tcgetattr(io::stdin())?;
            let mut raw = before.clone();
            // Line by line no longer, and unseen; Ctrl-C stays a signal.
            raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
            tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
            keyboard = Some(before);
            // It waits for a key until the process ends.
            std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
                for key in io::stdin().lock().bytes().map_while(Result::ok) {
                    if typed.blocking_send(key).is_err() {
                        return;
                    }
                }
            })?;
        }
        let screen = LiveScreen { keyboard };
        put(OPEN)?;
        Ok((screen, keys))
    }

    /// Shows the lines from the top, as many as there is height for.
    pub fn draw(&self, lines: &[String], height: usize) -> io::Result<()> {
        let plain = anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never;
        let mut text = String::from("\x1b[H");
        for (at, line) in lines.iter().take(height).enumerate() {
            text.push_str(if at == 0 { "" } else { "\r\n" });
            if plain {
                text.extend(anstream::adapter::strip_str(line));
            } else {
                text.push_str(line);
            }
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        put(&text)
    }
}

impl Drop for LiveScreen {
    fn drop(&mut self) {
        let _ = put(CLOSE);
        if let Some(keyboard) = &self.keyboard {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, keyboard);
        }
    }
}

/// Past `anstream`: where colours are unwanted it would take away what moves the cursor too.
fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
