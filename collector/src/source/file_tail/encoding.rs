//! Which letters a file's bytes mean: a setting, or the mark at its beginning.

use std::borrow::Cow;
use std::fs::File;
use std::os::unix::fs::FileExt;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::source::StartError;
use crate::source::line_splitter::Unit;

/// The setting that means UTF-8 unless the file begins with another mark.
pub(super) const AUTO: &str = "auto";

/// An encoding of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextEncoding(&'static Encoding);

impl TextEncoding {
    /// UTF-8, or what is like it so far as lines are concerned.
    pub(super) const UTF_8: TextEncoding = TextEncoding(UTF_8);

    /// The encoding of a setting; none when the file is to be asked.
    pub(super) fn named(name: &str) -> Result<Option<TextEncoding>, StartError> {
        if name == AUTO {
            return Ok(None);
        }
        // Stateful ones cannot be read from the middle, and "replacement" stands for those that are not read at all.
        let known = Encoding::for_label(name.as_bytes())
            .filter(|encoding| *encoding != encoding_rs::ISO_2022_JP && *encoding != encoding_rs::REPLACEMENT);
        let unknown = || StartError {
            setting: "collector.files.encoding",
            message: format!(
                "no encoding is called {name:?}: write auto, utf-8, utf-16le, utf-16be, latin1, shift_jis …"
            ),
        };
        known.map(|encoding| Some(TextEncoding(encoding))).ok_or_else(unknown)
    }

    /// What the mark at the file's beginning says (U+FEFF); UTF-8 without one. None while the file is too short to say.
    pub(super) fn of_file(file: &File) -> Option<TextEncoding> {
        let mut mark = [0; 3];
        let read = file.read_at(&mut mark, 0).ok()?;
        if read < 2 {
            return None;
        }
        Some(TextEncoding::of_bytes(&mark[..read]))
    }

    /// The same of what begins with these bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> TextEncoding {
        Encoding::for_bom(bytes).map_or(TextEncoding::UTF_8, |(encoding, _)| TextEncoding(encoding))
    }

    /// What its line feeds look like.
    pub(super) fn unit(self) -> Unit {
        if self.0 == UTF_16LE {
            Unit::Utf16Le
        } else if self.0 == UTF_16BE {
            Unit::Utf16Be
        } else {
            Unit::Byte
        }
    }

    /// A line as UTF-8. `start` is where it stands in its file: the first may begin with the mark. UTF-8 is not checked here.
    #[inline]
    pub(super) fn decode(self, line: &[u8], start: u64) -> Cow<'_, [u8]> {
        if self.0 == UTF_8 {
            let line = if start == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
            return Cow::Borrowed(line);
        }
        let (text, _) =
            if start == 0 { self.0.decode_with_bom_removal(line) } else { self.0.decode_without_bom_handling(line) };
        match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_known_by_name_and_by_mark() {
        let check = |name: &str, line: &[u8], expected: &str| {
            let encoding = TextEncoding::named(name).unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&encoding.decode(line, 0)), expected, "{name}");
        };
        check("latin1", b"caf\xe9", "café");
        check("windows-1252", b"\x80 5", "€ 5");
        check("utf-16le", b"\xff\xfec\0a\0f\0\xe9\0", "café");
        check("utf-16be", b"\0c\0a\0f\0\xe9", "café");
        check("shift_jis", b"\x93\xfa\x96{", "日本");
        check("utf-8", b"\xef\xbb\xbfa", "a");
        assert_eq!(TextEncoding::named("auto").unwrap(), None);
        assert!(TextEncoding::named("latin").is_err());
        assert!(TextEncoding::named("iso-2022-jp").is_err());

        let directory = tempfile::tempdir().unwrap();
        let check = |bytes: &[u8], expected: Option<Unit>| {
            let path = directory.path().join("a");
            std::fs::write(&path, bytes).unwrap();
            let found = TextEncoding::of_file(&File::open(&path).unwrap()).map(TextEncoding::unit);
            assert_eq!(found, expected, "{bytes:?}");
        };
        check(b"\xff\xfea\0", Some(Unit::Utf16Le));
        check(b"\xfe\xff\0a", Some(Unit::Utf16Be));
        check(b"\xef\xbb\xbfa", Some(Unit::Byte));
        check(b"ab", Some(Unit::Byte));
        check(b"a", None);
        check(b"", None);
    }
}
