//! The name that somebody probably meant.

/// The candidate nearest to `typed`: one that it begins, ends or is contained in, or that a few changed letters away; none when
/// all are farther than a slip of the keys. Case does not count.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<char> = typed.trim_start_matches('@').to_lowercase().chars().take(LENGTH_MAX).collect();
    let most = typed.len().div_ceil(3).min(3).min(typed.len().saturating_sub(1));
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().take(LENGTH_MAX).collect();
            let distance = distance(&typed, &other);
            let part =
                typed.len() >= PART_MIN && (holds(&other, &typed) || other.len() >= PART_MIN && holds(&typed, &other));
            (distance <= most || part).then_some((distance.min(most + 1), distance, candidate))
        })
        .min()
        .map(|(_, _, candidate)| candidate)
}

/// ` (did you mean `…`?)`, or nothing.
pub fn did_you_mean<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, candidates).map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// Longer names are compared by their beginnings.
const LENGTH_MAX: usize = 64;
/// A shorter part of a name says nothing.
const PART_MIN: usize = 3;

fn holds(whole: &[char], part: &[char]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// Letters put in, left out, changed, or exchanged with their neighbour (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = [vec![0; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>(), vec![0; b.len() + 1]];
    for i in 1..=a.len() {
        rows[2][0] = i;
        for j in 1..=b.len() {
            let changed = rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = changed.min(rows[1][j] + 1).min(rows[2][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_keys_are_understood_and_strangers_are_not() {
        let names = ["service", "status", "http.status_code", "took_ms", "host", "level"];
        let check = |typed: &str, expected: Option<&str>| assert_eq!(nearest(typed, names), expected, "{typed}");
        check("servce", Some("service"));
        check("Sevrice", Some("service"));
        check("hsot", Some("host"));
        check("status_code", Some("http.status_code"));
        check("took", Some("took_ms"));
        check("@levle", Some("level"));
        check("level", Some("level"));
        check("banana", None);
        check("x", None);
        check("", None);
        assert_eq!(did_you_mean("statsu", names), " (did you mean `status`?)");
    }
}
