//! Lines at the edges: files that are closed and come back, whose end is cut off, that begin with a single byte, or that are another by
//! the time they are opened.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::assembly::Reading;
use super::checkpoint::{FileId, Place, Prefix};
use super::discovery::open_seen;
use super::resources::Resources;
use super::tests::{Rig, append};
use super::tracked_file::{RENAMED_WAIT, TrackedFile};
use super::{Config, Format};
use crate::model::Resource;
use crate::source::multiline::Multiline;

/// Opens a file as the tailer does.
fn opened(path: &std::path::Path) -> TrackedFile {
    let file = File::open(path).unwrap();
    let id = FileId::of(&file.metadata().unwrap());
    let place = Place { prefix: Prefix::EMPTY, offsets: [0; 2], path: path.to_owned() };
    let resources = Arc::new(Resources::new(&Arc::new(Resource::default()), "", path));
    let rules = Multiline::Off.rules("test").unwrap();
    let reading = Reading { format: Format::Auto, rules, line_bytes_max: 1000, line_timeout: Duration::from_secs(600) };
    TrackedFile::new(file, id, place, 0, resources, reading, None)
}

#[test]
fn a_file_is_held_from_its_disappearance_on_however_long_it_was_quiet_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.log");
    append(&path, b"1\n");
    let mut file = opened(&path);
    let gone = Instant::now() + 10 * RENAMED_WAIT;
    assert!(!file.was_held_long_enough(gone));
    file.gone_since = Some(gone);
    assert!(!file.was_held_long_enough(gone));
    assert!(file.was_held_long_enough(gone + RENAMED_WAIT));
    file.gone_since = Some(Instant::now() - 10 * RENAMED_WAIT);
    assert!(!file.was_held_long_enough(Instant::now()), "it was just read");
}

#[test]
fn the_first_byte_of_a_file_is_not_lost_however_late_the_second_comes() {
    let check = |bytes: &[u8], expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        append(&path, &bytes[..1]);
        let mut file = opened(&path);
        let mut lines = Vec::new();
        for more in [&bytes[..0], &bytes[..0], &bytes[1..]] {
            append(&path, more);
            let turn = file.read(&mut [0; 100], |whole| lines.push(String::from_utf8_lossy(whole.bytes).into_owned()));
            assert_eq!(turn.unwrap().emptied, None);
        }
        assert_eq!(lines, [expected], "{bytes:?}");
    };
    check(b"ab\n", "ab");
    check(b"\xff\xfea\0\n\0", "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_end_was_cut_off_is_gone_on_with_and_not_read_again() {
    let lines = |numbers: std::ops::Range<usize>| -> String {
        numbers.map(|number| format!("line {number:06} of a file that is long enough to be known\n")).collect()
    };
    for away in [true, false] {
        let mut rig = Rig::new(Config::default());
        rig.append("a.log", lines(0..100));
        rig.start();
        rig.wait_for(100).await;
        if away {
            rig.stop().await;
        }
        let length = lines(0..60).len() as u64;
        File::options().write(true).open(rig.path("a.log")).unwrap().set_len(length).unwrap();
        if away {
            rig.start();
        }
        until(|| rig.problems() == [("file_shrank", 1)]).await;
        rig.append("a.log", lines(100..110));
        rig.wait_for(110).await;
        // The place behind the cut is remembered.
        rig.stop().await;
        rig.append("a.log", lines(110..200));
        rig.start();
        rig.wait_for(200).await;
        rig.stop().await;
        assert_eq!(rig.bodies(), lines(0..200).lines().collect::<Vec<_>>(), "away: {away}");
        assert_eq!(rig.problems(), [("file_shrank", 1)]);
    }
}

/// Waits for what another thread will bring about.
async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..8000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renamed_file_that_was_closed_keeps_its_place_until_it_is_deleted() {
    let mut rig = Rig::new(Config::default());
    for name in ["a.log", "b.log", "c.log"] {
        rig.append(name, "1\n");
    }
    rig.start();
    rig.wait_for(3).await;
    for name in ["a", "b", "c"] {
        fs::rename(rig.path(&format!("{name}.log")), rig.path(&format!("{name}.old"))).unwrap();
    }
    until(|| rig.tallies.snapshot()[0].open_files == Some(0)).await;
    assert_eq!(rig.store.lock().checkpoints.len(), 3);
    // One comes back, one is written to all the same, one is deleted.
    append(&rig.path("a.old"), b"2\n");
    fs::rename(rig.path("a.old"), rig.path("a.log")).unwrap();
    append(&rig.path("b.old"), b"2\n");
    fs::remove_file(rig.path("c.old")).unwrap();
    rig.wait_for(5).await;
    until(|| rig.store.lock().checkpoints.len() == 2).await;
    rig.stop().await;
    assert_eq!(rig.bodies(), ["1", "1", "1", "2", "2"]);
    assert_eq!(rig.problems(), []);
}

#[test]
fn a_link_that_took_the_place_of_a_file_since_it_was_seen_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    let (path, secret) = (directory.path().join("a.log"), directory.path().join("secret"));
    append(&path, b"1\n");
    append(&secret, b"2\n");
    let seen = FileId::of(&fs::metadata(&path).unwrap());
    assert!(open_seen(&path, seen).unwrap().is_some());
    fs::rename(&path, directory.path().join("a.log.1")).unwrap();
    std::os::unix::fs::symlink(&secret, &path).unwrap();
    assert!(open_seen(&path, seen).unwrap().is_none());
}
