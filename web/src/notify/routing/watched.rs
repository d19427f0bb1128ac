//! A routing file that is read again when it changes. A bad one keeps the last good one and says why.

use std::path::PathBuf;
use std::time::SystemTime;

use taffrail_query::alert::rule::Problem;

use super::Routing;
use super::file::parse_routing;

/// A file and what stood in it last.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    stamp: Option<(SystemTime, u64)>,
}

impl WatchedFile {
    /// Reads the file for the first time. Blocks.
    pub fn open(path: PathBuf) -> Result<(WatchedFile, Routing), Problem> {
        let mut file = WatchedFile { path, stamp: None };
        let routing = file.read()?;
        Ok((file, routing))
    }

    /// Reads the file, changed or not. Blocks.
    pub fn read(&mut self) -> Result<Routing, Problem> {
        self.stamp = self.look();
        let text = std::fs::read_to_string(&self.path).map_err(|error| Problem {
            file: self.path.display().to_string(),
            line: 0,
            column: 0,
            message: error.to_string(),
        })?;
        parse_routing(&self.path, &text)
    }

    /// Reads the file when it is not as it was. Blocks.
    pub fn read_if_changed(&mut self) -> Option<Result<Routing, Problem>> {
        (self.look() != self.stamp).then(|| self.read())
    }

    fn look(&self) -> Option<(SystemTime, u64)> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}
