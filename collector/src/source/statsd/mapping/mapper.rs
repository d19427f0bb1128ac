//! The mapping at work: read at the start, read again when its file changes; a bad file keeps what was there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use super::Mapping;
use super::file::{self, Mistakes};
use crate::source::Tally;

/// How often the file is looked at.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// See the module's documentation. Without a file it maps nothing and costs nothing.
#[derive(Debug, Default)]
pub struct Mapper {
    file: Option<PathBuf>,
    mapping: RwLock<Arc<Mapping>>,
}

/// By what a change of the file is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Mapper {
    /// Reads the file, when there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(file: Option<&Path>) -> Result<Mapper, Mistakes> {
        let mapping = file.map(file::read).transpose()?.unwrap_or_default();
        let mapping = RwLock::new(Arc::new(mapping));
        Ok(Mapper { file: file.map(Path::to_owned), mapping })
    }

    /// The rules as they are now.
    pub fn mapping(&self) -> Arc<Mapping> {
        Arc::clone(&self.mapping.read())
    }

    /// Looks at the file until `stop`, takes it when it has changed, and has `taken` tell who knows names by the old rules. What is wrong
    /// with it is logged and counted once for each change, as `bad_mapping_file`.
    pub async fn watch(
        self: Arc<Self>,
        tally: Arc<Tally>,
        stop: CancellationToken,
        taken: impl Fn() + Clone + Send + 'static,
    ) {
        let Some(path) = self.file.clone() else { return };
        let mut seen = Look::at(&path);
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOKS_EVERY) => {}
                () = stop.cancelled() => return,
            }
            let (mapper, path, tally, taken) = (Arc::clone(&self), path.clone(), Arc::clone(&tally), taken.clone());
            let look = tokio::task::spawn_blocking(move || {
                let look = Look::at(&path);
                if look != seen && mapper.read_again(&path, &tally) {
                    taken();
                }
                look
            });
            seen = look.await.unwrap_or(seen);
        }
    }

    fn read_again(&self, path: &Path, tally: &Tally) -> bool {
        match file::read(path) {
            Ok(mapping) => {
                tracing::info!(rules = mapping.len(), "took {}", path.display());
                *self.mapping.write() = Arc::new(mapping);
                true
            }
            Err(mistakes) => {
                tracing::error!("collector.statsd.mapping_file: the rules there were go on: {mistakes}");
                tally.problem("bad_mapping_file", 1, mistakes.to_string().as_bytes());
                false
            }
        }
    }
}

impl Look {
    fn at(path: &Path) -> Option<Look> {
        use std::os::unix::fs::MetadataExt;

        let found = std::fs::metadata(path).ok()?;
        Some(Look { modified: found.modified().ok(), length: found.len(), inode: found.ino() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::model::SampleKind;
    use crate::source::Tallies;

    #[tokio::test]
    async fn a_changed_file_is_taken_and_a_bad_one_keeps_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mapping.yml");
        let write = |name: &str| {
            std::fs::write(directory.path().join("new"), format!("mappings:\n- match: a.*\n  {name}: b\n")).unwrap();
            std::fs::rename(directory.path().join("new"), &path).unwrap();
        };
        assert!(Mapper::open(Some(&path)).unwrap_err().to_string().contains("mapping.yml"), "a file that is not there");
        write("name");
        let mapper = Arc::new(Mapper::open(Some(&path)).unwrap());
        let (tally, stop) = (Tallies::default().of("statsd", "test"), CancellationToken::new());
        let changes = Arc::new(AtomicU64::new(0));
        let taken = {
            let changes = Arc::clone(&changes);
            move || {
                changes.fetch_add(1, Relaxed);
            }
        };
        let watching = tokio::spawn(Arc::clone(&mapper).watch(Arc::clone(&tally), stop.clone(), taken));
        let name = || {
            let found = mapper.mapping().identify("a.x", std::iter::empty(), SampleKind::Gauge);
            found.unwrap().labels.name().to_owned()
        };
        assert_eq!(name(), "b");
        tokio::task::yield_now().await;
        write("nam");
        while tally.snapshot().problems.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((name(), changes.load(Relaxed)), ("b".to_owned(), 0));
        assert!(tally.snapshot().problems[0].example.contains("mapping.yml:3:3"), "{:?}", tally.snapshot().problems);
        std::fs::write(&path, "mappings:\n- {match: a.*, name: c.d}\n").unwrap();
        while changes.load(Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(name(), "c.d");
        stop.cancel();
        watching.await.unwrap();
    }
}
