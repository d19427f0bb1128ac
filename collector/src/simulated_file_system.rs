//! A disk in memory that forgets what was not synced: the stand-in that shows what durable code really promised.
//!
//! It keeps, for every file, what is durable and what is only pending, and the same for the entries of every directory.
//! [`SimulatedFileSystem::lose_power`] keeps of the pending changes a random prefix, the last of them torn, sometimes
//! with zeros where bytes should be (as file systems leave them that had grown the file first). A sync that fails loses its
//! bytes for good although they can still be read, and the next sync succeeds, as on Linux
//! (<https://lwn.net/Articles/752063/>). Everything random comes from the seed.
//!
//! Directories themselves are always durable; what is under test is files and their names.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::file_system::{Append, FileSystem};

/// See the module's documentation. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedFileSystem(Arc<Mutex<Disk>>);

/// An open file of a simulated disk; dead after the power was lost.
#[derive(Debug)]
pub struct SimulatedAppender {
    disk: Arc<Mutex<Disk>>,
    file: usize,
    life: u64,
}

#[derive(Debug, Default)]
struct Disk {
    random: u64,
    life: u64,
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending_names: Vec<NameChange>,
    capacity: Option<u64>,
    failing_syncs: u32,
    failing_appends: u32,
    operations_left: Option<u64>,
    unreadable: Option<PathBuf>,
    syncs: u64,
}

#[derive(Debug, Default)]
struct File {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    lost: Vec<Range<usize>>,
}

#[derive(Debug)]
enum Change {
    Append(Vec<u8>),
    Cut(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

impl SimulatedFileSystem {
    /// An empty disk; `seed` decides what survives a loss of power.
    pub fn new(seed: u64) -> SimulatedFileSystem {
        SimulatedFileSystem(Arc::new(Mutex::new(Disk { random: seed, ..Disk::default() })))
    }

    /// Cuts the power and brings the disk back: pending changes survive as a random prefix, open files are dead, faults
    /// that were asked for are over.
    pub fn lose_power(&self) {
        let mut disk = self.0.lock();
        let disk = &mut *disk;
        let mut random = Random(disk.random);
        disk.life += 1;
        (disk.failing_syncs, disk.failing_appends, disk.operations_left) = (0, 0, None);
        let kept = random.below(disk.pending_names.len() + 1);
        let survivors: Vec<NameChange> = disk.pending_names.drain(..).take(kept).collect();
        survivors.into_iter().for_each(|change| apply(&mut disk.durable_names, change));
        disk.names = disk.durable_names.clone();
        for file in &mut disk.files {
            file.lose_power(&mut random);
        }
        disk.random = random.next();
    }

    /// Lets the disk be full once its files hold `bytes` in all; none for a disk without end. An append that does not
    /// fit writes what fits and fails with [`io::ErrorKind::StorageFull`].
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// The next `count` syncs of files fail with EIO.
    pub fn fail_syncs(&self, count: u32) {
        self.0.lock().failing_syncs = count;
    }

    /// The next `count` appends write a random prefix and fail with EIO.
    pub fn fail_appends(&self, count: u32) {
        self.0.lock().failing_appends = count;
    }

    /// Reading this file fails with EIO from now on.
    pub fn fail_reads_of(&self, path: &Path) {
        self.0.lock().unreadable = Some(path.to_owned());
    }

    /// After `count` more changing operations every one fails, as if the process stood still until the power is lost.
    pub fn stop_after(&self, count: u64) {
        self.0.lock().operations_left = Some(count);
    }

    /// How many syncs of files succeeded.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// Overwrites a file's content, durably: damage that a test does on purpose.
    ///
    /// # Panics
    /// When there is no such file.
    pub fn overwrite(&self, path: &Path, content: &[u8]) {
        let mut disk = self.0.lock();
        let file = *disk.names.get(path).expect("the test names a file that is there");
        disk.files[file] = File { now: content.to_vec(), durable: content.to_vec(), ..File::default() };
    }
}

impl Disk {
    fn begin(&mut self) -> io::Result<()> {
        match &mut self.operations_left {
            Some(0) => Err(input_output_error()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_names(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.pending_names.push(change);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].now.len() as u64).sum()
    }
}

impl File {
    fn append(&mut self, bytes: &[u8]) {
        self.now.extend_from_slice(bytes);
        self.pending.push(Change::Append(bytes.to_vec()));
    }

    fn cut(&mut self, length: usize) {
        self.now.truncate(length);
        self.lost.retain_mut(|lost| {
            lost.end = lost.end.min(length);
            lost.start < lost.end
        });
        self.pending.push(Change::Cut(length));
    }

    fn sync(&mut self) {
        self.pending.clear();
        self.durable = self.now.clone();
        for lost in &self.lost {
            self.durable[lost.clone()].fill(0);
        }
    }

    fn fail_sync(&mut self) {
        let from = self.durable.len().min(self.now.len());
        if from < self.now.len() {
            self.lost.push(from..self.now.len());
        }
    }

    fn lose_power(&mut self, random: &mut Random) {
        let kept = random.below(self.pending.len() + 1);
        let durable_before = self.durable.len();
        for (at, change) in self.pending.drain(..).enumerate() {
            match change {
                _ if at > kept => break,
                Change::Append(bytes) => {
                    let kept = if at == kept { random.below(bytes.len() + 1) } else { bytes.len() };
                    self.durable.extend_from_slice(&bytes[..kept]);
                }
                Change::Cut(length) if at < kept => self.durable.truncate(length),
                Change::Cut(_) => {}
            }
        }
        for lost in self.lost.drain(..) {
            let end = lost.end.min(self.durable.len());
            self.durable[lost.start.min(end)..end].fill(0);
        }
        if random.below(4) == 0 && self.durable.len() > durable_before {
            let zeros = durable_before + random.below(self.durable.len() - durable_before);
            self.durable[zeros..].fill(0);
        }
        self.now = self.durable.clone();
    }
}

impl FileSystem for SimulatedFileSystem {
    type Appender = SimulatedAppender;

    fn create(&self, path: &Path) -> io::Result<SimulatedAppender> {
        let mut disk = self.0.lock();
        disk.begin()?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.files.push(File::default());
        let file = disk.files.len() - 1;
        disk.change_names(NameChange::Set(path.to_owned(), file));
        Ok(SimulatedAppender { disk: Arc::clone(&self.0), file, life: disk.life })
    }

    fn open_at(&self, path: &Path, length: u64) -> io::Result<SimulatedAppender> {
        let mut disk = self.0.lock();
        disk.begin()?;
        let file = disk.find(path)?;
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if disk.files[file].now.len() < length {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        disk.files[file].cut(length);
        Ok(SimulatedAppender { disk: Arc::clone(&self.0), file, life: disk.life })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let disk = self.0.lock();
        if disk.unreadable.as_deref() == Some(path) {
            return Err(input_output_error());
        }
        disk.find(path).map(|file| disk.files[file].now.clone())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.0.lock().names.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        let disk = self.0.lock();
        disk.find(path).map(|file| disk.files[file].now.len() as u64)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.begin()?;
        let file = disk.find(from)?;
        disk.change_names(NameChange::Rename(from.to_owned(), to.to_owned(), file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.begin()?;
        disk.find(path)?;
        disk.change_names(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn create_directories(&self, _path: &Path) -> io::Result<()> {
        self.0.lock().begin()
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.0.lock();
        disk.begin()?;
        let disk = &mut *disk;
        let pending = std::mem::take(&mut disk.pending_names);
        let (here, elsewhere) = pending.into_iter().partition(|change| change.path().parent() == Some(path));
        disk.pending_names = elsewhere;
        Vec::into_iter(here).for_each(|change| apply(&mut disk.durable_names, change));
        Ok(())
    }
}

impl Append for SimulatedAppender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.begin()?;
        if disk.life != self.life {
            return Err(input_output_error());
        }
        let room = disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used()));
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if disk.failing_appends > 0 {
            disk.failing_appends -= 1;
            let mut random = Random(disk.random);
            let written = random.below(bytes.len().min(room) + 1);
            disk.random = random.next();
            disk.files[self.file].append(&bytes[..written]);
            return Err(input_output_error());
        }
        disk.files[self.file].append(&bytes[..bytes.len().min(room)]);
        if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.begin()?;
        if disk.life != self.life {
            return Err(input_output_error());
        }
        if disk.failing_syncs > 0 {
            disk.failing_syncs -= 1;
            disk.files[self.file].fail_sync();
            return Err(input_output_error());
        }
        disk.files[self.file].sync();
        disk.syncs += 1;
        Ok(())
    }
}

impl NameChange {
    fn path(&self) -> &Path {
        match self {
            NameChange::Set(path, _) | NameChange::Remove(path) | NameChange::Rename(path, ..) => path,
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: NameChange) {
    match change {
        NameChange::Set(path, file) => {
            names.insert(path, file);
        }
        NameChange::Remove(path) => {
            names.remove(&path);
        }
        NameChange::Rename(from, to, file) => {
            names.remove(&from);
            names.insert(to, file);
        }
    }
}

fn input_output_error() -> io::Error {
    io::Error::other("simulated input/output error (EIO)")
}

/// splitmix64 (S. Vigna, <https://prng.di.unimi.it/splitmix64.c>): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("the remainder is below a usize")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::replace_file;

    #[test]
    fn what_was_synced_survives_and_what_was_not_is_a_torn_prefix() {
        let (mut whole, mut torn, mut nothing) = (0, 0, 0);
        for seed in 0..200 {
            let disk = SimulatedFileSystem::new(seed);
            let path = Path::new("/d/a");
            let mut file = disk.create(path).unwrap();
            file.append(b"synced").unwrap();
            file.sync().unwrap();
            disk.sync_directory(Path::new("/d")).unwrap();
            file.append(b"pending").unwrap();
            disk.lose_power();
            assert!(file.append(b"dead").is_err());
            let content = disk.read(path).unwrap();
            assert!(content.starts_with(b"synced"));
            let tail = &content[6..];
            assert!(tail.iter().zip(b"pending").all(|(found, written)| found == written || *found == 0));
            match tail.len() {
                0 => nothing += 1,
                7 => whole += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 0 && torn > 0 && nothing > 0, "{whole} {torn} {nothing}");
    }

    #[test]
    fn a_file_whose_directory_was_not_synced_may_vanish() {
        let mut vanished = 0;
        for seed in 0..50 {
            let disk = SimulatedFileSystem::new(seed);
            let mut file = disk.create(Path::new("/d/a")).unwrap();
            file.append(b"x").unwrap();
            file.sync().unwrap();
            disk.lose_power();
            vanished += usize::from(disk.list(Path::new("/d")).unwrap().is_empty());
        }
        assert!((1..50).contains(&vanished), "{vanished}");
    }

    #[test]
    fn bytes_of_a_failed_sync_are_gone_after_the_power_although_the_next_sync_succeeds() {
        let disk = SimulatedFileSystem::new(1);
        let path = Path::new("/d/a");
        let mut file = disk.create(path).unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        file.append(b"lost").unwrap();
        disk.fail_syncs(1);
        assert!(file.sync().is_err());
        file.append(b"kept").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.read(path).unwrap(), b"lostkept");
        disk.lose_power();
        assert_eq!(disk.read(path).unwrap(), b"\0\0\0\0kept");
    }

    #[test]
    fn a_full_disk_takes_what_fits() {
        let disk = SimulatedFileSystem::new(1);
        disk.set_capacity(Some(3));
        let mut file = disk.create(Path::new("/d/a")).unwrap();
        assert_eq!(file.append(b"hello").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read(Path::new("/d/a")).unwrap(), b"hel");
    }

    #[test]
    fn a_replaced_file_is_the_old_one_or_the_new_one_wherever_the_power_goes() {
        for seed in 0..300 {
            let disk = SimulatedFileSystem::new(seed);
            let path = Path::new("/d/state");
            replace_file(&disk, path, b"old").unwrap();
            disk.stop_after(seed % 7);
            let replaced = replace_file(&disk, path, b"new").is_ok();
            disk.lose_power();
            let content = disk.read(path).unwrap();
            assert!(content == b"new" || (content == b"old" && !replaced), "seed {seed}: {content:?}");
        }
    }
}
