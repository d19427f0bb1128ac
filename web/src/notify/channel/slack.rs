//! A message in a Slack channel, in blocks (<https://api.slack.com/reference/block-kit>), by an incoming webhook or by
//! `chat.postMessage` with a token.

use serde_json::{Value, json};

use super::Failure;
use super::http::{Address, Credentials, Post};
use super::message::{LINES_SHOWN, Message, details, headline};

/// Slack takes this many characters in a section's text, and a few fewer are enough.
const SECTION_CHARS_MAX: usize = 2_900;

/// Slack takes this many characters in a header.
const HEADER_CHARS_MAX: usize = 150;

/// Slack takes 50 blocks in a message; each alert has up to four.
const ALERTS_SHOWN: usize = 8;

/// Where and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Slack {
    /// The webhook's URL, or that of `chat.postMessage`.
    pub address: Address,
    /// The token that `chat.postMessage` wants.
    pub credentials: Option<Credentials>,
    /// The channel, where the URL does not settle it.
    pub channel: Option<String>,
    /// The name it is shown under.
    pub username: Option<String>,
    /// An emoji as picture.
    pub icon_emoji: Option<String>,
    /// A picture.
    pub icon_url: Option<String>,
}

impl Slack {
    /// What may be shown of where it is.
    pub fn target(&self) -> String {
        let channel = self.channel.as_deref().unwrap_or_default();
        format!("{} {channel}", self.address.origin()).trim_end().to_owned()
    }

    /// Tells once.
    pub async fn tell(&self, post: &Post, message: &Message<'_>) -> Result<(), Failure> {
        let shows_pictures = message.evidence.alerts.iter().any(|(_, evidence)| evidence.picture_url.is_some());
        match self.send(post, &self.body(message, true)).await {
            // Slack fetches pictures before it takes a message, and refuses it whole when it cannot reach us.
            Err(Failure::Refused(_)) if shows_pictures => self.send(post, &self.body(message, false)).await,
            result => result,
        }
    }

    async fn send(&self, post: &Post, body: &Value) -> Result<(), Failure> {
        let json = serde_json::to_vec(body).expect("names, texts and numbers are always JSON");
        let said = post.json(&self.address, self.credentials.as_ref(), &[], json).await?;
        // chat.postMessage answers 200 whatever happens and says in JSON what did.
        let answer: Value = serde_json::from_str(&said).unwrap_or_default();
        match answer["ok"].as_bool() {
            Some(false) => {
                let error = answer["error"].as_str().unwrap_or("unknown error");
                let message = format!("Slack says {error}");
                match error {
                    "ratelimited" | "internal_error" | "fatal_error" | "service_unavailable" => {
                        Err(Failure::Later(message, None))
                    }
                    _ => Err(Failure::Refused(message)),
                }
            }
            _ => Ok(()),
        }
    }

    /// The message's JSON.
    fn body(&self, message: &Message<'_>, with_pictures: bool) -> Value {
        let title = message.title();
        let colour = if message.due.firing.is_empty() { "#2eb886" } else { "#d32f2f" };
        // The blocks stand in an attachment for the sake of its coloured edge.
        let mut body = json!({
            "text": escape(&title),
            "attachments": [{ "color": colour, "fallback": escape(&title), "blocks": blocks(message, with_pictures) }],
        });
        let settings = [
            ("channel", &self.channel),
            ("username", &self.username),
            ("icon_emoji", &self.icon_emoji),
            ("icon_url", &self.icon_url),
        ];
        for (name, value) in settings {
            if let Some(value) = value {
                body[name] = value.as_str().into();
            }
        }
        body
    }
}

fn blocks(message: &Message<'_>, with_pictures: bool) -> Vec<Value> {
    let mut blocks = vec![json!({
        "type": "header",
        "text": { "type": "plain_text", "text": first_chars(&message.title(), HEADER_CHARS_MAX) },
    })];
    let (shown, _) = message.shown();
    let total = message.due.notices().count();
    for (_, notice) in shown.iter().take(ALERTS_SHOWN) {
        let mut text = format!("*<{}|{}>*", message.link(notice), escape(&headline(notice)));
        for (name, value) in details(notice) {
            text.push_str(&format!("\n*{}:* {}", escape(&name), escape(&value)));
        }
        blocks.push(section(&text));
        let Some(evidence) = message.evidence.of(notice) else { continue };
        let lines: Vec<String> = evidence
            .lines
            .iter()
            .take(LINES_SHOWN)
            .map(|line| format!("<{}|↗> `{}`", line.link, escape(&line.summary()).replace('`', "'")))
            .collect();
        let changed =
            evidence.changed.iter().map(|changed| format!("• <{}|{}>", changed.link, escape(&changed.sentence())));
        let traces = evidence.traces.iter().map(|trace| format!("• <{}|trace {}>", trace.link, escape(&trace.id)));
        let without = evidence.without.iter().map(|without| format!("_{}_", escape(without)));
        let all: Vec<String> = lines.into_iter().chain(changed).chain(traces).chain(without).collect();
        if !all.is_empty() {
            blocks.push(section(&all.join("\n")));
        }
        if let Some(url) = evidence.picture_url.as_ref().filter(|_| with_pictures) {
            blocks.push(json!({ "type": "image", "image_url": url, "alt_text": first_chars(&headline(notice), HEADER_CHARS_MAX) }));
        }
    }
    let mut buttons = Vec::new();
    if !message.due.firing.is_empty() {
        buttons.push(button("Silence", &message.silence_link()));
    }
    let all = match total.saturating_sub(ALERTS_SHOWN) {
        0 => "All alerts".to_owned(),
        left => format!("{left} more"),
    };
    buttons.push(button(&all, &format!("{}/alerts", message.external_url)));
    blocks.push(json!({ "type": "actions", "elements": buttons }));
    blocks
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": first_chars(text, SECTION_CHARS_MAX) } })
}

fn button(text: &str, url: &str) -> Value {
    json!({ "type": "button", "text": { "type": "plain_text", "text": text }, "url": url })
}

/// The three characters that Slack's text gives a meaning to (<https://api.slack.com/reference/surfaces/formatting>).
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn first_chars(text: &str, count: usize) -> String {
    match text.char_indices().nth(count) {
        None => text.to_owned(),
        Some(_) => {
            let mut cut: String = text.chars().take(count - 1).collect();
            // No link may be cut in half.
            if let Some(open) = cut.rfind('<').filter(|open| !cut[*open..].contains('>')) {
                cut.truncate(open);
            }
            cut.push('…');
            cut
        }
    }
}
