//! The rules by their names.

/// A built-in rule, or one of the configuration by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Password,
    Secret,
    Authorization,
    AwsKey,
    GithubToken,
    GitlabToken,
    SlackToken,
    StripeKey,
    GoogleKey,
    ServiceKey,
    Jwt,
    PrivateKey,
    UrlPassword,
    Card,
    Own(usize),
}

/// The names of the built-in rules, in their order.
pub(super) const NAMES: [&str; 14] = [
    "password",
    "secret",
    "authorization",
    "aws_key",
    "github_token",
    "gitlab_token",
    "slack_token",
    "stripe_key",
    "google_key",
    "service_key",
    "jwt",
    "private_key",
    "url_password",
    "card",
];

impl Rule {
    /// Its place in [`NAMES`], with own rules behind.
    pub(super) fn index(self) -> usize {
        match self {
            Rule::Password => 0,
            Rule::Secret => 1,
            Rule::Authorization => 2,
            Rule::AwsKey => 3,
            Rule::GithubToken => 4,
            Rule::GitlabToken => 5,
            Rule::SlackToken => 6,
            Rule::StripeKey => 7,
            Rule::GoogleKey => 8,
            Rule::ServiceKey => 9,
            Rule::Jwt => 10,
            Rule::PrivateKey => 11,
            Rule::UrlPassword => 12,
            Rule::Card => 13,
            Rule::Own(number) => NAMES.len() + number,
        }
    }
}
