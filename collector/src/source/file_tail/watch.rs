//! The kernel tells that a file was written or a directory changed (inotify): a reason to look at once. What there is to read
//! is still decided by looking: events are lost when too many wait, and file systems of other machines send none.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::checkpoint::FileId;

/// Room for some hundred events at a time.
const EVENT_BYTES: usize = 16 << 10;

/// What the kernel is asked to tell.
pub(super) struct Watcher {
    events: OwnedFd,
    files: HashMap<i32, FileId>,
    watches: HashMap<FileId, i32>,
    /// The kernel has no room for more watches; said once.
    is_full: bool,
}

/// What changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Files that were written.
    pub(super) written: HashSet<FileId>,
    /// Files came or went, or the kernel lost count.
    pub(super) places: bool,
}

impl Watcher {
    /// A watcher of nothing; none where the kernel gives none.
    pub(super) fn new() -> Option<Watcher> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)
            .inspect_err(
                |error| tracing::warn!(%error, "files are only polled: fs.inotify.max_user_instances is reached"),
            )
            .ok()?;
        Some(Watcher { events, files: HashMap::new(), watches: HashMap::new(), is_full: false })
    }

    /// Asks to be told when the open file is written, whatever it is called.
    pub(super) fn watch_file(&mut self, file: &File, id: FileId) {
        let flags = WatchFlags::MODIFY | WatchFlags::MOVE_SELF | WatchFlags::ATTRIB;
        // Through the descriptor: its name may be another file's by now.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match inotify::add_watch(&self.events, path, flags) {
            Ok(watch) => {
                self.files.insert(watch, id);
                self.watches.insert(id, watch);
            }
            Err(error) => self.note(error),
        }
    }

    /// The file is read no more.
    pub(super) fn forget_file(&mut self, id: FileId) {
        if let Some(watch) = self.watches.remove(&id) {
            self.files.remove(&watch);
            // It fails where the file is gone for good.
            let _ = inotify::remove_watch(&self.events, watch);
        }
    }

    /// Asks to be told when files come to a directory or leave it. Asking again is cheap and changes nothing.
    pub(super) fn watch_directory(&mut self, path: &Path) {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::ONLYDIR;
        if let Err(error) = inotify::add_watch(&self.events, path, flags) {
            self.note(error);
        }
    }

    fn note(&mut self, error: Errno) {
        if error == Errno::NOSPC && !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!("some files are only polled: fs.inotify.max_user_watches is reached");
        }
    }

    /// Waits until something changes, for so long at most.
    pub(super) fn wait(&self, longest: Duration) {
        let timeout = Timespec::try_from(longest).ok();
        // An interrupted wait is a short one.
        let _ = poll(&mut [PollFd::new(&self.events, PollFlags::IN)], timeout.as_ref());
    }

    /// What changed since it was last asked.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut events = inotify::Reader::new(self.events.as_fd(), &mut buffer);
        loop {
            match events.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => changes.places = true,
                Ok(event) => match self.files.get(&event.wd()) {
                    Some(id) => {
                        changes.written.insert(*id);
                        changes.places |= event.events().contains(ReadFlags::MOVE_SELF);
                    }
                    None => changes.places |= !event.events().contains(ReadFlags::IGNORED),
                },
                Err(Errno::INTR) => {}
                // There are no more for now.
                Err(_) => return changes,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_written_made_and_renamed_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "1").unwrap();
        let file = File::open(&path).unwrap();
        let id = FileId::of(&file.metadata().unwrap());
        let mut watcher = Watcher::new().unwrap();
        watcher.watch_directory(directory.path());
        watcher.watch_file(&file, id);
        let mut check = |expected: (bool, bool)| {
            let changes = watcher.changes();
            assert_eq!((changes.written.contains(&id), changes.places), expected);
        };
        check((false, false));
        File::options().append(true).open(&path).unwrap().write_all(b"2").unwrap();
        check((true, false));
        fs::write(directory.path().join("b"), "").unwrap();
        check((false, true));
        fs::rename(&path, directory.path().join("c")).unwrap();
        check((true, true));
        File::options().append(true).open(directory.path().join("c")).unwrap().write_all(b"2").unwrap();
        check((true, false));
        check((false, false));
        watcher.forget_file(id);
        watcher.changes();
        File::options().append(true).open(directory.path().join("c")).unwrap().write_all(b"2").unwrap();
        assert!(!watcher.changes().written.contains(&id));
    }
}
