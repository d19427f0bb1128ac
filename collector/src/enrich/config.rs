//! The section `collector.lines`: how lines are read, wherever they come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::grok;
use super::line_reader::Enricher;
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
}

impl Default for Config {
    fn default() -> Config {
        Config { zone: "UTC".to_owned(), grok_patterns: BTreeMap::new() }
    }
}

impl Config {
    /// The enricher for these settings.
    ///
    /// # Errors
    /// When the zone is not known or a pattern does not compile.
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
        Ok(Enricher::new(zone).with_patterns(patterns))
    }
}
