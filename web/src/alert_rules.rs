//! The alert rules and notifications of this server, started from its settings and saved in its catalog.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use taffrail_collector::model::Resource;
use taffrail_ingest::Ingest;
use taffrail_query::alert::rule::Problem;
use taffrail_query::alert::rule_files::RuleFiles;
use taffrail_query::alert::schedule::{Config, Manager};
use taffrail_query::promql::StoreSource;
use tokio_util::sync::CancellationToken;

use crate::config::{AlertSettings, Settings};
use crate::default_rules;
use crate::notify::catalog_state::{CatalogDocuments, CatalogState};
use crate::notify::evidence::gather::{Budget, FactsOf, Gatherer, RuleFacts};
use crate::notify::{self, Notifier, Surroundings};

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
    /// Who is told.
    pub notifier: Notifier,
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
        let notifier =
            tokio::task::block_in_place(|| start_notifier(settings, ingest, resource, &rules, external_url, stop))?;
        Ok(Running { rules, notifier })
    }

    /// Waits until both have ended, after `stop` was cancelled.
    pub async fn stopped(self) {
        self.rules.stopped().await;
        self.notifier.stopped().await;
    }
}

/// What the settings say of notifications.
pub fn notify_config(settings: &AlertSettings, external_url: String) -> notify::Config {
    notify::Config {
        routing: settings.routing.clone(),
        webhooks: settings.webhooks.clone(),
        repeat_interval: settings.repeat_interval,
        alertmanagers: settings.alertmanagers.clone(),
        external_url,
    }
}

fn start_notifier(
    settings: &Settings,
    ingest: &Ingest,
    resource: &Resource,
    rules: &Manager,
    external_url: String,
    stop: &CancellationToken,
) -> anyhow::Result<Notifier> {
    let facts_of: FactsOf = Arc::new({
        let rules = rules.clone();
        move |file, group, rule| {
            let group = rules.snapshot().into_iter().find(|one| one.file == file && one.name == group)?;
            let rule = group.rules.into_iter().find(|one| one.name == rule && one.alerting.is_some())?;
            let alerting = rule.alerting?;
            Some(RuleFacts { comparison: alerting.comparison, log_lines: alerting.log_lines, logs: rule.logs })
        }
    });
    let budget = Budget {
        time_max: settings.alerts.evidence_time_max,
        rows_max: settings.alerts.evidence_rows_max,
        memory_bytes_max: settings.query.memory_bytes_max,
    };
    let series = Arc::new(StoreSource::new(ingest.series().clone()).with_logs(ingest.logs().clone()));
    let gatherer = Gatherer::new(ingest.logs().clone(), series, facts_of, budget, external_url.clone(), Arc::default());
    let surroundings = Surroundings {
        alerts: Arc::new({
            let rules = rules.clone();
            move || rules.alerts()
        }),
        changes: rules.changes(),
        told: Arc::new(CatalogDocuments::of_told(ingest.catalog().clone())),
        silences: Arc::new(CatalogDocuments::of_silences(ingest.catalog().clone())),
        explain: Some(Arc::new(gatherer)),
        outlet: ingest.outlet().clone(),
        resource: Arc::new(Resource { service: "taffrail".into(), ..resource.clone() }),
    };
    Notifier::start(&notify_config(&settings.alerts, external_url), surroundings, stop).map_err(anyhow::Error::msg)
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
