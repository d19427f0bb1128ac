//! Rows 16 to 19: servers that die at the worst moment, full disks, outages longer than the spool, clocks that are wrong.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Row;
use super::link::seconds;
use super::network::Network;
use super::proxy::{Manner, Proxy};
use super::scene::{PATIENCE, Scene};
use crate::field::within;
use crate::oracle::{Habits, Writer, arrivals};

/// The rows.
pub const ROWS: &[Row] = &[
    ("16", "the server dies between writing, fsync and answer", dying_server),
    ("17a", "the server's disk is full", full_server),
    ("17b", "the agent's disk is full", full_agent),
    ("18", "all servers down, a spool too small for that", long_outage),
    ("18b", "after an outage, more than the link can carry", |network| backlog(network, 0.5)),
    ("18c", "after an outage, less than the link can carry", |network| backlog(network, 6.0)),
    ("18d", "the agent's state is lost while a backlog drains", lost_state),
    ("19", "lines dated a day before and after", odd_times),
];

fn dying_server(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    for point in ["store:before_sync", "store:after_sync", "store:before_receipt"] {
        scene.servers[0].duplicate_batches();
        scene.servers[0].host.kill();
        scene.servers[0].host.start_with(&[("TAFFRAIL_CRASH_AT", &format!("{point}#3"))]);
        let ended = scene.servers[0].host.running().wait_for_end(PATIENCE);
        assert_eq!(ended.and_then(|status| status.signal()), Some(6), "it dies at {point}");
        scene.servers[0].host.kill();
        scene.servers[0].wait_until_ready();
    }
    scene.goes_on(1);
    let told = scene.ends_clean();
    format!("{told} (a power cut instead of a death: the simulated disks of journal, spool and pipeline)")
}

/// A small disk, mounted over a directory.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, megabytes: u32) -> SmallDisk {
        std::fs::create_dir_all(path).expect("make a directory");
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(path).status();
        assert!(mounted.expect("run mount").success(), "mount a small disk");
        SmallDisk(path.to_owned())
    }

    /// Leaves at most so many bytes free as long as the ballast lies there.
    fn fill(&self, leave: u64) {
        let disk = rustix::fs::statvfs(&self.0).expect("measure the disk");
        let free = disk.f_bavail * disk.f_frsize;
        let ballast = std::fs::write(self.0.join("ballast"), vec![0; free.saturating_sub(leave) as usize]);
        // Somebody else may have taken of the rest meanwhile.
        assert!(ballast.is_ok() || ballast.is_err_and(|error| error.kind() == ErrorKind::StorageFull), "fill the disk");
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("ballast")).expect("make room");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn full_server(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    scene.servers[0].host.kill();
    let disk = SmallDisk::mount(&scene.servers[0].data, 48);
    scene.servers[0].wait_until_ready();
    scene.start_agent(&[format!("http://{}", network.address(0))]);
    scene.start_writing();
    disk.fill(20_000);
    let refused = within(PATIENCE, || {
        let refused = scene.servers[0].store()?["refused"].clone();
        refused.as_object().is_some_and(|refused| !refused.is_empty()).then_some(refused)
    });
    assert!(refused.is_some(), "a full disk refuses: {:?}", scene.servers[0].store());
    scene.goes_on(4);
    let waiting = scene.ship()["waiting_batches"].as_u64();
    assert!(waiting > Some(0), "what is refused waits at the agent");
    let found = crate::field::verdict(&scene.servers, &scene.ledger);
    assert!(found.written() > found.missing(), "questions are answered all the while");
    disk.make_room();
    let flows = scene.until_it_flows_to(0);
    let told = scene.ends_clean();
    scene.servers[0].host.kill();
    format!("refused as {}, flows {} after there was room, {told}", refused.unwrap_or_default(), seconds(flows))
}

fn full_agent(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    let state = scene.agent.state().to_owned();
    let disk = SmallDisk::mount(&state, 24);
    scene.start_agent(&[format!("http://{}", network.address(0))]);
    // Sockets drop what comes when nothing can be spooled, and count it: only files are asked for here.
    scene.start_writing_files();
    disk.fill(0);
    scene.goes_on(8);
    assert!(scene.agent.host.running().ended().is_none(), "it goes on: {}", scene.agent.host.log_text());
    disk.make_room();
    let flows = scene.until_it_flows_to(0);
    let told = scene.ends_clean();
    scene.agent.host.kill();
    format!("flows {} after there was room, {told}", seconds(flows))
}

fn long_outage(network: &Network) -> String {
    const SPOOL_BYTES_MAX: u64 = 256 << 10;
    let mut scene = Scene::set(network, 1).with_settings(&format!("spool_bytes_max = {SPOOL_BYTES_MAX}"));
    scene.start_agent(&[format!("http://{}", network.address(0))]);
    scene.start_writing_files();
    scene.servers[0].host.kill();
    let much =
        Habits { pause: Duration::from_millis(20), burst: 16, padding: 900, rotate_every: 400, remove_after: None };
    let path = scene.directory.path().join("logs/much.log");
    let writer = Writer::file(&scene.ledger, "much", &path, much, 5);
    scene.also_writes(writer);
    let mut most = 0;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(500));
        most = most.max(scene.agent.spool_bytes());
    }
    assert!(most > SPOOL_BYTES_MAX / 2, "the spool is used: {most}");
    assert!(most <= SPOOL_BYTES_MAX + (256 << 10), "the spool keeps to its limit: {most}");
    scene.servers[0].wait_until_ready();
    let flows = scene.until_it_flows_to(0);
    format!("the spool grew to {most} bytes, flows {} after the start, {}", seconds(flows), scene.ends_clean())
}

/// An outage, then a link that carries `share` of what is written live: what is new goes first, and what waited follows. How much of
/// each is told here, where other rows want this machine too; seven tenths and twice as much are asserted where time is the test's
/// own (`ship::thin_line_tests`).
fn backlog(network: &Network, share: f64) -> String {
    const LINES_PER_SECOND: u64 = 400;
    /// Of a line on the wire, as letters at random compress.
    const LINE_BYTES: u64 = 110;
    let mut scene = Scene::set(network, 1);
    let proxy = Proxy::start(network.listen(4), &[scene.servers[0].address]);
    scene.start_agent(&[format!("http://{}", network.address(4))]);
    scene.start_writing_files();
    network.on_the_way_to(4, "-j REJECT --reject-with tcp-reset");
    let habits = Habits { padding: 240, ..Habits::steady(LINES_PER_SECOND) };
    let path = scene.directory.path().join("logs/live.log");
    let writer = Writer::file(&scene.ledger, "live", &path, habits, 5);
    scene.goes_on(10);
    // What is younger than this when the link is back is no backlog yet.
    let waited = scene.ledger.source("live").next();
    scene.goes_on(6);
    let bytes_per_second = ((LINES_PER_SECOND * LINE_BYTES) as f64 * share) as u64;
    proxy.set(Manner::Thin { bytes_per_second, delay: Duration::from_millis(10) });
    network.lift();
    scene.until_it_flows_to(0);
    let url = scene.servers[0].url();
    let arrived = || arrivals(&url, "live").expect("the server's lines");
    let told = if share < 1.0 {
        scene.goes_on(8);
        let arrived = arrived();
        let old = arrived.iter().filter(|&&seq| seq < waited).count();
        assert!((old as u64) < waited, "both waited: {old} of {waited} old ones arrived");
        let live = (arrived.len() - old) as f64 / arrived.len() as f64;
        assert!(live > 0.5, "{:.0} % of what passed was new: {old} old ones of {}", live * 100.0, arrived.len());
        format!("{:.0} % of what passed was new", live * 100.0)
    } else {
        let drained = within(PATIENCE, || {
            let arrived = arrived();
            let last_old = arrived.iter().rposition(|&seq| seq < waited)?;
            let old = arrived.iter().filter(|&&seq| seq < waited).count();
            (old as u64 == waited).then_some((old, last_old + 1 - old))
        });
        let (old, live) = drained.expect("the backlog drains");
        assert!(old > live, "while {old} old lines drained, {live} new ones came");
        format!("{old} old lines drained while {live} new ones came")
    };
    writer.stop();
    proxy.set(Manner::Forward);
    format!("{told}, {}", scene.ends_clean())
}

/// In the middle of a backlog, with what is new stored ahead of what waited, all that the agent knows is gone but its files.
fn lost_state(network: &Network) -> String {
    let mut scene = Scene::set(network, 1);
    let proxy = Proxy::start(network.listen(4), &[scene.servers[0].address]);
    scene.start_agent(&[format!("http://{}", network.address(4))]);
    scene.start_writing_files();
    network.on_the_way_to(4, "-j REJECT --reject-with tcp-reset");
    let habits = Habits { padding: 240, ..Habits::steady(200) };
    let path = scene.directory.path().join("logs/live.log");
    let writer = Writer::file(&scene.ledger, "live", &path, habits.clone(), 5);
    // A file that no checkpoint of the server's speaks of, and one that is rotated all the while.
    let other = scene.directory.path().join("logs/other.log");
    scene.also_writes(Writer::file(&scene.ledger, "other", &other, Habits::steady(100).rotating(150, None), 6));
    scene.goes_on(12);
    let waited = scene.ledger.source("live").next();
    scene.goes_on(2);
    proxy.set(Manner::Thin { bytes_per_second: 16_000, delay: Duration::from_millis(10) });
    network.lift();
    let url = scene.servers[0].url();
    let ahead = within(PATIENCE, || {
        let arrived = arrivals(&url, "live").ok()?;
        let new = arrived.iter().filter(|&&seq| seq >= waited).count();
        let old = arrived.len() - new;
        assert!((old as u64) < waited, "the backlog has drained before anything new came");
        (new > 100 && old > 0).then_some((new, waited - old as u64))
    });
    let (new, waiting) = ahead.expect("new lines go ahead of old ones");
    scene.agent.lose_state();
    writer.stop();
    proxy.set(Manner::Forward);
    scene.agent.host.start();
    let told = scene.ends_clean();
    format!("{new} new lines were ahead of {waiting} old ones, {told}")
}

/// The agent's own clock cannot be turned without turning everybody's, so lines carry other times than its clock.
fn odd_times(network: &Network) -> String {
    let mut scene = Scene::begin(network, 1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let path = scene.directory.path().join("logs/odd.log");
    let writer = Writer::dated_file(&scene.ledger, "odd", &path, vec![now - 86_400, now, now + 86_400]);
    scene.also_writes(writer);
    scene.goes_on(3);
    format!("{} (the agent's clock itself: skipped, a process cannot have a wall clock of its own)", scene.ends_clean())
}
