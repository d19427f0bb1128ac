//! Ways to tell people: what a routing file says of them, and what telling needs.
//!
//! Reading order: [`secret`], [`message`] (what all of them say), [`http`] (one POST and what its answer means), then each way:
//! [`webhook`], [`slack`], [`pagerduty`], [`email`], [`command`]. [`alertmanager`] is no channel of a route: it hands all alerts
//! over to somebody else's router.

pub mod alertmanager;
pub mod command;
pub mod email;
pub mod http;
pub mod message;
pub mod pagerduty;
pub mod secret;
pub mod slack;
pub mod webhook;

use std::time::Duration;

use command::Command;
use email::Email;
use http::Post;
use message::Message;
use pagerduty::PagerDuty;
use slack::Slack;
use webhook::Webhook;

/// How long a channel may take over one notification when the file does not say.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Everybody who is told when a route says so.
#[derive(Clone, Debug, PartialEq)]
pub struct Receiver {
    /// The receiver's name.
    pub name: String,
    /// Its channels in the order of the file.
    pub channels: Vec<Channel>,
}

/// One way to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// The receiver, the kind and, of several of a kind, which: `pager/webhook/2`. What it was told is known by this.
    pub name: String,
    /// The receiver's name.
    pub receiver: String,
    /// Whether it is told when alerts are over.
    pub send_resolved: bool,
    /// How long one notification may take.
    pub timeout: Duration,
    /// The way.
    pub way: Way,
}

/// The ways there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Way {
    /// Only the log record.
    Nothing,
    /// A POST of JSON.
    Webhook(Webhook),
    /// A message in a Slack channel.
    Slack(Slack),
    /// An incident.
    PagerDuty(PagerDuty),
    /// A mail.
    Email(Email),
    /// A program of this host.
    Command(Command),
}

/// Why a notification did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answers: any notification would fare the same.
    Away(String),
    /// It asks to come back (5xx, 408, 429), perhaps after a while it names.
    Later(String, Option<Duration>),
    /// It will not take this one, now or ever.
    Refused(String),
}

impl Channel {
    /// Tells once, within the channel's timeout.
    pub async fn tell(&self, post: &Post, message: &Message<'_>) -> Result<(), Failure> {
        let told = async {
            match &self.way {
                Way::Nothing => Ok(()),
                Way::Webhook(webhook) => webhook.tell(post, message).await,
                Way::Slack(slack) => slack.tell(post, message).await,
                Way::PagerDuty(pagerduty) => pagerduty.tell(post, message).await,
                Way::Email(email) => email.tell(message).await,
                Way::Command(command) => command.tell(message).await,
            }
        };
        match tokio::time::timeout(self.timeout, told).await {
            Ok(told) => told,
            Err(_) => Err(Failure::Away(format!("no answer within {} s", self.timeout.as_secs_f64()))),
        }
    }

    /// Who is told, as far as that may be shown: a URL's path can hold a secret.
    pub fn target(&self) -> String {
        match &self.way {
            Way::Nothing => String::new(),
            Way::Webhook(webhook) => webhook.target(),
            Way::Slack(slack) => slack.target(),
            Way::PagerDuty(pagerduty) => pagerduty.target(),
            Way::Email(email) => email.to.join(", "),
            Way::Command(command) => command.program().to_owned(),
        }
    }

    /// Whether messages show pictures and lines, so that gathering evidence is worth the time.
    pub fn shows_evidence(&self) -> bool {
        !matches!(self.way, Way::Nothing)
    }
}

impl Failure {
    /// What went wrong.
    pub fn message(&self) -> &str {
        match self {
            Failure::Away(message) | Failure::Later(message, _) | Failure::Refused(message) => message,
        }
    }
}
