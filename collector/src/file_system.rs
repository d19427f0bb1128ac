//! The few things that the journal asks of a file system, behind a trait, so that a simulated disk that loses power
//! can stand in for the real one.

use std::io;
use std::path::{Path, PathBuf};

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

/// The operating system's file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFileSystem;
