//! `taffrail notify`: does a receiver's message arrive, and which receivers are there?

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Client;
use super::terminal::{Format, harmless, print_line};
use super::{Ending, Outcome, ServerChoice, until_interrupted};

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum NotifyCommand {
    /// Tell every channel of a receiver that this is a test, and say what became of it
    Test(TestArguments),
    /// Show the receivers and their channels
    List(ListArguments),
}

/// Which receiver.
#[derive(Args, Clone, Debug)]
pub struct TestArguments {
    /// The receiver's name, as alerts.routing has it; `webhooks` for alerts.webhooks
    #[arg(value_name = "NAME")]
    receiver: String,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// How.
#[derive(Args, Clone, Debug)]
pub struct ListArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerChoice,
}

/// Does it.
pub fn run(command: NotifyCommand) -> Outcome {
    until_interrupted(async {
        match command {
            NotifyCommand::Test(arguments) => test(&arguments).await,
            NotifyCommand::List(arguments) => list(&arguments).await,
        }
    })
}

async fn test(arguments: &TestArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let answer = client.post("/api/v1/notify/test", &[("receiver", &arguments.receiver)]).await?;
    let channels = answer["channels"].as_array().cloned().unwrap_or_default();
    if channels.is_empty() {
        print_line(&format!("{} has no channels: nobody is told", harmless(&arguments.receiver, Format::Plain)))?;
    }
    for channel in &channels {
        print_line(&match arguments.json {
            true => channel.to_string(),
            false => sentence(channel),
        })?;
    }
    if channels.iter().all(|channel| channel["delivered"] == true) { Ok(()) } else { Err(Ending::Problems) }
}

fn sentence(channel: &Value) -> String {
    let text = |name: &str| harmless(channel[name].as_str().unwrap_or_default(), Format::Plain);
    let (name, target, milliseconds) = (text("channel"), text("target"), &channel["duration_ms"]);
    match channel["delivered"].as_bool() {
        Some(true) => format!("{name} ({target}): delivered in {milliseconds} ms"),
        _ => format!("{name} ({target}): not delivered: {}", text("error")),
    }
}

async fn list(arguments: &ListArguments) -> Outcome {
    let client = Client::new(&arguments.server.server)?;
    let answer = client.ask("/api/v1/notify/receivers", &[]).await?;
    if arguments.json {
        print_line(&answer.to_string())?;
        return Ok(());
    }
    if let Some(problem) = answer["problem"].as_str() {
        print_line(&format!("the routing file was changed and is not used: {}", harmless(problem, Format::Plain)))?;
    }
    for receiver in answer["receivers"].as_array().into_iter().flatten() {
        print_line(&harmless(receiver["name"].as_str().unwrap_or_default(), Format::Plain))?;
        for channel in receiver["channels"].as_array().into_iter().flatten() {
            let text = |name: &str| harmless(channel[name].as_str().unwrap_or_default(), Format::Plain);
            print_line(&format!("  {} {}", text("name"), text("target")))?;
        }
    }
    Ok(())
}
