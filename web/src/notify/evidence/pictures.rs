//! Pictures that channels fetch by a name nobody guesses, for as long as a message is read; then they are gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use taffrail_collector::model::Timestamp;
use taffrail_collector::random::random_bits;

/// How long a picture is served. Slack and mail programs fetch it within seconds and keep their own copy.
pub const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// The most pictures that are kept, a few kilobytes each; the oldest go first.
pub const PICTURES_MAX: usize = 1_000;

/// The pictures of this server; a restart forgets them.
#[derive(Default)]
pub struct Pictures {
    kept: Mutex<VecDeque<Kept>>,
}

struct Kept {
    name: String,
    until: Timestamp,
    picture: Arc<Vec<u8>>,
}

impl Pictures {
    /// Keeps a picture and gives its name: 128 random bits.
    pub fn keep(&self, picture: Arc<Vec<u8>>, now: Timestamp) -> String {
        let name = format!("{:016x}{:016x}", random_bits(), random_bits());
        let mut kept = self.kept.lock();
        if kept.len() >= PICTURES_MAX {
            kept.pop_front();
        }
        kept.push_back(Kept { name: name.clone(), until: now.saturating_add(KEPT_FOR), picture });
        name
    }

    /// The picture of this name, while its time lasts.
    pub fn get(&self, name: &str, now: Timestamp) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.kept.lock();
        kept.retain(|kept| now < kept.until);
        kept.iter().find(|kept| kept.name == name).map(|kept| kept.picture.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_names_of_their_own_and_an_end() {
        let pictures = Pictures::default();
        let picture = Arc::new(vec![1]);
        let (a, b) = (pictures.keep(picture.clone(), Timestamp::EPOCH), pictures.keep(picture, Timestamp::EPOCH));
        assert!(a != b && a.len() == 32);
        let end = Timestamp::EPOCH.saturating_add(KEPT_FOR);
        assert!(pictures.get(&a, end.saturating_sub(Duration::from_nanos(1))).is_some());
        assert!(pictures.get("", Timestamp::EPOCH).is_none());
        assert!(pictures.get(&a, end).is_none());
        for _ in 0..PICTURES_MAX + 5 {
            pictures.keep(Arc::default(), end);
        }
        assert_eq!(pictures.kept.lock().len(), PICTURES_MAX);
    }
}
