//! What became of the lines: missing, duplicate, corrupt, spurious and reordered, each counted for itself, source by source.
//!
//! The union over all servers counts: a line may be at any of them, but only once in all.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::line::{self, Line, Read};
use super::writer::Ledger;
use crate::server::{agent, encode};

/// Largest page that a server gives.
const PAGE_ROWS: usize = 10_000;

/// Collects what servers say they have.
#[derive(Debug, Default)]
pub struct Verifier {
    sources: BTreeMap<String, Seen>,
    corrupt: Vec<String>,
}

/// What was seen of one source.
#[derive(Debug, Default)]
struct Seen {
    /// One bit a line.
    bits: Vec<u64>,
    duplicates: Vec<u64>,
    reordered: u64,
    /// The greatest number seen so far at the server that is being read.
    newest: Option<u64>,
}

/// What became of all lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// By source.
    pub sources: BTreeMap<String, SourceVerdict>,
    /// Messages that were lines of ours before something happened to them.
    pub corrupt: Vec<String>,
    /// Whole lines that nobody wrote: source and number.
    pub spurious: Vec<(String, u64)>,
}

/// What became of one source's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceVerdict {
    /// Lines written.
    pub written: u64,
    /// Numbers of lines that are nowhere.
    pub missing: Vec<u64>,
    /// Numbers of lines that are there again, once for each time too many.
    pub duplicate: Vec<u64>,
    /// Lines that arrived at their server after a later one.
    pub reordered: u64,
}

impl Verifier {
    /// Reads all that a server has: `http://host:port`.
    pub fn ask(&mut self, url: &str) -> Result<(), String> {
        let messages = arrived(url)?;
        self.take(messages.iter().map(String::as_str));
        Ok(())
    }

    /// Takes what one server has, in the order of its arrival there.
    pub fn take<'a>(&mut self, messages: impl Iterator<Item = &'a str>) {
        for seen in self.sources.values_mut() {
            seen.newest = None;
        }
        for message in messages {
            match line::read(message) {
                Read::Whole(Line { source, seq }) => match self.sources.get_mut(source) {
                    Some(seen) => seen.take(seq),
                    None => self.sources.entry(source.to_owned()).or_default().take(seq),
                },
                // All that is asked for says that it is ours.
                Read::Corrupt | Read::Foreign => self.corrupt.push(message.to_owned()),
            }
        }
    }

    /// What became of the lines of the ledger.
    pub fn verdict(&self, ledger: &Ledger) -> Verdict {
        let mut verdict = Verdict { corrupt: self.corrupt.clone(), ..Verdict::default() };
        let written = ledger.written();
        let unseen = Seen::default();
        for (source, &count) in &written {
            let seen = self.sources.get(source).unwrap_or(&unseen);
            let of_source = SourceVerdict {
                written: count,
                missing: (0..count).filter(|&seq| !seen.has(seq)).collect(),
                duplicate: seen.duplicates.clone(),
                reordered: seen.reordered,
            };
            verdict.sources.insert(source.clone(), of_source);
        }
        for (source, seen) in &self.sources {
            let count = written.get(source).copied().unwrap_or(0);
            let beyond = (count..seen.bits.len() as u64 * 64).filter(|&seq| seen.has(seq));
            verdict.spurious.extend(beyond.map(|seq| (source.clone(), seq)));
        }
        verdict
    }
}

/// The lines of a source that a server has, in the order of their arrival there.
pub fn arrivals(url: &str, source: &str) -> Result<Vec<u64>, String> {
    let messages = arrived(url)?;
    let lines = messages.iter().filter_map(|message| match line::read(message) {
        Read::Whole(line) => (line.source == source).then_some(line.seq),
        _ => None,
    });
    Ok(lines.collect())
}

/// Messages of ours that a server has, in the order of their arrival.
fn arrived(url: &str) -> Result<Vec<String>, String> {
    let mut messages = Vec::new();
    let mut cursor = String::new();
    loop {
        let question = encode("service:oracle");
        let path = format!(
            "{url}/api/v1/logs/search?from=0&to=now%2B3650d&order=oldest&limit={PAGE_ROWS}&q={question}{cursor}"
        );
        let answer = agent().get(&path).header("accept", "application/json").call();
        let mut answer = answer.map_err(|error| error.to_string())?;
        let body = answer.body_mut().with_config().limit(1 << 30).read_json::<Value>();
        let body = body.map_err(|error| error.to_string())?;
        if answer.status().as_u16() != 200 || body["summary"]["partial"] != false {
            return Err(format!("{}: {}", answer.status(), body["summary"]));
        }
        for record in body["records"].as_array().ok_or("no records")? {
            let seq = record["seq"].as_u64().ok_or("a record without seq")?;
            messages.push((seq, record["message"].as_str().unwrap_or_default().to_owned()));
        }
        match body["summary"]["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", encode(next)),
            None => break,
        }
    }
    messages.sort_unstable(); // by the numbers that the server gave them
    Ok(messages.into_iter().map(|(_, message)| message).collect())
}

impl Seen {
    fn has(&self, seq: u64) -> bool {
        self.bits.get((seq / 64) as usize).is_some_and(|word| word >> (seq % 64) & 1 == 1)
    }

    fn take(&mut self, seq: u64) {
        if self.has(seq) {
            self.duplicates.push(seq);
            return;
        }
        let word = (seq / 64) as usize;
        assert!(word < 1 << 24, "line {seq} is not one that this oracle wrote");
        if word >= self.bits.len() {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (seq % 64);
        self.reordered += u64::from(self.newest.is_some_and(|newest| seq < newest));
        self.newest = self.newest.max(Some(seq));
    }
}

impl Verdict {
    fn sum(&self, of: impl Fn(&SourceVerdict) -> u64) -> u64 {
        self.sources.values().map(of).sum()
    }

    /// Lines written.
    pub fn written(&self) -> u64 {
        self.sum(|source| source.written)
    }

    /// Lines that are nowhere.
    pub fn missing(&self) -> u64 {
        self.sum(|source| source.missing.len() as u64)
    }

    /// Times too many.
    pub fn duplicate(&self) -> u64 {
        self.sum(|source| source.duplicate.len() as u64)
    }

    /// Lines behind a later one.
    pub fn reordered(&self) -> u64 {
        self.sum(|source| source.reordered)
    }

    /// Nothing missing, duplicate, corrupt or spurious.
    pub fn is_clean(&self) -> bool {
        self.missing() == 0 && self.duplicate() == 0 && self.corrupt.is_empty() && self.spurious.is_empty()
    }
}

impl fmt::Display for Verdict {
    /// The sums, and of each source that is not as it should be the first few lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written: {} missing, {} duplicate, {} corrupt, {} spurious; {} reordered",
            self.written(),
            self.missing(),
            self.duplicate(),
            self.corrupt.len(),
            self.spurious.len(),
            self.reordered()
        )?;
        let few = |numbers: &[u64]| numbers[..numbers.len().min(12)].to_vec();
        for (name, source) in &self.sources {
            if !source.missing.is_empty() || !source.duplicate.is_empty() {
                let (missing, duplicate) = (few(&source.missing), few(&source.duplicate));
                write!(f, "\n  {name} ({} written): missing {missing:?}, duplicate {duplicate:?}", source.written)?;
            }
        }
        for message in self.corrupt.iter().take(5) {
            write!(f, "\n  corrupt: {message:?}")?;
        }
        for spurious in self.spurious.iter().take(5) {
            write!(f, "\n  spurious: {spurious:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(missing, duplicate, corrupt, spurious, reordered)` of lines `a 0`, `a 1`, … as servers gave them.
    fn check(written: u64, servers: &[&[u64]], damaged: &[&str], expected: (u64, u64, usize, usize, u64)) {
        let ledger = Ledger::default();
        let source = ledger.source("a");
        source.set(written);
        let mut verifier = Verifier::default();
        for lines in servers {
            let lines: Vec<String> = lines.iter().map(|&seq| line::write("a", seq, "p")).collect();
            verifier.take(lines.iter().map(String::as_str).chain(damaged.iter().copied()));
        }
        let verdict = verifier.verdict(&ledger);
        let found = (
            verdict.missing(),
            verdict.duplicate(),
            verdict.corrupt.len(),
            verdict.spurious.len(),
            verdict.reordered(),
        );
        assert_eq!(found, expected, "{servers:?} {damaged:?}: {verdict}");
        assert_eq!(verdict.is_clean(), (expected.0, expected.1, expected.2, expected.3) == (0, 0, 0, 0));
    }

    #[test]
    fn each_kind_of_fault_is_counted_for_itself() {
        check(4, &[&[0, 1, 2, 3]], &[], (0, 0, 0, 0, 0));
        check(4, &[&[0, 1, 3]], &[], (1, 0, 0, 0, 0));
        check(4, &[&[0, 1, 1, 2, 3]], &[], (0, 1, 0, 0, 0));
        check(4, &[&[0, 2, 1, 3]], &[], (0, 0, 0, 0, 1));
        check(4, &[&[0, 1, 2, 3, 4]], &[], (0, 0, 0, 1, 0));
        check(4, &[&[0, 1, 2, 3]], &["oracle a 1 00000000 p", "half a li"], (0, 0, 2, 0, 0));
        check(200, &[&[]], &[], (200, 0, 0, 0, 0));
    }

    #[test]
    fn a_duplicate_does_not_hide_a_loss_in_its_source() {
        check(4, &[&[0, 1, 1, 3]], &[], (1, 1, 0, 0, 0));
        check(130, &[&(1..130).chain([129]).collect::<Vec<_>>()], &[], (1, 1, 0, 0, 0));
    }

    #[test]
    fn the_union_of_the_servers_counts_and_their_order_each_for_itself() {
        check(4, &[&[2, 3], &[0, 1]], &[], (0, 0, 0, 0, 0));
        check(4, &[&[0, 1, 2], &[2, 3]], &[], (0, 1, 0, 0, 0));
        check(4, &[&[0, 1], &[3]], &[], (1, 0, 0, 0, 0));
    }

    #[test]
    fn a_source_that_nobody_wrote_is_spurious_and_one_that_nobody_stored_is_missing() {
        let ledger = Ledger::default();
        ledger.source("silent").set(3);
        let mut verifier = Verifier::default();
        let line = line::write("stranger", 7, "p");
        verifier.take([line.as_str()].into_iter());
        let verdict = verifier.verdict(&ledger);
        assert_eq!((verdict.missing(), &verdict.spurious), (3, &vec![("stranger".to_owned(), 7)]));
    }
}
