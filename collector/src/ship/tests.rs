//! The sender against a real server on loopback that fails in every way it can: what was taken arrives once, in order.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::*;
use crate::delivery::{Outcome, RefusalReason, channel};
use crate::enrich::Enricher;
use crate::frame;
use crate::model::{Batch, Checkpoint, LogRecord, Severity, Timestamp};
use crate::simulated_file_system::SimulatedFileSystem;
use crate::source::SourceContext;
use crate::source::agent::{StreamMarks, routes};

/// What a request meets instead of, or after, the real route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// This status with nothing behind it.
    Status(u16),
    /// 200 from somebody else.
    Garbage,
    /// Stored, but the answer never arrives whole.
    StoredAnswerLost,
    /// Stored, but a proxy answers.
    StoredAnswerReplaced,
    /// Our own 400.
    Poison,
}

/// What the server stored: the model of a store that keeps stream marks.
#[derive(Default)]
struct Stored {
    next: HashMap<(AgentId, u64, u32), u64>,
    lines: Vec<String>,
    checkpoints: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Default)]
struct Model(Arc<Mutex<Stored>>);

impl StreamMarks for Model {
    fn streams(&self, agent: AgentId) -> Vec<(u64, u32, u64)> {
        let stored = self.0.lock();
        let own = stored.next.iter().filter(|((of, ..), next)| *of == agent && **next > 0);
        own.map(|((_, epoch, stream), next)| (*epoch, *stream, next - 1)).collect()
    }

    fn checkpoints(&self, _: AgentId) -> Vec<Checkpoint> {
        let stored = self.0.lock();
        stored.checkpoints.iter().map(|(key, value)| Checkpoint { key: key.clone(), value: value.clone() }).collect()
    }
}

impl Model {
    fn take(&self, batch: Batch) -> Outcome {
        let mut stored = self.0.lock();
        let stored = &mut *stored;
        let place = batch.place.unwrap();
        let next = stored.next.entry((batch.agent, place.epoch, place.stream)).or_default();
        let end = place.first_seq + batch.len() as u64;
        if place.first_seq > *next {
            return Outcome::Gap { expected: *next };
        }
        if end <= *next && !batch.is_empty() {
            return Outcome::Duplicate { acked_through: *next - 1 };
        }
        let known = usize::try_from(*next - place.first_seq).unwrap();
        stored.lines.extend(batch.logs.into_iter().skip(known).map(|log| log.body));
        stored.checkpoints.extend(batch.checkpoints.into_iter().map(|checkpoint| (checkpoint.key, checkpoint.value)));
        *next = end.max(*next);
        Outcome::Stored { acked_through: end.checked_sub(1) }
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone()
    }
}

struct Server {
    address: SocketAddr,
    model: Model,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    token: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Door {
    inner: Router,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    token: Arc<Mutex<Option<String>>>,
}

impl Server {
    async fn start() -> Server {
        Server::start_at("127.0.0.1:0".parse().unwrap(), Model::default()).await
    }

    async fn start_at(address: SocketAddr, model: Model) -> Server {
        let (outlet, mut deliveries) = channel(1);
        let taker = model.clone();
        tokio::spawn(async move {
            while let Some(delivery) = deliveries.recv().await {
                delivery.receipt.answer(taker.take(delivery.batch));
            }
        });
        let context = SourceContext {
            outlet,
            tallies: Arc::default(),
            enricher: Enricher::default(),
            resource: Arc::default(),
            checkpoints: Arc::default(),
            stop: CancellationToken::new(),
        };
        let inner = routes(context, Arc::new(model.clone()));
        let door = Door { inner, faults: Arc::default(), token: Arc::default() };
        let (faults, token) = (Arc::clone(&door.faults), Arc::clone(&door.token));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = axum::serve(listener, Router::new().fallback(enter).with_state(door)).into_future();
        let task = tokio::spawn(async move { served.await.unwrap() });
        Server { address, model, faults, token, task }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn enter(State(door): State<Door>, headers: HeaderMap, request: Request) -> Response {
    if let Some(token) = &*door.token.lock()
        && headers.get("authorization").is_none_or(|shown| shown != &format!("Bearer {token}"))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let fault = if request.uri().path() == "/api/v1/ship" { door.faults.lock().pop_front().flatten() } else { None };
    let status = |number| StatusCode::from_u16(number).unwrap();
    match fault {
        None => door.inner.oneshot(request).await.unwrap(),
        Some(Fault::Status(number)) => (status(number), [("retry-after", "0")]).into_response(),
        Some(Fault::Garbage) => "<html>please log in</html>".into_response(),
        Some(Fault::Poison) => (status(400), r#"{"error":{"message":"not this one"}}"#).into_response(),
        Some(Fault::StoredAnswerReplaced) => {
            door.inner.oneshot(request).await.unwrap();
            (status(502), "<html>bad gateway</html>").into_response()
        }
        Some(Fault::StoredAnswerLost) => {
            door.inner.oneshot(request).await.unwrap();
            let broken = futures_util::stream::iter([
                Ok(bytes::Bytes::from_static(b"{\"acked_")),
                Err(std::io::Error::other("the connection breaks")),
            ]);
            Body::from_stream(broken).into_response()
        }
    }
}

fn line(text: String) -> LogRecord {
    LogRecord {
        timestamp: Timestamp::EPOCH,
        observed_timestamp: Timestamp::EPOCH,
        severity: Severity::INFO,
        severity_text: Default::default(),
        body: text,
        trace_id: None,
        span_id: None,
        resource: Arc::default(),
        attributes: Vec::new(),
    }
}

/// Batch `n`: 0 to 3 lines and the checkpoint `file` = n.
fn batch(n: usize) -> Batch {
    let logs = (0..n % 4).map(|i| line(format!("{n}.{i}"))).collect();
    let checkpoints = vec![Checkpoint { key: "file".to_owned(), value: n.to_string().into_bytes() }];
    Batch { logs, checkpoints, ..Batch::local() }
}

fn lines_of(batches: impl IntoIterator<Item = usize>) -> Vec<String> {
    batches.into_iter().flat_map(|n| batch(n).logs).map(|log| log.body).collect()
}

struct Agent {
    shipping: Shipping,
    stop: CancellationToken,
}

impl Agent {
    async fn start(directory: &Path, servers: &[String]) -> Agent {
        Agent::start_with(ShipConfig::new(servers.to_vec(), directory.to_owned())).await
    }

    async fn start_with(config: ShipConfig) -> Agent {
        let stop = CancellationToken::new();
        Agent { shipping: start(config, stop.clone()).await.unwrap(), stop }
    }

    async fn deliver(&self, batches: impl IntoIterator<Item = usize>) {
        for n in batches {
            let outcome = self.shipping.outlet.deliver(batch(n)).await;
            assert_eq!(outcome, Outcome::Stored { acked_through: None }, "batch {n}");
        }
    }

    async fn sent(&self) {
        until(|| self.shipping.status.snapshot().waiting_batches == 0).await;
    }

    async fn stop(self) {
        self.stop.cancel();
        drop(self.shipping.outlet);
        self.shipping.task.await.unwrap();
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to pass within 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_arrives_once_and_in_order_whatever_the_server_answers() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let faults = [
        Fault::StoredAnswerLost,
        Fault::Status(503),
        Fault::Garbage,
        Fault::StoredAnswerReplaced,
        Fault::Status(500),
        Fault::Status(429),
        Fault::StoredAnswerLost,
        Fault::StoredAnswerLost,
    ];
    let agent = Agent::start(directory.path(), &[server.url()]).await;
    agent.deliver(0..5).await;
    // A sound answer after each, or the waiting times would grow.
    server.faults.lock().extend(faults.into_iter().flat_map(|fault| [Some(fault), None]));
    agent.deliver(5..30).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..30));
    let status = agent.shipping.status.snapshot();
    assert_eq!(status.acked_batches, 30, "{status:?}");
    assert_eq!(status.failed_attempts, 8, "{status:?}");
    // A batch without lines has no number of its own: stored again, it changes nothing.
    assert!((1..=4).contains(&status.duplicate_batches), "{status:?}");
    assert_eq!((status.rewinds, status.new_epochs, status.quarantined_batches), (0, 0, 0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_spooled_while_no_server_was_there_arrives_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let (address, model) = (server.address, server.model.clone());
    server.task.abort();
    let _ = server.task.await;
    let (state_dir, url) = (directory.path().to_owned(), format!("http://{address}"));
    let servers = [url.clone()];
    let killed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let id = runtime.block_on(async {
            let agent = Agent::start(&state_dir, &servers).await;
            agent.deliver(0..20).await;
            until(|| agent.shipping.status.snapshot().failed_attempts > 0).await;
            agent.shipping.agent
        });
        // Its tasks end where they stand, as if the process was killed.
        runtime.shutdown_timeout(Duration::from_secs(10));
        id
    });
    let first_agent = tokio::task::spawn_blocking(|| killed.join().unwrap()).await.unwrap();

    let server = Server::start_at(address, model).await;
    let agent = Agent::start(directory.path(), &[url]).await;
    assert_eq!(agent.shipping.agent, first_agent);
    assert_eq!(agent.shipping.checkpoints["file"], b"19");
    agent.deliver(20..25).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..25));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_back_in_time_gets_what_the_spool_still_holds() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(directory.path(), &[server.url()]).await;
    agent.deliver(0..10).await;
    agent.sent().await;
    {
        let mut stored = server.model.0.lock();
        let kept = lines_of(0..4).len();
        stored.lines.truncate(kept);
        stored.next.values_mut().for_each(|next| *next = kept as u64);
    }
    agent.deliver(10..12).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..12));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.rewinds, status.new_epochs), (1, 0));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_forgot_more_than_the_spool_holds_starts_a_new_epoch() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    // Segments of 64 KiB: lines of 32 KiB that do not compress fill one soon.
    let config =
        ShipConfig { spool_bytes_max: 512 << 10, ..ShipConfig::new(vec![server.url()], directory.path().into()) };
    let agent = Agent::start_with(config).await;
    for _ in 0..20 {
        let logs = vec![line(noise(32 << 10))];
        let outcome = agent.shipping.outlet.deliver(Batch { logs, ..Batch::local() }).await;
        assert_eq!(outcome, Outcome::Stored { acked_through: None });
        agent.sent().await;
    }
    *server.model.0.lock() = Stored::default();
    agent.deliver(1..4).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(1..4));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.rewinds, status.new_epochs), (0, 1));
    assert!(status.spool_bytes < 200 << 10, "acknowledged segments are removed: {status:?}");
    agent.stop().await;
}

/// Text that does not get much smaller.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| char::from(b' ' + (crate::random::random_bits() % 64) as u8)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_refused_for_good_goes_to_the_quarantine_and_the_rest_flows() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(directory.path(), &[server.url()]).await;
    agent.deliver(0..3).await;
    agent.sent().await;
    server.faults.lock().push_back(Some(Fault::Poison));
    agent.deliver(3..8).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of((0..3).chain(4..8)));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.quarantined_batches, status.new_epochs, status.rewinds), (1, 0, 0));
    agent.stop().await;
    let kept = std::fs::read(directory.path().join("quarantine/00000000000000000003.tfrm")).unwrap();
    assert_eq!(frame::decode(&kept).unwrap().0.logs, batch(3).logs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_state_directory_is_told_by_the_server_where_to_go_on() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let state_dir = directory.path().join("agent");
    let agent = Agent::start(&state_dir, &[server.url()]).await;
    agent.deliver(0..10).await;
    agent.sent().await;
    let id = agent.shipping.agent;
    agent.stop().await;
    let old_state = std::fs::read(state_dir.join("state.json")).unwrap();
    std::fs::remove_dir_all(&state_dir).unwrap();

    let agent = Agent::start(&state_dir, &[server.url()]).await;
    assert_eq!(agent.shipping.agent, id);
    assert_eq!(agent.shipping.checkpoints["file"], b"9");
    agent.deliver(10..12).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..12));
    agent.stop().await;

    // And one that was restored from an old copy lets the server's word count.
    std::fs::remove_dir_all(&state_dir).unwrap();
    std::fs::create_dir(&state_dir).unwrap();
    let stale = String::from_utf8(old_state).unwrap();
    let rows = lines_of(0..10).len();
    assert!(stale.contains(&format!("\"next_row\": {rows}")), "{stale}");
    let stale = stale.replace(&format!("\"next_row\": {rows}"), "\"next_row\": 2").replace("\"OQ==\"", "\"MQ==\"");
    std::fs::write(state_dir.join("state.json"), stale).unwrap();
    let agent = Agent::start(&state_dir, &[server.url()]).await;
    assert_eq!(agent.shipping.checkpoints["file"], b"11");
    agent.deliver(12..14).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..14));
    assert_eq!(agent.shipping.status.snapshot().new_epochs, 1);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_server_takes_over_and_a_changed_token_is_read_again() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let dead = Server::start().await;
    let dead_url = dead.url();
    dead.task.abort();
    let _ = dead.task.await;
    *server.token.lock() = Some("secret".to_owned());
    let token_file = directory.path().join("token");
    std::fs::write(&token_file, "secret\n").unwrap();
    let config = ShipConfig {
        token_file: Some(token_file.clone()),
        ..ShipConfig::new(vec![dead_url, server.url()], directory.path().join("agent"))
    };
    let agent = Agent::start_with(config).await;
    agent.deliver(0..5).await;
    agent.sent().await;
    *server.token.lock() = Some("changed".to_owned());
    std::fs::write(&token_file, "changed\n").unwrap();
    agent.deliver(5..8).await;
    agent.sent().await;
    assert_eq!(server.model.lines(), lines_of(0..8));
    let status = agent.shipping.status.snapshot();
    assert!(status.endpoints[0].failures_in_a_row > 0 && !status.endpoints[0].last_error.is_empty(), "{status:?}");
    assert_eq!(status.endpoints[1].failures_in_a_row, 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_refuses_and_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let dead = Server::start().await;
    dead.task.abort();
    let config = ShipConfig { spool_bytes_max: 1_000, ..ShipConfig::new(vec![dead.url()], directory.path().into()) };
    let agent = Agent::start_with(config).await;
    let mut refusal = None;
    for n in 0..50 {
        if let Outcome::Refused(refused) = agent.shipping.outlet.deliver(batch(n)).await {
            refusal = Some(refused);
            break;
        }
    }
    let refusal = refusal.expect("fifty batches are more than a thousand bytes");
    assert_eq!(refusal.reason, RefusalReason::DiskFull);
    assert!(refusal.retry_after.is_some());
    assert!(refusal.message.contains("collector.spool_bytes_max"), "{refusal}");
    agent.stop.cancel();
    agent.shipping.task.abort();
}

#[tokio::test]
async fn what_is_wrong_at_the_start_names_the_setting() {
    let directory = tempfile::tempdir().unwrap();
    let check = async |change: fn(&mut ShipConfig), setting: &str, says: &str| {
        let mut config = ShipConfig::new(vec!["http://127.0.0.1:1".to_owned()], directory.path().join("agent"));
        change(&mut config);
        let error = start(config, CancellationToken::new()).await.unwrap_err();
        assert_eq!(error.setting, setting);
        assert!(error.message.contains(says), "{error}");
    };
    check(|config| config.to.clear(), "collector.to", "at least one").await;
    check(|config| config.to = vec!["ftp://a".to_owned()], "collector.to", "http").await;
    check(|config| config.to = vec!["not a url".to_owned()], "collector.to", "URL").await;
    check(|config| config.token_file = Some("/no/such/file".into()), "collector.token_file", "/no/such/file").await;
    check(|config| config.state_dir = "/proc/none".into(), "collector.state_dir", "cannot create").await;
    let _lock = state::lock(directory.path()).unwrap();
    assert!(state::lock(directory.path()).unwrap_err().message.contains("another agent"));
}

/// The spool on a disk that loses power: what was committed is there with its place, and rows are never counted twice.
#[test]
fn committed_frames_survive_the_loss_of_power() {
    for seed in 0..150u64 {
        let disk = SimulatedFileSystem::new(seed);
        let config = ShipConfig { spool_bytes_max: 1 << 20, ..ShipConfig::new(Vec::new(), "/agent".into()) };
        let mut committed: Vec<(u64, u64)> = Vec::new();
        for life in 0..4u64 {
            if seed % 3 == 0 && life > 0 {
                disk.stop_after((seed + life) % 5);
                let _ = Spool::open(disk.clone(), &config);
                disk.lose_power();
            }
            let mut spool = Spool::open(disk.clone(), &config).unwrap();
            let mut found = Vec::new();
            let mut reader = spool.reader(0).unwrap();
            while let Some(record) = reader.next_record().unwrap() {
                found.push((record.seq, frame::peek(&record.payload).unwrap().place.unwrap().first_seq));
            }
            assert!(found.starts_with(&committed), "seed {seed}: {found:?} after {committed:?}");
            assert_eq!(spool.end(), found.len() as u64, "seed {seed}");
            committed = found;
            disk.stop_after((seed * 7 + life * 3) % 23);
            for n in 1..20usize {
                let mut bytes = Vec::new();
                frame::encode(&batch(n % 3 + 1), &mut bytes).unwrap();
                let _ = spool.put(bytes, Vec::new());
                if n % 2 == 0 {
                    let _ = spool.commit();
                    for number in committed.len() as u64..spool.end() {
                        let frame = spool.recent(number).unwrap();
                        committed.push((number, frame::peek(&frame.bytes).unwrap().place.unwrap().first_seq));
                    }
                }
            }
            disk.lose_power();
        }
        assert!(committed.windows(2).all(|pair| pair[0].1 < pair[1].1), "seed {seed}: {committed:?}");
    }
}

fn encoded(logs: Vec<LogRecord>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(&Batch { logs, ..Batch::local() }, &mut bytes).unwrap();
    bytes
}

fn simulated_spool(disk: &SimulatedFileSystem) -> Spool<SimulatedFileSystem> {
    // Segments of 64 KiB.
    let config = ShipConfig { spool_bytes_max: 512 << 10, ..ShipConfig::new(Vec::new(), "/agent".into()) };
    Spool::open(disk.clone(), &config).unwrap()
}

#[test]
fn a_frame_that_was_left_out_is_left_out_once_whenever_the_agent_is_killed() {
    let disk = SimulatedFileSystem::new(1);
    let mut spool = simulated_spool(&disk);
    for n in 1..4 {
        spool.put(encoded(batch(n).logs), Vec::new()).unwrap();
    }
    assert_eq!(spool.commit().stored, 3);
    spool.acked(1).unwrap();
    spool.leave_out(2, 2).unwrap();
    drop(spool);
    disk.lose_power();
    let spool = simulated_spool(&disk);
    assert_eq!(spool.acked_frames(), 2, "neither the stored frame nor the one left out is sent again");
    assert_eq!(spool.place(3).unwrap().first_seq, 1, "the third frame goes on where the first ended");
}

#[test]
fn frames_that_went_to_disk_with_a_closed_segment_stay_when_the_rest_is_lost() {
    let disk = SimulatedFileSystem::new(1);
    let mut spool = simulated_spool(&disk);
    let position = |n: &str| vec![Checkpoint { key: "file".to_owned(), value: n.as_bytes().to_vec() }];
    spool.put(encoded(vec![line(noise(128 << 10))]), position("0")).unwrap();
    spool.put(encoded(batch(1).logs), position("1")).unwrap();
    disk.fail_syncs(1);
    let commit = spool.commit();
    assert_eq!(commit.stored, 1);
    assert_eq!(commit.refusal.unwrap().reason, RefusalReason::WriteFailed);
    assert_eq!((spool.end(), spool.next_seq()), (1, 1));
    assert_eq!(spool.checkpoints()["file"], b"0");
    spool.put(encoded(batch(1).logs), position("1")).unwrap();
    let commit = spool.commit();
    assert!(commit.stored == 1 && commit.refusal.is_none(), "{commit:?}");
    let again = spool.recent(1).expect("the number of the lost frame is given again");
    assert_eq!(frame::peek(&again.bytes).unwrap().place.unwrap().first_seq, 1);
}

#[test]
fn checkpoints_that_the_server_knew_survive_the_loss_of_power() {
    let disk = SimulatedFileSystem::new(1);
    let mut spool = simulated_spool(&disk);
    spool.learn_checkpoints(vec![Checkpoint { key: "file".to_owned(), value: b"9".to_vec() }]).unwrap();
    drop(spool);
    disk.lose_power();
    assert_eq!(simulated_spool(&disk).checkpoints()["file"], b"9");
}
