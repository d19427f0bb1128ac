//! The series of a registry in the order of blocks (by kind, then labels), kept from seal to seal: what was sorted once is
//! only merged with what is new.

use std::cmp::Ordering;
use std::sync::Arc;

use parking_lot::{RwLock, RwLockReadGuard};

use super::registry::Registry;

/// Series compared before inserts get their turn: a millisecond's work.
const TURN: usize = 4_096;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct SeriesOrder {
    registry: Arc<RwLock<Registry>>,
    sorted: Vec<u32>,
}

impl SeriesOrder {
    /// All series that are known to the registry now, or were when it was asked last.
    pub(super) fn of(&mut self, registry: &Arc<RwLock<Registry>>) -> &[u32] {
        if !Arc::ptr_eq(&self.registry, registry) {
            *self = SeriesOrder { registry: registry.clone(), sorted: Vec::new() };
        }
        let mut registry = registry.read();
        let new: Vec<u32> = (self.sorted.len() as u32..registry.len() as u32).collect(); // `Registry` counts them in 32 bits
        let new = sort(new, &mut registry);
        self.sorted = merge(&self.sorted, &new, &mut registry);
        &self.sorted
    }
}

/// Sorts in stretches, then merges those, and lets others have the registry now and then.
fn sort(mut ids: Vec<u32>, registry: &mut RwLockReadGuard<'_, Registry>) -> Vec<u32> {
    for stretch in ids.chunks_mut(TURN) {
        stretch.sort_unstable_by(|&a, &b| registry.compare(a, b));
        RwLockReadGuard::bump(registry);
    }
    let mut length = TURN;
    while length < ids.len() {
        let mut merged = Vec::with_capacity(ids.len());
        for pair in ids.chunks(2 * length) {
            let (left, right) = pair.split_at(length.min(pair.len()));
            merged.extend(merge(left, right, registry));
        }
        ids = merged;
        length *= 2;
    }
    ids
}

fn merge(mut left: &[u32], mut right: &[u32], registry: &mut RwLockReadGuard<'_, Registry>) -> Vec<u32> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
        if registry.compare(a, b) == Ordering::Greater {
            merged.push(b);
            right = &right[1..];
        } else {
            merged.push(a);
            left = &left[1..];
        }
        if merged.len() % TURN == 0 {
            RwLockReadGuard::bump(registry);
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use taffrail_collector::model::{LabelSet, SampleKind};

    #[test]
    fn series_are_in_the_order_of_blocks_whenever_they_came() {
        let registry = Arc::new(RwLock::new(Registry::default()));
        let mut order = SeriesOrder::default();
        let mut all = Vec::new();
        for part in [0..10u32, 10..10, 10..9_000, 9_000..9_100] {
            for n in part {
                let kind = if n % 3 == 0 { SampleKind::Gauge } else { SampleKind::Counter };
                // Numbers in no order.
                let labels = LabelSet::new([("__name__", "m"), ("n", &*n.reverse_bits().to_string())]);
                registry.write().know(kind, &labels, "", 0);
                all.push((kind, labels));
            }
            let sorted: Vec<_> = order.of(&registry).iter().map(|&id| &all[id as usize]).collect();
            let mut expected: Vec<_> = all.iter().collect();
            expected.sort();
            assert!(sorted == expected);
        }
        let other = Arc::new(RwLock::new(Registry::default()));
        assert!(order.of(&other).is_empty());
    }
}
