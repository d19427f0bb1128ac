//! The log lines that everything is measured on: NDJSON made by the generator of `../shared/corpus`, 24 hours that end with
//! the last midnight (UTC), in order of time.
//!
//! A file is made once a day and size below `target/bench-corpus`; those of earlier days are removed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use taffrail_collector::model::Timestamp;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// How far into the file the sample stands that questions ask for: near half past six in the evening, where the corpus'
/// daily curve is near its mean, so that the hour around it holds about one line in 24.
const SAMPLE_AT: f64 = 0.855;

/// Bytes of a date (`2026-11-20`).
pub const DATE_BYTES: usize = 10;

/// Digits of a number that counts as an id.
const ID_DIGITS: usize = 10;

/// A file of lines.
pub struct Corpus {
    /// Where it lies.
    pub path: PathBuf,
    /// Its lines.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The last midnight, with which it ends.
    end: Timestamp,
    /// The 24 hours: one day from midnight to midnight.
    pub day: Window,
    /// One hour of them, with the sample in it.
    pub hour: Window,
    /// A trace id from the middle of that hour.
    pub trace_id: String,
    /// A number inside a message there, written with ten digits or more.
    pub id_in_message: String,
}

/// A span of time as the API takes it and as the lines write it, so that texts compare as times do.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The first moment inside.
    pub from: String,
    /// The first moment after.
    pub to: String,
}

/// One line of the file.
#[derive(Deserialize)]
pub struct Line<'a> {
    /// RFC 3339 with milliseconds.
    pub timestamp: &'a str,
    /// One of fifty.
    pub host: &'a str,
    /// One of sixteen.
    pub service: &'a str,
    /// One of five.
    pub level: &'a str,
    /// 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// Escaped where JSON wants it.
    #[serde(borrow)]
    pub message: std::borrow::Cow<'a, str>,
}

impl Corpus {
    /// The corpus of so many lines; none where `../shared/corpus` is not there (`TAFFRAIL_SHARED` names another place).
    pub fn of(rows: u64) -> Option<Corpus> {
        let end = Timestamp::now().floor_to(DAY);
        let path = made(rows, end)?;
        let bytes = fs::metadata(&path).expect("look at the corpus").len();
        let (time, trace_id, id_in_message) = sample(&path, bytes).expect("read a sample of the corpus");
        let hour = taffrail_query::time_range::parse_moment(&time, end).expect("the corpus' own time").floor_to(HOUR);
        Some(Corpus {
            path,
            rows,
            bytes,
            end,
            day: Window { from: end.saturating_sub(DAY).to_string(), to: end.to_string() },
            hour: Window { from: hour.to_string(), to: hour.saturating_add(HOUR).to_string() },
            trace_id,
            id_in_message,
        })
    }

    /// The corpus' day with so many days before it, and the date of the first of them (`2026-11-20`).
    pub fn days_before(&self, days: usize) -> (Window, String) {
        let earlier = DAY * u32::try_from(days + 1).expect("few days");
        let from = self.end.saturating_sub(earlier).to_string();
        let date = from[..DATE_BYTES].to_owned();
        (Window { from, to: self.day.to.clone() }, date)
    }

    /// Its text in pieces of whole lines, each of so many bytes at most.
    pub fn pieces(&self, piece_bytes: usize) -> Pieces {
        let file = File::open(&self.path).expect("open the corpus");
        Pieces { file, piece_bytes, rest: Vec::new() }
    }

    /// Every line in order.
    pub fn each_line(&self, mut take: impl FnMut(&Line<'_>)) {
        let mut file = BufReader::with_capacity(1 << 20, File::open(&self.path).expect("open the corpus"));
        let mut text = Vec::new();
        while next_line(&mut file, &mut text).expect("read the corpus") {
            take(&serde_json::from_slice(&text).expect("a line of the corpus"));
        }
    }
}

impl Window {
    /// Whether the line's time lies inside.
    pub fn holds(&self, line: &Line<'_>) -> bool {
        self.from.as_str() <= line.timestamp && line.timestamp < self.to.as_str()
    }
}

/// See [`Corpus::pieces`].
pub struct Pieces {
    file: File,
    piece_bytes: usize,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = std::mem::take(&mut self.rest);
        let more = (self.piece_bytes - piece.len()) as u64;
        self.file.by_ref().take(more).read_to_end(&mut piece).expect("read the corpus");
        let end = piece.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        self.rest = piece.split_off(end);
        assert!(end > 0 || self.rest.is_empty(), "a line is longer than a piece");
        (end > 0).then_some(piece)
    }
}

/// The lines with another date.
pub fn redated(lines: &[u8], date: &str) -> Vec<u8> {
    const DATE_AT: usize = br#"{"timestamp":""#.len();
    let mut redated = lines.to_vec();
    let mut line = 0;
    while line < redated.len() {
        redated[line + DATE_AT..][..DATE_BYTES].copy_from_slice(date.as_bytes());
        line += redated[line..].iter().position(|&byte| byte == b'\n').expect("whole lines") + 1;
    }
    redated
}

/// Reads a line; false at the end.
fn next_line(file: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<bool> {
    text.clear();
    Ok(file.read_until(b'\n', text)? > 0)
}

/// Time, trace id and a number in the message of a line near [`SAMPLE_AT`].
fn sample(path: &Path, bytes: u64) -> io::Result<(String, String, String)> {
    let mut file = BufReader::new(File::open(path)?);
    file.seek(SeekFrom::Start((bytes as f64 * SAMPLE_AT) as u64))?;
    let mut text = Vec::new();
    next_line(&mut file, &mut text)?; // the rest of some line
    while next_line(&mut file, &mut text)? {
        let line: Line<'_> = serde_json::from_slice(&text)?;
        let is_id = |word: &&str| word.len() >= ID_DIGITS && word.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(id) = super::plain_scan::words(&line.message).find(is_id) {
            return Ok((line.timestamp.to_owned(), line.trace_id.to_owned(), id.to_owned()));
        }
    }
    panic!("the corpus is too small to have an id in its last part: set ROWS to 2000 or more");
}

/// The file of so many lines that end at `end`, made when it is not there.
fn made(rows: u64, end: Timestamp) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("TAFFRAIL_SHARED").map_or_else(|| root.join("../shared"), PathBuf::from);
    let directory = root.join("target/bench-corpus");
    let end_seconds = end.unix_millis() / 1_000;
    let lines = directory.join(format!("{rows}-{end_seconds}.ndjson"));
    if lines.exists() {
        return Some(lines);
    }
    let packed = File::open(shared.join("corpus/templates.tsv.zst")).ok()?;
    fs::create_dir_all(&directory).expect("make a directory for the corpus");
    remove_other_days(&directory, end_seconds);
    eprintln!("making a corpus of {rows} lines …");
    let templates = directory.join("templates.tsv");
    let _ = fs::remove_file(&templates);
    let unpacked = File::create(&templates).expect("create the templates");
    zstd::stream::copy_decode(packed, unpacked).expect("unpack the templates");
    let generator = directory.join("generate");
    let run = |command: &mut Command| assert!(command.status().expect("run").success(), "{command:?}");
    let source = shared.join("corpus/gen.rs");
    run(Command::new("rustc").args(["-O", "--cap-lints", "allow"]).arg(source).arg("-o").arg(&generator));
    let partial = lines.with_extension("partial");
    let output = File::create(&partial).expect("create the corpus");
    run(Command::new(&generator).arg(&templates).args([rows.to_string(), end_seconds.to_string()]).stdout(output));
    fs::rename(&partial, &lines).expect("name the corpus");
    Some(lines)
}

/// Five million lines take 1.2 GB, and yesterday's are of no use today.
fn remove_other_days(directory: &Path, end_seconds: i64) {
    let today = format!("-{end_seconds}.ndjson");
    for entry in fs::read_dir(directory).expect("list the corpora").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".partial") || name.ends_with(".ndjson") && !name.ends_with(&today) {
            fs::remove_file(entry.path()).expect("remove an old corpus");
        }
    }
}
