//! Records that say what sampling and limits dropped: one for each rule and at most every ten seconds, while it drops.
//!
//! The rules count while they shape ([`Rules::reports`]); this task has the clock. What is dropped while the process stops,
//! after the last of these records, is in the tallies of its source only.

use std::sync::Arc;
use std::time::Duration;

use crate::enrich::shape::Rules;
use crate::model::Timestamp;
use crate::source::feeder::{self, Feed, Portion};
use crate::source::{Running, SourceContext};

const KIND: &str = "shape";
/// How often the rules are asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// At the stop, so long is waited for what the sources still read.
const DRAIN: Duration = Duration::from_millis(100);

/// Starts to report; where no rule samples or limits, the task ends at once.
pub fn start(context: &SourceContext) -> Running {
    let rules = Arc::clone(context.enricher.shape_rules());
    if !rules.report_anything() {
        return Running { kind: KIND, address: None, task: tokio::spawn(async {}) };
    }
    let (feed, feeder) = feeder::start(context, context.tallies.of(KIND, "reports"));
    let context = context.clone();
    let task = tokio::spawn(async move {
        report(&rules, &context, feed).await;
        let _ = feeder.await;
    });
    Running { kind: KIND, address: None, task }
}

async fn report(rules: &Rules, context: &SourceContext, feed: Feed) {
    loop {
        let is_stopping = tokio::select! {
            () = context.stop.cancelled() => true,
            () = tokio::time::sleep(INTERVAL) => false,
        };
        if is_stopping {
            tokio::time::sleep(DRAIN).await;
        }
        let logs = rules.reports(Timestamp::now(), is_stopping, &context.resource);
        let bytes = logs.iter().map(|record| record.body.len() as u64).sum();
        if !logs.is_empty() && feed.send(Portion { logs, bytes, ..Portion::default() }).await.is_err() || is_stopping {
            return;
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::Config;
    use crate::delivery::{self, Outcome};
    use crate::enrich::ReceivedLine;
    use crate::model::{Resource, Value};

    #[tokio::test(start_paused = true)]
    async fn what_a_limit_dropped_is_said_at_the_stop_at_the_latest() {
        let (outlet, mut deliveries) = delivery::channel(1);
        let rule = crate::enrich::shape::Config {
            name: "chatty".to_owned(),
            limit: Some("1/h".to_owned()),
            ..Default::default()
        };
        let config = Config { shape: vec![rule], ..Config::default() };
        let context = SourceContext { enricher: config.enricher().unwrap(), ..SourceContext::bare(outlet) };
        let running = start(&context);
        let resource = Arc::new(Resource { service: "shop".into(), ..Resource::default() });
        let mut enricher = context.enricher.clone().of_source("files");
        let lines = (0..5).map(|_| enricher.enrich(ReceivedLine::plain(b"again", Timestamp::now(), &resource)));
        assert_eq!(lines.flatten().count(), 1);
        context.stop.cancel();
        let delivery = deliveries.recv().await.unwrap();
        let [record] = delivery.batch.logs.as_slice() else { panic!("one record") };
        assert_eq!(&*record.resource.service, "shop");
        assert_eq!(record.attribute("taffrail.dropped.count"), Some(&Value::Int(4)));
        delivery.receipt.answer(Outcome::Stored { acked_through: None });
        running.task.await.unwrap();
    }
}
