//! What container runtimes wrap around the lines of their containers. Pure.
//!
//! ```text
//! CRI (containerd, CRI-O; <https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md>):
//!   2026-11-21T07:33:00.123456789Z stdout F the line
//!   2026-11-21T07:33:00.123456789Z stderr P the start of a longer line, which goes on in the next line of its stream
//! Docker's json-file:
//!   {"log":"the line\n","stream":"stdout","time":"2026-11-21T07:33:00.123456789Z"}
//!   {"log":"the start of a longer line","stream":"stdout","time":"…"}
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use memchr::memmem;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::enrich::{Zone, leading_time};
use crate::model::Timestamp;

/// What stands in a file's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Whatever a file's lines show.
    #[default]
    Auto,
    /// Lines of container runtimes by Kubernetes' interface.
    Cri,
    /// Docker's `json-file`.
    Docker,
    /// Lines as programs write them.
    Plain,
}

/// Where a program wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout = 0,
    Stderr = 1,
}

/// A line of a container, unwrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inner<'a> {
    pub(super) stream: Stream,
    pub(super) time: Option<Timestamp>,
    pub(super) text: Cow<'a, [u8]>,
    /// It goes on in the next line of its stream.
    pub(super) is_partial: bool,
    /// What the daemon was told to write beside it: labels and variables of the container.
    pub(super) attributes: Vec<(String, String)>,
}

/// Runtimes write moments in UTC or with an offset, so that the zone never counts.
pub(super) struct Reader {
    zone: Zone,
}

impl Reader {
    pub(super) fn new() -> Reader {
        Reader { zone: Zone::default() }
    }

    /// The format of a file that holds this line, when a runtime wrote it.
    #[inline]
    pub(super) fn detect(&self, line: &[u8]) -> Option<Format> {
        match line.first()? {
            // The stream stands behind the time, which has 20 to 35 bytes.
            b'0'..=b'9' if memmem::find(&line[..line.len().min(40)], b" std").is_some() => {
                self.cri(line).map(|_| Format::Cri)
            }
            b'{' if line.starts_with(b"{\"log\":\"") => self.docker(line).map(|_| Format::Docker),
            _ => None,
        }
    }

    /// Unwraps a line of CRI; none when it is none.
    pub(super) fn cri<'a>(&self, line: &'a [u8]) -> Option<Inner<'a>> {
        if !line.first()?.is_ascii_digit() {
            return None;
        }
        let (time, length) = leading_time(line, &self.zone, Timestamp::EPOCH)?;
        let rest = line.get(length..)?;
        let (stream, rest) = match rest.get(..8)? {
            b" stdout " => (Stream::Stdout, &rest[8..]),
            b" stderr " => (Stream::Stderr, &rest[8..]),
            _ => return None,
        };
        // Tags are separated by colons; the first says whether the line is whole.
        let is_partial = match rest.first()? {
            b'F' => false,
            b'P' => true,
            _ => return None,
        };
        let text = match &rest[1..] {
            // Of an empty line an editor or a shipper may have taken the space.
            [] => &[][..],
            [b' ', text @ ..] => text,
            [b':', more @ ..] => more.get(memchr::memchr(b' ', more)? + 1..)?,
            _ => return None,
        };
        Some(Inner { stream, time: Some(time), text: Cow::Borrowed(text), is_partial, attributes: Vec::new() })
    }

    /// Unwraps a line of Docker's; none when it is none.
    pub(super) fn docker<'a>(&self, line: &'a [u8]) -> Option<Inner<'a>> {
        self.docker_as_written(line).or_else(|| self.docker_any(line))
    }

    /// In the order and spelling that Docker's own encoder has.
    fn docker_as_written<'a>(&self, line: &'a [u8]) -> Option<Inner<'a>> {
        let text = line.strip_prefix(b"{\"log\":\"")?;
        let mut end = 0;
        let mut escapes = false;
        loop {
            end += memchr::memchr2(b'"', b'\\', &text[end..])?;
            match text[end] {
                b'"' => break,
                _ if text[end..].starts_with(b"\\n\",") => {
                    end += 2;
                    break;
                }
                _ => {
                    escapes = true;
                    end += 2;
                    if end > text.len() {
                        return None;
                    }
                }
            }
        }
        let (log, rest) = text.split_at(end);
        if escapes {
            return None;
        }
        let rest = rest.strip_prefix(b"\",\"stream\":\"std")?;
        let (stream, rest) = match rest.get(..3)? {
            b"out" => (Stream::Stdout, &rest[3..]),
            b"err" => (Stream::Stderr, &rest[3..]),
            _ => return None,
        };
        let rest = rest.strip_prefix(b"\",\"time\":\"")?;
        let (time, length) = leading_time(rest, &self.zone, Timestamp::EPOCH)?;
        if &rest[length..] != b"\"}" {
            return None;
        }
        let (log, is_partial) = log.strip_suffix(b"\\n").map_or((log, true), |log| (log, false));
        Some(Inner { stream, time: Some(time), text: Cow::Borrowed(log), is_partial, attributes: Vec::new() })
    }

    /// In any order. A program's own records may have fields of these names too: a stream of its own, or fields beyond Docker's, say
    /// that it is one of those.
    fn docker_any(&self, line: &[u8]) -> Option<Inner<'static>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            log: String,
            stream: String,
            time: String,
            #[serde(default)]
            attrs: BTreeMap<String, Json>,
        }
        let Written { mut log, stream, time, attrs } = serde_json::from_slice(line).ok()?;
        let is_partial = !log.ends_with('\n');
        if !is_partial {
            log.pop();
        }
        let stream = match stream.as_str() {
            "stdout" => Stream::Stdout,
            "stderr" => Stream::Stderr,
            _ => return None,
        };
        let (time, _) = leading_time(time.as_bytes(), &self.zone, Timestamp::EPOCH)?;
        let text = |value: Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let attributes = attrs.into_iter().map(|(name, value)| (name, text(value))).collect();
        Some(Inner { stream, time: Some(time), text: Cow::Owned(log.into_bytes()), is_partial, attributes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(inner: Option<Inner<'_>>) -> String {
        let Some(Inner { stream, time, text, is_partial, attributes }) = inner else { return String::new() };
        let part = if is_partial { "…" } else { "" };
        let attributes: String = attributes.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        format!("{stream:?} {} {:?}{part}{attributes}", time.unwrap(), String::from_utf8_lossy(&text))
    }

    #[test]
    fn lines_of_cri_are_unwrapped() {
        let check =
            |line: &str, expected: &str| assert_eq!(shown(Reader::new().cri(line.as_bytes())), expected, "{line}");
        check("2026-11-21T07:33:00.123456789Z stdout F hello", "Stdout 2026-11-21T07:33:00.123456789Z \"hello\"");
        check("2026-11-21T07:33:00.1Z stderr P {\"a\":", "Stderr 2026-11-21T07:33:00.100Z \"{\\\"a\\\":\"…");
        check("2026-11-21T08:33:00+01:00 stdout F  two", "Stdout 2026-11-21T07:33:00.000Z \" two\"");
        check("2026-11-21T07:33:00Z stdout F ", "Stdout 2026-11-21T07:33:00.000Z \"\"");
        check("2026-11-21T07:33:00Z stdout F", "Stdout 2026-11-21T07:33:00.000Z \"\"");
        check("2026-11-21T07:33:00Z stdout P:x y", "Stdout 2026-11-21T07:33:00.000Z \"y\"…");
        check("2026-11-21T07:33:00Z stdin F x", "");
        check("2026-11-21T07:33:00Z stdout X x", "");
        check("2026-11-21T07:33:00Z stdout Full moon", "");
        check("2026-11-21 07:33:00 INFO x", "");
        check("x", "");
        check("", "");
    }

    #[test]
    fn lines_of_docker_are_unwrapped() {
        let check = |line: &str, expected: &str| {
            assert_eq!(shown(Reader::new().docker(line.as_bytes())), expected, "{line}");
        };
        let time = r#""time":"2026-11-21T07:33:00.5Z""#;
        check(&format!(r#"{{"log":"hello\n","stream":"stdout",{time}}}"#), "Stdout 2026-11-21T07:33:00.500Z \"hello\"");
        check(&format!(r#"{{"log":"hel","stream":"stderr",{time}}}"#), "Stderr 2026-11-21T07:33:00.500Z \"hel\"…");
        check(
            &format!(r#"{{"log":"{{\"a\":1}}\u003c\n","stream":"stdout",{time}}}"#),
            "Stdout 2026-11-21T07:33:00.500Z \"{\\\"a\\\":1}<\"",
        );
        check(&format!(r#"{{"log":"a\\n","stream":"stdout",{time}}}"#), "Stdout 2026-11-21T07:33:00.500Z \"a\\\\n\"…");
        check(&format!(r#"{{"log":"a\\\n","stream":"stdout",{time}}}"#), "Stdout 2026-11-21T07:33:00.500Z \"a\\\\\"");
        check(
            &format!(r#"{{"log":"\n","stream":"stdout","attrs":{{"x":"y","n":1}},{time}}}"#),
            "Stdout 2026-11-21T07:33:00.500Z \"\" n=1 x=y",
        );
        check(&format!(r#"{{{time},"stream":"stderr","log":"x\n"}}"#), "Stderr 2026-11-21T07:33:00.500Z \"x\"");
        check(&format!(r#"{{"log":"x\n",{time}}}"#), "");
        check(&format!(r#"{{"log":"x\n","stream":"orders",{time}}}"#), "");
        check(&format!(r#"{{"log":"x\n","stream":"stdout",{time},"user":"ann"}}"#), "");
        check(r#"{"log":"x","stream":"stdout"}"#, "");
        check(r#"{"log":"x\"#, "");
        check("hello", "");
    }

    #[test]
    fn a_line_tells_the_format() {
        let check = |line: &str, expected| assert_eq!(Reader::new().detect(line.as_bytes()), expected, "{line}");
        check("2026-11-21T07:33:00.1Z stdout F x", Some(Format::Cri));
        check(r#"{"log":"x\n","stream":"stdout","time":"2026-11-21T07:33:00.5Z"}"#, Some(Format::Docker));
        check(r#"{"log":"x","level":"info"}"#, None);
        check(r#"{"log":"started","time":"2026-11-21T07:33:00.5Z","user":"ann"}"#, None);
        check(r#"{"log":"started","time":"2026-11-21T07:33:00.5Z"}"#, None);
        check(r#"{"msg":"x"}"#, None);
        check("2026-11-21T07:33:00.1Z INFO x", None);
    }

    proptest! {
        #[test]
        fn what_docker_writes_comes_back_and_no_bytes_make_it_panic(text: String, bytes: Vec<u8>, part: bool) {
            let log = if part { text.trim_end_matches('\n').to_owned() } else { format!("{text}\n") };
            let log = serde_json::to_string(&log).unwrap();
            let line = format!(r#"{{"log":{log},"stream":"stderr","time":"2026-11-21T07:33:00Z"}}"#);
            let inner = Reader::new().docker(line.as_bytes()).unwrap();
            let expected = if part { text.trim_end_matches('\n') } else { &text };
            prop_assert_eq!((&*inner.text, inner.is_partial), (expected.as_bytes(), part));
            Reader::new().docker(&bytes);
            Reader::new().cri(&bytes);
            Reader::new().docker([b"{\"log\":\"".as_slice(), &bytes].concat().as_slice());
        }
    }
}
