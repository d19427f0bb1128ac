//! The server's own figures, stored like those of any other program: `/metrics` is read as a scrape would read it, without the
//! network between. So dashboards and rules about this server need nobody to set anything up.

use std::sync::Arc;
use std::time::Duration;

use taffrail_collector::model::{Batch, Timestamp};
use taffrail_collector::source::descriptions::Descriptions;
use taffrail_collector::source::prometheus_scrape::Config;
use taffrail_collector::source::prometheus_scrape::exposition::Format;
use taffrail_collector::source::prometheus_scrape::target_series::TargetSeries;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::{App, self_metrics};

/// How often they are read: as often as Prometheus reads its targets by default in our own scraping.
const INTERVAL: Duration = Duration::from_secs(15);

/// Reads and stores the figures until `stop`. What the store refuses is not tried again: the next reading says as much.
pub async fn keep(app: Arc<App>, host: Arc<str>, stop: CancellationToken) {
    let config = Config {
        job: "taffrail".to_owned(),
        interval: INTERVAL,
        labels: [("host".to_owned(), host.to_string())].into(),
        ..Config::default()
    };
    let instance = app.listeners.http.clone().unwrap_or_default();
    let mut series = TargetSeries::new(&config, &instance, Arc::new(Descriptions::default()));
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let text = self_metrics::exposition(&app).await;
        let at = Timestamp::now();
        let round = match series.read(&text, Format::Prometheus, at) {
            Ok(round) => round,
            Err(unusable) => {
                tracing::warn!("server.own_metrics: {unusable}");
                continue;
            }
        };
        let samples = [round.samples, vec![series.about("up", 1.0, at)]].concat();
        app.ingest.outlet().deliver(Batch { samples, ..Batch::local() }).await;
    }
}
