//! The labels of the series that senders repeat, found by the hash of how they are written.
//!
//! A request looks its series up under one read lock, so that requests do not wait for each other; only a series that is new
//! takes the write lock for a moment. What is written alike has the same two hashes of 64 bits, and nothing else has: they are
//! seeded anew in each process, so nobody can prepare labels whose hashes fall together, and by chance a million series do so
//! once in 10^26 processes. Comparing label by label as well would cost more than all else that is done for a sample.
//!
//! Series that were not written for [`ERA`] or two are forgotten, and so are all but the current ones when there are more than
//! the limit: those that come again are built again.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use rapidhash::quality::RandomState;
use rapidhash::{HashMapExt, RapidHashMap};

use crate::model::LabelSet;
use crate::model::label_set::NAME_LABEL;
use crate::source::series_type::is_running_total_by_name;

/// Series not written for so long are forgotten, at the end of the next.
const ERA: Duration = Duration::from_secs(600);

/// Labels of one series at most; Prometheus' own targets have some ten.
const LABELS_MAX: usize = 256;

/// A label's name and its value, as they are written.
pub type Pair<'a> = (&'a [u8], &'a [u8]);

/// Labels as a request writes them.
pub trait WrittenLabels<'a> {
    /// The hashes of what is written.
    fn hashes(&self, hashing: &Hashing) -> [u64; 2];
    /// The names and values, in the order in which they are written.
    fn pairs(&self) -> Result<Vec<Pair<'a>>, BadLabels>;
}

/// Two ways of hashing, each seeded anew in each process.
#[derive(Debug, Default)]
pub struct Hashing([RandomState; 2]);

impl Hashing {
    /// The hashes of bytes.
    #[inline]
    pub fn of_bytes(&self, bytes: &[u8]) -> [u64; 2] {
        [self.0[0].hash_one(bytes), self.0[1].hash_one(bytes)]
    }

    /// The hashes of things that have hashes themselves, in their order.
    #[inline]
    pub fn of_hashes(&self, hashes: impl Iterator<Item = [u64; 2]>) -> [u64; 2] {
        let [mut first, mut second] = [self.0[0].build_hasher(), self.0[1].build_hasher()];
        for [one, other] in hashes {
            first.write_u64(one);
            second.write_u64(other);
        }
        [first.finish(), second.finish()]
    }
}

/// Why a series is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLabels {
    /// They are no labels at all.
    Malformed,
    /// A name or value that is no UTF-8.
    InvalidUtf8,
    /// No `__name__`.
    NoName,
    /// One name twice, or an empty one.
    RepeatedName,
    /// More or longer than they may be.
    TooLong,
}

impl BadLabels {
    /// The reason's name in counters.
    pub const fn reason(self) -> &'static str {
        match self {
            BadLabels::Malformed => "malformed_labels",
            BadLabels::InvalidUtf8 => "invalid_utf8",
            BadLabels::NoName => "series_without_name",
            BadLabels::RepeatedName => "repeated_label",
            BadLabels::TooLong => "labels_too_long",
        }
    }
}

/// A series as it is known.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its labels, the same for every request.
    pub labels: Arc<LabelSet>,
    /// Whether a series of this name is a running total, as far as a name tells.
    pub running_total_by_name: bool,
}

/// 24 bytes beside the labels: of a million series every one counts.
#[derive(Debug)]
struct Known {
    /// The second hash of its labels; the first is the key.
    second_hash: u64,
    labels: Arc<LabelSet>,
    /// The last era in which it was written, and [`RUNNING_TOTAL`].
    seen: AtomicU32,
}

/// The bit of [`Known::seen`] that says whether the series is a running total by its name. Eras do not reach it in ten thousand years.
const RUNNING_TOTAL: u32 = 1 << 31;

impl Known {
    fn era(&self) -> u32 {
        self.seen.load(Relaxed) & !RUNNING_TOTAL
    }

    fn series(&self) -> Series {
        let running_total_by_name = self.seen.load(Relaxed) & RUNNING_TOTAL != 0;
        Series { labels: Arc::clone(&self.labels), running_total_by_name }
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub struct SeriesCache {
    hashing: Hashing,
    known: RwLock<RapidHashMap<u64, Known>>,
    series_max: usize,
    labels_bytes_max: usize,
    started: Instant,
    swept: AtomicU32,
}

/// One request's look into the cache.
pub struct Lookup<'c> {
    cache: &'c SeriesCache,
    /// None only while a new series is taken in.
    known: Option<RwLockReadGuard<'c, RapidHashMap<u64, Known>>>,
    era: u32,
}

impl SeriesCache {
    /// One that remembers so many series, with labels of at most so many bytes.
    pub fn new(series_max: usize, labels_bytes_max: usize) -> SeriesCache {
        SeriesCache {
            hashing: Hashing::default(),
            known: RwLock::new(RapidHashMap::new()),
            series_max: series_max.max(1),
            labels_bytes_max,
            started: Instant::now(),
            swept: AtomicU32::new(0),
        }
    }

    /// How labels are hashed here.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// Begins a request's look.
    pub fn lookup(&self) -> Lookup<'_> {
        self.lookup_in((self.started.elapsed().as_secs() / ERA.as_secs()) as u32)
    }

    fn lookup_in(&self, era: u32) -> Lookup<'_> {
        if self.swept.swap(era, Relaxed) != era {
            let mut known = self.known.write();
            known.retain(|_, known| known.era().saturating_add(1) >= era);
            known.shrink_to_fit();
        }
        Lookup { cache: self, known: Some(self.known.read()), era }
    }
}

impl Lookup<'_> {
    /// The series with these labels, made if it is new.
    #[inline]
    pub fn find<'a>(&mut self, labels: &impl WrittenLabels<'a>) -> Result<Series, BadLabels> {
        let hashes = labels.hashes(&self.cache.hashing);
        let known = self.known.as_ref().and_then(|known| known.get(&hashes[0]));
        if let Some(known) = known.filter(|known| known.second_hash == hashes[1]) {
            let seen = known.seen.load(Relaxed);
            if seen & !RUNNING_TOTAL != self.era {
                known.seen.store(seen & RUNNING_TOTAL | self.era, Relaxed);
            }
            return Ok(known.series());
        }
        self.learn(hashes, labels)
    }

    #[cold]
    fn learn<'a>(
        &mut self,
        [hash, second_hash]: [u64; 2],
        labels: &impl WrittenLabels<'a>,
    ) -> Result<Series, BadLabels> {
        let labels = checked(&labels.pairs()?, self.cache.labels_bytes_max)?;
        self.known = None;
        let mut known = self.cache.known.write();
        // Another request may have brought it meanwhile.
        let series = match known.get(&hash).filter(|known| known.second_hash == second_hash) {
            Some(known) => known.series(),
            None => {
                if known.len() >= self.cache.series_max {
                    make_room(&mut known, self.era, self.cache.series_max);
                }
                let running_total_by_name = is_running_total_by_name(labels.name());
                let labels = Arc::new(labels);
                let seen = self.era | if running_total_by_name { RUNNING_TOTAL } else { 0 };
                known.insert(hash, Known { second_hash, labels: Arc::clone(&labels), seen: AtomicU32::new(seen) });
                Series { labels, running_total_by_name }
            }
        };
        self.known = Some(RwLockWriteGuard::downgrade(known));
        Ok(series)
    }
}

/// Forgets what was not written in this era, or everything where that is not a quarter.
fn make_room(known: &mut RapidHashMap<u64, Known>, era: u32, series_max: usize) {
    known.retain(|_, known| known.era() == era);
    if known.len() > series_max / 4 * 3 {
        known.clear();
    }
}

fn checked(pairs: &[Pair<'_>], bytes_max: usize) -> Result<LabelSet, BadLabels> {
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > bytes_max || pairs.len() > LABELS_MAX {
        return Err(BadLabels::TooLong);
    }
    let text = |bytes| str::from_utf8(bytes).map_err(|_| BadLabels::InvalidUtf8);
    let mut texts =
        pairs.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect::<Result<Vec<_>, BadLabels>>()?;
    texts.sort_unstable();
    if texts.windows(2).any(|pair| pair[0].0 == pair[1].0) || texts.first().is_some_and(|(name, _)| name.is_empty()) {
        return Err(BadLabels::RepeatedName);
    }
    let labels = LabelSet::new(texts);
    if labels.get(NAME_LABEL).is_empty() { Err(BadLabels::NoName) } else { Ok(labels) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels whose first hash is their number, to make collisions.
    struct Labels(u64, &'static [(&'static str, &'static str)]);

    impl WrittenLabels<'static> for Labels {
        fn hashes(&self, hashing: &Hashing) -> [u64; 2] {
            let text: String = self.1.iter().map(|(name, value)| format!("{name}={value};")).collect();
            [self.0, hashing.of_bytes(text.as_bytes())[1]]
        }

        fn pairs(&self) -> Result<Vec<Pair<'static>>, BadLabels> {
            Ok(self.1.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect())
        }
    }

    const UP: Labels = Labels(1, &[("__name__", "up"), ("job", "a")]);

    #[test]
    fn a_series_is_built_once_and_two_with_one_first_hash_are_told_apart() {
        let cache = SeriesCache::new(10, 100);
        let mut lookup = cache.lookup();
        let first = lookup.find(&UP).unwrap();
        assert!(Arc::ptr_eq(&first.labels, &lookup.find(&UP).unwrap().labels));
        drop(lookup);
        let mut lookup = cache.lookup();
        assert!(Arc::ptr_eq(&first.labels, &lookup.find(&UP).unwrap().labels));
        let other = lookup.find(&Labels(1, &[("__name__", "down_total")])).unwrap();
        assert_eq!((other.labels.to_string().as_str(), other.running_total_by_name), ("down_total", true));
        assert_eq!(lookup.find(&UP).unwrap().labels, first.labels);
        // Labels out of order are the same series.
        let swapped = Labels(2, &[("job", "a"), ("__name__", "up")]);
        let swapped = [lookup.find(&swapped).unwrap(), lookup.find(&swapped).unwrap()];
        assert!(swapped[0].labels == first.labels && Arc::ptr_eq(&swapped[0].labels, &swapped[1].labels));
    }

    #[test]
    fn bad_labels_are_refused_by_name() {
        let check = |pairs: &'static [(&str, &str)], expected: &str| {
            let cache = SeriesCache::new(10, 30);
            let found = cache.lookup().find(&Labels(1, pairs)).map(|series| series.labels.to_string());
            assert_eq!(found.map_err(BadLabels::reason), Err(expected), "{pairs:?}");
        };
        check(&[], "series_without_name");
        check(&[("job", "a")], "series_without_name");
        check(&[("__name__", ""), ("job", "a")], "series_without_name");
        check(&[("__name__", "up"), ("job", "a"), ("job", "b")], "repeated_label");
        check(&[("", "x"), ("__name__", "up")], "repeated_label");
        check(&[("__name__", "a_name_of_more_than_thirty_bytes")], "labels_too_long");
    }

    #[test]
    fn what_is_no_longer_written_is_forgotten_and_the_limit_holds() {
        let cache = SeriesCache::new(4, 100);
        let len = || cache.known.read().len();
        let up = cache.lookup_in(0).find(&UP).unwrap();
        cache.lookup_in(1).find(&UP).unwrap();
        assert_eq!(len(), 1);
        drop(cache.lookup_in(2));
        assert_eq!(len(), 1);
        drop(cache.lookup_in(3));
        assert_eq!((len(), Arc::strong_count(&up.labels)), (0, 1));
        assert_eq!(size_of::<Known>(), 24);
        let count = Labels(7, &[("__name__", "x_count")]);
        assert!((3..5).all(|era| cache.lookup_in(era).find(&count).unwrap().running_total_by_name));
        for hash in 0..100 {
            cache.lookup_in(4).find(&Labels(hash, UP.1)).unwrap();
            assert!(len() <= 4);
        }
    }
}
