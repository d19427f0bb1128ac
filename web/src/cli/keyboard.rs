//! Keys as they are typed, one by one and unseen, while a command wants them; Ctrl-C stays a signal.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// The keyboard while it is ours; dropping it gives it back as it was.
pub struct Keyboard(Termios);

impl Keyboard {
    /// Takes the keyboard; none where standard input is no terminal. The channel gives what is typed, byte by byte.
    pub fn take() -> io::Result<Option<(Keyboard, mpsc::Receiver<u8>)>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let keyboard = Keyboard(before);
        let (typed, keys) = mpsc::channel(64);
        // It waits for a key until the process ends.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                if typed.blocking_send(key).is_err() {
                    return;
                }
            }
        })?;
        Ok(Some((keyboard, keys)))
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
