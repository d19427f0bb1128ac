//! Who is silent, who lags, what is remembered and what is forgotten.

use std::net::IpAddr;

use super::*;
use crate::agent::figures::figures;
use crate::agent::own_samples::OwnSamples;

const START: i64 = 1_700_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(START + seconds)
}

/// A batch of lines.
fn lines(agent: u128, rows: u64, answer: HeardAnswer) -> Heard {
    Heard {
        agent: AgentId(agent),
        address: "10.0.0.7".parse::<IpAddr>().ok(),
        rows,
        bytes: rows * 100,
        newest: Some(at(0)),
        host: Some("of-a-line".into()),
        own_samples: Vec::new(),
        answer,
    }
}

/// A batch of an agent's own figures.
fn report(agent: u128, waiting_ms: u64, lag_seconds: f64, seconds: i64) -> Heard {
    let status = json!({"version": "9.9", "ship": {"oldest_waiting_ms": waiting_ms},
        "sources": [{"kind": "files", "name": "/a", "lag_seconds": lag_seconds, "problems": []}]});
    let own_samples = OwnSamples::new("x".to_owned(), "web-1".into()).samples(figures(&status), at(seconds), 10_000);
    Heard { own_samples, ..lines(agent, 4, HeardAnswer::Stored) }
}

fn fresh(directory: &std::path::Path) -> KnownAgents {
    KnownAgents::load(Arc::new(Catalog::open(&directory.join("catalog.db")).unwrap()))
}

#[test]
fn silence_and_lag_are_told_apart_and_marked() {
    let directory = tempfile::tempdir().unwrap();
    let check = |waiting_ms, lag_seconds, seconds: i64, state: &str, lag: Option<f64>| {
        let agents = fresh(directory.path());
        agents.heard(&report(1, waiting_ms, lag_seconds, 0), at(0));
        let shown = agents.snapshot(at(seconds)).remove(0);
        assert_eq!((shown.state, shown.lag_seconds), (state, lag), "{waiting_ms} {lag_seconds} {seconds}");
    };
    check(0, 0.0, 1, "ok", Some(0.0));
    check(0, 0.0, 30, "ok", Some(0.0));
    check(0, 0.0, 31, "silent", Some(0.0));
    check(50_000, 0.0, 10, "ok", Some(60.0));
    check(50_000, 0.0, 11, "lagging", Some(61.0));
    check(0, 70.0, 0, "lagging", Some(70.0));
    check(2_000, 70.0, 40, "silent", Some(110.0));

    // One that does not say how it does.
    let agents = fresh(directory.path());
    agents.heard(&lines(1, 5, HeardAnswer::Stored), at(0));
    for (seconds, state) in [(299, "ok"), (301, "silent")] {
        let shown = agents.snapshot(at(seconds)).remove(0);
        assert_eq!((shown.state, shown.lag_seconds, shown.report), (state, None, None), "{seconds}");
    }
}

#[test]
fn what_an_agent_brought_is_counted_by_what_became_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let agents = fresh(directory.path());
    agents.heard(&lines(7, 20, HeardAnswer::Stored), at(0));
    agents.heard(&lines(7, 30, HeardAnswer::Stored), at(9));
    agents.heard(&lines(7, 30, HeardAnswer::Duplicate), at(9));
    agents.heard(&lines(7, 30, HeardAnswer::Refused("overloaded")), at(9));
    let received = |seconds| agents.snapshot(at(seconds)).remove(0).received;
    assert_eq!(
        received(12),
        json!({"batches": 2, "rows": 50, "bytes": 5000, "rows_per_second": 5.0, "bytes_per_second": 500.0,
               "duplicate_batches": 1, "refused": {"overloaded": 1}})
    );
    assert_eq!(received(25)["rows_per_second"], 0.0);
    assert_eq!(agents.snapshot(at(1))[0].host, "of-a-line");
    agents.heard(&report(7, 0, 0.0, 10), at(10));
    let shown = agents.snapshot(at(10)).remove(0);
    assert_eq!(
        (shown.host.as_str(), shown.version.as_deref(), shown.address.as_str()),
        ("web-1", Some("9.9"), "10.0.0.7")
    );
    assert_eq!(shown.report.unwrap()["sources"][0]["kind"], "files");
}

#[test]
fn agents_are_known_after_a_restart_and_forgotten_after_a_week_of_silence() {
    let directory = tempfile::tempdir().unwrap();
    let agents = fresh(directory.path());
    agents.heard(&report(1, 0, 0.0, 0), at(0));
    agents.heard(&lines(2, 9, HeardAnswer::Stored), at(0));
    agents.save(at(0), SAVE_INTERVAL);
    drop(agents);

    let agents = fresh(directory.path());
    let shown = agents.snapshot(at(10));
    assert_eq!(shown.iter().map(|agent| agent.state).collect::<Vec<_>>(), ["ok", "ok"]);
    assert_eq!(shown[1].version.as_deref(), Some("9.9"));
    let week = i64::try_from(FORGOTTEN_AFTER.as_secs()).unwrap();
    agents.heard(&report(1, 0, 0.0, week), at(week));
    agents.save(at(week + 1), Duration::ZERO);
    for agents in [agents, fresh(directory.path())] {
        let shown = agents.snapshot(at(week + 1));
        assert_eq!(shown.iter().map(|agent| agent.host.as_str()).collect::<Vec<_>>(), ["web-1"]);
    }
}

#[test]
fn what_did_not_change_long_enough_is_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let agents = fresh(directory.path());
    let saved_rows = || {
        let documents = agents.catalog.documents(KIND).unwrap();
        serde_json::from_str::<Known>(&documents[0].1).unwrap().rows
    };
    agents.heard(&lines(1, 1, HeardAnswer::Stored), at(0));
    agents.save(at(0), SAVE_INTERVAL);
    agents.heard(&lines(1, 1, HeardAnswer::Stored), at(5));
    agents.save(at(10), SAVE_INTERVAL);
    assert_eq!(saved_rows(), 1);
    agents.save(at(300), SAVE_INTERVAL);
    assert_eq!(saved_rows(), 2);
}
