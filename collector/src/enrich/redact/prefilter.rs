//! The pass over every line: texts without which no rule but that for card numbers can find anything, in any letter case.
//!
//! `aho_corasick`'s packed searcher compares 16 to 32 places at a time. It is fast as long as no text is shorter than four bytes
//! (its fingerprints shrink with the shortest one) and there are fewer than 64. It knows no letter case: it looks at a copy of the
//! line with one bit set in each byte ([`folded`]), which makes letters small and leaves digits and most signs as they are. What
//! it finds there is looked at in the line itself.

use std::cell::RefCell;
use std::sync::LazyLock;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{Match, Span};
use memchr::memmem;

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
}

const fn token_of(rule: Rule, least: usize, alphabet: Alphabet) -> Lead {
    Lead::Token { rule, least, exactly: false, alphabet }
}

const fn service_key(least: usize, exactly: bool, alphabet: Alphabet) -> Lead {
    Lead::Token { rule: Rule::ServiceKey, least, exactly, alphabet }
}

const AWS: Lead = Lead::Token { rule: Rule::AwsKey, least: 16, exactly: true, alphabet: Alphabet::Upper };
const GITHUB: Lead = token_of(Rule::GithubToken, 30, Alphabet::Word);
const SLACK: Lead = token_of(Rule::SlackToken, 12, Alphabet::Dashed);
const STRIPE: Lead = token_of(Rule::StripeKey, 16, Alphabet::Word);
/// OpenAI's (and others' in its form), Hugging Face's, SendGrid's: short prefixes, found with what stands before them.
const SK: Lead = service_key(32, false, Alphabet::Dashed);
const HUGGING_FACE: Lead = service_key(30, false, Alphabet::Alphanumeric);
const SENDGRID: Lead = service_key(60, false, Alphabet::Pointed);

/// Lengths: what the issuers' documentation and their scanners' patterns say, the shortest where it changed over time. Names in
/// small letters, found in any; the prefixes of keys as they must be written.
const LEADS: &[(&str, Lead)] = &[
    ("assw", Lead::Name),
    ("assphr", Lead::Name),
    ("pass=", Lead::Name),
    ("pass:", Lead::Name),
    ("pass\"", Lead::Name),
    ("pass'", Lead::Name),
    ("pass\\", Lead::Name),
    ("pwd=", Lead::Name),
    ("pwd:", Lead::Name),
    ("pwd ", Lead::Name),
    ("pwd\"", Lead::Name),
    ("pwd'", Lead::Name),
    ("pwd\\", Lead::Name),
    ("ecret", Lead::Name),
    ("oken", Lead::Name),
    ("pi_key", Lead::Name),
    ("pi-key", Lead::Name),
    ("pikey", Lead::Name),
    ("ountkey", Lead::Name),
    ("ount_key", Lead::Name),
    ("ount-key", Lead::Name),
    ("cesskey", Lead::Name),
    ("cess_key", Lead::Name),
    ("cess-key", Lead::Name),
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
    ("sk_test_", STRIPE),
    ("rk_test_", STRIPE),
    ("whsec_", STRIPE),
    ("AIza", token_of(Rule::GoogleKey, 35, Alphabet::Dashed)),
    ("ya29.", token_of(Rule::GoogleKey, 20, Alphabet::Dashed)),
    ("GOCSPX-", token_of(Rule::GoogleKey, 20, Alphabet::Dashed)),
    ("npm_", service_key(36, true, Alphabet::Alphanumeric)),
    (" sk-", SK),
    ("=sk-", SK),
    ("\"sk-", SK),
    (" hf_", HUGGING_FACE),
    ("=hf_", HUGGING_FACE),
    ("\"hf_", HUGGING_FACE),
    (" SG.", SENDGRID),
    ("=SG.", SENDGRID),
    ("\"SG.", SENDGRID),
    (".eyJ", Lead::Jwt),
    ("eyJh", Lead::Jwt),
    ("-----BEGIN", Lead::PrivateKey),
];

/// The prefixes that are found with what stands before them, at the start of a text.
const AT_START: [(&str, Lead); 3] = [("sk-", SK), ("hf_", HUGGING_FACE), ("SG.", SENDGRID)];

static SEARCHER: LazyLock<Searcher> = LazyLock::new(|| {
    let mut builder = Config::new().match_kind(MatchKind::LeftmostFirst).builder();
    LEADS.iter().for_each(|(text, _)| {
        builder.add(text.bytes().map(folded).collect::<Vec<_>>());
    });
    builder.build().expect("a constant list of short texts")
});

/// A byte by which letters are found in any case: capitals become small, and `_` and `\` something else that no text has.
fn folded(byte: u8) -> u8 {
    byte | 0x20
}

/// Room for a folded line that is kept for the next.
const KEPT_BYTES: usize = 64 << 10;

thread_local! {
    static FOLDED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lets the searcher's view of the text be looked at.
#[inline]
fn with_folded<T>(text: &str, look: impl FnOnce(&[u8]) -> T) -> T {
    FOLDED.with_borrow_mut(|buffer| {
        buffer.clear();
        buffer.extend(text.bytes().map(folded));
        let looked = look(buffer);
        buffer.clear();
        buffer.shrink_to(KEPT_BYTES);
        looked
    })
}

/// Whether a rule might find something in what the line says: in the line as it is written, or, behind the name of a secret, in
/// what it means (the elements of a list).
#[inline]
pub(super) fn suspects(text: &str) -> bool {
    with_folded(text, |folded| SEARCHER.find(folded).is_some_and(|hit| leads_anywhere(text, folded, hit)))
        || leads_at_start(text).next().is_some()
        || has_address(text) && addresses(text).next().is_some()
}

/// Whether this hit or one behind it leads to something: most texts that were found are parts of common words.
#[cold]
fn leads_anywhere(text: &str, folded: &[u8], first: Match) -> bool {
    let (mut hit, mut judged) = (Some(first), Judged::default());
    while let Some(found) = hit {
        let (start, end) = (found.start(), found.end());
        let leads = match LEADS[found.pattern().as_usize()] {
            (_, Lead::Name) => named_value::names_secret(text, start, end),
            (written, lead) => lead.find(text, written, start, end, &mut judged).is_some(),
        };
        if leads {
            return true;
        }
        hit = SEARCHER.find_in(folded, Span::from(end..text.len()));
    }
    false
}

/// Gives everything that the rules behind the texts find, in no order.
pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let mut judged = Judged::default();
    with_folded(text, |folded| {
        for hit in SEARCHER.find_iter(folded) {
            let (written, lead) = LEADS[hit.pattern().as_usize()];
            found.extend(lead.find(text, written, hit.start(), hit.end(), &mut judged));
        }
    });
    found.extend(leads_at_start(text));
    if has_address(text) {
        found.extend(addresses(text));
    }
}

fn leads_at_start(text: &str) -> impl Iterator<Item = Found> {
    let leads = AT_START.into_iter().filter(|(written, _)| text.starts_with(written));
    leads.filter_map(|(written, lead)| lead.find(text, written, 0, written.len(), &mut Judged::default()))
}

/// Whether there may be an address with a user: few lines have an `@`.
#[inline]
fn has_address(text: &str) -> bool {
    memchr::memchr(b'@', text.as_bytes()).is_some()
}

/// The passwords of addresses, whatever their scheme; in JSON the slashes may be escaped.
#[cold]
fn addresses(text: &str) -> impl Iterator<Item = Found> {
    ["://", ":\\/\\/"].into_iter().flat_map(|behind_scheme| {
        let starts = memmem::find_iter(text.as_bytes(), behind_scheme).map(|at| at + behind_scheme.len());
        starts.filter_map(|start| url::find(text, start)).collect::<Vec<_>>()
    })
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
    /// What it leads to from its text at `start..end`, where it is `written` so but for letter case.
    fn find(self, text: &str, written: &str, start: usize, end: usize, judged: &mut Judged) -> Option<Found> {
        match self {
            Lead::Name => named_value::find(text, start, end, &mut judged.bare),
            Lead::Bearer => authorization::find_bearer(text, start, end),
            Lead::Basic => authorization::find_basic(text, start, end),
            _ if text.as_bytes()[start..end] != *written.as_bytes() => None,
            Lead::Token { rule, least, exactly, alphabet } => {
                // What stands before a short prefix is no part of the key.
                let start = start + usize::from(written.starts_with([' ', '=', '"']));
                let judged = &mut judged.keys[rule.index()];
                let place = token::find_prefixed(text, start, end, alphabet, least, exactly, judged);
                // Words with dashes between begin like that too.
                let is_key = |(start, end): &(usize, usize)| {
                    rule != Rule::ServiceKey || text[*start..*end].bytes().any(|byte| byte.is_ascii_digit())
                };
                place.filter(is_key).map(|(start, end)| Found { start, end, rule })
            }
            Lead::Jwt => token::find_jwt(text, start, &mut judged.jwt),
            Lead::PrivateKey => private_key::find(text, start, &mut judged.private_key),
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
            for line in [(*text).to_owned(), format!("{}{text}{}", "~".repeat(40), "~".repeat(40))] {
                for line in [line.to_lowercase(), line.to_uppercase(), line] {
                    let found =
                        with_folded(&line, |folded| SEARCHER.find(folded).map(|hit| line[hit.range()].to_owned()));
                    assert!(
                        found.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(text)),
                        "{line}: {found:?}"
                    );
                }
            }
        }
    }
}
