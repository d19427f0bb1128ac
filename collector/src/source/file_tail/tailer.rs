//! The thread that looks for files, reads them in turn and lets them go.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;

use super::assembly::{Reading, Whole};
use super::checkpoint::{ChangeMark, FileId, Place, Prefix, forgotten};
use super::config::{Config, StartAt};
use super::encoding::TextEncoding;
use super::patterns::Patterns;
use super::resources::Resources;
use super::rotation::{self, Whereabouts};
use super::tracked_file::{BinaryFile, TrackedFile, check_text};
use crate::enrich::{Enricher, ReceivedLine};
use crate::model::{LogRecord, Resource, Timestamp};
use crate::source::feeder::{self, Ended, Feed, Portion};
use crate::source::{Running, SourceContext, StartError, Tally};

const KIND: &str = "files";
/// A file is read by so much before the next one has its turn.
const TURN_BYTES: usize = 256 << 10;
/// A deleted file is held for so long after its last line, for the writer that still has it open.
const DELETED_WAIT: Duration = Duration::from_secs(5);
/// A renamed file is held for so long after its last line.
const RENAMED_WAIT: Duration = Duration::from_secs(600);
/// Looking for files takes at most this part of the time, unless it would then be done too seldom.
const LOOK_SHARE: u32 = 20;
const LOOK_WAIT_MAX: Duration = Duration::from_secs(2);

/// Starts to tail the files of all groups.
pub fn start(groups: Vec<Config>, context: SourceContext) -> Result<Running, StartError> {
    let known: HashMap<FileId, Place> = context
        .checkpoints
        .iter()
        .filter_map(|(key, value)| Some((FileId::from_key(key)?, Place::from_value(value)?)))
        .collect();
    let mut feeders = Vec::new();
    let mut prepared = Vec::new();
    for config in groups.into_iter().filter(|config| !config.include.is_empty()) {
        let patterns = Patterns::new(&config.include, &config.exclude)?;
        let encoding = TextEncoding::named(&config.encoding)?;
        let reading = Reading {
            format: config.format,
            rules: config.multiline.rules("collector.files.multiline")?,
            line_bytes_max: config.line_bytes_max,
            line_timeout: config.line_timeout,
        };
        let tally = context.tallies.of(KIND, &config.include.join(" "));
        let (feed, feeder) = feeder::start(&context, Arc::clone(&tally));
        feeders.push(feeder);
        prepared.push(Group {
            is_new: !known.values().any(|place| patterns.matches(&place.path)),
            enricher: context.enricher.clone().with_parse(&config.parse, "collector.files.parse")?,
            host: Arc::clone(&context.resource),
            complained: HashSet::new(),
            patterns,
            tally,
            feed,
            reading,
            encoding,
            config,
        });
    }
    let tailer = Tailer {
        interval: prepared.iter().map(|group| group.config.poll_interval).min().unwrap_or(Duration::from_secs(1)),
        groups: prepared,
        files: HashMap::new(),
        known,
        binary: HashMap::new(),
        last_look: None,
        buffer: vec![0; TURN_BYTES],
        stop: context.stop.clone(),
    };
    if tailer.groups.is_empty() {
        return Ok(Running { kind: KIND, address: None, task: tokio::spawn(async {}) });
    }
    let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("file-tail".to_owned())
        .spawn(move || {
            // An end before the stop is the feeders', who have said why.
            let _ = tailer.run();
            drop(ended);
        })
        .map_err(|error| StartError {
            setting: "collector.files",
            message: format!("cannot start a thread: {error}"),
        })?;
    let task = tokio::spawn(async move {
        let _ = has_ended.await;
        for feeder in feeders {
            let _ = feeder.await;
        }
    });
    Ok(Running { kind: KIND, address: None, task })
}

/// Files that are read the same way.
struct Group {
    config: Config,
    patterns: Patterns,
    tally: Arc<Tally>,
    feed: Feed,
    enricher: Enricher,
    reading: Reading,
    /// The letters of its files, when a setting names them.
    encoding: Option<TextEncoding>,
    host: Arc<Resource>,
    /// Nothing of it was ever read.
    is_new: bool,
    /// Paths whose trouble has been counted.
    complained: HashSet<PathBuf>,
}

struct Tailer {
    groups: Vec<Group>,
    files: HashMap<FileId, TrackedFile>,
    /// Places of earlier runs whose files have not been met yet.
    known: HashMap<FileId, Place>,
    /// Files found to be no text, as they were then: once changed they are looked at again, for inodes are used again.
    binary: HashMap<FileId, ChangeMark>,
    last_look: Option<SystemTime>,
    interval: Duration,
    buffer: Vec<u8>,
    stop: CancellationToken,
}

/// A file that no longer stands where it stood: others may have stood there since.
struct Departure {
    path: PathBuf,
    group: usize,
    since: SystemTime,
}

impl Tailer {
    fn run(mut self) -> Result<(), Ended> {
        while !self.stop.is_cancelled() {
            let started = Instant::now();
            self.look()?;
            let next = started + self.interval.max((started.elapsed() * LOOK_SHARE).min(LOOK_WAIT_MAX));
            while self.read_all_once()? && Instant::now() < next {}
            self.give_old_lines()?;
            self.let_go()?;
            while !self.stop.is_cancelled() {
                let Some(rest) = next.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) else {
                    break;
                };
                std::thread::sleep(rest.min(Duration::from_millis(50)));
            }
        }
        Ok(())
    }

    /// Finds what is new, what was renamed and what is gone.
    fn look(&mut self) -> Result<(), Ended> {
        let look_started = SystemTime::now();
        let mut found: HashMap<FileId, Vec<(PathBuf, usize)>> = HashMap::new();
        let mut still_binary = HashSet::new();
        for (index, group) in self.groups.iter().enumerate() {
            group.patterns.walk(&mut |path, metadata| {
                let id = FileId::of(&metadata);
                if self.binary.get(&id) == Some(&ChangeMark::of(&metadata)) {
                    still_binary.insert(id);
                } else {
                    found.entry(id).or_default().push((path, index));
                }
            });
        }
        self.binary.retain(|id, _| still_binary.contains(id));
        let mut departures = self.notice_departures(&found);
        for (id, places) in found {
            if self.files.contains_key(&id) {
                continue;
            }
            let (path, group) = &places[0];
            self.track(path, path, *group)?;
            if let Some(since) = self.last_look {
                departures.push(Departure { path: path.clone(), group: *group, since });
            }
        }
        for departure in departures {
            self.track_successors(&departure)?;
        }
        if self.last_look.is_none() {
            self.find_known_files()?;
        }
        self.last_look = Some(look_started);
        Ok(())
    }

    /// Compares where files are with where they were; gives the places that others may have come to since the last look.
    fn notice_departures(&mut self, found: &HashMap<FileId, Vec<(PathBuf, usize)>>) -> Vec<Departure> {
        let last_look = self.last_look.unwrap_or(SystemTime::UNIX_EPOCH);
        let mut left: HashMap<PathBuf, Departure> = HashMap::new();
        for file in self.files.values_mut() {
            let places = found.get(&file.id);
            if places.is_some_and(|places| places.iter().any(|(path, _)| *path == file.path)) {
                file.gone_since = None;
                continue;
            }
            if rotation::has_changed_since(&file.path, last_look) {
                let departure = Departure { path: file.path.clone(), group: file.group, since: last_look };
                left.entry(file.path.clone()).or_insert(departure);
            }
            match places {
                Some(places) => {
                    file.path.clone_from(&places[0].0);
                    file.gone_since = None;
                }
                None => file.gone_since = file.gone_since.or(Some(Instant::now())),
            }
        }
        left.into_values().collect()
    }

    /// Reads files that came to a path after it was left and were rotated away before we looked.
    fn track_successors(&mut self, departure: &Departure) -> Result<(), Ended> {
        for (path, metadata) in rotation::rotated_since(&departure.path, departure.since) {
            let id = FileId::of(&metadata);
            let is_known = self.files.contains_key(&id) || self.binary.get(&id) == Some(&ChangeMark::of(&metadata));
            if is_known || self.groups[departure.group].patterns.excludes(&path) {
                continue;
            }
            let is_copy = File::open(&path).is_ok_and(|copy| self.files.values().any(|file| file.is_copied_to(&copy)));
            if !is_copy && let Some(file) = self.track(&path, &departure.path, departure.group)? {
                file.gone_since = Some(Instant::now());
            }
        }
        Ok(())
    }

    /// At the start: files of earlier runs that no pattern finds were renamed meanwhile, or are gone.
    fn find_known_files(&mut self) -> Result<(), Ended> {
        let mut departures = Vec::new();
        let unmet: Vec<_> = self.known.iter().map(|(id, place)| (*id, place.clone())).collect();
        for (id, place) in unmet {
            let Some(group) = self.groups.iter().position(|group| group.patterns.matches(&place.path)) else {
                // Its group is no longer configured; it may come back.
                continue;
            };
            let path = match rotation::find_renamed(&place, id) {
                Whereabouts::Renamed(path) => path,
                // It may come back with its directory.
                Whereabouts::Unknown => continue,
                Whereabouts::Gone => {
                    self.known.remove(&id);
                    self.send(group, Portion { checkpoints: vec![forgotten(id)], ..Portion::default() })?;
                    continue;
                }
            };
            let shown = place.path;
            if let Some(file) = self.track(&path, &shown, group)? {
                file.gone_since = Some(Instant::now());
                let since = file.metadata().and_then(|metadata| metadata.modified());
                departures.push(Departure { path: shown, group, since: since.unwrap_or_else(|_| SystemTime::now()) });
            }
        }
        // Only now: a successor of one may be another that we know.
        for departure in departures {
            self.track_successors(&departure)?;
        }
        Ok(())
    }

    /// Opens a file and starts to read it where it was left, or where its group says. `shown` is the path its lines bear.
    fn track(&mut self, path: &Path, shown: &Path, group_index: usize) -> Result<Option<&mut TrackedFile>, Ended> {
        let group = &mut self.groups[group_index];
        let (file, metadata) = match open_regular(path) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(None),
            // It went between being seen and being opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                group.complain(path, "unreadable_file", &error.to_string());
                return Ok(None);
            }
        };
        let id = FileId::of(&metadata);
        if self.files.contains_key(&id) {
            return Ok(None);
        }
        // Under its own identity, or under the one that its device gave it before a reboot.
        let known_id = if self.known.contains_key(&id) {
            Some(id)
        } else {
            let fits = |(known, place): &(&FileId, &Place)| {
                place.path == shown && place.fits_renumbered(**known, &file, &metadata)
            };
            self.known.iter().find(fits).map(|(known, _)| *known)
        };
        let known = known_id.and_then(|known| self.known.remove(&known));
        let (offsets, prefix) = match known {
            Some(place) if place.fits(&file, &metadata) => (place.offsets, place.prefix),
            Some(_) => {
                group.complain(path, "replaced_file", "another file took its place while we were away");
                ([0; 2], Prefix::EMPTY)
            }
            None if group.is_binary(&file) => {
                group.complain(path, "binary_file", "its first block holds a NUL byte; exclude it to say so");
                self.binary.insert(id, ChangeMark::of(&metadata));
                return Ok(None);
            }
            None if self.last_look.is_none() && group.begins_at_end(&metadata) => {
                ([metadata.len(); 2], Prefix::read(&file, metadata.len()).unwrap_or(Prefix::EMPTY))
            }
            None => ([0; 2], Prefix::EMPTY),
        };
        // A rotated file is remembered under the name it had: by that its group knows it after a restart.
        let place = Place { prefix, offsets, path: shown.to_owned() };
        let (offset, checkpoint) = (place.offset(), place.checkpoint(id));
        let resources = Arc::new(Resources::new(&group.host, &group.config.service, shown));
        let file = TrackedFile::new(file, id, place, group_index, resources, group.reading.clone(), group.encoding);
        let former = known_id.filter(|known| *known != id);
        if offset > 0 && (known_id.is_none() || former.is_some()) {
            let checkpoints = former.map(forgotten).into_iter().chain([checkpoint]).collect();
            self.send(group_index, Portion { checkpoints, ..Portion::default() })?;
        }
        Ok(Some(self.files.entry(id).or_insert(file)))
    }

    /// Gives every file a turn; whether any had something to read.
    fn read_all_once(&mut self) -> Result<bool, Ended> {
        let mut any = false;
        let mut failed = Vec::new();
        for file in self.files.values_mut() {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            let group = &mut self.groups[file.group];
            let mut logs = Vec::new();
            let resources = Arc::clone(&file.resources);
            let mut maker = group.maker(&resources);
            let turn = file.read(&mut self.buffer, |whole| logs.push(maker.record(whole)));
            match turn {
                Ok(turn) => {
                    any |= turn.bytes > 0;
                    if turn.restarted.is_some() {
                        group.tally.problem("truncated_file", 1, file.path.as_os_str().as_encoded_bytes());
                    }
                    if !logs.is_empty() {
                        let checkpoints = vec![file.place().checkpoint(file.id)];
                        group.send(Portion { logs, bytes: turn.bytes, checkpoints })?;
                    }
                }
                Err(error) => {
                    group.complain(&file.path, "unreadable_file", &error.to_string());
                    failed.push(file.id);
                }
            }
        }
        for id in failed {
            // It is opened anew at the next look, from where it was read to.
            if let Some(file) = self.files.remove(&id) {
                self.known.insert(id, file.place());
            }
        }
        Ok(any)
    }

    /// Takes last lines for complete that have waited long enough.
    fn give_old_lines(&mut self) -> Result<(), Ended> {
        for file in self.files.values_mut() {
            let group = &mut self.groups[file.group];
            if file.holds_anything() {
                let resources = Arc::clone(&file.resources);
                let mut logs = Vec::new();
                let timeout = group.config.line_timeout;
                let mut maker = group.maker(&resources);
                file.give_old(timeout, |whole| logs.push(maker.record(whole)));
                if !logs.is_empty() {
                    let checkpoints = vec![file.place().checkpoint(file.id)];
                    group.send(Portion { logs, bytes: 0, checkpoints })?;
                }
            }
        }
        Ok(())
    }

    /// Closes files that are gone and silent, and forgets their places.
    fn let_go(&mut self) -> Result<(), Ended> {
        let is_done = |file: &TrackedFile| {
            file.gone_since.is_some()
                && file.is_read_to_end()
                && (file.silent_for() >= RENAMED_WAIT || (file.is_deleted() && file.silent_for() >= DELETED_WAIT))
        };
        let done: Vec<_> = self.files.values().filter(|file| is_done(file)).map(|file| (file.id, file.group)).collect();
        for (id, group) in done {
            self.files.remove(&id);
            self.send(group, Portion { checkpoints: vec![forgotten(id)], ..Portion::default() })?;
        }
        Ok(())
    }

    fn send(&mut self, group: usize, portion: Portion) -> Result<(), Ended> {
        self.groups[group].send(portion)
    }
}

impl Group {
    fn send(&mut self, portion: Portion) -> Result<(), Ended> {
        self.enricher.notes().report(&self.tally);
        self.feed.blocking_send(portion)
    }

    /// Counts a file's trouble, once for each path.
    fn complain(&mut self, path: &Path, reason: &'static str, message: &str) {
        if self.complained.insert(path.to_owned()) {
            self.tally.problem(reason, 1, format!("{}: {message}", path.display()).as_bytes());
        }
    }

    /// Whether a file that exists when its group is first started begins at its end.
    fn begins_at_end(&self, metadata: &Metadata) -> bool {
        let age = metadata.modified().ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
        self.is_new && (self.config.start_at == StartAt::End || age > self.config.ignore_older)
    }

    /// Whether a new file is no text. Two bytes for each letter hold NULs.
    fn is_binary(&self, file: &File) -> bool {
        let has_wide_letters =
            self.encoding.or_else(|| TextEncoding::of_file(file)).is_some_and(|e| e.unit().bytes() > 1);
        !has_wide_letters && matches!(check_text(file), Err(BinaryFile))
    }

    /// Makes records of one file's lines that are read now.
    fn maker<'a>(&'a mut self, resources: &'a Resources) -> RecordMaker<'a> {
        RecordMaker { enricher: &mut self.enricher, tally: &self.tally, resources, arrival: Timestamp::now() }
    }
}

/// Turns what a file gives into records.
struct RecordMaker<'a> {
    enricher: &'a mut Enricher,
    tally: &'a Tally,
    resources: &'a Resources,
    arrival: Timestamp,
}

impl RecordMaker<'_> {
    #[inline]
    fn record(&mut self, whole: Whole<'_>) -> LogRecord {
        if let Some(problem) = whole.problem {
            self.tally.problem(problem, 1, whole.bytes);
        }
        let received = ReceivedLine::plain(whole.bytes, self.arrival, self.resources.of(whole.origin));
        self.enricher.enrich(ReceivedLine { truncated: whole.truncated, timestamp: whole.time, ..received })
    }
}

/// Opens what is a regular file; anything else (a pipe that took the file's name) is none of ours, and must not block us.
fn open_regular(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}
