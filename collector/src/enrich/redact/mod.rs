//! Redaction: secrets that programs log by mistake are replaced before a record leaves this host.
//!
//! | rule | what is replaced |
//! |---|---|
//! | `password` | values behind `password`, `passwd`, `pwd`, `pass` and names that end so: `k=v`, `k: v`, JSON, URL parameters, attributes |
//! | `secret` | the same behind `secret`, `token`, `api_key`, `secret_key`, `access_key`, `account_key`, when they look like a key rather than a word |
//! | `authorization` | credentials of `Authorization` headers, `Bearer` and `Basic` tokens |
//! | `aws_key`, `github_token`, `gitlab_token`, `slack_token`, `stripe_key`, `google_key` | keys by their prefix and length |
//! | `service_key` | keys of OpenAI (and others in its form), npm, Hugging Face, SendGrid, by the same |
//! | `jwt` | JSON web tokens |
//! | `private_key` | PEM private keys |
//! | `url_password` | the password of `scheme://user:password@host` |
//! | `card` | payment card numbers: a brand's prefix and length, Luhn's sum, standing by themselves |
//!
//! Names count in any letter case. A private key goes where it stands in one record; the lines of one that a program prints as it is
//! are joined to one record by `multiline`, whatever it says of others unless it says `off`.
//!
//! What is found becomes `[redacted:<rule>]` and is counted by rule. Nearly every line holds nothing: one pass over its bytes
//! ([`prefilter`]) says so. Ids are left alone: of digits only whole card numbers go, of hexadecimal digits only what a name of a
//! secret stands before.
//!
//! Reading order: [`redactor`] (records, from end to end), [`rule`] (names), [`prefilter`], then what each trigger leads to: [`named_value`],
//! [`authorization`], [`token`], [`private_key`], [`url`], [`card`].

mod authorization;
mod card;
mod named_value;
mod prefilter;
mod private_key;
mod redactor;
mod rule;
mod token;
mod url;

pub(super) use redactor::Redactor;
pub(crate) use redactor::censored;

#[cfg(test)]
mod tests;

/// A place in a text and the rule by which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    start: usize,
    end: usize,
    rule: rule::Rule,
}

/// The start of what stands where a secret was. A secret that starts so was one before.
const MARKER: &str = "[redacted:";

/// Whether a byte can be part of a word, a number, an id.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
