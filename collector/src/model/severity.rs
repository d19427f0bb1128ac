//! How grave a log record is, on OpenTelemetry's scale of 1 to 24.

use std::fmt;

/// OpenTelemetry's `SeverityNumber`: 0 when not said, else 1–24 in six ranges of four
/// (<https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Severity(u8);

impl Severity {
    /// The record does not say.
    pub const UNSPECIFIED: Severity = Severity(0);
    /// `TRACE`.
    pub const TRACE: Severity = Severity(1);
    /// `DEBUG`.
    pub const DEBUG: Severity = Severity(5);
    /// `INFO`.
    pub const INFO: Severity = Severity(9);
    /// Syslog's notice, OpenTelemetry's `INFO2`.
    pub const NOTICE: Severity = Severity(10);
    /// `WARN`.
    pub const WARN: Severity = Severity(13);
    /// `ERROR`.
    pub const ERROR: Severity = Severity(17);
    /// Syslog's critical, OpenTelemetry's `ERROR2`.
    pub const CRITICAL: Severity = Severity(18);
    /// Syslog's alert, OpenTelemetry's `ERROR3`.
    pub const ALERT: Severity = Severity(19);
    /// `FATAL`; syslog's emergency.
    pub const FATAL: Severity = Severity(21);

    /// The severity with this number, or none when it is above 24.
    pub const fn from_number(number: u8) -> Option<Severity> {
        if number <= 24 { Some(Severity(number)) } else { None }
    }

    /// 0–24.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// RFC 5424 §6.2.1 numerical code (0 emergency – 7 debug), mapped as OpenTelemetry's data model appendix maps it.
    pub const fn from_syslog(code: u8) -> Severity {
        match code {
            0 => Severity::FATAL,
            1 => Severity::ALERT,
            2 => Severity::CRITICAL,
            3 => Severity::ERROR,
            4 => Severity::WARN,
            5 => Severity::NOTICE,
            6 => Severity::INFO,
            _ => Severity::DEBUG,
        }
    }

    /// The severity that a level word means (`WARN`, `warning`, `W`, `err`, `critical` …, in any case), if it is one.
    pub fn from_word(word: &str) -> Option<Severity> {
        let packed = packed(word.as_bytes())?;
        WORDS.iter().find(|(known, _)| *known == packed).map(|(_, severity)| *severity)
    }

    /// One of `trace debug info warn error fatal`, or the empty string when unspecified: what `level:` asks for.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "",
            1..=4 => "trace",
            5..=8 => "debug",
            9..=12 => "info",
            13..=16 => "warn",
            17..=20 => "error",
            _ => "fatal",
        }
    }
}

/// Bytes of the longest level word.
const WORD_BYTES_MAX: usize = 11;

/// A short word in lower case as one number, its length in the highest byte: words are then compared in one step.
const fn packed(word: &[u8]) -> Option<u128> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let mut number = (word.len() as u128) << 120;
    let mut at = 0;
    while at < word.len() {
        number |= (word[at].to_ascii_lowercase() as u128) << (8 * at);
        at += 1;
    }
    Some(number)
}

/// The level words, the usual ones first.
const WORDS: [(u128, Severity); 39] = [
    known("info", Severity::INFO),
    known("warn", Severity::WARN),
    known("error", Severity::ERROR),
    known("debug", Severity::DEBUG),
    known("warning", Severity::WARN),
    known("trace", Severity::TRACE),
    known("notice", Severity::NOTICE),
    known("fatal", Severity::FATAL),
    known("critical", Severity::CRITICAL),
    known("err", Severity::ERROR),
    known("i", Severity::INFO),
    known("w", Severity::WARN),
    known("e", Severity::ERROR),
    known("d", Severity::DEBUG),
    known("crit", Severity::CRITICAL),
    known("alert", Severity::ALERT),
    known("panic", Severity::FATAL),
    known("emergency", Severity::FATAL),
    known("emerg", Severity::FATAL),
    known("ftl", Severity::FATAL),
    known("f", Severity::FATAL),
    known("severe", Severity::ERROR),
    known("failure", Severity::ERROR),
    known("eror", Severity::ERROR),
    known("wrn", Severity::WARN),
    known("information", Severity::INFO),
    known("inf", Severity::INFO),
    known("config", Severity::INFO),
    known("n", Severity::NOTICE),
    known("dbg", Severity::DEBUG),
    known("fine", Severity::DEBUG),
    known("finer", Severity::DEBUG),
    known("trc", Severity::TRACE),
    known("verbose", Severity::TRACE),
    known("finest", Severity::TRACE),
    known("t", Severity::TRACE),
    known("v", Severity::TRACE),
    known("c", Severity::CRITICAL),
    known("a", Severity::ALERT),
];

const fn known(word: &str, severity: Severity) -> (u128, Severity) {
    (packed(word.as_bytes()).expect("no level word is longer"), severity)
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case_have_a_severity() {
        let check = |word, expected| assert_eq!(Severity::from_word(word), expected, "{word}");
        check("WARNING", Some(Severity::WARN));
        check("err", Some(Severity::ERROR));
        check("Information", Some(Severity::INFO));
        check("", None);
        check("warned", None);
        check("a-very-long-word", None);
        check("info\0", None);
        check("informations", None);
        check("c", Some(Severity::CRITICAL));
    }

    #[test]
    fn numbers_fall_into_six_names() {
        let names: Vec<_> = (0..=25).map(|n| Severity::from_number(n).map(Severity::name)).collect();
        assert_eq!(names[0], Some(""));
        assert_eq!(names[4], Some("trace"));
        assert_eq!(names[17], Some("error"));
        assert_eq!(names[24], Some("fatal"));
        assert_eq!(names[25], None);
    }
}
