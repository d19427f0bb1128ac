//! Routing files as people have them, and what is said of bad ones.

use super::*;
use crate::notify::channel::Way;
use taffrail_query::alert::state::Labels;

/// The example of Alertmanager's documentation in its parts that have a meaning here, written anew.
const FULL: &str = r##"
global:
  smtp_smarthost: 'localhost:25'
  smtp_from: 'alertmanager@example.org'
  smtp_require_tls: false
  slack_api_url: https://hooks.example/T/B/secret
  opsgenie_api_key: unused
  resolve_timeout: 5m
templates: ['/etc/alertmanager/template/*.tmpl']
route:
  group_by: [alertname, cluster]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
  receiver: team-X-mails
  routes:
    - matchers: [ service=~"foo1|foo2|baz" ]
      receiver: team-X-mails
      routes:
        - matchers: [ 'severity="critical"' ]
          receiver: team-X-pager
          mute_time_intervals: [offhours]
    - match: { service: files }
      receiver: team-Y-mails
      group_wait: 10s
      continue: true
    - match_re: { service: ^(db|queue)$ }
      receiver: everything
      group_by: ['...']
      active_time_intervals: [offhours]
inhibit_rules:
  - source_matchers: [ severity="critical" ]
    target_matchers: [ severity="warning" ]
    equal: [alertname, cluster]
time_intervals:
  - name: offhours
    time_intervals:
      - weekdays: ['saturday', 'sunday']
        location: Europe/Berlin
      - times: [{ start_time: '00:00', end_time: '08:00' }, { start_time: '18:00', end_time: '24:00' }]
receivers:
  - name: team-X-mails
    email_configs:
      - to: 'team-X+alerts@example.org, Second <second@example.org>'
  - name: team-X-pager
    email_configs: [{ to: team-X+alerts-critical@example.org, send_resolved: true }]
    pagerduty_configs: [{ routing_key: secret-key }]
  - name: team-Y-mails
    slack_configs:
      - channel: '#alerts'
        title: '{{ template "slack.title" . }}'
  - name: everything
    webhook_configs:
      - url: http://127.0.0.1:9/a
        max_alerts: 5
        http_config: { authorization: { credentials: t0ken } }
      - url: https://example.org/b
        timeout: 3s
        hmac_secret: k
    command_configs: [{ command: [/bin/cat, -n] }]
"##;

#[test]
fn an_alertmanager_configuration_is_read_as_it_is() {
    let routing = parse_routing(Path::new("/etc/am.yml"), FULL).unwrap();
    let takers = |labels: &[(&str, &str)]| {
        let labels: Labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let takers = routing.route.takers(&labels).into_iter().cloned();
        takers.map(|route| (route.receiver, route.timing.group_wait.as_secs())).collect::<Vec<_>>()
    };
    let one = |name: &str, wait| vec![(name.to_owned(), wait)];
    assert_eq!(takers(&[("a", "b")]), one("team-X-mails", 30));
    assert_eq!(takers(&[("service", "foo1"), ("severity", "critical")]), one("team-X-pager", 30));
    assert_eq!(takers(&[("service", "files")]), one("team-Y-mails", 10));
    assert_eq!(takers(&[("service", "db")]), one("everything", 30));
    let last = &routing.route.routes[2];
    assert_eq!((&last.group_by, &last.active_intervals[..]), (&GroupBy::All, &["offhours".to_owned()][..]));
    assert_eq!(routing.route.timing.repeat_interval, Duration::from_secs(3 * 3600));
    assert_eq!((routing.inhibit_rules.len(), routing.intervals["offhours"].len()), (1, 2));
    let names: Vec<(&str, bool)> = routing
        .receivers
        .values()
        .flat_map(|receiver| &receiver.channels)
        .map(|channel| (channel.name.as_str(), channel.send_resolved))
        .collect();
    assert_eq!(
        names,
        [
            ("everything/webhook/1", true),
            ("everything/webhook/2", true),
            ("everything/command", true),
            ("team-X-mails/email", false),
            ("team-X-pager/pagerduty", true),
            ("team-X-pager/email", true),
            ("team-Y-mails/slack", false),
        ]
    );
    let Way::Email(mail) = &routing.receivers["team-X-mails"].channels[0].way else { panic!("a mail") };
    assert_eq!(
        (&mail.to[1][..], &mail.host[..], mail.port, mail.require_tls),
        ("Second <second@example.org>", "localhost", 25, false)
    );
    let targets: Vec<String> =
        routing.receivers["everything"].channels.iter().map(crate::notify::channel::Channel::target).collect();
    assert_eq!(targets, ["http://127.0.0.1:9", "https://example.org", "/bin/cat"]);
    for secret in ["/T/B/", "secret-key", "t0ken"] {
        assert!(!format!("{routing:?}").contains(secret), "{secret} is printed");
    }
    let remarks = routing.remarks.join("\n");
    assert!(remarks.contains("templates:") && remarks.contains("title:"), "{remarks}");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let check = |from: &str, to: &str, line: u64, expected: &str| {
        assert!(FULL.contains(from), "{from}");
        let problem = parse_routing(Path::new("am.yml"), &FULL.replacen(from, to, 1)).expect_err(expected);
        assert!(problem.message.contains(expected), "{problem}");
        // 0: whichever place the YAML reader names.
        assert!(line == 0 && problem.line > 0 || problem.line == line, "{problem}, expected line {line}");
    };
    check("receiver: team-X-pager\n", "receiver: team-X-pagr\n", 21, "did you mean team-X-pager?");
    check("severity=\"critical\"'", "severity~\"critical\"'", 20, "one of = != =~ !~");
    check("group_wait: 30s", "group_wait: 30 s", 12, "no duration");
    check("[offhours]", "[offhour]", 22, "no time interval is named \"offhour\"");
    check("Europe/Berlin", "Europe/Bonn", 39, "no time zone");
    check("  - name: team-X-pager", "  - name: team-X-mails", 45, "names of receivers are unique");
    check("group_interval: 5m", "group_intervall: 5m", 0, "group_intervall");
    check("service: files", "service: [files]", 0, "");
    check("url: http://127.0.0.1:9/a", "url: 127.0.0.1:9/a", 54, "URL");
    check("localhost:25", "localhost:mail", 3, "no host:port");
    check("routing_key: secret-key", "service_key: old", 47, "Events API v2");
    check("hmac_secret: k", "hmac_secret_file: /nowhere/k", 59, "/nowhere/k");
    check("to: team-X+alerts-critical@example.org", "to: nobody", 46, "no mail address");
    check("end_time: '08:00'", "end_time: '00:00'", 40, "over midnight");
    check("  receiver: team-X-mails\n", "", 0, "needs a receiver");
    check("weekdays: ['saturday'", "weekdays: ['caturday'", 38, "no day of the week");
    for text in ["", "route: {}", "receivers: []", "route: [", "- a"] {
        assert!(parse_routing(Path::new("am.yml"), text).is_err(), "{text}");
    }
}

#[test]
fn bytes_from_outside_never_panic() {
    let mut cut = String::new();
    for c in FULL.chars() {
        cut.push(c);
        if cut.len().is_multiple_of(7) {
            let _ = parse_routing(Path::new("am.yml"), &cut);
        }
    }
}
