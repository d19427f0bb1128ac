//! When the windows of one series end: rising, each moment once. Windows mostly lie on the grid of a flush, and then three
//! numbers say it all.

use std::ops::Range;

/// A moment in nanoseconds since the epoch: the end of a window.
pub type End = i64;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub enum WindowEnds {
    /// `first`, `first + step` … `count` of them. `step` is positive, or 0 while there is no second one.
    Grid {
        /// The first.
        first: End,
        /// From one to the next.
        step: i64,
        /// How many.
        count: usize,
    },
    /// Any other.
    Listed(Vec<End>),
}

impl WindowEnds {
    /// None yet.
    pub const fn new() -> WindowEnds {
        WindowEnds::Grid { first: 0, step: 0, count: 0 }
    }

    /// Of a list that rises: as a grid if it is one.
    pub fn from_list(list: Vec<End>) -> WindowEnds {
        let (Some(&first), count) = (list.first(), list.len()) else { return WindowEnds::new() };
        let step = list.get(1).map_or(Some(0), |second| second.checked_sub(first));
        match step.filter(|&step| list.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(step))) {
            Some(step) => WindowEnds::Grid { first, step, count },
            None => WindowEnds::Listed(list),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            WindowEnds::Grid { count, .. } => *count,
            WindowEnds::Listed(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The one at a place.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn at(&self, place: usize) -> End {
        match self {
            WindowEnds::Grid { first, step, count } => {
                assert!(place < *count, "place {place} of {count}");
                first + step * place as i64
            }
            WindowEnds::Listed(list) => list[place],
        }
    }

    /// The first.
    pub fn first(&self) -> Option<End> {
        (!self.is_empty()).then(|| self.at(0))
    }

    /// The last.
    pub fn last(&self) -> Option<End> {
        self.len().checked_sub(1).map(|last| self.at(last))
    }

    /// All of them, rising.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = End> + '_ {
        (0..self.len()).map(|place| self.at(place))
    }

    /// How many come before `end`.
    pub fn count_before(&self, end: End) -> usize {
        match self {
            WindowEnds::Grid { first, step, count } => match end.checked_sub(*first) {
                Some(ahead) if ahead <= 0 => 0,
                // Farther than 2^63 ns: before the first, or behind every last.
                None => {
                    if end < *first {
                        0
                    } else {
                        *count
                    }
                }
                Some(_) if *step == 0 => *count,
                Some(ahead) => usize::try_from((ahead - 1) / step + 1).map_or(*count, |before| before.min(*count)),
            },
            WindowEnds::Listed(list) => list.partition_point(|&at| at < end),
        }
    }

    /// The place of this one, or where it would be.
    pub fn find(&self, end: End) -> Result<usize, usize> {
        let place = self.count_before(end);
        if place < self.len() && self.at(place) == end { Ok(place) } else { Err(place) }
    }

    /// Those at these places.
    pub fn slice(&self, places: Range<usize>) -> WindowEnds {
        match self {
            WindowEnds::Grid { first, step, .. } if !places.is_empty() => {
                let (first, count) = (first + step * places.start as i64, places.len());
                WindowEnds::Grid { first, step: if count > 1 { *step } else { 0 }, count }
            }
            WindowEnds::Grid { .. } => WindowEnds::new(),
            WindowEnds::Listed(list) => WindowEnds::from_list(list[places].to_vec()),
        }
    }

    /// Adds one behind all others.
    pub fn push(&mut self, end: End) {
        match self {
            WindowEnds::Grid { first, step, count } => match *count {
                0 => *self = WindowEnds::Grid { first: end, step: 0, count: 1 },
                1 if end.checked_sub(*first).is_some() => (*step, *count) = (end - *first, 2),
                n if n > 1 && (step.checked_mul(n as i64)).and_then(|ahead| first.checked_add(ahead)) == Some(end) => {
                    *count += 1;
                }
                _ => self.listed().push(end),
            },
            WindowEnds::Listed(list) => list.push(end),
        }
    }

    /// Adds others, all behind these.
    pub fn append(&mut self, others: &WindowEnds) {
        match (&mut *self, others) {
            (
                WindowEnds::Grid { first, step, count },
                WindowEnds::Grid { first: next, step: other_step, count: other_count },
            ) if *count > 1
                && (*other_count < 2 || step == other_step)
                && step.checked_mul(*count as i64).and_then(|ahead| first.checked_add(ahead)) == Some(*next) =>
            {
                *count += other_count;
            }
            (WindowEnds::Listed(list), others) => list.extend(others.iter()),
            _ => others.iter().for_each(|end| self.push(end)),
        }
    }

    /// Puts one in at its place.
    pub fn insert(&mut self, place: usize, end: End) {
        if place == self.len() {
            self.push(end);
        } else {
            self.listed().insert(place, end);
        }
    }

    fn listed(&mut self) -> &mut Vec<End> {
        if let WindowEnds::Grid { .. } = self {
            *self = WindowEnds::Listed(self.iter().collect());
        }
        match self {
            WindowEnds::Listed(list) => list,
            WindowEnds::Grid { .. } => unreachable!("it was made a list"),
        }
    }
}

impl Default for WindowEnds {
    fn default() -> WindowEnds {
        WindowEnds::new()
    }
}

/// The same moments are equal, in whatever form they are held.
impl PartialEq for WindowEnds {
    fn eq(&self, other: &WindowEnds) -> bool {
        match (self, other) {
            (WindowEnds::Listed(a), WindowEnds::Listed(b)) => a == b,
            _ => self.len() == other.len() && self.iter().eq(other.iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_the_sorted_list_they_were_made_of(
            ends in prop::collection::btree_set(prop_oneof![6 => (-9i64..9).prop_map(|n| n * 10), 1 => any::<i64>()], 0..9),
            asked in prop_oneof![(-100i64..100), any::<i64>()],
            cut: (prop::sample::Index, prop::sample::Index),
        ) {
            let list: Vec<End> = ends.into_iter().collect();
            let mut pushed = WindowEnds::new();
            list.iter().for_each(|&end| pushed.push(end));
            let mut inserted = WindowEnds::new();
            for &end in list.iter().rev() {
                inserted.insert(0, end);
            }
            let half = cut.0.index(list.len() + 1);
            let mut appended = WindowEnds::from_list(list[..half].to_vec());
            appended.append(&WindowEnds::from_list(list[half..].to_vec()));
            for made in [pushed, inserted, appended, WindowEnds::from_list(list.clone())] {
                prop_assert_eq!(made.iter().collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(made.find(asked), list.binary_search(&asked));
                prop_assert_eq!((made.first(), made.last()), (list.first().copied(), list.last().copied()));
                let (a, b) = (cut.0.index(list.len() + 1), cut.1.index(list.len() + 1));
                let places = a.min(b)..a.max(b);
                prop_assert_eq!(made.slice(places.clone()).iter().collect::<Vec<_>>(), list[places].to_vec());
            }
        }
    }
}
