//! The receivers of a routing file: each channel checked, with what it inherits from `global:`.

use std::path::PathBuf;
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::yaml::{RawCommand, RawEmail, RawGlobal, RawHttp, RawPagerDuty, RawReceiver, RawSlack, RawWebhook, Text};
use super::{Check, Wrong, read_duration};
use crate::notify::channel::command::Command;
use crate::notify::channel::email::Email;
use crate::notify::channel::http::{Address, Credentials};
use crate::notify::channel::pagerduty::{self, PagerDuty};
use crate::notify::channel::secret::Secret;
use crate::notify::channel::slack::Slack;
use crate::notify::channel::webhook::Webhook;
use crate::notify::channel::{Channel, Receiver, TIMEOUT, Way};

/// Why a text of Alertmanager's has no effect.
const BUILT_IN: &str = "messages have their built-in form, which shows the evidence; this text is not used";

/// The longest that a channel may take over one notification.
const TIMEOUT_MAX: Duration = Duration::from_secs(300);

impl Check<'_> {
    /// A receiver and its channels.
    pub(super) fn receiver(&mut self, raw: RawReceiver, global: &RawGlobal) -> Result<Receiver, Wrong> {
        let mut channels = Vec::new();
        for raw in raw.webhook_configs {
            let way = self.webhook(&raw, global)?;
            channels.push(("webhook", raw.value.send_resolved.unwrap_or(true), self.timeout(&raw.value.timeout)?, way));
        }
        for raw in raw.slack_configs {
            let way = self.slack(&raw, global)?;
            channels.push(("slack", raw.value.send_resolved.unwrap_or(false), self.timeout(&raw.value.timeout)?, way));
        }
        for raw in raw.pagerduty_configs {
            let way = self.pagerduty(&raw, global)?;
            let send_resolved = raw.value.send_resolved.unwrap_or(true);
            channels.push(("pagerduty", send_resolved, self.timeout(&raw.value.timeout)?, way));
        }
        for raw in raw.email_configs {
            let way = self.email(&raw, global)?;
            // A mail takes several steps, each with the channel's own patience.
            let timeout = self.timeout(&raw.value.timeout)? * 3;
            channels.push(("email", raw.value.send_resolved.unwrap_or(false), timeout, way));
        }
        for raw in raw.command_configs {
            let way = command(&raw)?;
            channels.push(("command", raw.value.send_resolved.unwrap_or(true), self.timeout(&raw.value.timeout)?, way));
        }
        let name = raw.name.value;
        let mut named = Vec::new();
        for (at, (kind, send_resolved, timeout, way)) in channels.iter().enumerate() {
            let before = channels[..at].iter().filter(|(other, ..)| other == kind).count();
            let several = channels.iter().filter(|(other, ..)| other == kind).count() > 1;
            let number = if several { format!("/{}", before + 1) } else { String::new() };
            named.push(Channel {
                name: format!("{name}/{kind}{number}"),
                receiver: name.clone(),
                send_resolved: *send_resolved,
                timeout: *timeout,
                way: way.clone(),
            });
        }
        Ok(Receiver { name, channels: named })
    }

    fn webhook(&mut self, raw: &Spanned<RawWebhook>, global: &RawGlobal) -> Result<Way, Wrong> {
        let RawWebhook { url, url_file, http_config, max_alerts, hmac_secret, hmac_secret_file, payload, .. } =
            &raw.value;
        self.ignore("payload", payload, BUILT_IN);
        Ok(Way::Webhook(Webhook {
            address: self.address("url", url, url_file, raw.referenced)?,
            credentials: self.credentials(http_config.as_ref().or(global.http_config.as_ref()))?,
            hmac_secret: self.secret("hmac_secret", hmac_secret, hmac_secret_file)?,
            alerts_max: max_alerts.unwrap_or(0),
        }))
    }

    fn slack(&mut self, raw: &Spanned<RawSlack>, global: &RawGlobal) -> Result<Way, Wrong> {
        let slack = &raw.value;
        for (key, written) in [
            ("actions", &slack.actions),
            ("app_token", &slack.app_token),
            ("app_token_file", &slack.app_token_file),
            ("app_url", &slack.app_url),
            ("callback_id", &slack.callback_id),
            ("color", &slack.color),
            ("fallback", &slack.fallback),
            ("fields", &slack.fields),
            ("footer", &slack.footer),
            ("image_url", &slack.image_url),
            ("link_names", &slack.link_names),
            ("message_text", &slack.message_text),
            ("mrkdwn_in", &slack.mrkdwn_in),
            ("pretext", &slack.pretext),
            ("short_fields", &slack.short_fields),
            ("text", &slack.text),
            ("thumb_url", &slack.thumb_url),
            ("title", &slack.title),
            ("title_link", &slack.title_link),
            ("update_message", &slack.update_message),
        ] {
            self.ignore(key, written, BUILT_IN);
        }
        let own = slack.api_url.is_some() || slack.api_url_file.is_some();
        let (url, file) = match own {
            true => (&slack.api_url, &slack.api_url_file),
            false => (&global.slack_api_url, &global.slack_api_url_file),
        };
        Ok(Way::Slack(Slack {
            address: self.address("api_url (or global: slack_api_url)", url, file, raw.referenced)?,
            credentials: self.credentials(slack.http_config.as_ref().or(global.http_config.as_ref()))?,
            channel: slack.channel.clone(),
            username: slack.username.clone().filter(|text| !is_template(text)),
            icon_emoji: slack.icon_emoji.clone().filter(|text| !is_template(text)),
            icon_url: slack.icon_url.clone().filter(|text| !is_template(text)),
        }))
    }

    fn pagerduty(&mut self, raw: &Spanned<RawPagerDuty>, global: &RawGlobal) -> Result<Way, Wrong> {
        let pager = &raw.value;
        for (key, written) in [
            ("class", &pager.class),
            ("client", &pager.client),
            ("client_url", &pager.client_url),
            ("component", &pager.component),
            ("description", &pager.description),
            ("details", &pager.details),
            ("group", &pager.group),
            ("images", &pager.images),
            ("links", &pager.links),
            ("source", &pager.source),
        ] {
            self.ignore(key, written, BUILT_IN);
        }
        let old = pager.service_key.as_ref().or(pager.service_key_file.as_ref());
        let key = self.secret("routing_key", &pager.routing_key, &pager.routing_key_file)?;
        let key = key.ok_or_else(|| match old {
            Some(old) => (
                old.referenced,
                "service_key belongs to PagerDuty's old API: write routing_key (Events API v2)".to_owned(),
            ),
            None => (raw.referenced, "PagerDuty needs a routing_key or routing_key_file".to_owned()),
        })?;
        let address = match pager.url.as_ref().or(global.pagerduty_url.as_ref()) {
            Some(url) => self.address("url", &Some(url.clone()), &None, raw.referenced)?,
            None => Address::new(pagerduty::URL).map_err(|message| (raw.referenced, message))?,
        };
        Ok(Way::PagerDuty(PagerDuty {
            address,
            credentials: self.credentials(pager.http_config.as_ref().or(global.http_config.as_ref()))?,
            routing_key: key,
            severity: pager.severity.clone().filter(|text| !is_template(text)),
        }))
    }

    fn email(&mut self, raw: &Spanned<RawEmail>, global: &RawGlobal) -> Result<Way, Wrong> {
        let mail = &raw.value;
        for (key, written) in
            [("headers", &mail.headers), ("html", &mail.html), ("text", &mail.text), ("threading", &mail.threading)]
        {
            self.ignore(key, written, BUILT_IN);
        }
        for (key, written) in [
            ("tls_config", mail.tls_config.as_ref().or(global.smtp_tls_config.as_ref())),
            ("auth_secret", mail.auth_secret.as_ref().or(global.smtp_auth_secret.as_ref())),
        ] {
            if let Some(written) = written {
                let message =
                    format!("{key}: this version checks servers by the system's certificates and logs in by password");
                return Err((written.referenced, message));
            }
        }
        let text = |own: &Option<Text>, inherited: &Option<Text>| own.clone().or_else(|| inherited.clone());
        let smarthost = text(&mail.smarthost, &global.smtp_smarthost);
        let smarthost = smarthost.ok_or_else(|| {
            (raw.referenced, "mail needs a smarthost: (or global: smtp_smarthost), as mx.example.com:587".to_owned())
        })?;
        let (host, port) = smarthost.value.rsplit_once(':').unwrap_or((&smarthost.value, "25"));
        let port: u16 =
            port.parse().map_err(|_| (smarthost.referenced, format!("{:?} is no host:port", smarthost.value)))?;
        let from = text(&mail.from, &global.smtp_from)
            .ok_or_else(|| (raw.referenced, "mail needs a from: (or global: smtp_from)".to_owned()))?;
        let user = text(&mail.auth_username, &global.smtp_auth_username);
        let own_password = mail.auth_password.is_some() || mail.auth_password_file.is_some();
        let (password, password_file) = match own_password {
            true => (&mail.auth_password, &mail.auth_password_file),
            false => (&global.smtp_auth_password, &global.smtp_auth_password_file),
        };
        let password = self.secret("auth_password", password, password_file)?;
        let login = match (user, password) {
            (Some(user), Some(password)) => Some((user.value, password)),
            (Some(user), None) => {
                return Err((user.referenced, "the user has no auth_password or auth_password_file".to_owned()));
            }
            (None, _) => None,
        };
        let to = mail.to.as_ref().ok_or_else(|| (raw.referenced, "mail needs a to:".to_owned()))?;
        let email = Email {
            to: to.value.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect(),
            from: from.value,
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            hello: text(&mail.hello, &global.smtp_hello).map(|hello| hello.value),
            login,
            require_tls: mail.require_tls.or(global.smtp_require_tls).unwrap_or(true),
            implicit_tls: mail.force_implicit_tls.or(global.smtp_force_implicit_tls).unwrap_or(port == 465),
            timeout: self.timeout(&mail.timeout)?,
        };
        email.check().map_err(|message| (to.referenced, message))?;
        Ok(Way::Email(email))
    }

    fn address(&self, key: &str, url: &Option<Text>, file: &Option<Text>, at: Location) -> Result<Address, Wrong> {
        match (url, file) {
            (Some(url), None) => {
                Address::new(&url.value).map_err(|message| (url.referenced, format!("{key}: {message}")))
            }
            (None, Some(file)) => Ok(Address::in_file(self.path(file)?)),
            (Some(url), Some(_)) => Err((url.referenced, format!("{key} and its _file: one of them"))),
            (None, None) => Err((at, format!("the channel has no {key}"))),
        }
    }

    fn secret(&self, key: &str, text: &Option<Text>, file: &Option<Text>) -> Result<Option<Secret>, Wrong> {
        match (text, file) {
            (Some(text), None) => Ok(Some(Secret::Text(text.value.clone()))),
            (None, Some(file)) => Ok(Some(Secret::File(self.path(file)?))),
            (Some(text), Some(_)) => Err((text.referenced, format!("{key} and {key}_file: one of them"))),
            (None, None) => Ok(None),
        }
    }

    /// A file that can be read now. It is read again whenever it is needed.
    fn path(&self, file: &Text) -> Result<PathBuf, Wrong> {
        let path = self.directory.join(&file.value);
        match std::fs::File::open(&path) {
            Ok(_) => Ok(path),
            Err(error) => Err((file.referenced, format!("{}: {error}", path.display()))),
        }
    }

    fn credentials(&self, http: Option<&RawHttp>) -> Result<Option<Credentials>, Wrong> {
        let Some(http) = http else { return Ok(None) };
        for (key, written) in [
            ("oauth2", &http.oauth2),
            ("proxy_url", &http.proxy_url),
            ("proxy_from_environment", &http.proxy_from_environment),
            ("no_proxy", &http.no_proxy),
            ("tls_config", &http.tls_config),
            ("http_headers", &http.http_headers),
        ] {
            if let Some(written) = written {
                let message =
                    format!("{key}: this version knows authorization and basic_auth, and the system's certificates");
                return Err((written.referenced, message));
            }
        }
        if let Some(basic) = &http.basic_auth {
            let password = self.secret("password", &basic.password, &basic.password_file)?;
            let user = basic.username.as_ref().map(|user| user.value.clone()).unwrap_or_default();
            return Ok(Some(Credentials::Basic(user, password.unwrap_or(Secret::Text(String::new())))));
        }
        if let Some(authorization) = &http.authorization {
            let secret = self.secret("credentials", &authorization.credentials, &authorization.credentials_file)?;
            let scheme = authorization.kind.clone().unwrap_or_else(|| "Bearer".to_owned());
            return Ok(secret.map(|secret| Credentials::Token(scheme, secret)));
        }
        let bearer = self.secret("bearer_token", &http.bearer_token, &http.bearer_token_file)?;
        Ok(bearer.map(|secret| Credentials::Token("Bearer".to_owned(), secret)))
    }

    fn timeout(&self, written: &Option<Text>) -> Result<Duration, Wrong> {
        let Some(written) = written else { return Ok(TIMEOUT) };
        match read_duration("timeout", written)? {
            span if span.is_zero() => Ok(TIMEOUT),
            span if span <= TIMEOUT_MAX => Ok(span),
            _ => Err((written.referenced, format!("a timeout is {} s at most", TIMEOUT_MAX.as_secs()))),
        }
    }
}

fn command(raw: &Spanned<RawCommand>) -> Result<Way, Wrong> {
    let arguments: Vec<String> = raw.value.command.iter().map(|argument| argument.value.clone()).collect();
    if arguments.first().is_none_or(String::is_empty) {
        return Err((
            raw.referenced,
            "command: is a list, the program first: [/usr/local/bin/tell, --loud]".to_owned(),
        ));
    }
    Ok(Way::Command(Command { arguments }))
}

/// Alertmanager's files often hold the default template itself, which then means nothing here.
fn is_template(text: &str) -> bool {
    text.contains("{{")
}
