//! The sender against a real server on loopback that fails in every way it can: what was taken arrives once, in order.

mod damaged_spool;

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
use crate::frame;
use crate::model::{Batch, Checkpoint, Lane, LogRecord, Severity, Timestamp};
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
    fn server_id(&self) -> u128 {
        5
    }

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
        for Checkpoint { key, value } in batch.checkpoints {
            stored.checkpoints.insert(key, value);
        }
        *next = end.max(*next);
        Outcome::Stored { acked_through: end.checked_sub(1) }
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().lines.clone()
    }
}

struct Server {
    address: SocketAddr,
    /// Frames with this line are refused for good.
    poison: Arc<Mutex<Option<String>>>,
    model: Model,
    faults: Arc<Mutex<VecDeque<Option<Fault>>>>,
    token: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Door {
    inner: Router,
    poison: Arc<Mutex<Option<String>>>,
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
        let context = SourceContext::bare(outlet);
        let inner = routes(context, Arc::new(model.clone()));
        let door = Door { inner, poison: Arc::default(), faults: Arc::default(), token: Arc::default() };
        let (poison, faults, token) = (Arc::clone(&door.poison), Arc::clone(&door.faults), Arc::clone(&door.token));
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = axum::serve(listener, Router::new().fallback(enter).with_state(door)).into_future();
        let task = tokio::spawn(async move { served.await.unwrap() });
        Server { address, poison, model, faults, token, task }
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
    let poison = door.poison.lock().clone().filter(|_| request.uri().path() == "/api/v1/ship");
    let (request, fault) = match poison {
        Some(poison) => {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let is_poisoned = frame::decode(&body).unwrap().0.logs.iter().any(|log| log.body == poison);
            (Request::from_parts(parts, Body::from(body)), if is_poisoned { Some(Fault::Poison) } else { fault })
        }
        None => (request, fault),
    };
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

pub(super) fn line(text: String) -> LogRecord {
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

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

struct Agent {
    shipping: Shipping,
    stop: CancellationToken,
    checkpoints: HashMap<String, Vec<u8>>,
}

impl Agent {
    async fn start(directory: &Path, servers: &[String]) -> Agent {
        Agent::start_with(ShipConfig::new(servers.to_vec(), directory.to_owned())).await
    }

    async fn start_with(config: ShipConfig) -> Agent {
        let stop = CancellationToken::new();
        let mut shipping = start(config, stop.clone()).await.unwrap();
        // A new agent has none before a server has answered.
        let known = tokio::time::timeout(Duration::from_millis(500), &mut shipping.checkpoints).await;
        let checkpoints = known.map(|known| known.unwrap()).unwrap_or_default();
        Agent { shipping, stop, checkpoints }
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
    for n in 5..30 {
        // One by one: what waits for the same answer goes out together.
        agent.deliver([n]).await;
        agent.sent().await;
    }
    assert_eq!(server.model.lines(), lines_of(0..30));
    let status = agent.shipping.status.snapshot();
    assert!(status.failed_attempts >= 8, "{status:?}");
    assert_eq!((status.new_streams, status.new_epochs, status.quarantined_records), (0, 0, 0));
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
    assert_eq!(agent.checkpoints["file"], b"19");
    agent.deliver(20..25).await;
    agent.sent().await;
    // What waited comes beside what comes now, and small batches go together.
    assert_eq!(sorted(server.model.lines()), sorted(lines_of(0..25)));
    let requests = agent.shipping.status.snapshot().acked_batches;
    assert!(requests < 15, "{requests} requests for 25 batches");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_went_back_in_time_starts_a_new_stream_and_old_segments_are_removed() {
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
    let lines = server.model.lines().into_iter().filter(|line| line.len() < 10).collect();
    assert_eq!(sorted(lines), sorted(lines_of(1..4)));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.new_streams, status.new_epochs), (1, 0));
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
    *server.poison.lock() = Some("7.1".to_owned());
    agent.deliver(3..12).await;
    agent.sent().await;
    // What is behind it need not wait until it is known which row it is.
    let expected: Vec<_> = lines_of(0..12).into_iter().filter(|line| line != "7.1").collect();
    assert_eq!(sorted(server.model.lines()), sorted(expected));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.quarantined_records, status.new_epochs, status.new_streams), (1, 0, 0));
    agent.stop().await;
    let kept = std::fs::read(directory.path().join("quarantine/00000000000000000007-normal-1.tfrm")).unwrap();
    assert_eq!(frame::decode(&kept).unwrap().0.logs, batch(7).logs[1..2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_everything_makes_nobody_throw_records_away() {
    let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
    let agent = Agent::start(directory.path(), &[server.url()]).await;
    server.faults.lock().extend([Some(Fault::Poison); 50]);
    agent.deliver(1..4).await;
    until(|| agent.shipping.status.snapshot().endpoints[0].last_error.contains("even an empty batch")).await;
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.quarantined_records, status.acked_rows), (0, 0));
    agent.stop.cancel();
    agent.shipping.task.abort();
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
    let copy = directory.path().join("copy");
    copy_directory(&state_dir, &copy);
    std::fs::remove_dir_all(&state_dir).unwrap();

    let agent = Agent::start(&state_dir, &[server.url()]).await;
    assert_eq!(agent.shipping.agent, id);
    assert_eq!(agent.checkpoints["file"], b"9");
    agent.deliver(10..12).await;
    agent.sent().await;
    assert_eq!(sorted(server.model.lines()), sorted(lines_of(0..12)));
    agent.stop().await;

    // And one that was restored from an old copy, whose numbers have been used since, lets the server's word count.
    std::fs::remove_dir_all(&state_dir).unwrap();
    copy_directory(&copy, &state_dir);
    let agent = Agent::start(&state_dir, &[server.url()]).await;
    assert_eq!(agent.checkpoints["file"], b"11");
    agent.deliver(12..14).await;
    agent.sent().await;
    agent.stop().await;
    std::fs::remove_dir_all(&state_dir).unwrap();
    copy_directory(&copy, &state_dir);
    let agent = Agent::start(&state_dir, &[server.url()]).await;
    assert_eq!(agent.checkpoints["file"], b"13");
    agent.deliver(14..16).await;
    agent.sent().await;
    assert_eq!(sorted(server.model.lines()), sorted(lines_of(0..16)));
    assert_eq!(agent.shipping.status.snapshot().new_epochs, 1);
    agent.stop().await;
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_directory(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
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

fn encoded(logs: Vec<LogRecord>) -> Vec<(Lane, Vec<u8>)> {
    let mut bytes = Vec::new();
    frame::encode(&Batch { logs, ..Batch::local() }, &mut bytes).unwrap();
    vec![(Lane::Normal, bytes)]
}

fn simulated_spool(disk: &SimulatedFileSystem) -> Spool<SimulatedFileSystem> {
    // Segments of 64 KiB.
    let config = ShipConfig { spool_bytes_max: 512 << 10, ..ShipConfig::new(Vec::new(), "/agent".into()) };
    Spool::open(disk.clone(), &config).unwrap().spool
}

#[test]
fn records_that_went_to_disk_with_a_closed_segment_stay_when_the_rest_is_lost() {
    let disk = SimulatedFileSystem::new(1);
    let mut spool = simulated_spool(&disk);
    let position = |n: u8| {
        let mut checkpoint = Checkpoint { key: "file".to_owned(), value: vec![n] };
        spool::with_order(&mut checkpoint, n.into());
        vec![checkpoint]
    };
    spool.put(encoded(vec![line(noise(128 << 10))]), position(1)).unwrap();
    spool.put(encoded(batch(1).logs), position(2)).unwrap();
    disk.fail_syncs(1);
    let commit = spool.commit();
    assert_eq!(commit.stored, 1);
    assert_eq!(commit.refusal.unwrap().reason, RefusalReason::WriteFailed);
    assert_eq!((spool.end(), &*spool.checkpoints()["file"]), (1, &[1][..]));
    spool.put(encoded(batch(1).logs), position(2)).unwrap();
    let commit = spool.commit();
    assert!(commit.stored == 1 && commit.refusal.is_none(), "{commit:?}");
    assert!(spool.recent(1).is_some(), "the number of the lost record is given again");
}

#[test]
fn of_a_source_that_several_servers_know_the_newest_checkpoint_counts_unless_this_state_is_newer() {
    let mut spool = simulated_spool(&SimulatedFileSystem::new(1));
    let known = |order: u64, value: &[u8]| {
        let mut checkpoint = Checkpoint { key: "file".to_owned(), value: value.to_vec() };
        spool::with_order(&mut checkpoint, order);
        checkpoint
    };
    let heard = |checkpoints| {
        let mut heard = HashMap::new();
        spool::keep_newest(&mut heard, checkpoints);
        heard
    };
    spool.learn_checkpoints(&heard(vec![known(5, b"b"), known(7, b"c"), known(3, b"a")]));
    assert_eq!(spool.checkpoints()["file"], b"c");
    spool.learn_checkpoints(&heard(vec![known(6, b"b")]));
    assert_eq!(spool.checkpoints()["file"], b"c");
    spool.learn_checkpoints(&heard(vec![known(8, b"d")]));
    assert_eq!(spool.checkpoints()["file"], b"d");
}
