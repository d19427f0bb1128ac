//! Which files a group's patterns match.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::source::StartError;

/// The compiled patterns of one group.
#[derive(Debug)]
pub(super) struct Patterns {
    include: GlobSet,
    exclude: GlobSet,
    roots: Vec<Root>,
}

/// A directory to walk.
#[derive(Debug, PartialEq, Eq)]
struct Root {
    directory: PathBuf,
    /// Levels below it that a match can lie on; 1 is the directory's own entries.
    depth: usize,
}

/// Directories of links that lead back into themselves end here.
const DEPTH_MAX: usize = 32;

impl Patterns {
    /// Compiles include and exclude patterns.
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Patterns, StartError> {
        if let Some(pattern) = include.iter().find(|pattern| !pattern.starts_with('/')) {
            let message = format!("{pattern:?} is no absolute path: write one like /var/log/*.log");
            return Err(StartError { setting: "collector.files.include", message });
        }
        Ok(Patterns {
            include: set("collector.files.include", include.iter().cloned())?,
            // A bare name means a file of that name anywhere.
            exclude: set(
                "collector.files.exclude",
                exclude
                    .iter()
                    .map(|pattern| if pattern.contains('/') { pattern.clone() } else { format!("**/{pattern}") }),
            )?,
            roots: roots_of(include),
        })
    }

    /// The patterns of the compressed files of a group: those that name them, and with `of_rotated` those that rotation makes of
    /// the files that the others name. None when there are none.
    pub(super) fn of_compressed(
        include: &[String],
        exclude: &[String],
        of_rotated: bool,
    ) -> Result<Option<Patterns>, StartError> {
        let (named, plain): (Vec<_>, Vec<_>) = include.iter().cloned().partition(|pattern| names_compressed(pattern));
        let marks = ["", ".*", "-*"];
        let of_plain = |pattern: &String| marks.map(|mark| format!("{pattern}{mark}.gz"));
        let rotated = plain.iter().filter(|_| of_rotated).flat_map(of_plain);
        let include: Vec<_> = rotated.chain(named).collect();
        let exclude: Vec<_> = exclude.iter().filter(|pattern| *pattern != "*.gz").cloned().collect();
        if include.is_empty() { Ok(None) } else { Patterns::new(&include, &exclude).map(Some) }
    }

    /// Whether the path is one of the group's.
    pub(super) fn matches(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.excludes(path)
    }

    /// Whether the path is left out.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        self.exclude.is_match(path)
    }

    /// Gives every regular file that matches now, links followed. A file may be given twice. `visit` is told of the
    /// directories, each before its files. Returns what is there and could not be looked at: of what lies below it nothing is known.
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Path), give: &mut impl FnMut(PathBuf, Metadata)) -> Vec<PathBuf> {
        let mut unreadable = Vec::new();
        for root in &self.roots {
            self.walk_directory(&root.directory, root.depth.min(DEPTH_MAX), visit, give, &mut unreadable);
        }
        unreadable
    }

    fn walk_directory(
        &self,
        directory: &Path,
        depth: usize,
        visit: &mut impl FnMut(&Path),
        give: &mut impl FnMut(PathBuf, Metadata),
        unreadable: &mut Vec<PathBuf>,
    ) {
        // Asked to be told of changes first, so that none is missed between the two.
        visit(directory);
        let mut note = |path: &Path, error: &io::Error| {
            // What is not there (yet, or any more) holds nothing for now.
            if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                unreadable.push(path.to_owned());
            }
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => return note(directory, &error),
        };
        let mut below = Vec::new();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    note(directory, &error);
                    continue;
                }
            };
            let path = entry.path();
            let Ok(kind) = entry.file_type().inspect_err(|error| note(&path, error)) else { continue };
            if kind.is_dir() {
                // Links to directories are not followed: they may lead in circles.
                if depth > 1 && !self.excludes(&path.join("_")) {
                    below.push(path);
                }
            } else if self.matches(&path)
                && let Ok(metadata) = fs::metadata(&path).inspect_err(|error| note(&path, error))
                && metadata.is_file()
                && (!kind.is_symlink() || may_follow(&path, &metadata))
            {
                give(path, metadata);
            }
        }
        for directory in below {
            self.walk_directory(&directory, depth - 1, visit, give, unreadable);
        }
    }
}

/// Whether a pattern of `include` itself means compressed files.
pub(super) fn names_compressed(pattern: &str) -> bool {
    pattern.ends_with(".gz")
}

/// Whether a link leads where its owner may read: else whoever may write into a directory of logs could have us read any file.
/// As the kernel's `protected_symlinks`: the link is root's or ours, or belongs to whom the file belongs.
fn may_follow(link: &Path, target: &Metadata) -> bool {
    fs::symlink_metadata(link).is_ok_and(|link| {
        link.uid() == 0 || link.uid() == target.uid() || link.uid() == rustix::process::geteuid().as_raw()
    })
}

fn set(setting: &'static str, patterns: impl Iterator<Item = String>) -> Result<GlobSet, StartError> {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
        builder.add(glob.map_err(|error| StartError { setting, message: error.to_string() })?);
    }
    builder.build().map_err(|error| StartError { setting, message: error.to_string() })
}

/// Where to look for all patterns; a directory is walked once.
fn roots_of(patterns: &[String]) -> Vec<Root> {
    let mut roots: Vec<Root> = Vec::new();
    for root in patterns.iter().map(|pattern| root_of(pattern)) {
        match roots.iter_mut().find(|known| known.directory == root.directory) {
            Some(known) => known.depth = known.depth.max(root.depth),
            None => roots.push(root),
        }
    }
    roots
}

/// The directory above the first component with a special character, and how deep matches can lie below it.
fn root_of(pattern: &str) -> Root {
    let is_special = |text: &str| text.contains(['*', '?', '[', '{', '\\']);
    let components: Vec<_> = Path::new(pattern).components().collect();
    let plain = components
        .iter()
        .take_while(|component| !is_special(&component.as_os_str().to_string_lossy()))
        .count()
        .min(components.len().saturating_sub(1));
    // Braces may span separators: then the components do not tell the depth.
    let braces_span =
        pattern.split('{').skip(1).any(|rest| rest.split('}').next().is_some_and(|inside| inside.contains('/')));
    let is_deep = braces_span || components[plain..].iter().any(|c| c.as_os_str().to_string_lossy().contains("**"));
    Root {
        directory: components[..plain].iter().map(|component| component.as_os_str()).collect(),
        depth: if is_deep { DEPTH_MAX } else { components.len() - plain },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_tells_where_to_look_and_how_deep() {
        let check = |pattern: &str, directory: &str, depth| {
            assert_eq!(root_of(pattern), Root { directory: directory.into(), depth }, "{pattern}");
        };
        check("/var/log/*.log", "/var/log", 1);
        check("/var/log/*/*.log", "/var/log", 2);
        check("/var/log/syslog", "/var/log", 1);
        check("/srv/app/**/x.log", "/srv/app", DEPTH_MAX);
        check("/srv/{a,b}/x.log", "/srv", 2);
        check("/srv/{a/b,c}/x.log", "/srv", DEPTH_MAX);
        check("/*", "/", 1);
        check("/", "", 1);
    }

    #[test]
    fn compressed_files_are_those_named_so_and_on_demand_those_of_rotation() {
        let check = |include: &str, of_rotated, path: &str, expected| {
            let exclude = ["*.gz".to_owned(), "secret*".to_owned()];
            let patterns = Patterns::of_compressed(&[include.to_owned()], &exclude, of_rotated).unwrap();
            assert_eq!(
                patterns.is_some_and(|patterns| patterns.matches(Path::new(path))),
                expected,
                "{include} {path}"
            );
        };
        check("/a/*.log", true, "/a/x.log.1.gz", true);
        check("/a/*.log", true, "/a/x.log-20261121.gz", true);
        check("/a/*.log", true, "/a/x.log.gz", true);
        check("/a/*.log", true, "/a/x.txt.gz", false);
        check("/a/*.log", true, "/a/x.log", false);
        check("/a/*.log", true, "/a/secret.log.gz", false);
        check("/a/*.log", false, "/a/x.log.1.gz", false);
        check("/a/*.gz", false, "/a/x.gz", true);
    }

    #[test]
    fn files_are_found_by_pattern_and_left_out_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        for path in ["a.log", "b.txt", "c.log.gz", "sub/d.log", "sub/deep/e.log", "journal/f.log", "wtmp"] {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink(top.join("b.txt"), top.join("link.log")).unwrap();
        std::os::unix::fs::symlink(top, top.join("sub/circle")).unwrap();
        fs::create_dir(top.join("directory.log")).unwrap();
        let check = |include: &[&str], expected: &[&str]| {
            let include: Vec<_> = include.iter().map(|pattern| format!("{}/{pattern}", top.display())).collect();
            let patterns = Patterns::new(&include, &super::super::Config::default().exclude).unwrap();
            let mut found = Vec::new();
            patterns
                .walk(&mut |_| {}, &mut |path, _| found.push(path.strip_prefix(top).unwrap().display().to_string()));
            found.sort();
            assert_eq!(found, expected, "{include:?}");
        };
        check(&["*.log"], &["a.log", "link.log"]);
        check(&["**/*.log"], &["a.log", "link.log", "sub/d.log", "sub/deep/e.log"]);
        check(&["*"], &["a.log", "b.txt", "link.log"]);
        check(&["*/*.log"], &["sub/d.log"]);
        check(&["{a,b}.*", "wtmp"], &["a.log", "b.txt"]);
        check(&["missing/*.log"], &[]);
        std::os::unix::fs::symlink(top.join("loop"), top.join("loop")).unwrap();
        let include = ["missing/*.log", "a.log/*.log", "loop/*.log", "sub/*.log"];
        let include: Vec<_> = include.iter().map(|pattern| format!("{}/{pattern}", top.display())).collect();
        let unreadable = Patterns::new(&include, &[]).unwrap().walk(&mut |_| {}, &mut |_, _| {});
        assert_eq!(unreadable, [top.join("loop")], "what is missing is not unreadable");
        assert!(Patterns::new(&["relative/*.log".to_owned()], &[]).is_err());
        assert!(Patterns::new(&["/a/[".to_owned()], &[]).is_err());
    }
}
