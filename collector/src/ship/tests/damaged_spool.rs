//! What the disk does to a spool: records that are damaged, segments that cannot be read, records that never became durable.

use std::path::PathBuf;

use super::super::unit::{Found, Search, find_on_disk};
use super::*;

/// One life of an agent, which ends where it stands, as if the process was killed.
async fn live_and_die(config: ShipConfig, batches: Vec<Batch>, is_over: fn(&ShipSnapshot) -> bool) {
    let life = move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let agent = Agent::start_with(config).await;
            for batch in batches {
                let outcome = agent.shipping.outlet.deliver(batch).await;
                assert_eq!(outcome, Outcome::Stored { acked_through: None });
            }
            until(|| is_over(&agent.shipping.status.snapshot())).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
    };
    tokio::task::spawn_blocking(|| std::thread::spawn(life).join().unwrap()).await.unwrap();
}

/// The spool's segments, the oldest first.
fn segments(state_dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(state_dir.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Changes a byte in the frame of a record.
fn damage(state_dir: &Path, record: usize) {
    let path = &segments(state_dir)[0];
    let mut bytes = std::fs::read(path).unwrap();
    let starts = bytes.windows(4).enumerate().filter(|(_, bytes)| bytes == b"TFJR").map(|(at, _)| at);
    let start = starts.collect::<Vec<_>>()[record];
    bytes[start + 80] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

async fn nobody() -> String {
    let server = Server::start().await;
    server.task.abort();
    let url = server.url();
    let _ = server.task.await;
    url
}

/// Waits until a server has so many lines.
async fn arrived(server: &Server, agent: &Agent, lines: usize) {
    for _ in 0..1_000 {
        if server.model.lines().len() == lines {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} lines arrived: {:#?}", server.model.lines().len(), agent.shipping.status.snapshot());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_is_found_when_sending_is_counted_and_the_rest_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let config = |url| ShipConfig::new(vec![url], directory.path().to_owned());
    live_and_die(config(nobody().await), (0..20).map(batch).collect(), |_| true).await;
    for record in [2, 6, 7, 15] {
        damage(directory.path(), record);
    }
    let server = Server::start().await;
    let agent = Agent::start_with(config(server.url())).await;
    arrived(&server, &agent, 20).await;
    agent.sent().await;
    let rest = (0..20).filter(|n| ![2, 6, 7, 15].contains(n));
    assert_eq!(sorted(server.model.lines()), sorted(lines_of(rest)));
    let status = agent.shipping.status.snapshot();
    assert_eq!((status.damaged_records, status.possible_duplicates, status.new_epochs), (4, 0, 0), "{status:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_to_what_may_have_been_sent_neither_repeats_nor_loses_what_stands_behind_it() {
    let check = async |records: &[usize]| {
        let (server, directory) = (Server::start().await, tempfile::tempdir().unwrap());
        let config = || ShipConfig::new(vec![server.url()], directory.path().to_owned());
        live_and_die(config(), (0..12).map(batch).collect(), |status| status.acked_rows == 18).await;
        // What went out is of a lease whose place in rows was written down before.
        let (_, books, _) = state::State::load(&RealFileSystem, directory.path()).unwrap().unwrap();
        let leases: Vec<_> = books.streams.iter().filter_map(|stream| stream.lease).collect();
        assert!(leases.iter().any(|lease| lease.rows_before.is_some()), "{leases:?}");
        records.iter().for_each(|&record| damage(directory.path(), record));
        let agent = Agent::start_with(config()).await;
        agent.deliver(12..16).await;
        agent.sent().await;
        assert_eq!(sorted(server.model.lines()), sorted(lines_of(0..16)), "{records:?}");
        let status = agent.shipping.status.snapshot();
        assert_eq!((status.new_streams, status.new_epochs, status.possible_duplicates), (0, 0, 0), "{records:?}");
        agent.stop().await;
    };
    check(&[]).await;
    check(&[0, 1]).await;
    check(&[5]).await;
    check(&[3, 6, 7]).await;
    check(&[9, 10]).await;
}

/// Lines that fill a segment each.
fn large() -> Vec<LogRecord> {
    vec![line(noise(100 << 10))]
}

const FIRST_SEGMENT: &str = "/agent/spool/00000000000000000000.tfj";
const PUT_ASIDE: &str = "/agent/quarantine/00000000000000000000.tfj";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_that_cannot_be_read_is_put_aside_and_the_others_arrive() {
    let (disk, dead) = (SimulatedFileSystem::new(1), Server::start().await);
    let (address, url) = (dead.address, dead.url());
    dead.task.abort();
    let _ = dead.task.await;
    let config = ShipConfig { spool_bytes_max: 1 << 20, ..ShipConfig::new(vec![url], "/agent".into()) };
    let endpoints = endpoint::connect(&config, 1).unwrap().into_iter();
    let endpoints = endpoints.map(|endpoint| -> Arc<dyn Endpoint> { Arc::new(endpoint) }).collect();
    let stop = CancellationToken::new();
    let shipping = start_with(config, endpoints, disk.clone(), None, stop.clone()).await.unwrap();
    let agent = Agent { shipping, stop, checkpoints: HashMap::new() };
    for _ in 0..6 {
        let outcome = agent.shipping.outlet.deliver(Batch { logs: large(), ..Batch::local() }).await;
        assert_eq!(outcome, Outcome::Stored { acked_through: None });
    }
    disk.fail_reads_of(Path::new(FIRST_SEGMENT));
    let server = Server::start_at(address, Model::default()).await;
    arrived(&server, &agent, 5).await;
    agent.sent().await;
    assert_eq!(agent.shipping.status.snapshot().damaged_records, 1);
    assert!(disk.length(Path::new(PUT_ASIDE)).is_ok() && disk.length(Path::new(FIRST_SEGMENT)).is_err());
    agent.stop().await;
}

#[test]
fn a_start_that_cannot_read_a_segment_puts_it_aside_and_still_counts_what_was_in_it() {
    let disk = SimulatedFileSystem::new(1);
    let mut spool = simulated_spool(&disk);
    for _ in 0..3 {
        spool.put(encoded(large()), Vec::new()).unwrap();
        assert_eq!(spool.commit().stored, 1);
    }
    drop(spool);
    disk.fail_reads_of(Path::new(FIRST_SEGMENT));
    let config = ShipConfig { spool_bytes_max: 512 << 10, ..ShipConfig::new(Vec::new(), "/agent".into()) };
    let Opened { spool, ledger, .. } = Spool::open(disk.clone(), &config).unwrap();
    assert_eq!((ledger.first_undone(), spool.end()), (0, 3));
    assert!(disk.length(Path::new(PUT_ASIDE)).is_ok());
}

#[test]
fn a_record_that_never_became_durable_is_not_handed_out_for_the_one_that_got_its_number() {
    let disk = SimulatedFileSystem::new(1);
    let spool = simulated_spool(&disk);
    let shared = Arc::new(Shared {
        agent: spool.agent(),
        spool: Mutex::new(spool),
        writing: Mutex::new(()),
        file_system: disk.clone(),
        state_dir: "/agent".into(),
        uncertain_wait: Duration::MAX,
        is_backlogged: AtomicBool::new(false),
        changed: Notify::new(),
        intake_ended: CancellationToken::new(),
        give_up: CancellationToken::new(),
        status: ShipStatus::new(AgentId(1), 0, std::iter::empty()),
        _lock: None,
    });
    let put = |text: &str| {
        let mut spool = shared.spool.lock();
        spool.put(encoded(vec![line(text.to_owned())]), Vec::new()).unwrap();
    };
    let find = |from, end, reader| -> (String, _) {
        let Search { found: Found::Unit(unit), reader, .. } =
            find_on_disk(&shared, Lane::Normal, from, end, 0, reader).unwrap()
        else {
            panic!("nothing at {from}");
        };
        let place = crate::model::StreamPlace { epoch: 0, stream: 0, lane: Lane::Normal, first_seq: 0 };
        let (batch, _) = frame::decode(&unit.addressed(0, 1, place, false).unwrap()).unwrap();
        (batch.logs[0].body.clone(), reader)
    };
    put("first");
    put("second");
    assert_eq!(shared.spool.lock().commit().stored, 2);
    put("lost");
    let (first, reader) = find(0, 2, None);
    disk.fail_syncs(1);
    assert_eq!(shared.spool.lock().commit().stored, 0);
    put("third");
    assert_eq!(shared.spool.lock().commit().stored, 1);
    let (second, reader) = find(1, 3, reader);
    let (third, _) = find(2, 3, reader);
    assert_eq!([&*first, &*second, &*third], ["first", "second", "third"]);
}
