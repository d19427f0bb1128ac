//! What can be read again while the server runs (SIGHUP, `POST /-/reload`): the settings file and the rules files it names.
//!
//! A bad file keeps what was there before and says why. Rules of alerts and of retention and limits of series take effect at once; a change of any
//! other key is answered with the advice to restart.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use crate::config::keys::keys;
use crate::config::{Layers, Override, Settings};

/// Keys whose new values take effect at once, beside `[[retention]]` and `[[metric_retention]]`, which have none of their own.
const TAKEN: &[&str] = &[
    "alerts.rules",
    "dashboards.files",
    "store.retention_age",
    "store.retention_bytes",
    "store.rollup_hour_age",
    "store.rollup_minute_age",
    "store.rollup_ten_minutes_age",
    "store.series_per_metric_max",
    "store.series_per_source_max",
];

/// Takes the rules of these settings, all or none.
pub type TakeRules = Arc<dyn Fn(&Settings) -> anyhow::Result<()> + Send + Sync>;

/// Reads again. Cheap to clone.
#[derive(Clone)]
pub struct Reload {
    file: Option<PathBuf>,
    flags: Vec<Override>,
    at_work: Arc<Mutex<Layers>>,
    take_rules: Arc<Mutex<Option<TakeRules>>>,
}

/// What a reload found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReloadReport {
    /// Keys with a new value that only a restart makes true.
    pub needs_restart: Vec<&'static str>,
}

impl Reload {
    /// Of a server that was started from this file and these flags.
    pub fn new(file: Option<PathBuf>, flags: Vec<Override>, layers: Layers) -> Reload {
        Reload { file, flags, at_work: Arc::new(Mutex::new(layers)), take_rules: Arc::default() }
    }

    /// Says who takes the rules.
    pub fn set_take_rules(&self, take_rules: TakeRules) {
        *self.take_rules.lock() = Some(take_rules);
    }

    /// The settings at work, with where each came from.
    pub fn at_work(&self) -> Layers {
        self.at_work.lock().clone()
    }

    /// Reads and checks everything, then takes what can be taken. Blocks on files.
    pub fn run(&self) -> anyhow::Result<ReloadReport> {
        let (settings, layers) = Settings::load(self.file.as_deref(), self.flags.clone())?;
        let take_rules = self.take_rules.lock().clone();
        if let Some(take_rules) = take_rules {
            take_rules(&settings)?;
        }
        let mut at_work = self.at_work.lock();
        let changed = keys().map(|key| key.path).filter(|path| layers.value(path) != at_work.value(path));
        let needs_restart = changed.filter(|path| !TAKEN.contains(path)).collect();
        // Only what took effect counts as being at work.
        TAKEN.iter().for_each(|path| at_work.take_value(path, &layers));
        Ok(ReloadReport { needs_restart })
    }

    /// The same for a signal, whose sender reads the log.
    pub fn run_and_log(&self) {
        match self.run() {
            Ok(ReloadReport { needs_restart }) if needs_restart.is_empty() => {
                tracing::info!("settings and rules reloaded")
            }
            Ok(ReloadReport { needs_restart }) => {
                tracing::warn!("rules reloaded; a restart is needed for {}", needs_restart.join(", "));
            }
            Err(mistake) => tracing::error!("not reloaded, what was there before goes on: {mistake:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_file_is_refused_and_a_changed_key_needs_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taffrail.toml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("[query]\nrows_max = 5\n");
        let layers = Layers::read(Some(&path), std::iter::empty(), Vec::new()).unwrap();
        let reload = Reload::new(Some(path.clone()), Vec::new(), layers);
        let taken = Arc::new(Mutex::new(Vec::new()));
        reload.set_take_rules(Arc::new({
            let taken = taken.clone();
            move |settings| {
                taken.lock().push(settings.alerts.rules.clone());
                Ok(())
            }
        }));
        assert_eq!(reload.run().unwrap(), ReloadReport::default());
        write("[query]\nrows_max = 6\n[store]\nretention_age = \"3d\"\n[alerts]\nrules = [\"a.yml\"]\n");
        assert_eq!(reload.run().unwrap().needs_restart, ["query.rows_max"]);
        assert_eq!(reload.run().unwrap().needs_restart, ["query.rows_max"], "it still does");
        write("[query]\nrows_min = 6\n");
        assert!(reload.run().unwrap_err().to_string().contains("rows_min"));
        assert_eq!(*taken.lock(), [vec![], vec!["a.yml".to_owned()], vec!["a.yml".to_owned()]]);
    }
}
