//! All error groups: takes records in the order in which they came, says which groups are new or back, and which changed.

use std::collections::{HashMap, HashSet};

use super::group::{Group, Nanos, Seen, State};

/// When there are too many groups, this share of them leaves at once, so that it need not be looked who leaves each time.
const LEAVING_SHARE: usize = 20;

/// All groups.
#[derive(Debug)]
pub struct Tracker {
    groups: HashMap<String, Group>,
    changed: HashSet<String>,
    removed: Vec<String>,
    groups_max: usize,
    left: u64,
}

/// What a record made of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is the group's first.
    New,
    /// The group had been resolved.
    Regressed,
}

/// What changed since the last time.
#[derive(Debug, Default)]
pub struct Changes {
    /// Groups as they are now, as text.
    pub groups: Vec<(String, String)>,
    /// Groups that left.
    pub removed: Vec<String>,
}

impl Event {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Event::New => "new",
            Event::Regressed => "regressed",
        }
    }
}

impl Tracker {
    /// The groups as they were kept, and how many there may be. A group that cannot be read is left out, and begins anew.
    pub fn new(kept: Vec<(String, String)>, groups_max: usize) -> Tracker {
        let read = |(id, value): (String, String)| Some((id, serde_json::from_str(&value).ok()?));
        let groups = kept.into_iter().filter_map(read).collect();
        Tracker { groups, changed: HashSet::new(), removed: Vec::new(), groups_max: groups_max.max(1), left: 0 }
    }

    /// Takes in a record of a group; `describe` says what a group that is not known yet is.
    pub fn take(&mut self, id: &str, seen: Seen<'_>, now: Nanos, describe: impl FnOnce() -> Group) -> Option<Event> {
        if let Some(group) = self.groups.get_mut(id) {
            let event = group.take(seen).then_some(Event::Regressed);
            if !self.changed.contains(id) {
                self.changed.insert(id.to_owned());
            }
            return event;
        }
        if self.groups.len() >= self.groups_max {
            self.make_room(now);
        }
        let mut group = describe();
        group.take(seen);
        self.groups.insert(id.to_owned(), group);
        self.changed.insert(id.to_owned());
        Some(Event::New)
    }

    /// Lets those leave that nobody decided about and that were seen once, then those not seen for longest.
    fn make_room(&mut self, now: Nanos) {
        let count = self.groups.len().div_ceil(LEAVING_SHARE);
        let mut all: Vec<(bool, bool, Nanos, &String)> = self
            .groups
            .iter()
            .map(|(id, group)| (group.state != State::Open, group.count > 1, group.last_seen.min(now), id))
            .collect();
        all.sort_unstable();
        let leaving: Vec<String> = all.into_iter().take(count).map(|(_, _, _, id)| id.clone()).collect();
        for id in leaving {
            self.groups.remove(&id);
            self.changed.remove(&id);
            self.removed.push(id);
            self.left += 1;
        }
    }

    /// A group.
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    /// Changes what was decided about a group; none when there is no such group.
    pub fn decide(&mut self, id: &str, decide: impl FnOnce(&mut Group)) -> Option<&Group> {
        let group = self.groups.get_mut(id)?;
        decide(group);
        self.changed.insert(id.to_owned());
        Some(group)
    }

    /// All groups, in no order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(id, group)| (id.as_str(), group))
    }

    /// How many groups there are, and how many left because there were too many.
    pub fn counts(&self) -> (usize, u64) {
        (self.groups.len(), self.left)
    }

    /// Whether anything changed since the last time.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }

    /// What changed since it was [kept](Self::kept), to be kept.
    pub fn changes(&self) -> Changes {
        let text = |id: &String| Some((id.clone(), serde_json::to_string(self.groups.get(id)?).ok()?));
        let removed = self.removed.iter().filter(|id| !self.groups.contains_key(*id)).cloned().collect();
        Changes { groups: self.changed.iter().filter_map(text).collect(), removed }
    }

    /// The changes lie where they are kept.
    pub fn kept(&mut self) {
        self.changed.clear();
        self.removed.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seen(time: Nanos) -> Seen<'static> {
        Seen { time, record: "r", version: "" }
    }

    #[test]
    fn a_group_is_new_once_and_back_after_it_was_resolved() {
        let mut tracker = Tracker::new(Vec::new(), 10);
        assert_eq!(tracker.take("a", seen(1), 1, Group::default), Some(Event::New));
        assert_eq!(tracker.take("a", seen(2), 2, Group::default), None);
        tracker.decide("a", |group| group.resolve(3, "", "ann")).unwrap();
        assert!(tracker.decide("b", |group| group.reopen()).is_none());
        let kept = tracker.changes().groups;
        tracker.kept();
        assert!(!tracker.is_changed());
        // After a restart.
        let mut tracker = Tracker::new(kept, 10);
        assert_eq!(tracker.take("a", seen(4), 4, Group::default), Some(Event::Regressed));
        assert_eq!(tracker.take("a", seen(5), 5, Group::default), None);
        assert_eq!(tracker.group("a").unwrap().count, 4);
    }

    #[test]
    fn those_seen_once_leave_first_and_decisions_stay() {
        let mut tracker = Tracker::new(Vec::new(), 3);
        for (id, time) in [("often", 1), ("often", 2), ("decided", 1), ("once", 9)] {
            tracker.take(id, seen(time), time, Group::default);
        }
        tracker.decide("decided", |group| group.ignore(99, "ann"));
        assert_eq!(tracker.take("next", seen(10), 10, Group::default), Some(Event::New));
        assert_eq!(tracker.changes().removed, ["once"]);
        assert_eq!(tracker.counts(), (3, 1));
        let mut left: Vec<&str> = tracker.groups().map(|(id, _)| id).collect();
        left.sort_unstable();
        assert_eq!(left, ["decided", "next", "often"]);
    }

    proptest! {
        /// However often it is kept and read again, it is as if it had gone on.
        #[test]
        fn a_restart_changes_nothing(steps in proptest::collection::vec((0u8..4, 0u8..3, 0i64..50), 0..60)) {
            let mut whole = Tracker::new(Vec::new(), 100);
            let mut broken = Tracker::new(Vec::new(), 100);
            let mut kept: HashMap<String, String> = HashMap::new();
            for (what, id, time) in steps {
                let id = id.to_string();
                let run = |tracker: &mut Tracker| match what {
                    0 | 1 => tracker.take(&id, seen(time), time, Group::default),
                    2 => { tracker.decide(&id, |group| group.resolve(time, "", "")); None }
                    _ => { tracker.decide(&id, |group| group.ignore(time, "")); None }
                };
                prop_assert_eq!(run(&mut whole), run(&mut broken));
                let changes = broken.changes();
                kept.extend(changes.groups);
                changes.removed.iter().for_each(|id| { kept.remove(id); });
                broken = Tracker::new(kept.clone().into_iter().collect(), 100);
            }
            for (id, group) in whole.groups() {
                prop_assert_eq!(broken.group(id), Some(group));
            }
        }
    }
}
