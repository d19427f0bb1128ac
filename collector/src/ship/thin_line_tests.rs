//! The sender on a line that is thin, long and loses packets, and after an outage: how much of the line it uses and what goes
//! first. In simulated time, so that the figures are the sender's and not the machine's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::endpoint::{Answer, Endpoint, ServerView};
use super::{ShipConfig, Shipping, start_with};
use crate::frame;
use crate::model::{AgentId, Batch, Checkpoint};
use crate::simulated_file_system::SimulatedFileSystem;

/// A server behind a line.
struct Line {
    bytes_per_second: f64,
    /// Each way.
    delay: Duration,
    /// One in so many packets is lost; 0 for none.
    loss: u64,
    is_up: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// When what is on the line has passed.
    busy_until: Instant,
    random: u64,
    bytes: usize,
    /// Numbers of the lines that arrived, in that order.
    arrived: Vec<u64>,
    requests: u64,
}

/// What a lost packet costs: a retransmission timeout and a round trip.
const STALL: Duration = Duration::from_millis(400);
const PACKET: usize = 4 << 10;

impl State {
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }
}

impl Line {
    fn new(bytes_per_second: f64, delay: Duration, loss: u64) -> Arc<Line> {
        let state = State { busy_until: Instant::now(), random: 7, bytes: 0, arrived: Vec::new(), requests: 0 };
        Arc::new(Line { bytes_per_second, delay, loss, is_up: AtomicBool::new(true), state: Mutex::new(state) })
    }

    async fn carry(&self, frame: Bytes) -> Answer {
        if !self.is_up.load(Relaxed) {
            return Answer::Unsent { reason: "down".to_owned() };
        }
        tokio::time::sleep(self.delay).await;
        for packet in frame.chunks(PACKET) {
            let (passed, is_lost) = {
                let mut state = self.state.lock();
                let start = state.busy_until.max(Instant::now());
                state.busy_until = start + Duration::from_secs_f64(packet.len() as f64 / self.bytes_per_second);
                let is_lost = self.loss > 0 && state.random().is_multiple_of(self.loss);
                (state.busy_until, is_lost)
            };
            tokio::time::sleep_until(passed).await;
            if is_lost {
                tokio::time::sleep(STALL).await;
            }
        }
        let (batch, _) = frame::decode(&frame).expect("a sound frame");
        let place = batch.place.expect("a place");
        {
            let mut state = self.state.lock();
            state.bytes += frame.len();
            state.requests += 1;
            let number = |body: &str| body.split(' ').next().and_then(|word| word.parse::<u64>().ok());
            state.arrived.extend(batch.logs.iter().filter_map(|log| number(&log.body)));
        }
        tokio::time::sleep(self.delay).await;
        let end = place.first_seq + (batch.logs.len() + batch.samples.len()) as u64;
        Answer::Acked { through: end.checked_sub(1), duplicate: false }
    }

    fn arrived(&self) -> usize {
        self.state.lock().arrived.len()
    }
}

struct Door(Arc<Line>);

impl Endpoint for Door {
    fn url(&self) -> &str {
        "http://far:1"
    }

    fn ship(&self, frame: Bytes, deadline: Duration) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            let carried = tokio::time::timeout(deadline, self.0.carry(frame)).await;
            carried.unwrap_or_else(|_| Answer::TimedOut { reason: "late".to_owned() })
        })
    }

    fn streams(&self, _: AgentId, _: bool, _: Duration) -> BoxFuture<'_, Result<ServerView, Answer>> {
        Box::pin(async move {
            if !self.0.is_up.load(Relaxed) {
                return Err(Answer::Unsent { reason: "down".to_owned() });
            }
            tokio::time::sleep(self.0.delay * 2).await;
            Ok(ServerView { server: "1".to_owned(), ..ServerView::default() })
        })
    }
}

/// A source that reads so many lines a second, as they are written.
struct Source {
    lines_per_second: u64,
    line_bytes: usize,
    next: Arc<Mutex<u64>>,
}

impl Source {
    /// Letters at random, which compress to six tenths.
    fn body(number: u64, bytes: usize) -> String {
        let mut random = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let letter = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char::from(b'a' + (random % 26) as u8)
        };
        format!("{number} {}", std::iter::repeat_with(letter).take(bytes).collect::<String>())
    }

    async fn run(self, outlet: crate::delivery::Outlet) {
        const EVERY: Duration = Duration::from_millis(100);
        let mut due = Instant::now();
        loop {
            due += EVERY;
            tokio::time::sleep_until(due).await;
            let first = *self.next.lock();
            let end = first + self.lines_per_second / 10;
            let logs = (first..end).map(|number| super::tests::line(Source::body(number, self.line_bytes))).collect();
            let checkpoints = vec![Checkpoint { key: "file".to_owned(), value: end.to_string().into_bytes() }];
            outlet.deliver(Batch { logs, checkpoints, ..Batch::local() }).await;
            *self.next.lock() = end;
        }
    }
}

/// An agent that reads a source and sends through a line.
struct Scene {
    line: Arc<Line>,
    next: Arc<Mutex<u64>>,
    shipping: Shipping,
}

impl Scene {
    async fn start(line: Arc<Line>, lines_per_second: u64, line_bytes: usize) -> Scene {
        let config = ShipConfig::new(Vec::new(), "/agent".into());
        let door: Arc<dyn Endpoint> = Arc::new(Door(Arc::clone(&line)));
        let disk = SimulatedFileSystem::new(1);
        let shipping = start_with(config, vec![door], disk, None, CancellationToken::new()).await.unwrap();
        let next = Arc::new(Mutex::new(0));
        let source = Source { lines_per_second, line_bytes, next: Arc::clone(&next) };
        tokio::spawn(source.run(shipping.outlet.clone()));
        Scene { line, next, shipping }
    }

    async fn goes_on(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    fn told(&self) -> String {
        let status = self.shipping.status.snapshot();
        let endpoint = &status.endpoints[0];
        format!(
            "{} requests, {} at a time, {:?} ms each, {} failed, {} batches wait",
            self.line.state.lock().requests,
            endpoint.concurrency,
            endpoint.rtt_ms,
            status.failed_attempts,
            status.waiting_batches
        )
    }
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(story);
    runtime.shutdown_timeout(Duration::from_secs(10));
}

/// The share of a line that is used while more is read than it carries.
fn used(bytes_per_second: f64, delay: Duration, loss: u64) -> f64 {
    let mut used = 0.0;
    run(async {
        let line = Line::new(bytes_per_second, delay, loss);
        let lines_per_second = (bytes_per_second / 300.0 * 1.7) as u64 / 10 * 10;
        let scene = Scene::start(line, lines_per_second.max(10), 450).await;
        scene.goes_on(10).await;
        let before = scene.line.state.lock().bytes;
        scene.goes_on(20).await;
        used = (scene.line.state.lock().bytes - before) as f64 / 20.0 / bytes_per_second;
        println!(
            "{bytes_per_second} bytes/s, {delay:?} each way, one of {loss} lost: {:.0} % used, {}",
            used * 100.0,
            scene.told()
        );
    });
    used
}

#[test]
fn a_thin_line_is_used_however_long_it_is() {
    let ms = Duration::from_millis;
    let mut missed = Vec::new();
    for (bytes_per_second, delay, loss, least) in [
        (125_000.0, ms(100), 0, 0.9),
        (125_000.0, ms(100), 100, 0.85),
        (125_000.0, ms(300), 100, 0.65),
        (1_000_000.0, ms(100), 200, 0.65),
        (22_000.0, ms(10), 100, 0.9),
        (125_000.0, ms(5), 100, 0.9),
    ] {
        let used = used(bytes_per_second, delay, loss);
        missed.extend((used < least).then(|| format!("{used:.2} of {bytes_per_second} bytes/s, {delay:?} each way")));
    }
    assert_eq!(missed, Vec::<String>::new(), "used too little");
}

/// After an outage of a minute behind a line that carries so many times what is read: the share of what is new in what arrives while
/// both wait, and how many lines that waited arrive for each new one until none waits.
fn after_an_outage(share: f64, delay: Duration) -> (f64, f64) {
    const LINES_PER_SECOND: u64 = 400;
    const LINE_BYTES: f64 = 100.0;
    let mut found = (0.0, 0.0);
    run(async {
        let line = Line::new(LINES_PER_SECOND as f64 * LINE_BYTES * share, delay, 100);
        let scene = Scene::start(line, LINES_PER_SECOND, 140).await;
        scene.goes_on(5).await;
        scene.line.is_up.store(false, Relaxed);
        let down_from = *scene.next.lock();
        scene.goes_on(60).await;
        let down_until = *scene.next.lock();
        let before = scene.line.arrived();
        scene.line.is_up.store(true, Relaxed);
        let waited = down_from..down_until;
        let mut moments = 0;
        loop {
            scene.goes_on(1).await;
            moments += 1;
            let state = scene.line.state.lock();
            let since = &state.arrived[before..];
            let old = since.iter().filter(|number| waited.contains(number)).count();
            let is_drained = old as u64 >= down_until - down_from - 100;
            if is_drained || moments == if share < 1.0 { 60 } else { 600 } {
                let last = since.iter().rposition(|number| waited.contains(number)).unwrap_or(0);
                let new = last + 1 - old;
                found = (1.0 - old as f64 / since.len() as f64, old as f64 / new.max(1) as f64);
                println!(
                    "{share} of what is read, {delay:?}: after {moments} s {old} of {} that waited, {new} new ones",
                    down_until - down_from
                );
                break;
            }
        }
        println!("{}", scene.told());
    });
    found
}

#[test]
fn what_is_new_goes_first_on_a_line_that_cannot_carry_both() {
    for (share, delay) in [(0.5, 10), (0.5, 100), (0.9, 50)] {
        let (new, _) = after_an_outage(share, Duration::from_millis(delay));
        assert!(new >= 0.75, "{share}, {delay} ms: {new:.2} of what arrived was new");
    }
}

#[test]
fn a_backlog_drains_several_times_as_fast_as_new_lines_come() {
    for (share, delay) in [(6.0, 10), (6.0, 100)] {
        let (_, ratio) = after_an_outage(share, Duration::from_millis(delay));
        assert!(ratio >= 3.0, "{share}, {delay} ms: {ratio:.2} that waited for each new one");
    }
}
