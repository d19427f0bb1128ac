//! Payment card numbers, the only digits that are touched.
//!
//! A number counts when it has a brand's prefix and exactly its length, Luhn's sum is right, and it stands by itself: in one
//! piece, or in the groups that are printed on cards with one space or dash between. Ids are longer, shorter, or part of a
//! longer run of letters, digits, `-` and `_`; a number that a name calls an id, a trace, a span or a time stays as well.

use super::is_word_byte;

/// Digits that numbers have: Diners Club 14, American Express 15, others 16.
const DIGITS_MIN: usize = 14;
const DIGITS_MAX: usize = 16;
/// Bytes with separators.
const BYTES_MAX: usize = DIGITS_MAX + 3;
/// Looking at the eight bytes at every seventh place meets every card number, however it is grouped: the shortest has 14.
const STEP: usize = 7;

/// The first card number that begins at `from` or later.
#[inline]
pub(super) fn find(text: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if bytes.len() < DIGITS_MIN {
        return None;
    }
    let mut at = from;
    while let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        if may_be_of_number(u64::from_le_bytes(*window))
            && let Some(found) = number_around(bytes, at, from)
        {
            return Some(found);
        }
        at += STEP;
    }
    None
}

/// Whether at least six of eight bytes are digits and the others spaces or dashes, as in any eight bytes of a number.
#[inline]
fn may_be_of_number(window: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // 0x20 to 0x3f: the digits, the space and most signs.
    if window & (0xe0 * EACH) != 0x20 * EACH {
        return false;
    }
    // A digit is 0x30 to 0x39, and keeps its bit of 0x10 when 6 is added.
    let digits = window & window.wrapping_add(0x06 * EACH) & (0x10 * EACH);
    digits.count_ones() >= 6
        && window.to_le_bytes().iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'))
}

/// The card number that holds the first digit at or behind `at`.
#[cold]
fn number_around(bytes: &[u8], at: usize, from: usize) -> Option<(usize, usize)> {
    let digit = at + bytes[at..].iter().position(u8::is_ascii_digit)?;
    let (start, end) = word_around(bytes, digit)?;
    let [mut first, mut last] = [start, end];
    // Groups with spaces between: take in the words of digits on both sides.
    let is_group = |(start, end): &(usize, usize)| {
        (4..=6).contains(&(end - start)) && bytes[*start..*end].iter().all(u8::is_ascii_digit)
    };
    if is_group(&(start, end)) {
        while last - first <= BYTES_MAX {
            let Some(before) = first.checked_sub(2).filter(|_| bytes[first - 1] == b' ') else { break };
            match word_around(bytes, before).filter(is_group) {
                Some(word) => first = word.0,
                None => break,
            }
        }
        while last - first <= BYTES_MAX
            && bytes.get(last) == Some(&b' ')
            && bytes.get(last + 1).is_some_and(u8::is_ascii_digit)
        {
            match word_around(bytes, last + 1).filter(is_group) {
                Some(word) => last = word.1,
                None => break,
            }
        }
    }
    let is_alone = !is_joined(bytes, first, last) && first >= from;
    let is_number = is_alone && is_card(&bytes[first..last]);
    (is_number && !is_named_id(&bytes[..first]) && !stands_among_ids(bytes, first, last)).then_some((first, last))
}

/// The word of digits and dashes that the digit is part of, unless it is longer than a card number or has letters too.
fn word_around(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    // Most words that come here are parts of ids and times, and end here at their first letter.
    let length = |bytes: &mut dyn Iterator<Item = &u8>| {
        let mut length = 0;
        for byte in bytes {
            match byte {
                b'0'..=b'9' | b'-' if length < BYTES_MAX => length += 1,
                b'0'..=b'9' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => return None,
                _ => break,
            }
        }
        Some(length)
    };
    let behind = length(&mut bytes[at..].iter())?;
    let before = length(&mut bytes[..at].iter().rev())?;
    (before + behind <= BYTES_MAX).then_some((at - before, at + behind))
}

/// Whether it is the fraction of a number, or one follows.
fn is_joined(bytes: &[u8], start: usize, end: usize) -> bool {
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let point = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|byte| *byte == b'.');
    (point(start.checked_sub(1)) && is_digit(start.checked_sub(2))) || (point(Some(end)) && is_digit(Some(end + 1)))
}

/// Whether it stands in brackets by itself, as ids of threads and connections do, or follows a long hexadecimal number, as
/// addresses do that happen to have no letters.
fn stands_among_ids(bytes: &[u8], start: usize, end: usize) -> bool {
    let before = &bytes[..start];
    let is_bracketed = before.ends_with(b"[") && bytes.get(end) == Some(&b']');
    let word_end = before.iter().rposition(|byte| !matches!(byte, b' ' | b'-' | b':' | b'~')).map_or(0, |at| at + 1);
    let word = before[..word_end].iter().rev().take(BYTES_MAX).take_while(|byte| byte.is_ascii_hexdigit());
    let (mut length, mut has_letter) = (0, false);
    for byte in word {
        length += 1;
        has_letter |= byte.is_ascii_alphabetic();
    }
    is_bracketed || (has_letter && length >= DIGITS_MIN - 2)
}

fn is_card(written: &[u8]) -> bool {
    let mut digits = [0u8; DIGITS_MAX];
    let (mut count, mut groups, mut separator) = (0, [0usize; 4], None);
    let mut group = 0;
    for byte in written {
        if byte.is_ascii_digit() {
            let Some(digit) = digits.get_mut(count) else { return false };
            *digit = byte - b'0';
            (count, groups[group]) = (count + 1, groups[group] + 1);
        } else if matches!(byte, b' ' | b'-') && group < 3 && *separator.get_or_insert(*byte) == *byte {
            group += 1;
        } else {
            return false;
        }
    }
    let is_grouped =
        matches!(groups, [_, 0, 0, 0] if group == 0) || matches!(groups, [4, 4, 4, 4] | [4, 6, 5, 0] | [4, 6, 4, 0]);
    is_grouped && has_brand(&digits[..count]) && luhn(&digits[..count])
}

/// Prefixes and lengths of ISO/IEC 7812's issuers that are in use.
fn has_brand(digits: &[u8]) -> bool {
    if digits.len() < DIGITS_MIN {
        return false;
    }
    let start = digits[..4].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    match (digits.len(), start) {
        // Visa, Mastercard, Discover, JCB, UnionPay.
        (16, 4000..=4999 | 5100..=5599 | 2221..=2720 | 6011 | 6440..=6599 | 3528..=3589 | 6200..=6299) => true,
        // American Express.
        (15, 3400..=3499 | 3700..=3799) => true,
        // Diners Club.
        (14, 3000..=3059 | 3600..=3699 | 3800..=3899) => true,
        _ => false,
    }
}

/// ISO/IEC 7812-1 annex B: from the right every second digit counts double, and the sum of all digits ends with 0.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let doubled = u32::from(*digit) << (place & 1);
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// Whether a name before it calls it something else: `trace_id=`, `"orderId":`, `span: `, `timestamp=`.
fn is_named_id(before: &[u8]) -> bool {
    let end = before
        .iter()
        .rposition(|byte| !matches!(byte, b'=' | b':' | b'"' | b'\'' | b' ' | b'\\' | b'#'))
        .map_or(0, |at| at + 1);
    let has_sign = before[end..].iter().any(|byte| matches!(byte, b'=' | b':' | b'#'));
    let length = before[..end]
        .iter()
        .rev()
        .take(64)
        .take_while(|byte| is_word_byte(**byte) || matches!(byte, b'.' | b'-'))
        .count();
    has_sign && names_no_card(&before[end - length..end])
}

/// Whether a name is one of ids, traces or times.
pub(super) fn names_no_card(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let has = |part: &[u8]| memchr::memmem::find(&name, part).is_some();
    name.ends_with(b"id")
        || name == b"ts"
        || has(b"trace")
        || has(b"span")
        || has(b"time")
        || has(b"seq")
        || has(b"offset")
}
