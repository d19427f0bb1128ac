//! Which of two versions is older, as far as their names say it.

use std::cmp::Ordering;

/// Compares two versions whose names are numbers (`1.2.3`, `v10`, `2026.05.01-rc1`); none when they are not, or do not tell.
pub fn compare(one: &str, other: &str) -> Option<Ordering> {
    let (one, other) = (parts(one)?, parts(other)?);
    for at in 0..one.0.len().max(other.0.len()) {
        let number = |of: &[u64]| of.get(at).copied().unwrap_or(0);
        match number(&one.0).cmp(&number(&other.0)) {
            Ordering::Equal => {}
            different => return Some(different),
        }
    }
    // `1.2.0-rc1` comes before `1.2.0` (https://semver.org/#spec-item-11).
    Some(match (one.1.is_empty(), other.1.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => one.1.cmp(other.1),
    })
}

/// The numbers, and what follows them; none for what does not begin with a number.
fn parts(version: &str) -> Option<(Vec<u64>, &str)> {
    let version = version.trim().trim_start_matches(['v', 'V']);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let (numbers, rest) = version.split_at(end);
    // A commit's hash may begin with digits.
    if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) || numbers.is_empty() {
        return None;
    }
    let numbers: Option<Vec<u64>> =
        numbers.trim_end_matches('.').split('.').map(|number| number.parse().ok()).collect();
    // What stands behind a plus is no part of the order (semver, item 10).
    Some((numbers?, rest.split('+').next().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_far_as_they_say() {
        let check = |one: &str, other: &str, expected: Option<Ordering>| {
            assert_eq!(compare(one, other), expected, "{one} {other}");
            assert_eq!(compare(other, one), expected.map(Ordering::reverse), "{other} {one}");
        };
        check("1.2.3", "1.10.0", Some(Ordering::Less));
        check("v2", "1.9", Some(Ordering::Greater));
        check("1.2", "1.2.0", Some(Ordering::Equal));
        check("1.2.0-rc1", "1.2.0", Some(Ordering::Less));
        check("1.2.0-rc1", "1.2.0-rc2", Some(Ordering::Less));
        check("1.2.0+5", "1.2.0+7", Some(Ordering::Equal));
        check("9f86d08", "1.2", None);
        check("main", "main", None);
        check("99999999999999999999", "1", None);
    }
}
