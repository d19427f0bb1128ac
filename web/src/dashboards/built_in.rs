//! The dashboards that every server has: hosts, StatsD, what is arriving, and the server itself.

/// Their slugs and texts.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("hosts", include_str!("built_in/hosts.yaml")),
    ("ingest", include_str!("built_in/ingest.yaml")),
    ("statsd", include_str!("built_in/statsd.yaml")),
    ("taffrail", include_str!("built_in/taffrail.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dashboards::yaml::read;

    #[test]
    fn every_built_in_dashboard_is_right() {
        for (slug, text) in BUILT_IN {
            let dashboard = read(text).unwrap_or_else(|problems| panic!("{slug}.yaml: {problems:?}"));
            assert!(dashboard.panels().count() > 3, "{slug} has something to show");
        }
    }
}
