//! The few things that the journal asks of a file system, behind a trait, so that a simulated disk that loses power
//! can stand in for the real one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::crash_point::{crash_point, is_wanted};

/// What durable code may ask of a disk. Nothing is durable before `sync` (a file's bytes) and `sync_directory` (that a
/// file was created, renamed or removed) have returned.
pub trait FileSystem: Clone + Send + Sync + 'static {
    /// An open file that grows at its end.
    type Appender: Append;

    /// Creates a new file for appending; an error when it exists.
    fn create(&self, path: &Path) -> io::Result<Self::Appender>;
    /// Opens a file for appending after cutting it to `length` bytes.
    fn open_at(&self, path: &Path, length: u64) -> io::Result<Self::Appender>;
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Paths of the files in a directory, sorted by name.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;
    /// The file's length in bytes.
    fn length(&self, path: &Path) -> io::Result<u64>;
    /// Renames over whatever stood at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and the missing ones above it, and makes them durable.
    fn create_directories(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// An open file that grows at its end.
pub trait Append: Send + 'static {
    /// Writes all bytes at the end; after an error any prefix of them may stand there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything appended durable (fdatasync). After an error nothing since the last success may be assumed, and
    /// the file must not be trusted again (<https://lwn.net/Articles/752063/>).
    fn sync(&mut self) -> io::Result<()>;
}

/// Who may read what is created here: its owner. It is copied from logs that others often must not read.
pub(crate) const FILE_MODE: u32 = 0o600;
/// The same for directories.
const DIRECTORY_MODE: u32 = 0o700;

/// The operating system's file system. Files and directories that it creates are their owner's alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;

/// A file of the operating system, open for appending.
#[derive(Debug)]
pub struct RealAppender(File);

impl FileSystem for RealFileSystem {
    type Appender = RealAppender;

    fn create(&self, path: &Path) -> io::Result<RealAppender> {
        OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path).map(RealAppender)
    }

    fn open_at(&self, path: &Path, length: u64) -> io::Result<RealAppender> {
        let file = OpenOptions::new().append(true).open(path)?;
        file.set_len(length)?;
        Ok(RealAppender(file))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        crash_point("file:before_rename");
        fs::rename(from, to)?;
        crash_point("file:after_rename");
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directories(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        self.create_directories(parent)?;
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        self.sync_directory(parent)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()?;
        crash_point("file:after_directory_sync");
        Ok(())
    }
}

impl Append for RealAppender {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let half = if is_wanted("file:inside_append") { bytes.len() / 2 } else { 0 };
        if half > 0 {
            self.0.write_all(&bytes[..half])?;
            crash_point("file:inside_append");
        }
        self.0.write_all(&bytes[half..])?;
        crash_point("file:after_append");
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()?;
        crash_point("file:after_sync");
        Ok(())
    }
}

/// Replaces a small file so that a reader finds the old content or the new, whenever the power goes.
pub fn replace_file<F: FileSystem>(file_system: &F, path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    match file_system.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = file_system.create(&fresh)?;
    file.append(content)?;
    file.sync()?;
    file_system.rename(&fresh, path)?;
    file_system.sync_directory(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_file_system_appends_cuts_lists_and_replaces() {
        let root = tempfile::tempdir().unwrap();
        let disk = RealFileSystem;
        let directory = root.path().join("a/b");
        disk.create_directories(&directory).unwrap();
        disk.create_directories(&directory).unwrap();
        let path = directory.join("1.log");
        let mut file = disk.create(&path).unwrap();
        file.append(b"hello").unwrap();
        file.append(b" world").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.open_at(&path, 5).unwrap().append(b"!").unwrap();
        assert_eq!(disk.read(&path).unwrap(), b"hello!");
        assert_eq!(disk.length(&path).unwrap(), 6);

        let state = directory.join("0.state");
        replace_file(&disk, &state, b"old").unwrap();
        replace_file(&disk, &state, b"new").unwrap();
        assert_eq!(disk.read(&state).unwrap(), b"new");
        assert_eq!(disk.list(&directory).unwrap(), [state.clone(), path]);
        disk.remove(&state).unwrap();
        assert_eq!(disk.remove(&state).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
    #[test]
    fn what_is_created_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let disk = RealFileSystem;
        let directory = root.path().join("a/b");
        disk.create_directories(&directory).unwrap();
        disk.create(&directory.join("1.log")).unwrap();
        replace_file(&disk, &directory.join("state"), b"new").unwrap();
        assert_eq!([&directory, &root.path().join("a")].map(|path| mode(path)), [0o700; 2]);
        assert_eq!(["1.log", "state"].map(|name| mode(&directory.join(name))), [0o600; 2]);
    }
}
