//! What the answers must be: every line of the file is read and tried against every question, with none of the server's code.

use std::collections::{HashMap, VecDeque};

use regex::Regex;
use serde_json::Value;

use crate::corpus::{Corpus, DATE_BYTES, Line, Window};
use crate::question::{Answers, NEWEST, Question, Sought, TOP_HOSTS};
use crate::table::number;

/// What one question must find in one window.
pub enum Expected {
    /// The newest lines, and those as old as the last of them: which of these are shown is free.
    Newest(VecDeque<Row>),
    /// So many.
    Count(u64),
    /// Minutes as lines write them (`2026-11-20T18:32`), each with the lines of every level.
    PerMinute(Vec<(String, HashMap<String, u64>)>),
    /// The lines of every host.
    Hosts(HashMap<String, u64>),
}

/// What is compared of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The time of the day, with milliseconds: the slices of [`cold_start`](crate::cold_start) have other dates than the file.
    pub time: String,
    /// The host.
    pub host: String,
    /// The text.
    pub message: String,
}

/// The answers of all questions, for each of the windows.
pub fn scan(corpus: &Corpus, windows: &[&Window], questions: &[Question]) -> Vec<Vec<Expected>> {
    let matchers: Vec<Matcher> = questions.iter().map(|question| Matcher::of(&question.sought)).collect();
    let empty = || questions.iter().map(|question| Expected::nothing(question.answers)).collect();
    let mut expected: Vec<Vec<Expected>> = windows.iter().map(|_| empty()).collect();
    let mut inside = Vec::with_capacity(windows.len());
    corpus.each_line(|line| {
        inside.clear();
        inside.extend(windows.iter().enumerate().filter(|(_, window)| window.holds(line)).map(|(at, _)| at));
        if inside.is_empty() {
            return;
        }
        let words: Vec<&str> = words(&line.message).collect();
        for (question, matcher) in matchers.iter().enumerate() {
            if matcher.matches(line, &words) {
                inside.iter().for_each(|&window| expected[window][question].take(line));
            }
        }
    });
    expected
}

/// The runs of letters, digits and underscores.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| character != '_' && !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

/// A question made ready for many lines.
enum Matcher<'a> {
    Everything,
    Phrase(Vec<&'a str>),
    Prefix(&'a str),
    Regex(Regex),
    Trace(&'a str),
    ServiceAndLevel(&'a str, &'a str),
}

impl<'a> Matcher<'a> {
    fn of(sought: &'a Sought) -> Matcher<'a> {
        match sought {
            Sought::Everything => Matcher::Everything,
            Sought::Phrase(text) => Matcher::Phrase(words(text).collect()),
            Sought::Prefix(text) => Matcher::Prefix(text),
            Sought::Regex(pattern) => Matcher::Regex(Regex::new(pattern).expect("our own pattern")),
            Sought::Trace(id) => Matcher::Trace(id),
            Sought::ServiceAndLevel(service, level) => Matcher::ServiceAndLevel(service, level),
        }
    }

    fn matches(&self, line: &Line<'_>, words: &[&str]) -> bool {
        match self {
            Matcher::Everything => true,
            Matcher::Phrase(phrase) => words
                .windows(phrase.len())
                .any(|window| window.iter().zip(phrase).all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))),
            Matcher::Prefix(prefix) => words
                .iter()
                .any(|word| word.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))),
            Matcher::Regex(regex) => regex.is_match(&line.message),
            Matcher::Trace(id) => line.trace_id == *id,
            Matcher::ServiceAndLevel(service, level) => line.service == *service && line.level == *level,
        }
    }
}

impl Expected {
    fn nothing(answers: Answers) -> Expected {
        match answers {
            Answers::Newest => Expected::Newest(VecDeque::new()),
            Answers::Count => Expected::Count(0),
            Answers::PerMinuteByLevel => Expected::PerMinute(Vec::new()),
            Answers::TopHosts => Expected::Hosts(HashMap::new()),
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        match self {
            Expected::Newest(rows) => {
                rows.push_back(Row {
                    time: line.timestamp[DATE_BYTES..].to_owned(),
                    host: line.host.to_owned(),
                    message: line.message.clone().into_owned(),
                });
                while rows.len() > NEWEST && rows[0].time < rows[rows.len() - NEWEST].time {
                    rows.pop_front();
                }
            }
            Expected::Count(count) => *count += 1,
            Expected::PerMinute(minutes) => {
                let minute = &line.timestamp[..16];
                if minutes.last().is_none_or(|(last, _)| last != minute) {
                    minutes.push((minute.to_owned(), HashMap::new()));
                }
                let (_, levels) = minutes.last_mut().expect("one was pushed if there was none");
                add_one(levels, line.level);
            }
            Expected::Hosts(hosts) => add_one(hosts, line.host),
        }
    }

    /// Compares an answer: what it found in words, or what it should have been.
    pub fn check(&self, answer: &Value) -> Result<String, String> {
        if answer["summary"]["partial"] != Value::Bool(false) {
            return Err(format!("the answer is partial: {}", answer["summary"]));
        }
        match self {
            Expected::Newest(rows) => check_newest(rows, answer),
            Expected::Count(count) => check_count(*count, answer),
            Expected::PerMinute(minutes) => check_minutes(minutes, answer),
            Expected::Hosts(hosts) => check_hosts(hosts, answer),
        }
    }
}

fn check_newest(rows: &VecDeque<Row>, answer: &Value) -> Result<String, String> {
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let records = answer["records"].as_array().ok_or("no records")?;
    let wanted = rows.len().min(NEWEST);
    if records.len() != wanted {
        return Err(format!("{} rows instead of {wanted}", records.len()));
    }
    let mut candidates: Vec<&Row> = rows.iter().rev().collect();
    for (record, row) in records.iter().zip(rows.iter().rev()) {
        let time = text(record, "time").get(DATE_BYTES..).unwrap_or_default().to_owned();
        let found = Row { time, host: text(record, "host"), message: text(record, "message") };
        if found.time != row.time {
            return Err(format!("{found:?} where the time is {}", row.time));
        }
        let Some(at) = candidates.iter().position(|candidate| **candidate == found) else {
            return Err(format!("{found:?} should not be there"));
        };
        candidates.swap_remove(at);
    }
    Ok(format!("{wanted} rows"))
}

fn check_count(count: u64, answer: &Value) -> Result<String, String> {
    let found = &answer["total"];
    if *found != count {
        return Err(format!("{found} instead of {count}"));
    }
    Ok(format!("{} lines", number(count as f64)))
}

fn check_minutes(minutes: &[(String, HashMap<String, u64>)], answer: &Value) -> Result<String, String> {
    let mut found = HashMap::new();
    for bucket in answer["buckets"].as_array().ok_or("no buckets")? {
        let minute = bucket["time"].as_str().and_then(|time| time.get(..16)).ok_or("a bucket without a time")?;
        let counts = bucket["counts"].as_object().ok_or("a bucket without counts")?;
        let counts = counts.iter().filter_map(|(level, count)| Some((level.clone(), count.as_u64()?)));
        let counts: HashMap<String, u64> = counts.filter(|(_, count)| *count > 0).collect();
        if !counts.is_empty() {
            found.insert(minute.to_owned(), counts);
        }
    }
    if found.len() != minutes.len() {
        return Err(format!("{} minutes instead of {}", found.len(), minutes.len()));
    }
    match minutes.iter().find(|(minute, levels)| found.get(minute) != Some(levels)) {
        Some((minute, levels)) => Err(format!("{minute}: {:?} instead of {levels:?}", found.get(minute))),
        None => Ok(format!("{} minutes", minutes.len())),
    }
}

fn check_hosts(hosts: &HashMap<String, u64>, answer: &Value) -> Result<String, String> {
    let mut wanted: Vec<u64> = hosts.values().copied().collect();
    wanted.sort_unstable_by(|a, b| b.cmp(a));
    wanted.truncate(TOP_HOSTS);
    let values = answer["facets"][0]["values"].as_array().ok_or("no facet")?;
    let found: Vec<u64> = values.iter().filter_map(|value| value["count"].as_u64()).collect();
    if found != wanted {
        return Err(format!("{found:?} instead of {wanted:?}"));
    }
    for value in values {
        let host = value["value"].as_str().unwrap_or_default();
        if hosts.get(host).copied() != value["count"].as_u64() {
            return Err(format!("{value} where {host} has {:?}", hosts.get(host)));
        }
    }
    Ok(format!("{} hosts", wanted.len()))
}

fn add_one(counts: &mut HashMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}
