//! One `[[collector.files]]` section.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::container::Format;
use super::encoding;
use crate::config::span;
use crate::enrich::Parse;
use crate::source::multiline::Multiline;

/// A group of files that are read the same way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Patterns of absolute paths: `*` and `?` match within a name, `**` any number of directories, `{a,b}` either. A file that
    /// several groups match belongs to the first. Default none.
    pub include: Vec<String>,
    /// Patterns of paths, or of bare names, that are left out. Default: what is compressed (`*.gz`, `*.xz`, `*.zst`, `*.bz2`),
    /// the journal's directories, and the login databases (`wtmp`, `btmp`, `lastlog`, `faillog`). A list of your own replaces it.
    pub exclude: Vec<String>,
    /// The service that lines belong to which name none. Default none.
    pub service: String,
    /// How lines are read: `auto`, `json`, `logfmt`, `nginx`, `apache`, `syslog`, `grok:…`, `regex:…` or `none`. Default `auto`.
    pub parse: Parse,
    /// What stands in the files: `cri` (containerd, CRI-O: `/var/log/containers/*.log`), `docker` (`json-file`), `plain`, or `auto`,
    /// which looks at the lines. What the runtime says becomes time and `stream`; the program's own line is read as `parse` says.
    pub format: Format,
    /// Which lines are joined to one record: `auto` knows the stack traces of Java, Python, Go, Rust, JavaScript, PHP, .NET and
    /// Ruby, and lines that are indented; `{ start = "regex" }` says how a group starts, `{ continue = "regex" }` how it goes on;
    /// `off` joins none. A group has at most `line_bytes_max` bytes and 10,000 lines. Default `auto`.
    pub multiline: Multiline,
    /// The letters of the files: `auto` (UTF-8 unless a byte order mark says UTF-16), or a name of the WHATWG encoding standard
    /// (`utf-16le`, `latin1`, `shift_jis` …). Default `auto`.
    pub encoding: String,
    /// Whether rotated files that were compressed (`app.log.2.gz` beside `app.log`) are read, once and with the least urgency. A
    /// pattern of `include` that ends in `.gz` is read so without it. Default false.
    pub backfill_gzip: bool,
    /// Where files begin that exist when their group is first started: `beginning` or `end`. Default `beginning`, so that
    /// nothing is missing. Files that come later are always read from their beginning.
    pub start_at: StartAt,
    /// Files not written to for so long when their group is first started begin at their end, whatever `start_at` says.
    /// Default 168 hours.
    #[serde(with = "span")]
    pub ignore_older: Duration,
    /// How often files are looked at. Default 1 s. It is the longest a line waits to be read where the kernel does not tell of
    /// it: on file systems of other machines.
    #[serde(with = "span")]
    pub poll_interval: Duration,
    /// Whether the kernel is asked to tell of changes (inotify), so that a line is read within milliseconds. Looking
    /// every `poll_interval` goes on all the same. Default true.
    pub inotify: bool,
    /// A last line without its line feed is taken for complete after so long without more, and so is a stack trace or a line
    /// in parts; a line that could only be followed by indented ones after a twentieth of it. Default 5 s.
    #[serde(with = "span")]
    pub line_timeout: Duration,
    /// Longest line, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
}

/// Where a file begins to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// With its first line.
    #[default]
    Beginning,
    /// With the first line written from then on.
    End,
}

impl Default for Config {
    fn default() -> Config {
        let exclude = ["*.gz", "*.xz", "*.zst", "*.bz2", "**/journal/**", "wtmp", "btmp", "lastlog", "faillog"];
        Config {
            include: Vec::new(),
            exclude: exclude.map(str::to_owned).into(),
            service: String::new(),
            parse: Parse::Auto,
            format: Format::Auto,
            multiline: Multiline::Auto,
            encoding: encoding::AUTO.to_owned(),
            backfill_gzip: false,
            start_at: StartAt::Beginning,
            ignore_older: Duration::from_secs(7 * 86_400),
            poll_interval: Duration::from_secs(1),
            inotify: true,
            line_timeout: Duration::from_secs(5),
            line_bytes_max: 1 << 20,
        }
    }
}

impl Config {
    /// This host's own log files, for a server that was told nothing.
    pub fn of_this_host() -> Config {
        let include = ["/var/log/*.log", "/var/log/*/*.log", "/var/log/syslog", "/var/log/messages"];
        Config { include: include.map(str::to_owned).into(), ..Config::default() }
    }
}
