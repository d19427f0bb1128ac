//! `taffrail top`: what an agent (or a server, with all its agents) is doing, live, once, or as JSON.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::sync::mpsc;

use super::agent_choice::{AgentChoice, Asked};
use super::client::Client;
use super::live_screen::LiveScreen;
use super::terminal::print_line;
use super::top_view::{agent_view, server_view};
use super::{Outcome, until_interrupted};

/// Rates of a single picture are measured over this span.
const ONCE_SPAN: Duration = Duration::from_secs(1);
/// Width and height where standard output is no terminal.
const PAPER: (usize, usize) = (120, usize::MAX);

/// What to show, and how.
#[derive(Args, Clone, Debug)]
pub struct TopArguments {
    /// Print it once, as text
    #[arg(long)]
    once: bool,
    /// Print one snapshot as JSON; so it does where standard output is no terminal and --once is not given
    #[arg(long, conflicts_with = "once")]
    json: bool,
    /// Seconds between two pictures
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = interval)]
    interval: f64,
    #[command(flatten)]
    of: AgentChoice,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 3600 seconds".to_owned()) }
}

/// Shows until interrupted, or once.
pub fn run(arguments: TopArguments) -> Outcome {
    let asked = arguments.of.choose()?;
    until_interrupted(async {
        let terminal = std::io::stdout().is_terminal();
        if arguments.json || (!terminal && !arguments.once) {
            print_line(&asked.snapshot().await?.to_string())?;
        } else if arguments.once {
            let before = asked.snapshot().await?;
            tokio::time::sleep(ONCE_SPAN).await;
            let now = asked.snapshot().await?;
            let (width, _) = terminal_size().unwrap_or(PAPER);
            for line in asked.view(Some(&before), &now, width) {
                print_line(&line)?;
            }
        } else {
            watch(&asked, Duration::from_secs_f64(arguments.interval)).await?;
        }
        Ok(())
    })
}

/// Draws until `q` is typed.
async fn watch(asked: &Asked, interval: Duration) -> anyhow::Result<()> {
    // Whoever cannot be asked at all is no reason to take the screen.
    let mut newest = asked.snapshot().await?;
    let (screen, mut keys) = LiveScreen::open()?;
    let mut before = None;
    let mut trouble = String::new();
    loop {
        let (width, height) = terminal_size().unwrap_or((80, 24));
        let mut lines = asked.view(before.as_ref(), &newest, width);
        lines.insert(0, trouble.clone());
        screen.draw(&lines, height)?;
        if wait(&mut keys, if before.is_none() { ONCE_SPAN.min(interval) } else { interval }).await {
            return Ok(());
        }
        match asked.snapshot().await {
            Ok(now) => {
                before = Some(std::mem::replace(&mut newest, now));
                trouble.clear();
            }
            Err(error) => trouble = format!("{error:#}; trying again"),
        }
    }
}

/// Waits; true when the person wants to leave.
async fn wait(keys: &mut mpsc::Receiver<u8>, interval: Duration) -> bool {
    let until = tokio::time::Instant::now() + interval;
    loop {
        match tokio::time::timeout_at(until, keys.recv()).await {
            Ok(Some(b'q' | b'Q')) => return true,
            Ok(Some(_)) => {}
            Ok(None) => {
                tokio::time::sleep_until(until).await;
                return false;
            }
            Err(_) => return false,
        }
    }
}

/// Columns and rows.
fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col.into(), size.ws_row.into()))
}

impl Asked {
    async fn snapshot(&self) -> anyhow::Result<Value> {
        match self {
            Asked::Agent(client) => client.ask("/status", &[]).await,
            Asked::Server(client) => server_snapshot(client).await,
        }
    }

    fn view(&self, before: Option<&Value>, now: &Value, width: usize) -> Vec<String> {
        match self {
            Asked::Agent(_) => agent_view(before, now, width),
            Asked::Server(_) => server_view(before, now, width),
        }
    }
}

/// What the server says of itself, with all that it says of its agents.
async fn server_snapshot(client: &Client) -> anyhow::Result<Value> {
    let mut snapshot = client.ask("/api/v1/ingest", &[]).await?;
    let mut agents = client.ask("/api/v1/agents", &[]).await?;
    snapshot["agents"] = agents["agents"].take();
    Ok(snapshot)
}
