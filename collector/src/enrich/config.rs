//! The section `collector.lines`: how lines are read, wherever they come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::grok;
use super::line_reader::Enricher;
use super::redact::Redactor;
use super::timestamp::Zone;
use crate::source::StartError;

/// The section `collector.lines`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The zone of times that name none, as syslog's and many programs' do: an IANA name (`Europe/Berlin`), `UTC`, or `local`
    /// for this host's own. Default `UTC`. Set it where programs log in local time.
    pub zone: String,
    /// Names that `parse = "grok:…"` may use beside the usual ones, and before them: `{ ORDER = "ORD-%{INT:order}" }`.
    /// Default none.
    pub grok_patterns: BTreeMap<String, String>,
    /// Whether secrets (passwords, tokens, keys, card numbers) are replaced by `[redacted:<rule>]` in bodies and attributes: `on` or
    /// `off`. Default `on`. What is replaced is gone: it is neither stored nor sent.
    pub redact: Switch,
    /// Rules of redaction that are left out, by name (`["card"]`). Default none.
    pub redact_except: Vec<String>,
    /// Rules of your own, regular expressions by name: what they match, or their first group, is replaced. Each costs a search in
    /// every line. Default none.
    pub redact_patterns: BTreeMap<String, String>,
}

/// On or off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    #[default]
    On,
    /// Off.
    Off,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            zone: "UTC".to_owned(),
            grok_patterns: BTreeMap::new(),
            redact: Switch::On,
            redact_except: Vec::new(),
            redact_patterns: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The enricher for these settings.
    ///
    /// # Errors
    /// When the zone or a rule of redaction is not known, or a pattern does not compile.
    pub fn enricher(&self) -> Result<Enricher, StartError> {
        let zone = Zone::named(&self.zone).ok_or_else(|| StartError {
            setting: "collector.lines.zone",
            message: format!("no time zone is called {:?}: write one like Europe/Berlin, UTC or local", self.zone),
        })?;
        let patterns = grok::Names::new(self.grok_patterns.clone());
        patterns.check().map_err(|(name, error)| StartError {
            setting: "collector.lines.grok_patterns",
            message: format!("{name}: {error}"),
        })?;
        let redactor = Redactor::new(&self.redact_except, &self.redact_patterns)
            .map_err(|(setting, message)| StartError { setting, message })?;
        let enricher = Enricher::new(zone).with_patterns(patterns);
        Ok(if self.redact == Switch::On { enricher.with_redactor(redactor) } else { enricher })
    }
}
