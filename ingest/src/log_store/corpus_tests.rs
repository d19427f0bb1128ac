//! Lines of real systems, in a split and in the head, asked for by words, phrases, beginnings, patterns and numbers taken from
//! themselves: the store finds what a plain scan finds. The lines are public data beside the repository; without them the test
//! says that it is skipped.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use taffrail_collector::model::{LogRecord, Resource, Severity, Timestamp};

use super::split_writer::write_split;
use super::words::{fold, words};
use super::*;
use crate::scan::Scan;

/// Every so-many-th line is taken, and of those every so-many-th gives questions.
const LINES_STEP: usize = 5;
const QUESTIONS_STEP: usize = 131;

/// Lines as `service TAB weight TAB level TAB message`.
fn lines() -> Option<Vec<LogRecord>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("TAFFRAIL_SHARED").map_or_else(|| root.join("../../shared"), PathBuf::from);
    let packed = std::fs::File::open(shared.join("corpus/templates.tsv.zst")).ok()?;
    let text = String::from_utf8(zstd::stream::decode_all(packed).expect("unpacks")).expect("UTF-8");
    let record = |(at, line): (usize, &str)| {
        let mut parts = line.splitn(4, '\t');
        let (service, _, level, message) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        Some(LogRecord {
            timestamp: Timestamp::from_unix_millis(at as i64 * 97),
            observed_timestamp: Timestamp::EPOCH,
            severity: Severity::from_word(level).unwrap_or(Severity::UNSPECIFIED),
            severity_text: level.into(),
            body: message.to_owned(),
            trace_id: None,
            span_id: None,
            resource: Arc::new(Resource { host: "a".into(), service: service.into(), attributes: Vec::new() }),
            attributes: Vec::new(),
        })
    };
    Some(text.lines().step_by(LINES_STEP).enumerate().filter_map(record).collect())
}

/// Questions that the text answers.
fn questions(body: &str) -> Vec<TextMatch> {
    let all: Vec<&str> = words(body).collect();
    let Some(middle) = all.get(all.len() / 2) else { return Vec::new() };
    let phrase = |words: &[&str]| TextMatch::Phrase(words.iter().map(|word| fold(word)).collect());
    let cut = |word: &str| fold(word).chars().take(word.chars().count() / 2 + 1).collect::<String>();
    let mut questions = vec![
        phrase(&[middle]),
        phrase(&all[all.len() / 2..all.len().min(all.len() / 2 + 3)]),
        TextMatch::Prefix(cut(middle)),
        TextMatch::Wildcard(format!("*{}*", cut(middle))),
        TextMatch::Regex(format!(
            "{}[^ ]*$",
            regex::escape(&body.chars().rev().take(3).collect::<Vec<_>>().iter().rev().collect::<String>())
        )),
    ];
    if let Some(number) = all.iter().find(|word| word.bytes().any(|byte| byte.is_ascii_digit())) {
        questions.push(phrase(&[number]));
        questions.push(TextMatch::Regex(regex::escape(number)));
        questions.push(TextMatch::Prefix(cut(number)));
    }
    questions
}

#[test]
fn lines_of_real_systems_are_found_by_what_stands_in_them() {
    let Some(records) = lines() else {
        println!("SKIPPED: ../shared/corpus is not there");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let stored: Vec<(RecordId, &LogRecord)> = records
        .iter()
        .enumerate()
        .map(|(seq, record)| (RecordId { time: record.timestamp, seq: seq as u64 }, record))
        .collect();
    let mut rows = stored.iter().rev().map(|(id, record)| Ok((*id, *record)));
    let meta = write_split(directory.path(), 0, &mut rows, &AtomicBool::new(false)).expect("written").expect("rows");
    let store = LogStore::new(directory.path().to_owned(), vec![meta]);
    let asked: Vec<TextMatch> =
        records.iter().step_by(QUESTIONS_STEP).flat_map(|record| questions(&record.body)).collect();
    assert!(asked.len() > 300, "{} questions", asked.len());
    let mut answered = 0;
    for text in asked {
        let filter = Filter::Text { text, everywhere: false };
        let compiled = filter.compile().expect("a good filter");
        let expected: BTreeSet<u64> =
            stored.iter().filter(|(_, record)| compiled.matches(record)).map(|(id, _)| id.seq).collect();
        let mut found = BTreeSet::new();
        let wanted = Search {
            filter: filter.clone(),
            range: TimeRange::ALL,
            order: Order::NewestFirst,
            after: None,
            limit: usize::MAX,
        };
        store
            .search(&wanted, &Scan::unlimited(), &mut |record| {
                assert_eq!(&record.record, stored[record.id.seq as usize].1);
                found.insert(record.id.seq);
                ControlFlow::Continue(())
            })
            .expect("searched");
        assert_eq!(found, expected, "{filter:?}");
        let counts = store.count_by_interval(&filter, TimeRange::ALL, 1 << 40, None, 10, &Scan::unlimited());
        assert_eq!(counts.expect("counted").total, expected.len() as u64, "{filter:?}");
        answered += usize::from(!expected.is_empty());
    }
    assert!(answered > 250, "{answered} questions had an answer");
}
