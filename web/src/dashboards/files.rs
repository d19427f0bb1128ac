//! Dashboards in files: found by name or pattern (`dashboards.files`), read again when they change. A file that has become bad
//! keeps what it said last, and says what is wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use taffrail_query::alert::rule_files::{Stamp, stamps_of};

use super::model::Dashboard;
use super::yaml::{Problem, TEXT_BYTES_MAX, read};

/// The setting that names the files.
const SETTING: &str = "dashboards.files";
/// Whoever asks sees a change after this at the latest; more often nobody looks at the disk.
const LOOK: Duration = Duration::from_secs(1);

/// A file's dashboard.
#[derive(Clone, Debug)]
pub struct FileDashboard {
    /// The file.
    pub path: PathBuf,
    /// Its text, as it was when it was good.
    pub text: Arc<str>,
    /// What the text says.
    pub dashboard: Arc<Dashboard>,
    /// What is wrong with the text that the file has now.
    pub problems: Vec<Problem>,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    /// The file, or the pattern.
    pub file: String,
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The files of `dashboards.files`.
#[derive(Debug, Default)]
pub struct Files {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    patterns: Vec<String>,
    looked: Option<Instant>,
    known: BTreeMap<PathBuf, Known>,
    /// What is wrong with patterns, or with the names of files.
    problems: Vec<FileProblem>,
}

#[derive(Debug)]
struct Known {
    stamp: Stamp,
    good: Option<(Arc<str>, Arc<Dashboard>)>,
    problems: Vec<Problem>,
}

impl Files {
    /// Of these names and patterns.
    pub fn new(patterns: Vec<String>) -> Files {
        let files = Files::default();
        files.set_patterns(patterns);
        files
    }

    /// Takes other names and patterns.
    pub fn set_patterns(&self, patterns: Vec<String>) {
        let mut state = self.state.lock();
        state.patterns = patterns;
        state.looked = None;
    }

    /// The dashboards by slug, and everything that is wrong. Blocks on files.
    pub fn look(&self) -> (BTreeMap<String, FileDashboard>, Vec<FileProblem>) {
        let mut state = self.state.lock();
        if state.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            state.refresh();
            state.looked = Some(Instant::now());
        }
        state.answer()
    }
}

impl State {
    fn refresh(&mut self) {
        self.problems.clear();
        let stamps = match stamps_of(SETTING, &self.patterns) {
            Ok(stamps) => stamps,
            Err(problems) => {
                // What was found before goes on: a folder that is unmounted for a moment is no reason to forget it.
                self.problems = problems
                    .into_iter()
                    .map(|problem| FileProblem { file: problem.file, problem: Problem::whole(problem.message) })
                    .collect();
                return;
            }
        };
        self.known.retain(|path, _| stamps.iter().any(|stamp| stamp.path() == path));
        for stamp in stamps {
            let path = stamp.path().to_owned();
            let before = self.known.remove(&path);
            if let Some(before) = before.as_ref().filter(|known| known.stamp == stamp) {
                let known = Known { stamp, good: before.good.clone(), problems: before.problems.clone() };
                self.known.insert(path, known);
                continue;
            }
            let last_good = before.and_then(|known| known.good);
            let known = match read_file(&path) {
                Ok((text, dashboard)) => Known { stamp, good: Some((text, Arc::new(dashboard))), problems: Vec::new() },
                Err(problems) => {
                    for problem in &problems {
                        tracing::warn!("{SETTING}: {}:{problem}", path.display());
                    }
                    Known { stamp, good: last_good, problems }
                }
            };
            self.known.insert(path, known);
        }
    }

    fn answer(&self) -> (BTreeMap<String, FileDashboard>, Vec<FileProblem>) {
        let mut found: BTreeMap<String, FileDashboard> = BTreeMap::new();
        let mut problems = self.problems.clone();
        for (path, known) in &self.known {
            let file = path.display().to_string();
            problems.extend(
                known.problems.iter().map(|problem| FileProblem { file: file.clone(), problem: problem.clone() }),
            );
            let Some((text, dashboard)) = known.good.clone() else { continue };
            let slug = slug_of(&path.file_stem().unwrap_or_default().to_string_lossy());
            if let Some(other) = found.get(&slug) {
                let message = format!("{} has the name `{slug}` already; rename one of the two", other.path.display());
                problems.push(FileProblem { file, problem: Problem::whole(message) });
                continue;
            }
            let problems = known.problems.clone();
            found.insert(slug, FileDashboard { path: path.clone(), text, dashboard, problems });
        }
        (found, problems)
    }
}

/// Reads one file.
///
/// # Errors
/// What is wrong with it.
pub fn read_file(path: &Path) -> Result<(Arc<str>, Dashboard), Vec<Problem>> {
    let unreadable = |error: std::io::Error| vec![Problem::whole(format!("it cannot be read: {error}"))];
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > TEXT_BYTES_MAX as u64 {
        return Err(vec![Problem::whole(format!("{length} bytes are more than the {TEXT_BYTES_MAX} of a dashboard"))]);
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let dashboard = read(&text)?;
    Ok((text.into(), dashboard))
}

/// A text as a name in addresses: small letters, digits, `-` and `_`.
pub fn slug_of(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => slug.push(c),
            _ if slug.is_empty() || slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.truncate(super::library::SLUG_BYTES_MAX);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "dashboard".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_becomes_bad_keeps_what_it_said_and_says_where() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("My Shop.yml");
        let files = Files::new(vec![directory.path().join("*.yml").display().to_string()]);
        let look = || {
            files.state.lock().looked = None;
            let (found, problems) = files.look();
            let titles: Vec<_> =
                found.into_iter().map(|(slug, found)| (slug, found.dashboard.title.value.clone())).collect();
            (titles, problems.into_iter().map(|problem| problem.problem.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(look(), (vec![], vec![]));
        std::fs::write(&path, "title: One\nrows: []\n").unwrap();
        assert_eq!(look(), (vec![("my-shop".into(), "One".into())], vec![]));
        std::fs::write(&path, "title: Two\nrows: [\n").unwrap();
        let (titles, problems) = look();
        assert_eq!(titles, [("my-shop".into(), "One".into())], "the last good one stays");
        assert_eq!(problems.len(), 1, "{problems:?}");
        std::fs::write(&path, "title: Three!\nrows: []\n").unwrap();
        assert_eq!(look(), (vec![("my-shop".into(), "Three!".into())], vec![]));
        std::fs::write(directory.path().join("my-shop.yml"), "title: Four\nrows: []\n").unwrap();
        let (titles, problems) = look();
        assert_eq!(titles.len(), 1);
        assert!(problems[0].contains("has the name `my-shop` already"), "{problems:?}");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look().0, [("my-shop".into(), "Four".into())]);
    }

    #[test]
    fn any_text_makes_a_name_for_an_address() {
        let check = |text: &str, expected: &str| assert_eq!(slug_of(text), expected);
        check("Node Exporter Full (v2)", "node-exporter-full-v2");
        check("  Größe  ", "gr-e");
        check("../..", "dashboard");
        check("a_b-c", "a_b-c");
    }
}
