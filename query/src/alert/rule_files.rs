//! The rules files on disk: found by name or pattern, read as a whole, noticed when they change.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use globset::GlobBuilder;

use super::rule::{Group, Problem, parse_rules};

/// The largest rules file, in bytes: far above the largest seen in public (about 1 MiB).
pub const FILE_BYTES_MAX: u64 = 8 << 20;

/// The most files one pattern looks at, so that `/**` does not walk the world.
const FILES_MAX: usize = 100_000;

/// What tells without reading a file whether it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamp {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

/// What the files say at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleFiles {
    /// The files, sorted.
    pub stamps: Vec<Stamp>,
    /// Each file's text.
    texts: Vec<(PathBuf, String)>,
}

impl RuleFiles {
    /// Reads the files named by the patterns (`rules.yml`, `/etc/taffrail/rules/*.yml`), and takes texts that come with the program
    /// as if they were files before them.
    pub fn read(patterns: &[String], built_in: &[(&str, &str)]) -> Result<RuleFiles, Vec<Problem>> {
        let (stamps, mut problems) = (stamps(patterns)?, Vec::new());
        let own = built_in.iter().map(|(name, text)| (PathBuf::from(name), (*text).to_owned()));
        let mut texts: Vec<(PathBuf, String)> = own.collect();
        for Stamp { path, length, .. } in &stamps {
            if *length > FILE_BYTES_MAX {
                problems.push(whole_file(path, format!("a rules file holds at most {} MiB", FILE_BYTES_MAX >> 20)));
                continue;
            }
            match fs::read_to_string(path) {
                Ok(text) => texts.push((path.clone(), text)),
                Err(error) => problems.push(whole_file(path, format!("it cannot be read: {error}"))),
            }
        }
        if problems.is_empty() { Ok(RuleFiles { stamps, texts }) } else { Err(problems) }
    }

    /// What each of them says.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|(_, text)| text.as_str())
    }

    /// Whether the texts are the same, whatever the files' times say.
    pub fn same_texts(&self, other: &RuleFiles) -> bool {
        self.texts == other.texts
    }

    /// The groups of all files, or everything that is wrong with them.
    pub fn parse(&self) -> Result<Vec<Group>, Vec<Problem>> {
        let (mut groups, mut problems) = (Vec::new(), Vec::new());
        for (path, text) in &self.texts {
            match parse_rules(&path.display().to_string(), text) {
                Ok(more) => groups.extend(more),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() { Ok(groups) } else { Err(problems) }
    }
}

impl Stamp {
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The files that the patterns name, sorted, each once, with what tells whether they changed.
pub fn stamps(patterns: &[String]) -> Result<Vec<Stamp>, Vec<Problem>> {
    stamps_of("alerts.rules", patterns)
}

/// The same for the patterns of another setting.
pub fn stamps_of(setting: &str, patterns: &[String]) -> Result<Vec<Stamp>, Vec<Problem>> {
    let (mut paths, mut problems) = (Vec::new(), Vec::new());
    for pattern in patterns {
        match find(setting, pattern) {
            Ok(found) => paths.extend(found),
            Err(message) => problems.push(whole_file(Path::new(pattern), message)),
        }
    }
    paths.sort();
    paths.dedup();
    let mut stamps = Vec::with_capacity(paths.len());
    for path in paths {
        match fs::metadata(&path) {
            Ok(data) => stamps.push(Stamp { path, length: data.len(), modified: data.modified().ok() }),
            Err(error) => problems.push(whole_file(&path, format!("it cannot be read: {error}"))),
        }
    }
    if problems.is_empty() { Ok(stamps) } else { Err(problems) }
}

/// Whether there is a file of this name or pattern.
pub fn found(pattern: &str) -> Result<bool, String> {
    Ok(find("rule_files", pattern)?.iter().any(|path| path.exists()))
}

/// A pattern that finds nothing is no mistake: files may come later. A plain name that is not there is one.
fn find(setting: &str, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let is_pattern = |text: &str| text.contains(['*', '?', '[', '{']);
    if !is_pattern(pattern) {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = glob.map_err(|error| format!("{setting}: this is no pattern: {error}"))?.compile_matcher();
    let fixed: PathBuf = Path::new(pattern)
        .components()
        .take_while(|component| !component.as_os_str().to_str().is_none_or(is_pattern))
        .collect();
    // How deep the pattern reaches below its fixed part; `**` reaches anywhere.
    let depth = Path::new(pattern).components().count() - fixed.components().count();
    let depth = if pattern.contains("**") { usize::MAX } else { depth };
    let start = if fixed.as_os_str().is_empty() { PathBuf::from(".") } else { fixed.clone() };
    let (mut found, mut seen, mut open) = (Vec::new(), 0, vec![(start, 1)]);
    while let Some((directory, level)) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            seen += 1;
            if seen > FILES_MAX {
                return Err(format!("{setting}: the pattern covers more than {FILES_MAX} files: start it deeper"));
            }
            let path = entry.path();
            let path =
                if fixed.as_os_str().is_empty() { path.strip_prefix(".").unwrap_or(&path).to_owned() } else { path };
            // Links to directories are not followed: they could lead in circles.
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_directory && level < depth {
                open.push((path, level + 1));
            } else if !is_directory && matcher.is_match(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn whole_file(path: &Path, message: String) -> Problem {
    Problem { file: path.display().to_string(), line: 0, column: 0, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_files_and_plain_names_must_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        fs::create_dir_all(directory.path().join("deep/er")).unwrap();
        for name in ["a.yml", "b.yml", "c.yaml", "deep/d.yml", "deep/er/e.yml"] {
            fs::write(path(name), "groups: []").unwrap();
        }
        let check = |patterns: &[&str], expected: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| path(pattern)).collect();
            let found: Vec<PathBuf> = stamps(&patterns).unwrap().into_iter().map(|stamp| stamp.path).collect();
            let expected: Vec<PathBuf> = expected.iter().map(|name| directory.path().join(name)).collect();
            assert_eq!(found, expected, "{patterns:?}");
        };
        check(&["a.yml"], &["a.yml"]);
        check(&["*.yml", "a.yml"], &["a.yml", "b.yml"]);
        check(&["*.{yml,yaml}"], &["a.yml", "b.yml", "c.yaml"]);
        check(&["*/*.yml"], &["deep/d.yml"]);
        check(&["**/*.yml"], &["a.yml", "b.yml", "deep/d.yml", "deep/er/e.yml"]);
        check(&["*.none"], &[]);
        let missing = stamps(&[path("missing.yml")]).unwrap_err();
        assert!(missing[0].message.contains("cannot be read"), "{missing:?}");
        assert!(stamps(&[path("[")]).is_err());
    }
}
