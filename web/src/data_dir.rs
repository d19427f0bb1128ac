//! The data directory: made when missing, and held by one process at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::bail;

/// The lock on a data directory; the operating system gives it back when the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

impl DataDirLock {
    /// Makes the directory when it is missing and takes it.
    pub fn take(directory: &Path) -> anyhow::Result<DataDirLock> {
        let shown = directory.display();
        let advice = "choose another with --data-dir or TAFFRAIL_DATA_DIR";
        if let Err(error) = std::fs::create_dir_all(directory) {
            bail!("server.data_dir = {shown} cannot be made: {error}; {advice}");
        }
        let path = directory.join("lock");
        let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
            Ok(file) => file,
            Err(error) => bail!("server.data_dir = {shown} cannot be written: {error}; {advice}"),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                bail!("server.data_dir = {shown} is in use by another Taffrail (process {}); {advice}", holder.trim());
            }
            Err(TryLockError::Error(error)) => bail!("server.data_dir = {shown} cannot be locked: {error}; {advice}"),
        }
        // Who holds it, for the message above; the lock itself does not depend on it.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(DataDirLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_and_held_by_one() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("a/b");
        let lock = DataDirLock::take(&directory).unwrap();
        let message = DataDirLock::take(&directory).unwrap_err().to_string();
        assert!(message.contains("is in use by another Taffrail") && message.contains("--data-dir"), "{message}");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(lock);
        DataDirLock::take(&directory).unwrap();
    }

    #[test]
    fn a_file_in_the_way_names_the_setting() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let message = DataDirLock::take(&file).unwrap_err().to_string();
        assert!(message.starts_with("server.data_dir = ") && message.contains("TAFFRAIL_DATA_DIR"), "{message}");
    }
}
