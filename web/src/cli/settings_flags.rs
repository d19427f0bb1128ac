//! The flags that stand for settings, shared by the commands that read settings.

use std::path::{Path, PathBuf};

use clap::Args;
use toml::Value;

use crate::config::{Layers, Mistake, Override, Settings};

/// Files that are read when no file is named, the first one that is there.
const USUAL_FILES: &[&str] = &["taffrail.toml", "/etc/taffrail/taffrail.toml"];

/// Where the settings come from.
#[derive(Args, Clone, Debug, Default)]
pub struct SettingsFlags {
    /// The settings file; without it ./taffrail.toml, then /etc/taffrail/taffrail.toml, when there
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CONFIG")]
    pub config: Option<PathBuf>,
    /// The directory below which everything durable lies [env: TAFFRAIL_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where pages and API are served; port 0 takes a free one [env: TAFFRAIL_HTTP] [default: 127.0.0.1:6464]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<String>,
    /// Where StatsD metrics are taken, or `off` [env: TAFFRAIL_STATSD] [default: 127.0.0.1:8125]
    #[arg(long, value_name = "ADDRESS|off")]
    pub statsd: Option<String>,
    /// Where syslog is taken, or `off` [env: TAFFRAIL_SYSLOG] [default: 127.0.0.1:5514]
    #[arg(long, value_name = "ADDRESS|off")]
    pub syslog: Option<String>,
    /// A Prometheus rules file to evaluate; may be given several times [env: TAFFRAIL_ALERTS_RULES]
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Allow addresses that other machines can reach, although there is neither TLS nor a token
    #[arg(long)]
    pub insecure: bool,
    /// Do not collect this host's own logs and metrics
    #[arg(long)]
    pub no_host: bool,
}

impl SettingsFlags {
    /// The file that is read, if any.
    pub fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| USUAL_FILES.iter().map(PathBuf::from).find(|path| path.exists()))
    }

    /// Reads and checks everything.
    pub fn load(&self) -> Result<(Settings, Layers), Mistake> {
        Settings::load(self.file().as_deref(), self.overrides())
    }

    /// The flags that were given, as the settings they stand for.
    pub fn overrides(&self) -> Vec<Override> {
        let text = |text: &String| Value::String(text.clone());
        let rules =
            (!self.rules.is_empty()).then(|| Value::Array(self.rules.iter().map(|rule| path_value(rule)).collect()));
        let given = [
            ("server.data_dir", "--data-dir", self.data_dir.as_deref().map(path_value)),
            ("server.http", "--http", self.http.as_ref().map(text)),
            ("collector.statsd.address", "--statsd", self.statsd.as_ref().map(text)),
            ("collector.syslog.address", "--syslog", self.syslog.as_ref().map(text)),
            ("alerts.rules", "--rules", rules),
            ("server.insecure", "--insecure", self.insecure.then_some(Value::Boolean(true))),
            ("collector.no_host", "--no-host", self.no_host.then_some(Value::Boolean(true))),
        ];
        let given = given.into_iter().filter_map(|(key, flag, value)| value.map(|value| Override { key, flag, value }));
        given.collect()
    }
}

/// A path as a setting.
pub fn path_value(path: &Path) -> Value {
    Value::String(path.to_string_lossy().into_owned())
}
