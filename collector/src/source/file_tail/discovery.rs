//! Finding files: what is new, what was renamed, what is gone, and what came and went between two looks.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::checkpoint::{ChangeMark, FileId, Place, Prefix, forgotten};
use super::group::owner;
use super::resources::Resources;
use super::rotation::{self, Listings, Whereabouts};
use super::stored_ranges::StoredRanges;
use super::tailer::Tailer;
use super::tracked_file::{Emptied, RENAMED_WAIT, TrackedFile};
use crate::model::Checkpoint;
use crate::source::feeder::{Ended, Portion};

/// A file that no longer stands where it stood: others may have stood there since.
struct Departure {
    path: PathBuf,
    group: usize,
    since: SystemTime,
}

impl Tailer {
    /// Finds what is new, what was renamed and what is gone.
    pub(super) fn look(&mut self) -> Result<(), Ended> {
        let look_started = SystemTime::now();
        let mut found: HashMap<FileId, Vec<(PathBuf, usize)>> = HashMap::new();
        let mut still_binary = HashSet::new();
        let mut unreadable = Vec::new();
        for (index, group) in self.groups.iter().enumerate() {
            let mut visit = |directory: &Path| {
                if let Some(watcher) = &mut self.watcher {
                    watcher.watch_directory(directory);
                }
            };
            unreadable.extend(group.patterns.walk(&mut visit, &mut |path, metadata| {
                let id = FileId::of(&metadata);
                if self.binary.get(&id) == Some(&ChangeMark::of(&metadata)) {
                    still_binary.insert(id);
                } else {
                    found.entry(id).or_default().push((path, index));
                }
            }));
        }
        self.binary.retain(|id, _| still_binary.contains(id));
        let mut departures = self.notice_departures(&found, &unreadable);
        if self.last_look.is_some() && found.keys().any(|id| !self.files.contains_key(id)) {
            // A copy can only be told by its original while we know what that was.
            let emptied: Vec<_> = self.files.iter_mut().filter_map(|(id, file)| Some((*id, file.emptied()?))).collect();
            for (id, Emptied { unread }) in emptied {
                self.begin_anew(id, unread)?;
            }
        }
        // Known ones first, for the same reason.
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|(id, _)| !self.known.contains_key(id));
        for (id, places) in found {
            if self.files.contains_key(&id) {
                continue;
            }
            let Some((path, group)) = self.first_claim(&places) else { continue };
            if !self.known.contains_key(&id) && self.is_copy(path) {
                // Its original is read. When that is emptied, this one is gone on with.
                continue;
            }
            self.track(path, path, group, id)?;
            if let Some(since) = self.last_look {
                departures.push(Departure { path: path.to_owned(), group, since });
            }
        }
        for departure in departures {
            self.track_successors(&departure)?;
        }
        if self.known_looked_for.is_none_or(|at| at.elapsed() >= RENAMED_WAIT) {
            self.known_looked_for = Some(Instant::now());
            self.find_known_files()?;
        }
        self.last_look = Some(look_started);
        Ok(())
    }

    /// Which of the places of a file counts, and whose it is: the first group's that means it. Who saw it does not tell, for it may
    /// have come after the first group looked and before the second did.
    fn first_claim<'a>(&self, places: &'a [(PathBuf, usize)]) -> Option<(&'a Path, usize)> {
        let claims =
            places.iter().map(|(path, seen_by)| (path.as_path(), owner(&self.groups, path).unwrap_or(*seen_by)));
        claims.min_by_key(|(_, group)| *group)
    }

    /// Compares where files are with where they were; gives the places that others may have come to since the last look. Of what lies
    /// below `unreadable` nothing is known.
    fn notice_departures(
        &mut self,
        found: &HashMap<FileId, Vec<(PathBuf, usize)>>,
        unreadable: &[PathBuf],
    ) -> Vec<Departure> {
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
                None if unreadable.iter().any(|path| file.path.starts_with(path)) => {}
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
            if !self.known.contains_key(&id) && self.is_copy(&path) {
                continue;
            }
            if let Some(file) = self.track(&path, &departure.path, departure.group, id)? {
                file.gone_since = Some(Instant::now());
            }
        }
        Ok(())
    }

    /// Whether a file that is not known is a copy of one that is read.
    fn is_copy(&self, path: &Path) -> bool {
        let is_copy_of =
            |file: &TrackedFile, copy: &File| file.is_copied_to(copy, rotation::is_rotated_of(&file.path, path));
        matches!(open_regular(path), Ok(Some((copy, _))) if self.files.values().any(|file| is_copy_of(file, &copy)))
    }

    /// Goes on in the copy of a file that was emptied, where the file was read to, and passes over the same ranges. `emptied` is
    /// what the file is now, and remembered together with that. False when there is no copy.
    pub(super) fn go_on_in_copy(
        &mut self,
        former: &Place,
        ranges: StoredRanges,
        group: usize,
        emptied: Checkpoint,
    ) -> Result<bool, Ended> {
        let is_free = |id: &FileId| !self.files.contains_key(id) && !self.known.contains_key(id);
        let Some((path, id)) = rotation::copies_of(former).into_iter().find(|(_, id)| is_free(id)) else {
            return Ok(false);
        };
        self.known.insert(id, former.clone());
        self.stored.insert(id, ranges);
        if let Some(copy) = self.track(&path, &former.path, group, id)? {
            copy.gone_since = Some(Instant::now());
        }
        self.send(group, Portion { checkpoints: vec![former.checkpoint(id), emptied], ..Portion::default() })?;
        Ok(true)
    }

    /// Files whose places are known and that no pattern finds were renamed meanwhile, or are gone: those of earlier runs at the start,
    /// and since then those that were closed.
    fn find_known_files(&mut self) -> Result<(), Ended> {
        let is_start = self.last_look.is_none();
        let mut listings = Listings::default();
        let mut departures = Vec::new();
        let unmet: Vec<_> = self.known.iter().map(|(id, place)| (*id, place.clone())).collect();
        for (id, mut place) in unmet {
            let mut whereabouts = listings.find_renamed(&place, id);
            if let Whereabouts::Gone = whereabouts
                && let Some(beginning) = self.stored.get(&id).and_then(StoredRanges::beginning)
            {
                // Its number may have been another file's by the time when a server was last told of it.
                whereabouts = listings.find_renamed(&beginning, id);
                self.known.insert(id, beginning.clone());
                place = beginning;
            }
            let Some(group) = owner(&self.groups, &place.path) else {
                // Its group is no longer configured; it may come back.
                continue;
            };
            let (path, found) = match whereabouts {
                Whereabouts::Renamed(_, found) if self.files.contains_key(&found) => continue,
                Whereabouts::Renamed(path, found) => (path, found),
                // It may come back with its directory.
                Whereabouts::Unknown => continue,
                Whereabouts::Gone => {
                    self.known.remove(&id);
                    self.stored.remove(&id);
                    self.send(group, Portion { checkpoints: vec![forgotten(id)], ..Portion::default() })?;
                    continue;
                }
            };
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let written = metadata.modified().unwrap_or_else(|_| SystemTime::now());
            let is_quiet = written.elapsed().is_ok_and(|age| age >= RENAMED_WAIT);
            let is_read = found == id && place.offsets == [metadata.len(); 2];
            let shown = place.path;
            // What was read to its end and rests needs no descriptor.
            let is_tracked = !(is_quiet && is_read) && {
                let file = self.track(&path, &shown, group, found)?;
                file.map(|file| file.gone_since = Some(Instant::now())).is_some()
            };
            if is_tracked || is_start {
                departures.push(Departure { path: shown, group, since: written });
            }
        }
        // Only now: a successor of one may be another that we know.
        for departure in departures {
            self.track_successors(&departure)?;
        }
        Ok(())
    }

    /// Opens a file and starts to read it where it was left, or where its group says. `shown` is the path its lines bear. Only the
    /// file that was `seen` there is opened: a link put in its place since was not checked.
    fn track(
        &mut self,
        path: &Path,
        shown: &Path,
        group_index: usize,
        seen: FileId,
    ) -> Result<Option<&mut TrackedFile>, Ended> {
        let group = &mut self.groups[group_index];
        if self.files.len() >= self.files_max {
            let message = "raise the limit of open files (LimitNOFILE), or exclude files in collector.files.exclude";
            group.complain(path, "too_many_files", message);
            return Ok(None);
        }
        let (file, metadata) = match open_seen(path, seen) {
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
        let mut ranges = known_id.and_then(|known| self.stored.remove(&known)).unwrap_or_default();
        let former_ranges = ranges.clone();
        let mut ended = ranges.take_unfit(&file, metadata.len());
        let was_cut = known.as_ref().is_some_and(|place| place.was_cut(&file, &metadata));
        let (offsets, prefix) = match known {
            Some(place) if was_cut => {
                group.tally.problem("file_shrank", 1, path.as_os_str().as_encoded_bytes());
                (place.offsets.map(|offset| offset.min(metadata.len())), place.prefix)
            }
            Some(place) if place.fits(&file, &metadata) => (place.offsets, place.prefix),
            Some(former) => {
                let now = Place { prefix: Prefix::EMPTY, offsets: [0; 2], path: shown.to_owned() };
                let former = Place { path: shown.to_owned(), ..former };
                if self.go_on_in_copy(&former, former_ranges, group_index, now.checkpoint(id))? {
                    ended.clear();
                } else {
                    let message = "another file took its place while we were away";
                    self.groups[group_index].complain(path, "replaced_file", message);
                }
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
        let group = &mut self.groups[group_index];
        // A rotated file is remembered under the name it had: by that its group knows it after a restart.
        let place = Place { prefix, offsets, path: shown.to_owned() };
        let (offset, checkpoint) = (place.offset(), place.checkpoint(id));
        let resources = Arc::new(Resources::new(&group.host, &group.config.service, shown));
        if let Some(watcher) = &mut self.watcher {
            watcher.watch_file(&file, id);
            // Where a link leads to is where the file is rotated.
            if let Ok(real) = fs::canonicalize(path)
                && real != path
                && let Some(directory) = real.parent()
            {
                watcher.watch_directory(directory);
            }
        }
        self.unread.insert(id);
        let mut file = TrackedFile::new(file, id, place, group_index, resources, group.reading.clone(), group.encoding);
        file.stored = Arc::new(ranges);
        let former = known_id.filter(|known| *known != id);
        if was_cut || (offset > 0 && (known_id.is_none() || former.is_some())) || !ended.is_empty() {
            let checkpoints = former.map(forgotten).into_iter().chain([checkpoint]).chain(ended).collect();
            self.send(group_index, Portion { checkpoints, ..Portion::default() })?;
        }
        Ok(Some(self.files.entry(id).or_insert(file)))
    }
}

/// Opens what is a regular file; anything else (a pipe that took the file's name) is none of ours, and must not block us.
pub(super) fn open_regular(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some((file, metadata)))
}

/// The same of the file that was seen under this name. None when there is another by now: what leads to that was not checked.
pub(super) fn open_seen(path: &Path, seen: FileId) -> io::Result<Option<(File, Metadata)>> {
    Ok(open_regular(path)?.filter(|(_, metadata)| FileId::of(metadata) == seen))
}
