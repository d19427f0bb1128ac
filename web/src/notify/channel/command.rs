//! A program of this host: the webhook's JSON on its standard input, and nothing else. A program that takes too long is killed
//! with everything it started.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Failure;
use super::message::Message;
use super::webhook::Payload;

/// How much of what it complains of is kept.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; no shell is involved.
    pub arguments: Vec<String>,
}

/// Kills a process group when it is dropped, whatever the reason: a timeout drops the future that runs it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Command {
    /// The program, which may be shown; its arguments may hold a secret.
    pub fn program(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// Runs it once: 0 is good, anything else is tried again.
    pub async fn tell(&self, message: &Message<'_>) -> Result<(), Failure> {
        let json = Payload::new(message, 0).to_json();
        let (program, arguments) =
            self.arguments.split_first().ok_or_else(|| Failure::Refused("no program is named".to_owned()))?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| Failure::Later(format!("{program}: {error}"), None))?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let mut input = child.stdin.take().expect("it was asked for");
        let mut complaints = child.stderr.take().expect("it was asked for");
        let mut said = Vec::new();
        let write = async {
            // One that does not read its input ends, and its ending says enough.
            let _ = input.write_all(&json).await;
            drop(input);
        };
        let read = async {
            let _ = (&mut complaints).take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await;
            // What is beyond is read too, or a program that says much would wait for ever.
            let _ = tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await;
        };
        let ((), status) = tokio::join!(write, async {
            let status = child.wait().await;
            // What it left behind must not hold its error output open.
            drop(Group(group.0.take()));
            status
        });
        read.await;
        let status = status.map_err(|error| Failure::Later(format!("{program}: {error}"), None))?;
        if status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&said);
        let said = said.trim();
        let colon = if said.is_empty() { "" } else { ": " };
        Err(Failure::Later(format!("{program} ended with {status}{colon}{said}"), None))
    }
}
