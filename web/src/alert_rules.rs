//! The alert rules and notifications of this server, started from its settings and saved in its catalog.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::Resource;
use taffrail_ingest::Ingest;
use taffrail_query::alert::rule::Problem;
use taffrail_query::alert::rule_files::RuleFiles;
use taffrail_query::alert::schedule::{Config, Manager};
use taffrail_query::promql::StoreSource;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::default_rules;
use crate::notify::catalog_state::CatalogState;
use crate::notify::{self, Notifier, Surroundings};

/// How long a webhook may take to answer, as in Alertmanager's default.
const WEBHOOK_TIME_MAX: Duration = Duration::from_secs(10);

/// Everything that is wrong with the rules files.
#[derive(Clone, Debug)]
pub struct BadRules(pub Vec<Problem>);

/// Reads the files without putting them to work.
pub fn check(patterns: &[String]) -> Result<(), BadRules> {
    RuleFiles::read(patterns, &[]).and_then(|files| files.parse()).map(drop).map_err(BadRules)
}

/// Rules and notifications at work.
pub struct Running {
    /// The rules.
    pub rules: Manager,
    notifier: Notifier,
}

impl Running {
    /// Starts both; `http` is the address for links when alerts.external_url says none. They end once `stop` is cancelled.
    pub fn start(
        settings: &Settings,
        ingest: &Ingest,
        resource: &Resource,
        http: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Running> {
        let external_url = settings.alerts.external_url.clone().unwrap_or_else(|| format!("http://{http}"));
        let external_url = external_url.trim_end_matches('/').to_owned();
        let config = Config {
            rules: settings.alerts.rules.clone(),
            built_in: if settings.alerts.default_rules { default_rules::BUILT_IN } else { &[] },
            interval: settings.alerts.evaluation_interval,
            timeout: settings.query.time_max,
            rows_max: settings.query.rows_max,
            memory_bytes_max: settings.query.memory_bytes_max,
            alerts_max: settings.alerts.per_rule_max,
            external_labels: BTreeMap::new(),
            external_url: external_url.clone(),
        };
        let source = Arc::new(StoreSource::new(ingest.series().clone()).with_logs(ingest.logs().clone()));
        let store = Arc::new(CatalogState::of_rules(ingest.catalog().clone()));
        let start = || Manager::start(config, source, ingest.outlet().clone(), store, stop.clone());
        let rules = tokio::task::block_in_place(start).map_err(BadRules)?;
        let surroundings = Surroundings {
            alerts: Arc::new({
                let rules = rules.clone();
                move || rules.alerts()
            }),
            changes: rules.changes(),
            store: Arc::new(CatalogState::of_notifications(ingest.catalog().clone())),
            outlet: ingest.outlet().clone(),
            resource: Arc::new(Resource { service: "taffrail".into(), ..resource.clone() }),
        };
        let config = notify::Config {
            webhooks: settings.alerts.webhooks.clone(),
            external_url,
            repeat_interval: settings.alerts.repeat_interval,
            timeout: WEBHOOK_TIME_MAX,
        };
        let notifier = Notifier::start(&config, surroundings, stop).map_err(anyhow::Error::msg)?;
        Ok(Running { rules, notifier })
    }

    /// Waits until both have ended, after `stop` was cancelled.
    pub async fn stopped(self) {
        self.rules.stopped().await;
        self.notifier.stopped().await;
    }
}

impl fmt::Display for BadRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for BadRules {}
