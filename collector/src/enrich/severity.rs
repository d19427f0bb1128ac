//! The severity that a plain line states, at the places where programs write it.
//!
//! `<3>` of the kernel and systemd, glog's `E1121 …`, `level=warn`, `[ERROR]`, `ERROR:`, `ERROR` standing alone near the start,
//! logcat's `E/Tag` and `… 1234 5678 E Tag`, `[main/WARN]`, `[core:error]`. Words of the message are not taken for a level:
//! only the first few words are looked at, and a lower-case word must be marked by a bracket, a colon or the time before it.

use crate::model::Severity;

/// Bytes and words of a line that are looked at.
const BYTES_MAX: usize = 160;
const WORDS_MAX: usize = 10;

/// The severity of a field's text: a level word, or a number on the scale of pino and bunyan (10–60) or of syslog (0–7).
pub(super) fn of_field(text: &str) -> Option<Severity> {
    let text = text.trim_ascii();
    Severity::from_word(text).or_else(|| of_number(text.parse().ok()?))
}

/// The severity of a number: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal; 0–7 as syslog has it.
pub(super) fn of_number(number: i64) -> Option<Severity> {
    Some(match number {
        0..=7 => Severity::from_syslog(number as u8),
        10..20 => Severity::TRACE,
        20..30 => Severity::DEBUG,
        30..40 => Severity::INFO,
        40..50 => Severity::WARN,
        50..60 => Severity::ERROR,
        60..70 => Severity::FATAL,
        _ => return None,
    })
}

/// The severity that a line states and the word it uses. `time_end` is the position behind the line's time, when it has one.
pub(super) fn find(line: &str, time_end: Option<usize>) -> Option<(Severity, &str)> {
    let bytes = line.as_bytes();
    match bytes {
        [b'<', digit @ b'0'..=b'7', b'>', ..] => return Some((Severity::from_syslog(digit - b'0'), &line[1..2])),
        [b'I' | b'W' | b'E' | b'F', b'0' | b'1', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ', b'0'..=b'9', ..]
        | [b'V' | b'D' | b'I' | b'W' | b'E' | b'F', b'/', b'A'..=b'Z' | b'a'..=b'z', ..] => {
            return Some((Severity::from_word(&line[..1])?, &line[..1]));
        }
        _ => {}
    }
    let head = &bytes[..bytes.len().min(BYTES_MAX)];
    let mut numbers_only = true;
    let words = head.split(|b| b.is_ascii_whitespace() || *b == b'|').filter(|word| !word.is_empty());
    for (index, word) in words.take(WORDS_MAX).enumerate() {
        let at = word.as_ptr().addr() - bytes.as_ptr().addr();
        let follows_time =
            time_end.is_some_and(|end| head.get(end..at).is_some_and(|gap| !gap.iter().any(u8::is_ascii_alphanumeric)));
        if let Some(found) = of_word(word, Place { index, numbers_only: numbers_only && index > 0, follows_time }) {
            return Some(found);
        }
        numbers_only &= word[0].is_ascii_digit();
    }
    None
}

/// Where a word stands in its line.
struct Place {
    index: usize,
    /// Only words that start with a digit stand before it, and at least one.
    numbers_only: bool,
    follows_time: bool,
}

fn of_word(word: &[u8], place: Place) -> Option<(Severity, &str)> {
    if is_prose(word) && !place.follows_time { None } else { of_marked_word(word, place) }
}

/// Whether the word has nothing by which a level is told from the words of a message: no mark around it or in it, and not
/// all capitals. Most words of most lines are so, and this is quickly seen.
fn is_prose(word: &[u8]) -> bool {
    word.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'))
        && !word.iter().all(u8::is_ascii_uppercase)
}

fn of_marked_word(word: &[u8], place: Place) -> Option<(Severity, &str)> {
    let opened = word.iter().take_while(|b| matches!(b, b'[' | b'(' | b'<' | b'*' | b'"')).count();
    let inner = &word[opened..];
    let closed = inner
        .iter()
        .rev()
        .take_while(|b| matches!(b, b']' | b')' | b'>' | b':' | b',' | b'*' | b'"' | b'!' | b'-'))
        .count();
    let (core, end) = inner.split_at(inner.len() - closed);
    let bracketed = opened > 0 || matches!(end, [b']' | b')' | b'>', ..]);
    let colon = end.contains(&b':');
    let core = std::str::from_utf8(core).ok()?;

    if let Some((key, value)) = core.split_once('=') {
        let names_level = matches!(key, "level" | "lvl" | "severity" | "loglevel" | "log.level");
        let value = value.trim_matches('"');
        return if names_level { Severity::from_word(value).map(|severity| (severity, value)) } else { None };
    }
    // Python's `ERROR:root:message`.
    if let Some((first, _)) = core.split_once(':')
        && !bracketed
        && is_upper_case_level(first)
    {
        return Severity::from_word(first).map(|severity| (severity, first));
    }
    // `[core:error]`, `[main/WARN]`, `thread/INFO]`.
    let last = core.rsplit([':', '/']).next()?;
    let is_part = last.len() < core.len();
    if is_part
        && !(bracketed && core.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-')))
    {
        return None;
    }
    let stated = match last.len() {
        1 => !is_part && matches!(last, "V" | "D" | "I" | "W" | "E" | "F") && (bracketed || place.numbers_only),
        2 => false,
        _ if is_upper_case_level(last) => true,
        _ => bracketed || (colon && place.index < 5) || place.follows_time,
    };
    if last == "LOG" && colon {
        // PostgreSQL's plain messages.
        return Some((Severity::INFO, last));
    }
    if stated { Severity::from_word(last).map(|severity| (severity, last)) } else { None }
}

/// Words that, in capitals, are hardly anything but a level.
fn is_upper_case_level(word: &str) -> bool {
    matches!(
        word,
        "TRACE"
            | "DEBUG"
            | "INFO"
            | "NOTICE"
            | "WARN"
            | "WARNING"
            | "ERROR"
            | "ERR"
            | "CRIT"
            | "CRITICAL"
            | "ALERT"
            | "EMERG"
            | "FATAL"
            | "PANIC"
            | "SEVERE"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::enrich::timestamp::{self, Setting, Zone};
    use crate::model::Timestamp;

    fn of_line(line: &str) -> Option<(Severity, &str)> {
        let setting = Setting { zone: &Zone::UTC, arrival: Timestamp::from_unix_seconds(1_795_248_000) };
        find(line, timestamp::find(line, setting).map(|found| found.1))
    }

    #[test]
    fn the_usual_layouts_state_a_severity() {
        let check = |line, expected: &str| {
            let found = of_line(line).map(|(severity, word)| format!("{severity} {word}")).unwrap_or_default();
            assert_eq!(found, expected, "{line}");
        };
        check("<3>disk on fire", "error 3");
        check("E1121 07:33:00.123456 4321 server.go:12] refused", "error E");
        check("E/ActivityManager(123): refused", "error E");
        check("11-21 07:33:00.123  1234  5678 W Tag: slow", "warn W");
        check("[ERROR] refused", "error ERROR");
        check("[error] refused", "error error");
        check("[WARN ] slow", "warn WARN");
        check("ERROR: refused", "error ERROR");
        check("error: refused", "error error");
        check("main.c:12:3: warning: unused", "warn warning");
        check("ERROR:root:refused", "error ERROR");
        check("ERROR refused", "error ERROR");
        check("2026-11-21 07:33:00,123 - shop.cart - WARNING - slow", "warn WARNING");
        check("2026-11-21 07:33:00.123  INFO 4321 --- [main] c.e.Shop : up", "info INFO");
        check("2026-11-21 07:33:00 [main] DEBUG c.e.Shop - up", "debug DEBUG");
        check("2026-11-21T07:33:00Z warn slow", "warn warn");
        check("2026-11-21 07:33:00.123 UTC [4321] LOG:  checkpoint", "info LOG");
        check("2026/11/21 07:33:00 [crit] 123#0: broken", "error crit");
        check("[Sat Nov 21 07:33:00.123456 2026] [core:error] [pid 1] refused", "error error");
        check("[07:33:00] [Server thread/INFO]: joined", "info INFO");
        check("[2026-11-21T07:33:00Z ERROR shop] refused", "error ERROR");
        check("time=07:33 level=warn msg=slow", "warn warn");
        check("npm ERR! missing script", "error ERR");
        check("SEVERE: broken", "fatal SEVERE".replace("fatal", "error").as_str());
        check("09:15:02 | CRITICAL | broken", "error CRITICAL");
        check("no level here, only an error somewhere", "");
        check("Error handling improved", "");
        check("GET /INFO HTTP/1.1", "");
        check("a plain line", "");
        check("", "");
    }

    #[test]
    fn fields_state_words_or_numbers() {
        let check = |text, expected| assert_eq!(of_field(text), expected, "{text}");
        check("warn", Some(Severity::WARN));
        check("30", Some(Severity::INFO));
        check("50", Some(Severity::ERROR));
        check("3", Some(Severity::ERROR));
        check("9", None);
        check("loud", None);
    }

    proptest! {
        #[test]
        fn words_passed_over_as_prose_state_nothing(
            word in prop_oneof!["[a-zA-Z0-9._]{1,12}", "(info|warn|error|ERROR|Fatal|E|W|e|LOG)[.0-9a-z]?"],
            (index, numbers_only) in (0usize..10, any::<bool>()),
        ) {
            if is_prose(word.as_bytes()) {
                prop_assert_eq!(of_marked_word(word.as_bytes(), Place { index, numbers_only, follows_time: false }), None);
            }
        }

        #[test]
        fn no_text_makes_it_panic(line in ".*", marked in "[\\[<(|:/= a-zA-Z0-9é]{0,40}") {
            of_line(&line);
            of_line(&marked);
        }
    }
}
