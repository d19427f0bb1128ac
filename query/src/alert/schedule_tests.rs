//! Groups at work: a rules file on disk, the real engine, a store's end of the outlet that answers.

use std::path::PathBuf;

use parking_lot::Mutex;
use taffrail_collector::delivery::{self, Outcome};
use taffrail_collector::model::{LabelSet, SampleValue};
use taffrail_ingest::series_store::LabelMatcher;

use super::*;
use crate::alert::overlay::matches;
use crate::alert::state::AlertState;
use crate::promql::{PromqlError, STALE, Series, Wanted};

/// One series `x` whose value now can be set; none while it is unset.
#[derive(Default)]
struct Knob(Mutex<Option<f64>>);

impl SeriesSource for Knob {
    fn select(
        &self,
        matchers: &[LabelMatcher],
        _: i64,
        end_ms: i64,
        _: Wanted,
        _: &Scan,
    ) -> Result<Vec<Series>, PromqlError> {
        let labels = Arc::new(LabelSet::new([("__name__", "x"), ("i", "a")]));
        let value = self.0.lock().filter(|_| matchers.iter().all(|matcher| matches(matcher, &labels)));
        Ok(value.map(|value| Series::of_numbers(labels, vec![(end_ms, value)])).into_iter().collect())
    }
}

#[derive(Default)]
struct Document(Mutex<Option<String>>);

impl StateStore for Document {
    fn load(&self) -> Option<String> {
        self.0.lock().clone()
    }
    fn save(&self, document: &str) {
        *self.0.lock() = Some(document.to_owned());
    }
}

struct World {
    file: PathBuf,
    knob: Arc<Knob>,
    document: Arc<Document>,
    outlet: Outlet,
    stored: Arc<Mutex<Vec<String>>>,
    _directory: tempfile::TempDir,
}

impl World {
    fn new(rules: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rules.yml");
        std::fs::write(&file, rules).unwrap();
        let (outlet, mut batches) = delivery::channel(4);
        let stored = Arc::new(Mutex::new(Vec::new()));
        let sink = stored.clone();
        tokio::spawn(async move {
            while let Some(delivery) = batches.recv().await {
                let stale = |sample: &Sample| match sample.value {
                    SampleValue::Gauge { last, .. } if last.to_bits() == STALE.to_bits() => " ends",
                    _ => "",
                };
                let line = |sample: &Sample| format!("{}{}", sample.labels, stale(sample));
                sink.lock().extend(delivery.batch.samples.iter().map(line));
                delivery.receipt.answer(Outcome::Stored { acked_through: None });
            }
        });
        World { file, knob: Arc::default(), document: Arc::default(), outlet, stored, _directory: directory }
    }

    fn start(&self, stop: &CancellationToken) -> Manager {
        let config = Config {
            rules: vec![self.file.display().to_string()],
            built_in: &[],
            interval: Duration::from_millis(50),
            timeout: Duration::from_secs(10),
            rows_max: u64::MAX,
            memory_bytes_max: u64::MAX,
            alerts_max: usize::MAX,
            external_labels: BTreeMap::new(),
            external_url: String::new(),
        };
        Manager::start(config, self.knob.clone(), self.outlet.clone(), self.document.clone(), stop.clone()).unwrap()
    }
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(30), "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn states(manager: &Manager) -> Vec<(AlertState, Timestamp)> {
    manager.alerts().iter().map(|named| (named.alert.state, named.alert.active_at)).collect()
}

const RULES: &str =
    "groups:\n- name: g\n  rules:\n  - { record: y, expr: x * 2 }\n  - { alert: High, expr: y > 1, for: 200ms }\n";

#[tokio::test]
async fn alerts_fire_are_stored_and_go_on_after_a_restart() {
    let world = World::new(RULES);
    let stop = CancellationToken::new();
    let manager = world.start(&stop);
    *world.knob.0.lock() = Some(0.25);
    let current = |manager: &Manager| {
        let alerting = manager.snapshot()[0].rules[1].alerting.clone().unwrap();
        (
            alerting.current.first().map(|current| current.value),
            alerting.comparison.map(|comparison| comparison.threshold),
        )
    };
    wait_until("the current value", || current(&manager) == (Some(0.5), Some(1.0))).await;
    assert_eq!(states(&manager), []);
    *world.knob.0.lock() = Some(3.0);
    wait_until("firing", || states(&manager).first().is_some_and(|(state, _)| *state == AlertState::Firing)).await;
    let (_, since) = states(&manager)[0];
    let firing = r#"ALERTS{alertname="High", alertstate="firing", i="a"}"#;
    wait_until("stored series", || world.stored.lock().iter().any(|labels| labels == firing)).await;
    assert!(world.stored.lock().iter().any(|labels| labels == r#"y{i="a"}"#));
    let pending = r#"ALERTS{alertname="High", alertstate="pending", i="a"} ends"#;
    assert!(world.stored.lock().iter().any(|line| line == pending), "{:?}", world.stored.lock());
    let group = &manager.snapshot()[0];
    assert!(group.iterations > 0 && group.rules.iter().all(|rule| rule.health == "ok"), "{group:?}");
    stop.cancel();
    manager.stopped().await;

    let stop = CancellationToken::new();
    let manager = world.start(&stop);
    assert_eq!(states(&manager), [(AlertState::Firing, since)], "before any evaluation");
    wait_until("an evaluation", || manager.snapshot()[0].iterations > 0).await;
    assert_eq!(states(&manager), [(AlertState::Firing, since)]);
    *world.knob.0.lock() = None;
    wait_until("resolved", || states(&manager)[0].0 == AlertState::Resolved).await;
    stop.cancel();
    manager.stopped().await;
}

#[tokio::test]
async fn a_changed_file_is_taken_up_and_a_bad_one_changes_nothing() {
    let world = World::new(RULES);
    let stop = CancellationToken::new();
    let manager = world.start(&stop);
    *world.knob.0.lock() = Some(3.0);
    wait_until("firing", || states(&manager).first().is_some_and(|(state, _)| *state == AlertState::Firing)).await;
    let (_, since) = states(&manager)[0];

    std::fs::write(&world.file, "groups:\n- nam: g\n").unwrap();
    wait_until("the problem", || !manager.problems().is_empty()).await;
    assert!(manager.problems()[0].message.contains("did you mean name?"), "{:?}", manager.problems());
    assert_eq!(states(&manager), [(AlertState::Firing, since)]);

    // The alert lives on under a rule that changed otherwise, and the other rule is gone.
    let changed = "groups:\n- name: g\n  rules:\n  - { alert: High, expr: x * 2 > 1.5, for: 1h }\n";
    std::fs::write(&world.file, changed).unwrap();
    wait_until("the new rules", || manager.snapshot()[0].rules.len() == 1).await;
    assert_eq!(manager.problems(), []);
    let end = r#"y{i="a"} ends"#;
    wait_until("the end of what is recorded no more", || world.stored.lock().iter().any(|line| line == end)).await;
    assert_eq!(states(&manager), [(AlertState::Firing, since)]);

    // A reload that is refused leaves the watching of the files before it alone.
    assert!(manager.reload(vec!["/nowhere/rules.yml".to_owned()]).is_err());
    std::fs::write(&world.file, format!("{changed}  - {{ record: z, expr: x }}\n")).unwrap();
    wait_until("the file's next change", || manager.snapshot()[0].rules.len() == 2).await;

    let pattern = vec![world.file.with_file_name("*.none").display().to_string()];
    assert_eq!(manager.reload(pattern), Ok(0));
    assert_eq!(manager.snapshot().len(), 0);
    let end = r#"ALERTS_FOR_STATE{alertname="High", i="a"} ends"#;
    wait_until("the end of the group's series", || world.stored.lock().iter().any(|line| line == end)).await;
    stop.cancel();
    manager.stopped().await;
}

#[tokio::test]
async fn groups_go_on_while_the_store_takes_nothing_and_say_so() {
    let refused = Outcome::Refused(delivery::Refusal {
        reason: delivery::RefusalReason::DiskFull,
        message: "the disk is full".to_owned(),
        retry_after: Some(Duration::from_secs(5)),
    });
    for (answer, message) in [(Some(refused), "the disk is full"), (None, "the store gave no answer within 1s")] {
        let mut world = World::new(RULES);
        let (outlet, mut batches) = delivery::channel(1);
        world.outlet = outlet;
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Some(delivery) = batches.recv().await {
                match &answer {
                    Some(outcome) => delivery.receipt.answer(outcome.clone()),
                    None => unanswered.push(delivery),
                }
            }
        });
        *world.knob.0.lock() = Some(3.0);
        let stop = CancellationToken::new();
        let manager = world.start(&stop);
        wait_until("firing", || states(&manager).first().is_some_and(|(state, _)| *state == AlertState::Firing)).await;
        let error = || manager.snapshot()[0].rules[1].last_error.clone().unwrap_or_default();
        wait_until("the rule says why", || error().ends_with(message)).await;
        *world.knob.0.lock() = None;
        wait_until("resolved", || states(&manager)[0].0 == AlertState::Resolved).await;
        stop.cancel();
        manager.stopped().await;
    }
}

#[tokio::test]
async fn a_restored_alert_waits_for_its_data() {
    let world = World::new(RULES);
    let stop = CancellationToken::new();
    let manager = world.start(&stop);
    *world.knob.0.lock() = Some(3.0);
    wait_until("firing", || states(&manager).first().is_some_and(|(state, _)| *state == AlertState::Firing)).await;
    let firing = states(&manager);
    stop.cancel();
    manager.stopped().await;

    *world.knob.0.lock() = None;
    let stop = CancellationToken::new();
    let manager = world.start(&stop);
    wait_until("evaluations", || manager.snapshot()[0].iterations > 2).await;
    assert_eq!(states(&manager), firing, "no data is no answer");
    *world.knob.0.lock() = Some(0.25);
    wait_until("resolved", || states(&manager)[0].0 == AlertState::Resolved).await;
    stop.cancel();
    manager.stopped().await;
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_a_group() {
    let at = Timestamp::from_unix_seconds;
    let check = |before: Option<i64>, expected: Option<i64>| {
        assert_eq!(believable(before.map(at), at(1_000), Duration::from_secs(60)), expected.map(at), "{before:?}");
    };
    check(None, None);
    check(Some(990), Some(990));
    check(Some(1_060), Some(1_060));
    check(Some(1_061), None);
}

#[test]
fn evaluations_that_are_left_out_are_counted() {
    let at = Timestamp::from_unix_seconds;
    let check =
        |due: i64, expected: u64| assert_eq!(missed(at(600), at(due), Duration::from_secs(60)), expected, "{due}");
    check(660, 0);
    check(719, 0);
    check(720, 1);
    // An hour forward.
    check(4_200, 59);
    // Backwards: nothing is left out.
    check(300, 0);
}

#[test]
fn groups_are_due_at_multiples_of_their_interval_after_a_fixed_offset() {
    let group = parse("groups:\n- name: g\n  rules: []\n");
    let interval = Duration::from_secs(60);
    let first = next_due(&group, interval, Timestamp::from_unix_seconds(1_000_000));
    assert!(first > Timestamp::from_unix_seconds(1_000_000));
    assert!(first <= Timestamp::from_unix_seconds(1_000_060));
    assert_eq!(next_due(&group, interval, first), first.saturating_add(interval));
    let just_before = first.saturating_sub(Duration::from_nanos(1));
    assert_eq!(next_due(&group, interval, just_before), first);
}

fn parse(text: &str) -> Group {
    crate::alert::rule::parse_rules("r.yml", text).unwrap().remove(0)
}
