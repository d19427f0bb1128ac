//! All dashboards together: built in, in files, in the catalog. A file goes before the catalog, which goes before what is built in:
//! so a built-in one that is changed on the page is a copy in the catalog, and comes back when that is removed.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::catalog::{Catalog, CatalogError};
use thiserror::Error;

use super::built_in::BUILT_IN;
use super::files::{FileProblem, Files};
use super::model::Dashboard;
use super::yaml::{self, Problem};

/// The kind of the catalog's documents that hold dashboards.
const KIND: &str = "dashboards";
/// Dashboards that the catalog may hold.
pub const DASHBOARDS_MAX: usize = 2_000;
/// The longest slug.
pub const SLUG_BYTES_MAX: usize = 100;
/// What addresses of the API mean otherwise.
const RESERVED: [&str; 2] = ["check", "import"];

/// Where a dashboard lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// In this binary.
    BuiltIn,
    /// In a file.
    File,
    /// In the catalog.
    Catalog,
}

/// A dashboard and where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name in addresses.
    pub slug: String,
    /// Where it lives.
    pub origin: Origin,
    /// Its file, if it lives in one.
    pub path: Option<PathBuf>,
    /// Whether removing it from the catalog brings a built-in one back.
    pub covers_built_in: bool,
    /// Changes with the text.
    pub version: String,
    /// When it was written to the catalog.
    pub changed: Option<String>,
    /// The YAML.
    pub text: Arc<str>,
    /// What it says; none for a text of the catalog that this release cannot read.
    pub dashboard: Option<Arc<Dashboard>>,
    /// What is wrong with the text as it is now.
    pub problems: Vec<Problem>,
}

/// What a writer believes to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing is said.
    Unsaid,
    /// There is none yet.
    Absent,
    /// It has this version.
    Version(String),
}

/// Why a dashboard was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The name cannot stand in an address.
    #[error(
        "`{0}` cannot be a dashboard's name: small letters, digits, - and _, {SLUG_BYTES_MAX} at most, and neither `check` nor `import`"
    )]
    BadSlug(String),
    /// The text is wrong.
    #[error("the dashboard is not right")]
    Wrong(Vec<Problem>),
    /// It lives in a file.
    #[error("this dashboard lives in the file {0}: change it there, or save it under another name")]
    InFile(String),
    /// It is built in.
    #[error("a built-in dashboard cannot be removed; one that was changed comes back to what it was")]
    BuiltIn,
    /// Somebody else wrote it in between.
    #[error("it was changed since it was read: version {now} is there, not {expected}")]
    Changed {
        /// What is there.
        now: String,
        /// What was believed to be there.
        expected: String,
    },
    /// Nothing says which version is replaced.
    #[error("say which version is replaced (If-Match: \"{0}\"), so that nobody's change is lost")]
    Unsaid(String),
    /// There is no such dashboard.
    #[error("there is no dashboard `{0}`")]
    Missing(String),
    /// The catalog is full.
    #[error(
        "the catalog holds {DASHBOARDS_MAX} dashboards, and no more fit: remove some, or keep them in files (dashboards.files)"
    )]
    Full,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A document of the catalog.
#[derive(Deserialize, Serialize)]
struct Stored {
    yaml: String,
    changed: String,
}

/// All dashboards.
pub struct Library {
    files: Files,
    catalog: Arc<Catalog>,
    /// Held while a version is compared and a document written.
    writing: Mutex<()>,
}

impl Library {
    /// Of the files that these patterns name, and of the catalog.
    pub fn new(files: Vec<String>, catalog: Arc<Catalog>) -> Library {
        Library { files: Files::new(files), catalog, writing: Mutex::new(()) }
    }

    /// Takes other names and patterns of files.
    pub fn set_files(&self, patterns: Vec<String>) {
        self.files.set_patterns(patterns);
    }

    /// All of them by name, and what is wrong with files. Blocks.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<FileProblem>), CatalogError> {
        let (files, problems) = self.files.look();
        let mut entries: Vec<Entry> = files.into_iter().map(|(slug, file)| of_file(slug, file)).collect();
        let is_there = |entries: &[Entry], slug: &str| entries.iter().any(|entry| entry.slug == slug);
        for (slug, document) in self.catalog.documents(KIND)? {
            if !is_there(&entries, &slug) {
                entries.extend(of_catalog(&slug, &document));
            }
        }
        for (slug, text) in BUILT_IN {
            if !is_there(&entries, slug) {
                entries.push(of_binary(slug, text));
            }
        }
        entries.sort_by(|one, other| one.slug.cmp(&other.slug));
        Ok((entries, problems))
    }

    /// One of them. Blocks.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn get(&self, slug: &str) -> Result<Option<Entry>, CatalogError> {
        if let Some(file) = self.files.look().0.remove(slug) {
            return Ok(Some(of_file(slug.to_owned(), file)));
        }
        let of_catalog = self.catalog.document(KIND, slug)?.and_then(|document| of_catalog(slug, &document));
        let built_in = || BUILT_IN.iter().find(|(name, _)| *name == slug).map(|(name, text)| of_binary(name, text));
        Ok(of_catalog.or_else(built_in))
    }

    /// Writes a dashboard into the catalog; durable when this returns. Blocks.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn put(&self, slug: &str, text: &str, expected: &Expected) -> Result<Entry, WriteError> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let is_slug = !slug.is_empty() && slug.len() <= SLUG_BYTES_MAX && slug.chars().all(is_name);
        if !is_slug || RESERVED.contains(&slug) {
            return Err(WriteError::BadSlug(slug.to_owned()));
        }
        let dashboard = yaml::read(text).map_err(WriteError::Wrong)?;
        // What came as JSON is kept as YAML: that is what people read and change.
        let text = if text.trim_start().starts_with('{') { yaml::write(&dashboard) } else { text.to_owned() };
        let _writing = self.writing.lock();
        let there = self.get(slug)?;
        unchanged(there.as_ref(), expected)?;
        if there.as_ref().is_none_or(|there| there.origin == Origin::BuiltIn)
            && self.catalog.documents(KIND)?.len() >= DASHBOARDS_MAX
        {
            return Err(WriteError::Full);
        }
        let stored = Stored { yaml: text, changed: Timestamp::now().to_string() };
        let document = serde_json::to_string(&stored).expect("two texts are JSON");
        self.catalog.put_document(KIND, slug, &document)?;
        of_catalog(slug, &document).ok_or_else(|| WriteError::Missing(slug.to_owned()))
    }

    /// Removes a dashboard from the catalog. Blocks.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn remove(&self, slug: &str, expected: &Expected) -> Result<(), WriteError> {
        let _writing = self.writing.lock();
        let there = self.get(slug)?.ok_or_else(|| WriteError::Missing(slug.to_owned()))?;
        if there.origin == Origin::BuiltIn {
            return Err(WriteError::BuiltIn);
        }
        // Who removes something without having read it says so by saying nothing.
        if *expected != Expected::Unsaid || there.origin == Origin::File {
            unchanged(Some(&there), expected)?;
        }
        Ok(self.catalog.remove_document(KIND, slug)?)
    }
}

/// What changes with a text.
pub fn version_of(text: &str) -> String {
    // FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/): the same in every release, which a stored link may rely on.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn unchanged(there: Option<&Entry>, expected: &Expected) -> Result<(), WriteError> {
    if let Some(path) = there.and_then(|there| there.path.as_ref()) {
        return Err(WriteError::InFile(path.display().to_string()));
    }
    match (there, expected) {
        (None, Expected::Unsaid | Expected::Absent) => Ok(()),
        (Some(there), Expected::Version(expected)) if there.version == *expected => Ok(()),
        (Some(there), Expected::Unsaid) => Err(WriteError::Unsaid(there.version.clone())),
        (Some(there), Expected::Absent) => {
            Err(WriteError::Changed { now: there.version.clone(), expected: "none".to_owned() })
        }
        (there, Expected::Version(expected)) => Err(WriteError::Changed {
            now: there.map_or("none".to_owned(), |there| there.version.clone()),
            expected: expected.clone(),
        }),
    }
}

fn of_file(slug: String, file: super::files::FileDashboard) -> Entry {
    Entry {
        slug,
        origin: Origin::File,
        path: Some(file.path),
        covers_built_in: false,
        version: version_of(&file.text),
        changed: None,
        text: file.text,
        dashboard: Some(file.dashboard),
        problems: file.problems,
    }
}

fn of_catalog(slug: &str, document: &str) -> Option<Entry> {
    let stored: Stored = serde_json::from_str(document)
        .inspect_err(|error| tracing::warn!("the catalog's dashboard {slug} cannot be read: {error}"))
        .ok()?;
    let (dashboard, problems) = match yaml::read(&stored.yaml) {
        Ok(dashboard) => (Some(Arc::new(dashboard)), Vec::new()),
        Err(problems) => (None, problems),
    };
    Some(Entry {
        slug: slug.to_owned(),
        origin: Origin::Catalog,
        path: None,
        covers_built_in: BUILT_IN.iter().any(|(name, _)| *name == slug),
        version: version_of(&stored.yaml),
        changed: Some(stored.changed),
        text: stored.yaml.into(),
        dashboard,
        problems,
    })
}

fn of_binary(slug: &str, text: &str) -> Entry {
    let dashboard = yaml::read(text).expect("a test reads every built-in dashboard");
    Entry {
        slug: slug.to_owned(),
        origin: Origin::BuiltIn,
        path: None,
        covers_built_in: false,
        version: version_of(text),
        changed: None,
        text: text.into(),
        dashboard: Some(Arc::new(dashboard)),
        problems: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> (Library, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(&directory.path().join("catalog.sqlite")).unwrap());
        let pattern = directory.path().join("*.yml").display().to_string();
        (Library::new(vec![pattern], catalog), directory)
    }

    #[test]
    fn two_editors_do_not_overwrite_each_other() {
        let (library, _directory) = library();
        let first = library.put("a", "title: 1\nrows: []\n", &Expected::Absent).unwrap();
        let version = |entry: &Entry| Expected::Version(entry.version.clone());
        let second = library.put("a", "title: 2\nrows: []\n", &version(&first)).unwrap();
        for stale in [version(&first), Expected::Absent] {
            let refused = library.put("a", "title: 3\nrows: []\n", &stale);
            assert!(matches!(refused, Err(WriteError::Changed { .. })), "{stale:?} {refused:?}");
        }
        assert!(matches!(library.put("a", "title: 3\nrows: []\n", &Expected::Unsaid), Err(WriteError::Unsaid(_))));
        assert!(matches!(library.remove("a", &version(&first)), Err(WriteError::Changed { .. })));
        library.remove("a", &version(&second)).unwrap();
        assert!(library.get("a").unwrap().is_none());
    }

    #[test]
    fn a_file_goes_before_the_catalog_and_the_catalog_before_what_is_built_in() {
        let (library, directory) = library();
        let (slug, _) = BUILT_IN[0];
        let built_in = library.get(slug).unwrap().unwrap();
        assert_eq!(built_in.origin, Origin::BuiltIn);
        assert!(matches!(library.remove(slug, &Expected::Unsaid), Err(WriteError::BuiltIn)));
        let own = "title: mine\nrows: []\n";
        let copy = library.put(slug, own, &Expected::Version(built_in.version.clone())).unwrap();
        assert_eq!((copy.origin, copy.covers_built_in), (Origin::Catalog, true));
        library.remove(slug, &Expected::Unsaid).unwrap();
        assert_eq!(library.get(slug).unwrap().unwrap().origin, Origin::BuiltIn);
        library.put("a", own, &Expected::Unsaid).unwrap();
        std::fs::write(directory.path().join("a.yml"), "title: file\nrows: []\n").unwrap();
        library.set_files(vec![directory.path().join("*.yml").display().to_string()]);
        assert_eq!(library.get("a").unwrap().unwrap().origin, Origin::File);
        assert!(matches!(library.put("a", own, &Expected::Unsaid), Err(WriteError::InFile(_))));
        assert!(matches!(library.remove("a", &Expected::Unsaid), Err(WriteError::InFile(_))));
        let listed = library.list().unwrap().0;
        assert_eq!(listed.iter().filter(|entry| entry.slug == "a").count(), 1);
    }

    #[test]
    fn json_is_kept_as_yaml_and_names_must_suit_addresses() {
        let (library, _directory) = library();
        let entry = library.put("a", r#"{"title":"x","rows":[]}"#, &Expected::Unsaid).unwrap();
        assert_eq!(&*entry.text, "title: x\nrows: []\n");
        for slug in ["", "A", "a/b", "check", "import", "ä"] {
            assert!(matches!(
                library.put(slug, "title: x\nrows: []\n", &Expected::Unsaid),
                Err(WriteError::BadSlug(_))
            ));
        }
    }
}
