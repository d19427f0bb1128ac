//! A terminal's screen that is drawn over and over, and given back as it was.

use std::io::{self, Write};

use tokio::sync::mpsc;

use super::keyboard::Keyboard;

/// The other screen, without a cursor.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
/// The usual screen again, with its cursor.
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen while it is ours; dropping it gives it back.
pub struct LiveScreen {
    _keyboard: Option<Keyboard>,
}

impl LiveScreen {
    /// Takes the screen, and the keys that are typed meanwhile.
    pub fn open() -> io::Result<(LiveScreen, mpsc::Receiver<u8>)> {
        // Without a keyboard there are no keys, and nobody waits for them.
        let (keyboard, keys) =
            Keyboard::take()?.map_or_else(|| (None, mpsc::channel(1).1), |(own, keys)| (Some(own), keys));
        let screen = LiveScreen { _keyboard: keyboard };
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
    }
}

/// Past `anstream`: where colours are unwanted it would take away what moves the cursor too.
fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
