//! The pass over every line: texts without which no rule but that for card numbers can find anything.
//!
//! `aho_corasick`'s packed searcher compares 16 to 32 places at a time. It is fast as long as no text is shorter than four bytes
//! (its fingerprints shrink with the shortest one) and there are fewer than 64: measured on real lines of 243 bytes, 45 ns with
//! the texts here, 74 ns with `eyJ` and `://` among them. Letter case costs a text each; only the usual ones are there.

use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{Match, Span};

use super::rule::{NAMES, Rule};
use super::token::Alphabet;
use super::{Found, authorization, named_value, private_key, token, url};

/// What a text leads to.
#[derive(Clone, Copy, Debug)]
enum Lead {
    /// A part of a name whose value may be a secret.
    Name,
    Bearer,
    Basic,
    /// A key with this prefix, and at least so many (for `exactly`, just as many) of the alphabet behind it.
    Token {
        rule: Rule,
        least: usize,
        exactly: bool,
        alphabet: Alphabet,
    },
    Jwt,
    PrivateKey,
    Url,
}

const fn token_of(rule: Rule, least: usize, alphabet: Alphabet) -> Lead {
    Lead::Token { rule, least, exactly: false, alphabet }
}

const AWS: Lead = Lead::Token { rule: Rule::AwsKey, least: 16, exactly: true, alphabet: Alphabet::Upper };
const GITHUB: Lead = token_of(Rule::GithubToken, 30, Alphabet::Word);
const SLACK: Lead = token_of(Rule::SlackToken, 12, Alphabet::Dashed);
const STRIPE: Lead = token_of(Rule::StripeKey, 16, Alphabet::Word);

/// Lengths: what the issuers' documentation and their scanners' patterns say, the shortest where it changed over time.
const LEADS: &[(&str, Lead)] = &[
    ("assw", Lead::Name),
    ("ASSW", Lead::Name),
    ("assphr", Lead::Name),
    ("\"pwd", Lead::Name),
    ("pwd=", Lead::Name),
    ("PWD=", Lead::Name),
    ("ecret", Lead::Name),
    ("ECRET", Lead::Name),
    ("oken", Lead::Name),
    ("OKEN", Lead::Name),
    ("pi_key", Lead::Name),
    ("pi-key", Lead::Name),
    ("pikey", Lead::Name),
    ("piKey", Lead::Name),
    ("pi-Key", Lead::Name),
    ("PI-Key", Lead::Name),
    ("PI_KEY", Lead::Name),
    ("ntKey=", Lead::Name),
    ("uthoriz", Lead::Name),
    ("earer ", Lead::Bearer),
    ("asic ", Lead::Basic),
    ("AKIA", AWS),
    ("ASIA", AWS),
    ("ghp_", GITHUB),
    ("gho_", GITHUB),
    ("ghu_", GITHUB),
    ("ghs_", GITHUB),
    ("ghr_", GITHUB),
    ("github_pat_", GITHUB),
    ("glpat-", token_of(Rule::GitlabToken, 20, Alphabet::Dashed)),
    ("xoxb-", SLACK),
    ("xoxp-", SLACK),
    ("xoxa-", SLACK),
    ("xoxs-", SLACK),
    ("xoxr-", SLACK),
    ("xapp-", SLACK),
    ("sk_live_", STRIPE),
    ("rk_live_", STRIPE),
    ("whsec_", STRIPE),
    ("AIza", token_of(Rule::GoogleKey, 35, Alphabet::Dashed)),
    ("ya29.", token_of(Rule::GoogleKey, 20, Alphabet::Dashed)),
    ("GOCSPX-", token_of(Rule::GoogleKey, 20, Alphabet::Dashed)),
    (".eyJ", Lead::Jwt),
    ("eyJh", Lead::Jwt),
    ("-----BEGIN", Lead::PrivateKey),
    ("p://", Lead::Url),
    ("s://", Lead::Url),
    ("b://", Lead::Url),
    ("l://", Lead::Url),
    ("v://", Lead::Url),
    (":\\/\\/", Lead::Url),
];

static SEARCHER: LazyLock<Searcher> = LazyLock::new(|| {
    let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
    LEADS.iter().for_each(|(text, _)| {
        builder.add(text);
    });
    builder.build().expect("a constant list of short texts")
});

/// Whether a rule might find something in what the line says: in the line as it is written, or, behind the name of a secret, in
/// what it means (the elements of a list).
#[inline]
pub(super) fn suspects(text: &str) -> bool {
    SEARCHER.find(text.as_bytes()).is_some_and(|hit| leads_anywhere(text, hit))
}

/// Whether this hit or one behind it leads to something: most texts that were found are parts of common words and addresses.
#[cold]
fn leads_anywhere(text: &str, first: Match) -> bool {
    let (mut hit, mut judged) = (Some(first), Judged::default());
    while let Some(found) = hit {
        let (start, end) = (found.start(), found.end());
        let lead = LEADS[found.pattern().as_usize()].1;
        let leads = match lead {
            Lead::Name => named_value::names_secret(text, start, end),
            lead => lead.find(text, start, end, &mut judged).is_some(),
        };
        if leads {
            return true;
        }
        hit = SEARCHER.find_in(text.as_bytes(), Span::from(end..text.len()));
    }
    false
}

/// Gives everything that the rules behind the texts find, in no order.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let mut judged = Judged::default();
    for hit in SEARCHER.find_iter(text.as_bytes()) {
        found.extend(LEADS[hit.pattern().as_usize()].1.find(text, hit.start(), hit.end(), &mut judged));
    }
}

/// How far a text was looked at: leads inside what was judged already (`.eyJ.eyJ…`) must not look at all of it again, or a long
/// line takes minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Judged {
    bare: named_value::BareValue,
    jwt: usize,
    private_key: usize,
    keys: [usize; NAMES.len()],
}

impl Lead {
    /// What it leads to from its text at `start..end`.
    fn find(self, text: &str, start: usize, end: usize, judged: &mut Judged) -> Option<Found> {
        match self {
            Lead::Name => named_value::find(text, start, end, &mut judged.bare),
            Lead::Bearer => authorization::find_bearer(text, start, end),
            Lead::Basic => authorization::find_basic(text, start, end),
            Lead::Token { rule, least, exactly, alphabet } => {
                let place =
                    token::find_prefixed(text, start, end, alphabet, least, exactly, &mut judged.keys[rule.index()]);
                place.map(|(start, end)| Found { start, end, rule })
            }
            Lead::Jwt => token::find_jwt(text, start, &mut judged.jwt),
            Lead::PrivateKey => private_key::find(text, start, &mut judged.private_key),
            Lead::Url => url::find(text, end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_as_long_and_as_few_as_speed_demands() {
        assert!(LEADS.iter().all(|(text, _)| text.len() >= 4) && LEADS.len() < 64);
        // The packed searcher is there for this list on any processor, and none of the texts hides another.
        for (text, _) in LEADS {
            for line in [(*text).to_owned(), format!("{}{text}{}", "-".repeat(40), "-".repeat(40))] {
                assert_eq!(SEARCHER.find(line.as_bytes()).map(|hit| &line[hit.range()]), Some(*text));
            }
        }
    }
}
