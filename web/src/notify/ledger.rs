//! What one channel was told, and what it must be told now: the rules of Alertmanager's groups, with the time as an argument.
//!
//! A group waits `group_wait` when it is new and `group_interval` between two looks at it. A look tells when an alert is new,
//! when one that was told is over, and every `repeat_interval` while it lasts. Where we differ from Alertmanager: an alert that
//! was told is told to be over even when a silence came in between, since nobody closes what was opened for them otherwise;
//! and one that ended inside a muted time interval is told afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_query::alert::state::Labels;

use super::notice::Notice;
use super::routing::plan::{Group, GroupKey};

/// The first pause after a failure; each next is twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: what fires is told at most so late once the channel is back.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// One notification that is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// Which alerts.
    pub key: GroupKey,
    /// Why now.
    pub reason: Reason,
    /// Everything that fires of them and is not muted.
    pub firing: Vec<Notice>,
    /// What was told to fire and does not any more.
    pub resolved: Vec<Notice>,
    /// What was told before, still fires, and is muted now: not told, but not forgotten.
    muted: Vec<Notice>,
}

/// Why a notification is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An alert began to fire.
    New,
    /// An alert was resolved.
    Resolved,
    /// A reminder.
    Repeat,
    /// Somebody wants to see whether it arrives.
    Test,
}

/// What was told of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// When, in nanoseconds since the epoch.
    pub at: i64,
    /// What fires as far as people know.
    pub firing: Vec<Notice>,
}

/// A channel's book.
#[derive(Debug, Default)]
pub struct Ledger {
    told: BTreeMap<GroupKey, Told>,
    timers: BTreeMap<GroupKey, Timer>,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    /// When the group is looked at next.
    next: Timestamp,
    /// The reminders of its route.
    repeat_interval: Duration,
    /// Failures in a row.
    failures: u32,
}

impl Due {
    /// One that shows whether notifications arrive; no ledger hears of it.
    pub fn test(notice: Notice) -> Due {
        Due {
            key: GroupKey { route: "{}".to_owned(), labels: notice.labels.clone() },
            reason: Reason::Test,
            firing: vec![notice],
            resolved: Vec::new(),
            muted: Vec::new(),
        }
    }

    /// Firing alerts, then resolved ones.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.firing.iter().chain(&self.resolved)
    }

    /// `firing` while any of the alerts does, else `resolved`.
    pub fn status(&self) -> &'static str {
        if self.firing.is_empty() { "resolved" } else { "firing" }
    }
}

impl Ledger {
    /// A book with what was told before a restart.
    pub fn new(told: BTreeMap<GroupKey, Told>) -> Ledger {
        Ledger { told, timers: BTreeMap::new() }
    }

    /// The notifications that are due now of this channel's `groups`. Each must be answered by [`Ledger::told`] or
    /// [`Ledger::failed`] before the next call.
    pub fn due(&mut self, groups: &[&Group], send_resolved: bool, now: Timestamp) -> Vec<Due> {
        let groups: BTreeMap<&GroupKey, &Group> = groups.iter().map(|group| (&group.key, *group)).collect();
        let keys: BTreeSet<GroupKey> =
            groups.keys().map(|key| (*key).clone()).chain(self.told.keys().cloned()).collect();
        self.timers.retain(|key, _| keys.contains(key));
        keys.into_iter().filter_map(|key| self.due_of(&key, groups.get(&key).copied(), send_resolved, now)).collect()
    }

    /// Notes that the channel took the notification; what to remember of the group, or none to forget it.
    pub fn told(&mut self, due: &Due, now: Timestamp) -> Option<Told> {
        if let Some(timer) = self.timers.get_mut(&due.key) {
            timer.failures = 0;
        }
        let firing: Vec<Notice> = due.firing.iter().chain(&due.muted).cloned().collect();
        if firing.is_empty() {
            self.told.remove(&due.key);
            // What fires next in it is a new group, which waits for its kind.
            self.timers.remove(&due.key);
            return None;
        }
        let told = Told { at: now.unix_nanos(), firing };
        self.told.insert(due.key.clone(), told.clone());
        Some(told)
    }

    /// Notes that it did not; it is tried again after `pause`, or after one that doubles with every failure.
    pub fn failed(&mut self, key: &GroupKey, pause: Option<Duration>, now: Timestamp) {
        if let Some(timer) = self.timers.get_mut(key) {
            timer.next = now.saturating_add(pause.unwrap_or_default().max(pause_after(timer.failures, now)));
            timer.failures += 1;
        }
    }

    /// How often the notification of this group failed since it last arrived.
    pub fn failures(&self, key: &GroupKey) -> u32 {
        self.timers.get(key).map_or(0, |timer| timer.failures)
    }

    /// The next moment after `now` at which something may be due without any alert changing.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let looks = self.timers.values().map(|timer| timer.next);
        let reminders = self.timers.iter().filter_map(|(key, timer)| {
            let told = self.told.get(key)?;
            Some(Timestamp::from_unix_nanos(told.at).saturating_add(timer.repeat_interval))
        });
        looks.chain(reminders).filter(|at| *at > now).min()
    }

    fn due_of(&mut self, key: &GroupKey, group: Option<&Group>, send_resolved: bool, now: Timestamp) -> Option<Due> {
        let next = self.timers.get(key).map_or_else(|| first_look(group, now), |timer| timer.next);
        let timing = group.map(|group| group.timing).unwrap_or_default();
        let failures = self.failures(key);
        let repeat_interval = timing.repeat_interval;
        if now < next {
            self.timers.insert(key.clone(), Timer { next, repeat_interval, failures });
            return None;
        }
        let next = now.saturating_add(timing.group_interval);
        self.timers.insert(key.clone(), Timer { next, repeat_interval, failures });
        if group.is_some_and(|group| group.closed_by.is_some()) {
            return None;
        }
        let alerts = group.map_or(&[][..], |group| &group.alerts);
        if !send_resolved && let Some(told) = self.told.get_mut(key) {
            // Nobody is told of the end, but a new beginning is news.
            let goes_on: HashMap<&Labels, i64> = alerts
                .iter()
                .filter(|alert| alert.firing)
                .map(|alert| (&alert.notice.labels, alert.notice.starts_at))
                .collect();
            told.firing.retain(|known| goes_on.get(&known.labels) == Some(&known.starts_at));
        }
        let nothing = Told::default();
        let told = self.told.get(key).unwrap_or(&nothing);
        let began = |notice: &Notice| notice.starts_at;
        let known: HashMap<&Labels, i64> = told.firing.iter().map(|one| (&one.labels, began(one))).collect();
        let fires = alerts.iter().filter(|alert| alert.firing);
        let now_firing: HashSet<&Labels> = fires.clone().map(|alert| &alert.notice.labels).collect();
        let is_told = |notice: &Notice| known.get(&notice.labels) == Some(&notice.starts_at);
        let new = fires.clone().any(|alert| alert.muted.is_none() && !is_told(&alert.notice));
        // One that ended and fires again is news, or while it is muted nothing at all.
        let over: Vec<&Notice> = told.firing.iter().filter(|one| !now_firing.contains(&one.labels)).collect();
        let since = now.saturating_since(Timestamp::from_unix_nanos(told.at));
        let again = since >= repeat_interval && fires.clone().any(|alert| alert.muted.is_none());
        let reason = match (new, over.is_empty()) {
            (true, _) => Reason::New,
            (false, false) => Reason::Resolved,
            (false, true) if again => Reason::Repeat,
            (false, true) => {
                let is_over = told.firing.is_empty() && now_firing.is_empty();
                if told.firing.is_empty() {
                    self.told.remove(key);
                }
                if is_over {
                    self.timers.remove(key);
                }
                return None;
            }
        };
        let pick = |is_muted: bool| {
            let of_kind = fires.clone().filter(move |alert| alert.muted.is_some() == is_muted);
            of_kind.map(|alert| alert.notice.clone())
        };
        let firing: Vec<Notice> = pick(false).collect();
        let muted: Vec<Notice> = pick(true).filter(|notice| known.contains_key(&notice.labels)).collect();
        let resolved = over.into_iter().map(|gone| ended(gone, group, now)).collect();
        Some(Due { key: key.clone(), reason, firing, resolved, muted })
    }
}

/// A new group waits for more of its kind, unless its alerts are older than that: then a restart or a reload made it new.
fn first_look(group: Option<&Group>, now: Timestamp) -> Timestamp {
    let Some(group) = group else { return now };
    let wait = group.timing.group_wait;
    let firing = group.alerts.iter().filter(|alert| alert.firing);
    let old = firing.clone().any(|alert| alert.notice.began().saturating_add(wait) <= now);
    let old = old || firing.count() == 0;
    if old { now } else { now.saturating_add(wait) }
}

/// What was told to fire, with its end: as the rules know it, or now when they know nothing of it any more.
fn ended(known: &Notice, group: Option<&Group>, now: Timestamp) -> Notice {
    let last = group.into_iter().flat_map(|group| &group.alerts);
    let last = last.filter(|alert| !alert.firing).map(|alert| &alert.notice).find(|last| last.labels == known.labels);
    let last = last.unwrap_or(known);
    Notice { ends_at: Some(last.ends_at.unwrap_or(now.unix_nanos())), starts_at: known.starts_at, ..last.clone() }
}

/// Twice as long with every failure, up to a quarter less so that channels do not come back in step.
fn pause_after(failures: u32, now: Timestamp) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX);
    let share = now.unix_nanos().rem_euclid(1_000) as u32;
    pause - pause / 4_000 * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::routing::plan::{Muted, Routed};
    use crate::notify::routing::route::Timing;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn notice(instance: &str, since: i64) -> Notice {
        let labels = Labels::from([("alertname".to_owned(), "Down".to_owned()), ("i".to_owned(), instance.to_owned())]);
        Notice {
            file: "r.yml".into(),
            rule_group: "g".into(),
            rule: "Down".into(),
            labels,
            annotations: Labels::new(),
            expr: "up == 0".into(),
            value: "1".into(),
            starts_at: since * 1_000_000_000,
            ends_at: None,
            lines: None,
        }
    }

    #[derive(Clone, Copy)]
    enum Is {
        Firing,
        Silenced,
        Resolved,
    }

    fn group(wait: u64, interval: u64, repeat: u64, alerts: &[(&str, i64, Is)]) -> Group {
        let seconds = Duration::from_secs;
        let routed = alerts.iter().map(|(instance, since, is)| {
            let mut notice = notice(instance, *since);
            if matches!(is, Is::Resolved) {
                notice.ends_at = Some((since + 5) * 1_000_000_000);
            }
            let muted = matches!(is, Is::Silenced).then(|| Muted::Silenced(vec!["s".to_owned()]));
            Arc::new(Routed { notice, firing: !matches!(is, Is::Resolved), muted })
        });
        Group {
            key: GroupKey { route: "{}".into(), labels: Labels::new() },
            receiver: "r".into(),
            timing: Timing {
                group_wait: seconds(wait),
                group_interval: seconds(interval),
                repeat_interval: seconds(repeat),
            },
            closed_by: None,
            alerts: routed.collect(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_seconds(second)
    }

    /// Tells what is due and says it as `Reason: firing / resolved`.
    fn tell(ledger: &mut Ledger, group: Option<&Group>, second: i64) -> Vec<String> {
        let names = |notices: &[Notice]| notices.iter().map(|n| n.labels["i"].clone()).collect::<Vec<_>>().join(",");
        let groups: Vec<&Group> = group.into_iter().collect();
        let due = ledger.due(&groups, true, at(second));
        due.iter().for_each(|due| drop(ledger.told(due, at(second))));
        due.iter().map(|due| format!("{:?}: {} / {}", due.reason, names(&due.firing), names(&due.resolved))).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn changes_are_told_once_and_what_lasts_is_repeated() {
        use Is::{Firing, Resolved};
        let mut ledger = Ledger::default();
        let mut step = |second, alerts: &[(&str, i64, Is)]| tell(&mut ledger, Some(&group(0, 0, 100, alerts)), second);
        assert_eq!(step(10, &[("a", 0, Firing)]), ["New: a / "]);
        assert_eq!(step(20, &[("a", 0, Firing)]), NOTHING);
        assert_eq!(step(30, &[("a", 0, Firing), ("b", 30, Firing)]), ["New: a,b / "]);
        assert_eq!(step(40, &[("a", 0, Firing), ("b", 30, Resolved)]), ["Resolved: a / b"]);
        assert_eq!(step(50, &[("a", 0, Firing), ("b", 30, Resolved)]), NOTHING);
        assert_eq!(step(140, &[("a", 0, Firing)]), ["Repeat: a / "]);
        // It was resolved and fires again before anybody could be told.
        assert_eq!(step(150, &[("a", 145, Firing)]), ["New: a / "]);
        // Its rule is gone.
        assert_eq!(tell(&mut ledger, None, 160), ["Resolved:  / a"]);
        assert_eq!(tell(&mut ledger, None, 1_000), NOTHING);
        assert!(ledger.told.is_empty());
    }

    #[test]
    fn a_group_waits_for_its_kind_and_between_two_looks() {
        use Is::Firing;
        let mut ledger = Ledger::default();
        let mut step = |second, alerts: &[(&str, i64, Is)]| {
            let told = tell(&mut ledger, Some(&group(30, 300, 3600, alerts)), second);
            (told, ledger.next(at(second)).map(|at| at.unix_seconds() as i64))
        };
        let told = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(step(100, &[("a", 100, Firing)]), (told(&[]), Some(130)));
        assert_eq!(step(110, &[("a", 100, Firing), ("b", 110, Firing)]), (told(&[]), Some(130)));
        assert_eq!(step(130, &[("a", 100, Firing), ("b", 110, Firing)]), (told(&["New: a,b / "]), Some(430)));
        assert_eq!(step(140, &[("a", 100, Firing), ("b", 110, Firing), ("c", 140, Firing)]).0, told(&[]));
        let all = [("a", 100, Firing), ("b", 110, Firing), ("c", 140, Firing)];
        assert_eq!(step(430, &all), (told(&["New: a,b,c / "]), Some(730)));
        // After a restart what is old is looked at at once, and told when it was not.
        let mut restarted = Ledger::new(ledger.told.clone());
        assert_eq!(tell(&mut restarted, Some(&group(30, 300, 3600, &all)), 450), NOTHING);
        let mut fresh = Ledger::default();
        assert_eq!(tell(&mut fresh, Some(&group(30, 300, 3600, &all)), 450), ["New: a,b,c / "]);
    }

    #[test]
    fn what_was_told_is_told_to_be_over_even_when_it_was_silenced_meanwhile() {
        use Is::{Firing, Resolved, Silenced};
        let mut ledger = Ledger::default();
        let mut step = |second, alerts: &[(&str, i64, Is)]| tell(&mut ledger, Some(&group(0, 0, 100, alerts)), second);
        assert_eq!(step(0, &[("a", 0, Firing), ("b", 0, Silenced)]), ["New: a / "]);
        assert_eq!(step(10, &[("a", 0, Silenced), ("b", 0, Silenced)]), NOTHING);
        assert_eq!(step(500, &[("a", 0, Silenced), ("b", 0, Silenced)]), NOTHING, "no reminder");
        assert_eq!(step(510, &[("a", 0, Resolved), ("b", 0, Resolved)]), ["Resolved:  / a"], "nobody heard of b");
        assert_eq!(step(520, &[("b", 520, Silenced)]), NOTHING);
        assert_eq!(step(530, &[("b", 520, Firing)]), ["New: b / "], "the silence is over");
    }

    #[test]
    fn inside_a_muted_interval_nothing_is_told_and_afterwards_everything() {
        use Is::{Firing, Resolved};
        let mut ledger = Ledger::default();
        let closed = |alerts: &[(&str, i64, Is)]| Group { closed_by: Some("night".into()), ..group(0, 0, 100, alerts) };
        assert_eq!(tell(&mut ledger, Some(&group(0, 0, 100, &[("a", 0, Firing)])), 0), ["New: a / "]);
        assert_eq!(tell(&mut ledger, Some(&closed(&[("a", 0, Resolved), ("b", 10, Firing)])), 10), NOTHING);
        let open = group(0, 0, 100, &[("b", 10, Firing)]);
        assert_eq!(tell(&mut ledger, Some(&open), 2_000), ["New: b / a"]);
    }

    #[test]
    fn a_channel_that_wants_no_ends_hears_of_new_beginnings() {
        let mut ledger = Ledger::default();
        let mut step = |second: i64, alerts: &[(&str, i64, Is)]| {
            let group = group(0, 0, 1_000, alerts);
            let due = ledger.due(&[&group], false, at(second));
            due.iter().for_each(|due| drop(ledger.told(due, at(second))));
            due.iter().map(|due| (due.reason, due.resolved.len())).collect::<Vec<_>>()
        };
        assert_eq!(step(0, &[("a", 0, Is::Firing)]), [(Reason::New, 0)]);
        assert_eq!(step(10, &[("a", 0, Is::Resolved)]), []);
        assert_eq!(step(20, &[("a", 20, Is::Firing)]), [(Reason::New, 0)]);
    }

    #[test]
    fn failures_are_tried_again_with_growing_pauses() {
        let mut ledger = Ledger::default();
        let group = group(0, 300, 3600, &[("a", 0, Is::Firing)]);
        let (mut tries, mut failed) = (Vec::new(), 0);
        for second in 0..200 {
            let due = ledger.due(&[&group], true, at(second));
            if let [due] = &due[..] {
                assert_eq!(ledger.failures(&due.key), failed);
                tries.push(second);
                failed += 1;
                ledger.failed(&due.key, None, at(second));
            }
        }
        assert_eq!(tries, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
        ledger.failed(&group.key, Some(Duration::from_secs(300)), at(200));
        assert_eq!(ledger.next(at(200)), Some(at(500)));
    }

    #[test]
    fn the_end_is_the_moment_the_rules_know() {
        let mut ledger = Ledger::default();
        tell(&mut ledger, Some(&group(0, 0, 100, &[("a", 10, Is::Firing)])), 10);
        let known = group(0, 0, 100, &[("a", 10, Is::Resolved)]);
        let end = |due: Vec<Due>| due[0].resolved[0].ends_at;
        assert_eq!(end(ledger.due(&[&known], true, at(60))), Some(15_000_000_000));
        assert_eq!(end(ledger.due(&[], true, at(60))), Some(60_000_000_000));
    }

    proptest! {
        /// A plain model: second by second, what people believe after each notification is what fires and is not silenced
        /// (plus what they heard of and is silenced now), notifications keep their distance, and nothing stays untold for
        /// longer than a wait and an interval.
        #[test]
        fn people_know_what_fires_within_a_wait_and_an_interval(
            steps in proptest::collection::vec((0usize..3, 0u8..3), 0..60),
            wait in 0u64..8, interval in 1u64..12,
        ) {
            let names = ["a", "b", "c"];
            let mut ledger = Ledger::default();
            // Per alert: since when it fires, and whether it is silenced.
            let mut world: [Option<(i64, bool)>; 3] = [None; 3];
            let mut belief: BTreeSet<&str> = BTreeSet::new();
            let mut last_told: Option<i64> = None;
            let mut wrong_since: Option<i64> = None;
            for second in 0..(steps.len() as i64 + 40) {
                if let Some((which, change)) = steps.get(second as usize) {
                    world[*which] = match (change, world[*which]) {
                        (0, None) => Some((second, false)),
                        (0, firing) => firing,
                        (1, _) => None,
                        (_, firing) => firing.map(|(since, silenced)| (since, !silenced)),
                    };
                }
                let alerts: Vec<(&str, i64, Is)> = (0..3)
                    .filter_map(|n| world[n].map(|(since, silenced)| (names[n], since, if silenced { Is::Silenced } else { Is::Firing })))
                    .collect();
                let group = group(wait, interval, 1_000_000, &alerts);
                let groups: Vec<&Group> = if alerts.is_empty() { Vec::new() } else { vec![&group] };
                let due = ledger.due(&groups, true, at(second));
                for due in &due {
                    if let Some(last) = last_told {
                        prop_assert!(belief.is_empty() || second - last >= interval as i64, "too soon at {second}");
                    }
                    last_told = Some(second);
                    for notice in &due.resolved {
                        prop_assert!(belief.remove(notice.labels["i"].as_str()), "an end without a beginning");
                    }
                    for notice in &due.firing {
                        belief.insert(names.iter().find(|name| **name == notice.labels["i"]).unwrap());
                    }
                    drop(ledger.told(due, at(second)));
                }
                let must: BTreeSet<&str> = (0..3).filter(|n| matches!(world[*n], Some((_, false)))).map(|n| names[n]).collect();
                let may: BTreeSet<&str> = (0..3).filter(|n| world[*n].is_some()).map(|n| names[n]).collect();
                let right = must.is_subset(&belief) && belief.is_subset(&may);
                if !due.is_empty() {
                    prop_assert!(right, "told at {second}: {belief:?} of {must:?}");
                }
                wrong_since = if right { None } else { wrong_since.or(Some(second)) };
                if let Some(since) = wrong_since {
                    prop_assert!(second - since <= (wait + interval) as i64, "wrong since {since} at {second}");
                }
            }
        }
    }
}
