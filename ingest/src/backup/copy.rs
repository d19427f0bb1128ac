//! Copies files and takes their checksums on the way; whatever has its final name is durable and whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{BackupError, disk};
use crate::log_store::split_writer::sync_directory;

/// Bytes between two looks at whether to go on.
const CHUNK_BYTES: usize = 1 << 20;

/// Copies `from` into the new file `to`, makes that durable, and returns length and CRC32C. Bytes that are appended to `from`
/// meanwhile are left out.
pub fn copy(from: &Path, to: &Path, stop: &AtomicBool, copied: &mut dyn FnMut(u64)) -> Result<(u64, u32), BackupError> {
    let reading = |error| disk("read", from, error);
    let writing = |error| disk("write", to, error);
    let source = File::open(from).map_err(reading)?;
    let length = source.metadata().map_err(reading)?.len();
    let mut source = source.take(length);
    let mut target = File::create(to).map_err(writing)?;
    let (mut buffer, mut bytes, mut crc) = (vec![0; CHUNK_BYTES], 0, 0);
    loop {
        if stop.load(Relaxed) {
            return Err(BackupError::Stopped);
        }
        let read = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(reading(error)),
        };
        target.write_all(&buffer[..read]).map_err(writing)?;
        crc = crc32c::crc32c_append(crc, &buffer[..read]);
        bytes += read as u64;
        copied(read as u64);
    }
    target.sync_all().map_err(writing)?;
    Ok((bytes, crc))
}

/// Creates the directories above `path` below `root`.
pub fn create_above(path: &Path) -> Result<(), BackupError> {
    let Some(above) = path.parent() else { return Ok(()) };
    fs::create_dir_all(above).map_err(|error| disk("create", above, error))
}

/// Makes the names in all directories below `root`, and its own, durable.
pub fn sync_below(root: &Path) -> Result<(), BackupError> {
    let failed = |error| disk("sync", root, error);
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_below(&entry.path())?;
        }
    }
    sync_directory(root).map_err(failed)
}
