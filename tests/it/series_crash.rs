//! Metric series against a plain map of all samples: killed at every named step of merges and deletions, and at random moments
//! between late data, seals, merges, deletions and retention. `TAFFRAIL_TEST_SEED` repeats the random schedule.
//!
//! Whoever is killed before he answers has stored, or deleted, all of what he was asked to or nothing: both are kept as possible
//! until the next start tells.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::crash_points::{BUSY, STILL, copy, dies, points, seal, start, start_and_die};
use crate::server::{Random, Server, agent, encode};

const DAY: i64 = 86_400;
/// Days that samples lie in, from two days ago on: so long ago that their windows are rolled up.
const DAYS: i64 = 6;
const HOSTS: [&str; 3] = ["a", "b", "c"];
/// A level, and increments: a gauge and a counter.
const METRICS: [&str; 2] = ["load", "orders"];
/// How long merges may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two samples of a series at least.
const STEP: i64 = 10;

/// What is stored: of each metric and host the values by second.
type Samples = BTreeMap<(usize, usize), BTreeMap<i64, f64>>;

/// A store's directory, and what may be in it.
struct Field {
    data: PathBuf,
    first_day: i64,
    /// Never none; more than one while it is not known what a killed server did.
    possible: Vec<Samples>,
}

impl Field {
    fn new(data: PathBuf) -> Field {
        Field { data, first_day: now() / DAY * DAY - (DAYS + 1) * DAY, possible: vec![Samples::new()] }
    }

    fn over(&self, data: PathBuf) -> Field {
        Field { data, first_day: self.first_day, possible: self.possible.clone() }
    }

    /// Sends a batch of new samples of some hours of a day, and notes what that may have done.
    fn send(&mut self, server: &Server, random: &mut Random) -> bool {
        let day = self.first_day + random.below(DAYS as u64) as i64 * DAY;
        let from = day + random.below(20) as i64 * 3_600;
        let mut batch: Samples = BTreeMap::new();
        for _ in 0..40 + random.below(200) {
            let series = (random.below(2) as usize, random.below(3) as usize);
            let second = from + STEP * (1 + random.below(4 * 360) as i64);
            // A window that is there already would be joined, which is another test's matter.
            if self.possible.iter().all(|samples| samples.get(&series).is_none_or(|known| !known.contains_key(&second)))
            {
                batch.entry(series).or_default().insert(second, (1 + random.below(1_000)) as f64 / 4.0);
            }
        }
        let request = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
            { "name": METRICS[0], "gauge": { "dataPoints": data_points(&batch, 0) } },
            { "name": METRICS[1], "sum": {
                "aggregationTemporality": 1, "isMonotonic": true, "dataPoints": data_points(&batch, 1),
            } },
        ] }] }] });
        let post = agent().post(server.url("/v1/metrics")).header("content-type", "application/json");
        let stored = post.send(request.to_string().as_bytes()).is_ok_and(|answer| answer.status().as_u16() == 200);
        self.happened(stored, |samples| {
            for (series, values) in &batch {
                samples.entry(*series).or_default().extend(values);
            }
        });
        stored
    }

    /// Deletes some hours of a host's series, or of all.
    fn delete(&mut self, server: &Server, random: &mut Random) -> bool {
        let host = (random.below(3) > 0).then(|| random.below(3) as usize);
        let start = self.first_day + random.below((DAYS * 48) as u64) as i64 * 1_800;
        let end = start + random.below(40) as i64 * 1_800;
        let selector = match host {
            Some(host) => format!("{{host=\"{}\"}}", HOSTS[host]),
            None => format!("{{__name__=~\"{}\"}}", METRICS.join("|")),
        };
        let path = format!("/api/v1/admin/tsdb/delete_series?start={start}&end={end}&match[]={}", encode(&selector));
        let answer = agent().post(server.url(&path)).send(&b""[..]);
        let deleted = answer.is_ok_and(|answer| answer.status().as_u16() == 204);
        self.happened(deleted, |samples| {
            for ((_, of), values) in samples.iter_mut() {
                if host.is_none_or(|host| host == *of) {
                    values.retain(|second, _| !(start..=end).contains(second));
                }
            }
        });
        deleted
    }

    /// Deletes all series from second to second, the last included.
    fn delete_everything_of(&mut self, server: &Server, start: i64, end: i64) -> bool {
        let selector = encode(&format!("{{__name__=~\"{}\"}}", METRICS.join("|")));
        let path = format!("/api/v1/admin/tsdb/delete_series?start={start}&end={end}&match[]={selector}");
        let answer = agent().post(server.url(&path)).send(&b""[..]);
        let deleted = answer.is_ok_and(|answer| answer.status().as_u16() == 204);
        self.happened(deleted, |samples| {
            samples.values_mut().for_each(|values| values.retain(|second, _| !(start..=end).contains(second)));
        });
        deleted
    }

    fn happened(&mut self, surely: bool, change: impl Fn(&mut Samples)) {
        let mut changed = self.possible.clone();
        for samples in &mut changed {
            change(samples);
            samples.retain(|_, values| !values.is_empty());
        }
        if surely {
            self.possible = changed;
        } else {
            self.possible.extend(changed);
        }
    }

    /// What is stored is one of what is possible; from now on that alone.
    fn check(&mut self, server: &Server, when: &str) {
        let found = self.stored(server);
        let differences: Vec<String> = self.possible.iter().map(|samples| difference(samples, &found)).collect();
        self.possible.retain(|samples| *samples == found);
        self.possible.truncate(1);
        assert_eq!(self.possible.len(), 1, "{when}: what is stored is none of what is possible: {differences:#?}");
        self.check_hours(server, when);
    }

    /// Everything as it came: of a gauge the levels, of a counter what it rose by.
    fn stored(&self, server: &Server) -> Samples {
        let end = self.first_day + (DAYS + 1) * DAY;
        let mut samples = Samples::new();
        for (metric, name) in METRICS.iter().enumerate() {
            let (status, answer) = server.get(&format!("/api/v1/query?time={end}&query={name}%5B{}d%5D", DAYS + 2));
            assert_eq!(status, 200, "{answer}");
            for series in answer["data"]["result"].as_array().expect("series") {
                let host = HOSTS.iter().position(|host| series["metric"]["host"] == *host).expect("a host of ours");
                let values = if metric == 1 { rises(values(series)) } else { values(series).collect() };
                samples.insert((metric, host), values);
            }
        }
        samples
    }

    /// The last level of each hour, which is read from longer windows where there are such.
    fn check_hours(&self, server: &Server, when: &str) {
        let [samples] = &self.possible[..] else { panic!("{when}: it is not known what is stored") };
        let mut expected: BTreeMap<(usize, i64), f64> = BTreeMap::new();
        for ((_, host), values) in samples.iter().filter(|((metric, _), _)| *metric == 0) {
            let of_hour = |(second, value): (&i64, &f64)| ((*host, (second + 3_599) / 3_600 * 3_600), *value);
            expected.extend(values.iter().map(of_hour));
        }
        assert_eq!(self.hours(server), expected, "{when}: the last level of each hour");
    }

    fn hours(&self, server: &Server) -> BTreeMap<(usize, i64), f64> {
        let (start, end) = (self.first_day, self.first_day + DAYS * DAY);
        let query = encode(&format!("last_over_time({}[1h])", METRICS[0]));
        let (status, answer) =
            server.get(&format!("/api/v1/query_range?start={start}&end={end}&step=3600&query={query}"));
        assert_eq!(status, 200, "{answer}");
        let mut found = BTreeMap::new();
        for series in answer["data"]["result"].as_array().expect("series") {
            let host = HOSTS.iter().position(|host| series["metric"]["host"] == *host).expect("a host of ours");
            found.extend(values(series).map(|(second, value)| ((host, second), value)));
        }
        found
    }

    /// Starts the store anew, so that nothing waits for having been left alone, and waits until all that is worth it is merged
    /// and nothing that was deleted takes room.
    fn merged(&self, server: Server) -> Server {
        assert!(seal(&server));
        assert_eq!(server.stop(), Some(0));
        let server = start(&self.data, &[BUSY]);
        let [samples] = &self.possible[..] else { panic!("it is not known what is stored") };
        let day = |second: &i64| (second - 1).div_euclid(DAY);
        let days: BTreeSet<i64> = samples.values().flat_map(|values| values.keys().map(day)).collect();
        patiently("days to be merged", || {
            let store = server.get("/api/v1/ingest").1["store"].clone();
            let merged = store["blocks"] == blocks_of(&days) && store["head_rows"] == 0;
            (merged && store["series_deletions_pending"] == 0).then_some(())
        });
        server
    }
}

/// How many blocks days become: a raw one and three of longer windows, of which two are merged with those of their thirty days
/// once these are over.
fn blocks_of(days: &BTreeSet<i64>) -> usize {
    let today = now() / DAY;
    let mut of_thirty: BTreeMap<i64, usize> = BTreeMap::new();
    days.iter().for_each(|day| *of_thirty.entry(day.div_euclid(30)).or_default() += 1);
    let blocks = |(thirty, days): (i64, usize)| {
        let over = (thirty + 1) * 30 + 2 <= today;
        2 * days + if over { 2 } else { 2 * days }
    };
    of_thirty.into_iter().map(blocks).sum()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() as i64
}

fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn data_points(batch: &Samples, metric: usize) -> Value {
    let nanoseconds = |second: i64| (second * 1_000_000_000).to_string();
    let of_metric = batch.iter().filter(|((of, _), _)| *of == metric);
    of_metric
        .flat_map(|((_, host), values)| {
            values.iter().map(move |(second, value)| {
                json!({
                    "startTimeUnixNano": nanoseconds(second - STEP), "timeUnixNano": nanoseconds(*second), "asDouble": value,
                    "attributes": [{ "key": "host", "value": { "stringValue": HOSTS[*host] } }],
                })
            })
        })
        .collect()
}

fn values(series: &Value) -> impl Iterator<Item = (i64, f64)> {
    let pair = |pair: &Value| {
        let second = pair[0].as_f64().expect("a time");
        (second as i64, pair[1].as_str().expect("a value").parse().expect("a number"))
    };
    series["values"].as_array().expect("values").iter().map(pair)
}

/// What a running total rose by, where it rose: between its windows, and before the first, it is told as it was.
fn rises(totals: impl Iterator<Item = (i64, f64)>) -> BTreeMap<i64, f64> {
    let mut before = None;
    let rise = |(second, total): (i64, f64)| (second, before.replace(total).map_or(0.0, |before| total - before));
    totals.map(rise).filter(|(_, rise)| *rise != 0.0).collect()
}

/// A few of the samples in which two stores differ.
fn difference(expected: &Samples, found: &Samples) -> String {
    let flat = |samples: &Samples| -> BTreeSet<(usize, usize, i64, u64)> {
        let each = samples.iter().flat_map(|((metric, host), values)| {
            values.iter().map(|(second, value)| (*metric, *host, *second, value.to_bits()))
        });
        each.collect()
    };
    let (expected, found) = (flat(expected), flat(found));
    let told = |these: &BTreeSet<(usize, usize, i64, u64)>, others: &BTreeSet<(usize, usize, i64, u64)>| {
        let only: Vec<_> = these.difference(others).collect();
        let few = only.iter().take(5).map(|(metric, host, second, value)| {
            format!("{}{{{}}} {} {second}", METRICS[*metric], HOSTS[*host], f64::from_bits(*value))
        });
        format!("{}: {:?}", only.len(), few.collect::<Vec<_>>())
    };
    format!("missing {}, too many {}", told(&expected, &found), told(&found, &expected))
}

/// A stopped store with samples in fresh blocks of several days, and some in the journal alone.
fn loaded(directory: &Path, random: &mut Random) -> Field {
    let mut field = Field::new(directory.join("loaded"));
    let server = start(&field.data, &[STILL]);
    for batch in 0..8 {
        assert!(field.send(&server, random));
        assert!(batch == 7 || seal(&server));
    }
    field.check(&server, "loaded");
    assert_eq!(server.stop(), Some(0));
    field
}

#[test]
fn a_crash_at_any_step_of_a_merge_of_series_loses_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let loaded = loaded(directory.path(), &mut Random::from_environment("series_crash merge"));
    for point in points(&["blocks:"]) {
        let mut field = loaded.over(directory.path().join(point.replace(':', "-")));
        copy(&loaded.data, &field.data);
        start_and_die(&field.data, point, &[BUSY]);
        let server = start(&field.data, &[BUSY]);
        field.check(&server, point);
        let server = field.merged(server);
        field.check(&server, &format!("merged after {point}"));
    }
}

#[test]
fn a_crash_at_any_step_of_a_deletion_of_series_deletes_all_of_it_or_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::from_environment("series_crash delete");
    let mut loaded = loaded(directory.path(), &mut random);
    // Merged days, and late samples in blocks of their own and in the head.
    let server = loaded.merged(start(&loaded.data, &[STILL]));
    assert!(loaded.send(&server, &mut random) && seal(&server) && loaded.send(&server, &mut random));
    assert_eq!(server.stop(), Some(0));
    for point in points(&["series_delete:", "blocks:", "seal:"]) {
        let mut field = loaded.over(directory.path().join(point.replace(':', "-")));
        copy(&loaded.data, &field.data);
        let mut server = start(&field.data, &[STILL, ("TAFFRAIL_CRASH_AT", point)]);
        // Of all series, so that there is something to delete.
        let answered = field.delete_everything_of(&server, field.first_day + DAY, field.first_day + 3 * DAY + 1_800);
        dies(&mut server, point);
        drop(server);
        let server = start(&field.data, &[STILL]);
        field.check(&server, &format!("after {point}, answered: {answered}"));
        assert!(field.send(&server, &mut random), "{point}");
        patiently("the deletion to be carried out", || {
            (server.get("/api/v1/ingest").1["store"]["series_deletions_pending"] == 0).then_some(())
        });
        field.check(&server, &format!("carried out after {point}"));
    }
}

#[test]
fn series_equal_a_plain_map_whatever_is_sealed_merged_deleted_restarted_and_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::from_environment("series_crash random");
    let mut field = Field::new(directory.path().join("data"));
    for round in 0..6 {
        let server = start(&field.data, &[BUSY]);
        field.check(&server, &format!("started for round {round}"));
        for _ in 0..3 + random.below(4) {
            match random.below(8) {
                0..4 => assert!(field.send(&server, &mut random)),
                4..6 => assert!(seal(&server)),
                _ => assert!(field.delete(&server, &mut random)),
            }
            field.check(&server, &format!("in round {round}"));
        }
        let mut server = server;
        match random.below(3) {
            0 => assert_eq!(server.stop(), Some(0)),
            1 => server.kill(),
            // In the middle of something.
            _ => {
                let ends = Duration::from_millis(random.below(60));
                std::thread::scope(|scope| {
                    let url = server.url("/-/seal");
                    scope.spawn(move || drop(agent().post(&url).send(&b""[..])));
                    std::thread::sleep(ends);
                    server.kill();
                });
            }
        }
    }
    // Raw windows expire; those rolled up from them tell the same of each hour.
    let server = start(&field.data, &[BUSY]);
    assert!(field.send(&server, &mut random));
    let server = field.merged(server);
    field.check(&server, "merged");
    assert_eq!(server.stop(), Some(0));
    let raw_days = |server: &Server| {
        let read = field.stored(server);
        let levels = read.iter().filter(|((metric, _), _)| *metric == 0);
        let seconds = levels.flat_map(|(_, values)| values.keys().copied());
        seconds.filter(|second| second % 60 != 0).map(|second| (second - 1).div_euclid(DAY)).collect::<BTreeSet<i64>>()
    };
    let server = start(&field.data, &[BUSY, ("TAFFRAIL_STORE_RETENTION_AGE", "4d")]);
    patiently("raw windows of the first days to expire", || {
        let first = field.first_day / DAY;
        (!raw_days(&server).contains(&first)).then_some(())
    });
    field.check_hours(&server, "expired");
}
