//! The values of a label as far as they are wanted: the first so many in the order of their bytes. A completion shows a hundred, of
//! which there may be a million.

use std::collections::BTreeSet;

/// See the module's documentation.
#[derive(Debug)]
pub struct FirstValues {
    found: BTreeSet<String>,
    most: usize,
}

impl FirstValues {
    /// At most so many are wanted.
    pub fn new(most: usize) -> FirstValues {
        FirstValues { found: BTreeSet::new(), most }
    }

    /// Whether neither this value nor any behind it is wanted.
    pub fn are_all_before(&self, value: &str) -> bool {
        self.found.len() >= self.most && self.found.last().is_none_or(|last| value >= last.as_str())
    }

    /// Takes a value, unless it is known or not among the first.
    pub fn offer(&mut self, value: &str) {
        if self.are_all_before(value) || self.found.contains(value) {
            return;
        }
        self.found.insert(value.to_owned());
        if self.found.len() > self.most {
            self.found.pop_last();
        }
    }

    /// What was found, in order.
    pub fn into_set(self) -> BTreeSet<String> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_are_kept_in_whatever_order_they_come(values in prop::collection::vec("[a-c]{0,3}", 0..30), most in 0usize..8) {
            let mut first = FirstValues::new(most);
            values.iter().for_each(|value| first.offer(value));
            let all: BTreeSet<String> = values.into_iter().collect();
            prop_assert_eq!(first.into_set(), all.into_iter().take(most).collect::<BTreeSet<_>>());
        }
    }
}
