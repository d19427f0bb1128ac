//! The YAML of a routing file as it is written, which is Alertmanager's configuration
//! (<https://prometheus.io/docs/alerting/latest/configuration/>), before anybody asks whether it makes sense.
//!
//! Every key that Alertmanager knows is read. Those that mean nothing here are [`Ignored`]: settings of vendors that nobody
//! uses are passed over, and `check` says so of the others. `command_configs`, `hmac_secret` and `hmac_secret_file` are ours.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

/// A text and where it stands.
pub(super) type Text = Spanned<String>;

/// What is allowed and has no effect.
pub(super) type Ignored = Option<Spanned<IgnoredAny>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFile {
    pub global: RawGlobal,
    pub templates: Vec<Text>,
    pub route: Option<Spanned<RawRoute>>,
    pub inhibit_rules: Vec<RawInhibitRule>,
    pub receivers: Vec<RawReceiver>,
    pub time_intervals: Vec<RawNamedInterval>,
    pub mute_time_intervals: Vec<RawNamedInterval>,
    pub tracing: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGlobal {
    pub resolve_timeout: Option<Text>,
    pub http_config: Option<RawHttp>,
    pub smtp_from: Option<Text>,
    pub smtp_smarthost: Option<Text>,
    pub smtp_hello: Option<Text>,
    pub smtp_auth_username: Option<Text>,
    pub smtp_auth_password: Option<Text>,
    pub smtp_auth_password_file: Option<Text>,
    pub smtp_auth_secret: Ignored,
    pub smtp_auth_secret_file: Ignored,
    pub smtp_auth_identity: Ignored,
    pub smtp_require_tls: Option<bool>,
    pub smtp_force_implicit_tls: Option<bool>,
    pub smtp_tls_config: Ignored,
    pub slack_api_url: Option<Text>,
    pub slack_api_url_file: Option<Text>,
    pub slack_app_token: Ignored,
    pub slack_app_token_file: Ignored,
    pub slack_app_url: Ignored,
    pub pagerduty_url: Option<Text>,
    pub opsgenie_api_url: Ignored,
    pub opsgenie_api_key: Ignored,
    pub opsgenie_api_key_file: Ignored,
    pub wechat_api_url: Ignored,
    pub wechat_api_secret: Ignored,
    pub wechat_api_secret_file: Ignored,
    pub wechat_api_corp_id: Ignored,
    pub victorops_api_url: Ignored,
    pub victorops_api_key: Ignored,
    pub victorops_api_key_file: Ignored,
    pub telegram_api_url: Ignored,
    pub telegram_bot_token: Ignored,
    pub telegram_bot_token_file: Ignored,
    pub webex_api_url: Ignored,
    pub jira_api_url: Ignored,
    pub rocketchat_api_url: Ignored,
    pub rocketchat_token: Ignored,
    pub rocketchat_token_file: Ignored,
    pub rocketchat_token_id: Ignored,
    pub rocketchat_token_id_file: Ignored,
    pub mattermost_webhook_url: Ignored,
    pub mattermost_webhook_url_file: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRoute {
    pub receiver: Option<Text>,
    pub group_by: Option<Vec<Text>>,
    pub matchers: Vec<Text>,
    #[serde(rename = "match")]
    pub equal: BTreeMap<String, Text>,
    pub match_re: BTreeMap<String, Text>,
    #[serde(rename = "continue")]
    pub goes_on: bool,
    pub group_wait: Option<Text>,
    pub group_interval: Option<Text>,
    pub repeat_interval: Option<Text>,
    pub mute_time_intervals: Vec<Text>,
    pub active_time_intervals: Vec<Text>,
    pub routes: Vec<Spanned<RawRoute>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawInhibitRule {
    pub name: Option<String>,
    pub source_matchers: Vec<Text>,
    pub source_match: BTreeMap<String, Text>,
    pub source_match_re: BTreeMap<String, Text>,
    pub target_matchers: Vec<Text>,
    pub target_match: BTreeMap<String, Text>,
    pub target_match_re: BTreeMap<String, Text>,
    pub equal: Vec<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNamedInterval {
    pub name: Text,
    #[serde(default)]
    pub time_intervals: Vec<RawInterval>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawInterval {
    pub times: Vec<RawTimes>,
    pub weekdays: Vec<Text>,
    pub days_of_month: Vec<Text>,
    pub months: Vec<Text>,
    pub years: Vec<Text>,
    pub location: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTimes {
    pub start_time: Text,
    pub end_time: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReceiver {
    pub name: Text,
    #[serde(default)]
    pub webhook_configs: Vec<Spanned<RawWebhook>>,
    #[serde(default)]
    pub slack_configs: Vec<Spanned<RawSlack>>,
    #[serde(default)]
    pub pagerduty_configs: Vec<Spanned<RawPagerDuty>>,
    #[serde(default)]
    pub email_configs: Vec<Spanned<RawEmail>>,
    #[serde(default)]
    pub command_configs: Vec<Spanned<RawCommand>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    pub authorization: Option<RawAuthorization>,
    pub basic_auth: Option<RawBasicAuth>,
    pub bearer_token: Option<Text>,
    pub bearer_token_file: Option<Text>,
    pub follow_redirects: Ignored,
    pub enable_http2: Ignored,
    pub oauth2: Ignored,
    pub proxy_url: Ignored,
    pub proxy_from_environment: Ignored,
    pub no_proxy: Ignored,
    pub tls_config: Ignored,
    pub http_headers: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuthorization {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub credentials: Option<Text>,
    pub credentials_file: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawBasicAuth {
    pub username: Option<Text>,
    pub password: Option<Text>,
    pub password_file: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawWebhook {
    pub send_resolved: Option<bool>,
    pub url: Option<Text>,
    pub url_file: Option<Text>,
    pub http_config: Option<RawHttp>,
    pub max_alerts: Option<usize>,
    pub timeout: Option<Text>,
    pub hmac_secret: Option<Text>,
    pub hmac_secret_file: Option<Text>,
    pub payload: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSlack {
    pub send_resolved: Option<bool>,
    pub api_url: Option<Text>,
    pub api_url_file: Option<Text>,
    pub http_config: Option<RawHttp>,
    pub channel: Option<String>,
    pub username: Option<String>,
    pub icon_emoji: Option<String>,
    pub icon_url: Option<String>,
    pub timeout: Option<Text>,
    pub actions: Ignored,
    pub app_token: Ignored,
    pub app_token_file: Ignored,
    pub app_url: Ignored,
    pub callback_id: Ignored,
    pub color: Ignored,
    pub fallback: Ignored,
    pub fields: Ignored,
    pub footer: Ignored,
    pub image_url: Ignored,
    pub link_names: Ignored,
    pub message_text: Ignored,
    pub mrkdwn_in: Ignored,
    pub pretext: Ignored,
    pub short_fields: Ignored,
    pub text: Ignored,
    pub thumb_url: Ignored,
    pub title: Ignored,
    pub title_link: Ignored,
    pub update_message: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawPagerDuty {
    pub send_resolved: Option<bool>,
    pub routing_key: Option<Text>,
    pub routing_key_file: Option<Text>,
    pub service_key: Option<Text>,
    pub service_key_file: Option<Text>,
    pub url: Option<Text>,
    pub http_config: Option<RawHttp>,
    pub timeout: Option<Text>,
    pub severity: Option<String>,
    pub class: Ignored,
    pub client: Ignored,
    pub client_url: Ignored,
    pub component: Ignored,
    pub description: Ignored,
    pub details: Ignored,
    pub group: Ignored,
    pub images: Ignored,
    pub links: Ignored,
    pub source: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawEmail {
    pub send_resolved: Option<bool>,
    pub to: Option<Text>,
    pub from: Option<Text>,
    pub smarthost: Option<Text>,
    pub hello: Option<Text>,
    pub auth_username: Option<Text>,
    pub auth_password: Option<Text>,
    pub auth_password_file: Option<Text>,
    pub require_tls: Option<bool>,
    pub force_implicit_tls: Option<bool>,
    pub timeout: Option<Text>,
    pub auth_identity: Ignored,
    pub auth_secret: Ignored,
    pub auth_secret_file: Ignored,
    pub headers: Ignored,
    pub html: Ignored,
    pub text: Ignored,
    pub threading: Ignored,
    pub tls_config: Ignored,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCommand {
    pub send_resolved: Option<bool>,
    pub command: Vec<Text>,
    pub timeout: Option<Text>,
}
