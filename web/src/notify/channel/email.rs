//! A mail with a plain and an HTML part and the alerts' curves as pictures in it, handed to a mail server by SMTP.
//!
//! TLS follows Alertmanager: port 465 speaks it from the start, elsewhere STARTTLS must succeed unless `require_tls` is false.

use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};

use super::Failure;
use super::http::with_causes;
use super::message::{LINES_SHOWN, Message, details, headline};
use super::secret::Secret;

/// Where and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Email {
    /// Who gets it.
    pub to: Vec<String>,
    /// Who it is from.
    pub from: String,
    /// The mail server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name we say to it.
    pub hello: Option<String>,
    /// Who we are to it.
    pub login: Option<(String, Secret)>,
    /// Whether it must offer STARTTLS.
    pub require_tls: bool,
    /// Whether TLS is spoken from the start.
    pub implicit_tls: bool,
    /// How long it may take over one step.
    pub timeout: Duration,
}

impl Email {
    /// What is wrong with the addresses.
    pub fn check(&self) -> Result<(), String> {
        mailbox(&self.from)?;
        if self.to.is_empty() {
            return Err("to: nobody gets the mail".to_owned());
        }
        self.to.iter().try_for_each(|to| mailbox(to).map(drop))
    }

    /// Tells once.
    pub async fn tell(&self, message: &Message<'_>) -> Result<(), Failure> {
        let mail = self.mail(message).map_err(Failure::Refused)?;
        let transport = self.transport().await?;
        match transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Failure::Refused(with_causes(&error))),
            Err(error) if error.is_transient() => Err(Failure::Later(with_causes(&error), None)),
            Err(error) => Err(Failure::Away(with_causes(&error))),
        }
    }

    async fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
        let parameters =
            || TlsParameters::new(self.host.clone()).map_err(|error| Failure::Later(with_causes(&error), None));
        let tls = match (self.implicit_tls, self.require_tls) {
            (true, _) => Tls::Wrapper(parameters()?),
            (false, true) => Tls::Required(parameters()?),
            // Without certificates nobody can be checked, and nobody is asked to.
            (false, false) => parameters().map_or(Tls::None, Tls::Opportunistic),
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host)
            .port(self.port)
            .timeout(Some(self.timeout))
            .tls(tls);
        if let Some(hello) = &self.hello {
            builder = builder.hello_name(ClientId::Domain(hello.clone()));
        }
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.read().await?));
        }
        Ok(builder.build())
    }

    /// The mail itself.
    fn mail(&self, message: &Message<'_>) -> Result<Mail, String> {
        // A line break in a label must not become a header.
        let subject = message.title().split_whitespace().collect::<Vec<_>>().join(" ");
        let mut builder = Mail::builder().from(mailbox(&self.from)?).subject(subject);
        for to in &self.to {
            builder = builder.to(mailbox(to)?);
        }
        let mut html =
            MultiPart::related().singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(html(message)));
        let png = ContentType::parse("image/png").map_err(|error| error.to_string())?;
        for (id, evidence) in &message.evidence.alerts {
            if let Some(picture) = &evidence.picture {
                html = html.singlepart(Attachment::new_inline(id.clone()).body(picture.to_vec(), png.clone()));
            }
        }
        let plain = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(message.text());
        let body = MultiPart::alternative().singlepart(plain).multipart(html);
        builder.multipart(body).map_err(|error| error.to_string())
    }
}

/// An address as people write it: `ops@example.com` or `Operations <ops@example.com>`.
fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no mail address"))
}

/// Tables and few colours: what mail programs show alike.
fn html(message: &Message<'_>) -> String {
    let colour = if message.due.firing.is_empty() { "#1b7f4f" } else { "#b3261e" };
    let mut html = format!(
        "<!doctype html><html><body style=\"font-family:sans-serif;color:#1c1c1c\">\
         <h2 style=\"color:{colour};font-size:18px\">{}</h2>",
        escape(&message.title())
    );
    let (shown, left) = message.shown();
    for (status, notice) in shown {
        html.push_str(&format!(
            "<h3 style=\"font-size:15px;margin:20px 0 4px\">{} <a href=\"{}\">{}</a></h3><table cellpadding=\"2\">",
            status.to_uppercase(),
            escape(&message.link(notice)),
            escape(&headline(notice))
        ));
        for (name, value) in details(notice) {
            html.push_str(&format!(
                "<tr><td style=\"color:#666;vertical-align:top\">{}</td><td>{}</td></tr>",
                escape(&name),
                escape(&value)
            ));
        }
        html.push_str("</table>");
        let Some(evidence) = message.evidence.of(notice) else { continue };
        if evidence.picture.is_some() {
            html.push_str(&format!("<p><img src=\"cid:{}\" alt=\"the alert's curve\" width=\"480\"></p>", notice.id()));
        }
        if !evidence.lines.is_empty() {
            html.push_str("<pre style=\"background:#f4f4f2;padding:8px;white-space:pre-wrap;font-size:12px\">");
            for line in evidence.lines.iter().take(LINES_SHOWN) {
                html.push_str(&format!("<a href=\"{}\">{}</a>\n", escape(&line.link), escape(&line.summary())));
            }
            html.push_str("</pre>");
            html.push_str(&format!(
                "<p><a href=\"{}\">All {} lines</a></p>",
                escape(&evidence.lines_link),
                evidence.lines_total
            ));
        }
        let changed = evidence.changed.iter().map(|changed| (&changed.link, changed.sentence()));
        let traces = evidence.traces.iter().map(|trace| (&trace.link, format!("trace {}", trace.id)));
        let items: String = changed
            .chain(traces)
            .map(|(link, text)| format!("<li><a href=\"{}\">{}</a></li>", escape(link), escape(&text)))
            .collect();
        if !items.is_empty() {
            html.push_str(&format!("<ul>{items}</ul>"));
        }
        if let Some(without) = &evidence.without {
            html.push_str(&format!("<p><i>{}</i></p>", escape(without)));
        }
    }
    if left > 0 {
        html.push_str(&format!("<p>and <a href=\"{}/alerts\">{left} more</a></p>", escape(message.external_url)));
    }
    if !message.due.firing.is_empty() {
        html.push_str(&format!("<p><a href=\"{}\">Silence</a></p>", escape(&message.silence_link())));
    }
    html.push_str("</body></html>");
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
