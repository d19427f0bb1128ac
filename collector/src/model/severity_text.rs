//! The level word of a record, shared by the records that say the same.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A level word as it was written (`WARNING`, `E`); empty when nothing was. Reads as a `str`.
///
/// One pointer wide, because every record in memory has one and nearly all say one of a few words: sources keep the
/// words they met and clone them, which allocates nothing.
#[derive(Clone, Default)]
pub struct SeverityText(Option<Arc<Box<str>>>);

impl SeverityText {
    /// No word.
    pub const NONE: SeverityText = SeverityText(None);

    /// Whether both are the same allocation (or both empty): equal without a look at the text.
    pub fn is_shared_with(&self, other: &SeverityText) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl Deref for SeverityText {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_ref().map_or("", |text| text)
    }
}

impl From<&str> for SeverityText {
    fn from(text: &str) -> SeverityText {
        SeverityText((!text.is_empty()).then(|| Arc::new(text.into())))
    }
}

impl From<String> for SeverityText {
    fn from(text: String) -> SeverityText {
        SeverityText((!text.is_empty()).then(|| Arc::new(text.into_boxed_str())))
    }
}

impl PartialEq for SeverityText {
    fn eq(&self, other: &SeverityText) -> bool {
        self.is_shared_with(other) || **self == **other
    }
}

impl Eq for SeverityText {}

impl PartialEq<str> for SeverityText {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for SeverityText {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for SeverityText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for SeverityText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_as_text_and_are_equal_by_what_they_say() {
        let check = |word: SeverityText, expected: &str| {
            assert_eq!(&*word, expected);
            assert_eq!(word, SeverityText::from(expected));
            assert_eq!((word.to_string(), format!("{word:?}")), (expected.to_owned(), format!("{expected:?}")));
            assert!(word.is_shared_with(&word.clone()));
        };
        check("WARN".into(), "WARN");
        check("WARN".to_owned().into(), "WARN");
        check(String::new().into(), "");
        check(SeverityText::default(), "");
        assert!(!SeverityText::from("WARN").is_shared_with(&"WARN".into()));
        assert_ne!(SeverityText::from("WARN"), SeverityText::from("warn"));
        assert_eq!(size_of::<SeverityText>(), size_of::<usize>());
    }
}
