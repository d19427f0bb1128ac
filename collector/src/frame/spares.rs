//! Encoders and decoders between two uses. Which thread makes a frame is chance, and each of them would keep a megabyte of its own:
//! so they are handed around, and there are as many as were ever used at once.

use parking_lot::Mutex;

/// More than this many are not kept: on a machine of many processors that was busy once, they would be a burden for ever.
const SPARES_MAX: usize = 4;

/// See the module's documentation.
pub(super) struct Spares<T>(Mutex<Vec<T>>);

impl<T> Spares<T> {
    pub(super) const fn new() -> Spares<T> {
        Spares(Mutex::new(Vec::new()))
    }

    /// Lends the one that was used last, or a new one.
    pub(super) fn lend<R>(&self, make: impl FnOnce() -> T, work: impl FnOnce(&mut T) -> R) -> R {
        let spare = self.0.lock().pop();
        let mut lent = spare.unwrap_or_else(make);
        let result = work(&mut lent);
        let mut spares = self.0.lock();
        if spares.len() < SPARES_MAX {
            spares.push(lent);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other_they_share_one_and_at_once_each_has_its_own() {
        let spares = Spares::new();
        for round in 0..3 {
            spares.lend(
                || 0,
                |count| {
                    assert_eq!(*count, round);
                    *count += 1;
                },
            );
        }
        spares.lend(|| 0, |first| spares.lend(|| 10, |second| assert_eq!((*first, *second), (3, 10))));
        assert_eq!(*spares.0.lock(), [10, 3]);
    }
}
