//! All silences: kept in the catalog, changed through the API, watched by the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use taffrail_collector::model::Timestamp;
use taffrail_collector::random::random_bits;
use tokio::sync::watch;

use super::catalog_state::Documents;
use super::routing::silence::{KEEP_ENDED, SILENCES_MAX, Silence, SilenceState};

/// The silences of this server.
pub struct Silences {
    documents: Arc<dyn Documents>,
    all: Mutex<BTreeMap<String, Silence>>,
    changes: watch::Sender<u64>,
}

/// Why a silence was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SilenceError {
    /// It makes no sense.
    #[error("{0}")]
    Bad(String),
    /// There is none of this id.
    #[error("there is no silence {0}")]
    Unknown(String),
    /// It could not be kept.
    #[error("the silence cannot be stored: {0}")]
    Store(String),
}

impl Silences {
    /// The silences that were kept. What cannot be read is left out and logged: people are told rather once too often.
    pub fn load(documents: Arc<dyn Documents>) -> Silences {
        let kept = documents.all().unwrap_or_else(|error| {
            tracing::warn!("silences cannot be read, nothing is silenced: {error}");
            Vec::new()
        });
        let read = kept.into_iter().filter_map(|(id, text)| match serde_json::from_str::<Silence>(&text) {
            Ok(silence) => Some((id, silence)),
            Err(error) => {
                tracing::warn!("the silence {id} cannot be read: {error}");
                None
            }
        });
        Silences { all: Mutex::new(read.collect()), documents, changes: watch::channel(0).0 }
    }

    /// All of them, by id.
    pub fn all(&self) -> Vec<Silence> {
        self.all.lock().values().cloned().collect()
    }

    /// The silence of this id.
    pub fn get(&self, id: &str) -> Option<Silence> {
        self.all.lock().get(id).cloned()
    }

    /// Moves whenever one of them changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Takes a silence and gives its id. With the id of one that is not over it takes that one's place, under the same id as
    /// long as only times, author and reason change; else the old one ends and a new one begins, so that history stays true.
    /// Blocks.
    pub fn set(&self, mut silence: Silence, now: Timestamp) -> Result<String, SilenceError> {
        silence.updated_at = now;
        silence.warned = false;
        silence.starts_at = silence.starts_at.max(Timestamp::EPOCH);
        if silence.ends_at <= now {
            return Err(SilenceError::Bad("the silence would be over already: endsAt lies in the past".to_owned()));
        }
        let mut all = self.all.lock();
        let before = match silence.id.as_str() {
            "" => None,
            id => Some(all.get(id).cloned().ok_or_else(|| SilenceError::Unknown(id.to_owned()))?),
        };
        match before {
            Some(before) if goes_on_as(&before, &silence, now) => {
                if before.state(now) == SilenceState::Active {
                    silence.starts_at = before.starts_at;
                }
            }
            before => {
                if let Some(before) = before.filter(|before| before.state(now) != SilenceState::Expired) {
                    self.end(&mut all, before, now)?;
                }
                silence.id = new_id();
                silence.starts_at = silence.starts_at.max(now);
            }
        }
        silence.check().map_err(SilenceError::Bad)?;
        if !all.contains_key(&silence.id) && all.len() >= SILENCES_MAX {
            return Err(SilenceError::Bad(format!(
                "there are {SILENCES_MAX} silences already; ended ones go after five days"
            )));
        }
        self.keep(&silence)?;
        let id = silence.id.clone();
        all.insert(id.clone(), silence);
        self.changes.send_modify(|count| *count += 1);
        Ok(id)
    }

    /// Ends a silence now. Blocks.
    pub fn expire(&self, id: &str, now: Timestamp) -> Result<(), SilenceError> {
        let mut all = self.all.lock();
        let silence = all.get(id).cloned().ok_or_else(|| SilenceError::Unknown(id.to_owned()))?;
        if silence.state(now) == SilenceState::Expired {
            return Err(SilenceError::Bad(format!("the silence {id} is over already")));
        }
        self.end(&mut all, silence, now)?;
        self.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Forgets what ended long ago, and gives those whose end is near and was not announced; they count as announced.
    /// Blocks.
    pub fn look(&self, now: Timestamp) -> Vec<Silence> {
        let mut all = self.all.lock();
        let old: Vec<String> = all
            .values()
            .filter(|one| now.saturating_since(one.ends_at) > KEEP_ENDED)
            .map(|one| one.id.clone())
            .collect();
        for id in old {
            all.remove(&id);
            if let Err(error) = self.documents.remove(&id) {
                tracing::warn!("the old silence {id} cannot be removed: {error}");
            }
        }
        let mut ending = Vec::new();
        for silence in all.values_mut() {
            if !silence.warned && silence.state(now) == SilenceState::Active && now >= silence.warns_at() {
                silence.warned = true;
                // Announced once more after a restart if it cannot be kept.
                let _ = self.keep(silence);
                ending.push(silence.clone());
            }
        }
        ending
    }

    fn end(
        &self,
        all: &mut BTreeMap<String, Silence>,
        mut silence: Silence,
        now: Timestamp,
    ) -> Result<(), SilenceError> {
        // One that never began ends where it would have begun.
        silence.starts_at = silence.starts_at.min(now);
        silence.ends_at = now;
        silence.updated_at = now;
        self.keep(&silence)?;
        all.insert(silence.id.clone(), silence);
        Ok(())
    }

    fn keep(&self, silence: &Silence) -> Result<(), SilenceError> {
        let text = serde_json::to_string(silence).expect("names, texts and numbers are always JSON");
        self.documents.put(&silence.id, &text).map_err(SilenceError::Store)
    }
}

/// Whether a change leaves what was silenced until now true.
fn goes_on_as(before: &Silence, after: &Silence, now: Timestamp) -> bool {
    before.state(now) != SilenceState::Expired && before.matchers == after.matchers
}

/// A random UUID (RFC 9562, version 4), which is what clients of Alertmanager expect.
fn new_id() -> String {
    let (high, low) = (random_bits(), random_bits());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::notify::routing::matcher::parse_matchers;

    /// Documents in memory.
    #[derive(Default)]
    pub(crate) struct Memory(Mutex<BTreeMap<String, String>>);

    impl Documents for Memory {
        fn all(&self) -> Result<Vec<(String, String)>, String> {
            Ok(self.0.lock().clone().into_iter().collect())
        }
        fn put(&self, key: &str, text: &str) -> Result<(), String> {
            self.0.lock().insert(key.to_owned(), text.to_owned());
            Ok(())
        }
        fn remove(&self, key: &str) -> Result<(), String> {
            self.0.lock().remove(key);
            Ok(())
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    fn silence(id: &str, matchers: &str, starts: i64, ends: i64) -> Silence {
        Silence {
            id: id.to_owned(),
            matchers: parse_matchers(matchers).unwrap(),
            starts_at: at(starts),
            ends_at: at(ends),
            updated_at: at(0),
            created_by: "ann".to_owned(),
            comment: "disks".to_owned(),
            warned: false,
        }
    }

    #[test]
    fn silences_outlive_the_process_and_old_ones_are_forgotten() {
        let memory: Arc<Memory> = Arc::default();
        let silences = Silences::load(memory.clone());
        let id = silences.set(silence("", "a=b", 0, 10_000), at(100)).unwrap();
        assert_eq!(id.len(), 36);
        let again = Silences::load(memory.clone());
        assert_eq!(again.get(&id), silences.get(&id));
        assert_eq!(again.get(&id).unwrap().starts_at, at(100), "nothing was silenced before somebody said so");
        assert_eq!(again.look(at(6_399)), []);
        assert_eq!(again.look(at(6_400)).len(), 1);
        assert_eq!(again.look(at(6_401)), [], "announced once");
        assert_eq!(Silences::load(memory.clone()).look(at(6_402)), [], "over a restart too");
        again.look(at(10_000 + 120 * 3600 + 1));
        assert_eq!((again.all().len(), memory.all().unwrap().len()), (0, 0));
    }

    #[test]
    fn a_changed_silence_keeps_its_id_while_its_matchers_stay() {
        let silences = Silences::load(Arc::new(Memory::default()));
        let id = silences.set(silence("", "a=b", 0, 1_000), at(100)).unwrap();
        assert_eq!(silences.set(silence(&id, "a=b", 500, 2_000), at(200)), Ok(id.clone()));
        let longer = silences.get(&id).unwrap();
        assert_eq!((longer.starts_at, longer.ends_at), (at(100), at(2_000)));
        let other = silences.set(silence(&id, "a=c", 0, 2_000), at(300)).unwrap();
        assert_ne!(other, id);
        assert_eq!(silences.get(&id).unwrap().state(at(300)), SilenceState::Expired);
        assert_eq!(silences.get(&other).unwrap().state(at(300)), SilenceState::Active);
        silences.expire(&other, at(400)).unwrap();
        assert!(matches!(silences.expire(&other, at(500)), Err(SilenceError::Bad(_))));
        assert_eq!(silences.expire("x", at(500)), Err(SilenceError::Unknown("x".to_owned())));
        assert!(matches!(silences.set(silence("x", "a=b", 0, 900), at(500)), Err(SilenceError::Unknown(_))));
        assert!(matches!(silences.set(silence("", "a=b", 0, 400), at(500)), Err(SilenceError::Bad(_))));
    }
}
