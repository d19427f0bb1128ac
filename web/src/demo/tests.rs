//! The shop against real receivers of the collector.

use std::collections::{BTreeMap, BTreeSet};

use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{Batch, LogRecord, Resource, SampleValue};
use taffrail_collector::source::{Running, SourceContext, Tallies, json_lines, statsd, syslog};
use tokio::task::JoinHandle;

use super::*;

/// The collector's doors, and whoever takes what comes in.
struct Doors {
    addresses: Addresses,
    stop: CancellationToken,
    tallies: Arc<Tallies>,
    sources: Vec<Running>,
    http: JoinHandle<io::Result<()>>,
    batches: JoinHandle<Vec<Batch>>,
    _directory: tempfile::TempDir,
}

/// What came in.
struct Taken {
    logs: BTreeMap<String, Vec<LogRecord>>,
    counters: BTreeMap<String, f64>,
    payment_log: String,
}

impl Doors {
    async fn open() -> Doors {
        let directory = tempfile::tempdir().unwrap();
        let (outlet, mut deliveries) = delivery::channel(64);
        let context = SourceContext {
            outlet,
            tallies: Arc::default(),
            enricher: Default::default(),
            resource: Arc::new(Resource::default()),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        };
        let batches = tokio::spawn(async move {
            let mut batches = Vec::new();
            while let Some(delivery) = deliveries.recv().await {
                batches.push(delivery.batch);
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
            batches
        });
        let address = "127.0.0.1:0";
        let config = statsd::Config { address: address.parse().unwrap(), ..Default::default() };
        let mut sources = vec![statsd::start(config, context.clone()).unwrap()];
        let config = syslog::Config { address: address.parse().unwrap(), ..Default::default() };
        sources.push(syslog::start(config, context.clone()).unwrap());
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let addresses = Addresses {
            http: listener.local_addr().unwrap(),
            statsd: sources[0].address.unwrap(),
            syslog: sources[1].address.unwrap(),
            payment_log: directory.path().join("payment.log"),
        };
        let routes = json_lines::routes(Default::default(), context.clone());
        let ended = context.stop.clone().cancelled_owned();
        let http = tokio::spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(ended).await });
        let (stop, tallies) = (context.stop.clone(), Arc::clone(&context.tallies));
        Doors { addresses, stop, tallies, sources, http, batches, _directory: directory }
    }

    /// Waits until each kind of source has taken so many records.
    async fn have_taken(&self, kinds: [(&str, u64); 3]) {
        let enough = |(kind, least): (&str, u64)| {
            let tallies = self.tallies.snapshot();
            tallies.iter().filter(|tally| tally.kind == kind).map(|tally| tally.records).sum::<u64>() >= least
        };
        while !kinds.into_iter().all(enough) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn close(self) -> Taken {
        self.stop.cancel();
        for source in self.sources {
            source.task.await.unwrap();
        }
        self.http.await.unwrap().unwrap();
        let problems: Vec<_> = self.tallies.snapshot().into_iter().flat_map(|tally| tally.problems).collect();
        assert!(problems.is_empty(), "{problems:?}");
        let (mut logs, mut counters) = (BTreeMap::<String, Vec<LogRecord>>::new(), BTreeMap::new());
        for batch in self.batches.await.unwrap() {
            for record in batch.logs {
                logs.entry(record.resource.service.to_string()).or_default().push(record);
            }
            for sample in batch.samples {
                if let SampleValue::Counter { sum } = sample.value {
                    *counters.entry(sample.labels.name().to_owned()).or_insert(0.0) += sum;
                }
            }
        }
        let payment_log = std::fs::read_to_string(&self.addresses.payment_log).unwrap_or_default();
        Taken { logs, counters, payment_log }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_speak_through_the_real_doors_and_share_traces() {
    let doors = Doors::open().await;
    let stop = CancellationToken::new();
    let settings = Settings { requests_per_second_max: 150.0, history: Duration::ZERO, ..Settings::default() };
    let shop = tokio::spawn(run(doors.addresses.clone(), settings, stop.clone()));
    doors.have_taken([("statsd", 500), ("syslog", 20), ("json_lines", 50)]).await;
    stop.cancel();
    shop.await.unwrap().unwrap();
    let taken = doors.close().await;
    assert!(taken.counters["web.requests"] > 0.0 && taken.counters["checkout.orders"] > 0.0, "{:?}", taken.counters);
    let traces =
        |service: &str| taken.logs[service].iter().filter_map(|record| record.trace_id).collect::<BTreeSet<_>>();
    let shared: Vec<_> = traces("web").intersection(&traces("checkout")).copied().collect();
    assert!(shared.iter().any(|trace| taken.payment_log.contains(&trace.to_string())), "{shared:?}");
    let order = &taken.logs["checkout"][0];
    assert_eq!(&*order.resource.host, "shop-app-1");
    assert!(order.attribute("order_id").is_some(), "{order:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_sent_whole_with_its_own_moments() {
    let doors = Doors::open().await;
    let to = Timestamp::now();
    let from = to.saturating_sub(Duration::from_secs(3_600));
    let story = Story::new(to, Duration::from_secs(240), Duration::from_secs(240));
    send_history(Shop::new(story, 1, 1.0), story, from, to, &doors.addresses).await;
    let (mut shop, mut at, mut requests) = (Shop::new(story, 1, 1.0), from, 0.0);
    at = at.saturating_add(shop.wait(at));
    while at < to {
        shop.request(at);
        requests += 1.0;
        at = at.saturating_add(shop.wait(at));
    }
    let measured = 360 * hosts::at(&story, from, true).lines().count() as u64;
    doors
        .have_taken([("statsd", measured + 3 * requests as u64), ("syslog", 0), ("json_lines", requests as u64)])
        .await;
    let taken = doors.close().await;
    assert_eq!(taken.counters["web.requests"], requests);
    let moments = || taken.logs.values().flatten().map(|record| record.timestamp);
    let oldest = moments().min().unwrap();
    assert!(from < oldest && oldest < from.saturating_add(Duration::from_secs(60)), "{oldest}");
    let deployed = taken.logs["checkout"].iter().filter(|record| record.body.contains("1.4.2 deployed")).count();
    assert_eq!(deployed, 1);
    assert!(taken.logs["payment"].iter().any(|record| record.body.contains("\n\tat shop.payment.BankClient")));
}
