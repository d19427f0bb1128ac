//! Everything in the query room that reads text from outside: any text may come, and nothing may panic.

use taffrail_collector::model::Timestamp;
use taffrail_query::alert::rule::parse_rules;
use taffrail_query::{log_search, promql};

/// Bytes as what somebody types into the search box.
pub fn log_query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match log_search::parse_at(text, Timestamp::from_unix_seconds(1_790_000_000)) {
        Ok(_) => {}
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "column {}", error.column);
        }
    }
}

/// Bytes as a question with stages.
pub fn log_stages(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match log_search::Question::parse_at(text, Timestamp::from_unix_seconds(1_790_000_000)) {
        Ok(question) => assert_eq!(question.is_search(), question.stages().next().is_none()),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(error.column >= 1 && error.column <= text.chars().count() + 1, "column {}", error.column);
        }
    }
}

/// Bytes as a PromQL expression.
pub fn promql(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let _ = promql::selectors(text);
    if let Ok(pretty) = promql::format(text) {
        assert!(promql::format(&pretty).is_ok(), "what was formatted parses: {pretty}");
    }
}

/// Bytes as a rules file.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(problems) = parse_rules("fuzz.yml", text) {
        assert!(!problems.is_empty());
    }
}

/// Good inputs of each entry point, to start from.
pub fn seeds(entry_point: &str) -> Vec<Vec<u8>> {
    let texts: &[&str] = match entry_point {
        "log_query" => &[
            "level:error (timeout OR \"connection reset\") -service:shop* status:>=500 host:web-?",
            "/fail(ed|ure)/ ip:10.0.0.0/8 _exists_:user.id took:[10 TO 20} NOT a AND b",
        ],
        "log_stages" => &[
            "level:error | where took_ms:>5 | stats by (host, time:5m) count() as n, p95(took_ms), values(b, 3) | sort by (n desc, host) | head 5",
            "* | extract \"<a>=<b>\" from path | parse_json prefix x. | rename a as \"c d\" | drop b | top 3 \"c d\" | rare host | facets 2 host",
            "a | extract /(?<n>[0-9]+)/ | dedup 2 by n | context before 1 after 2 by host | join_trace | tail 4 | fields n, time | uniq by (n)",
        ],
        "promql" => &[
            "sum by (job) (rate(http_requests_total{code=~\"5..\",env!=\"x\"}[5m] offset 1h)) / ignoring(a) group_left b > bool 0.5",
            "histogram_quantile(0.9, x{\"y.z\"=\"1\"}[1h:5m] @ start()) and -2 ^ 3",
        ],
        _ => &[
            "groups:\n- name: a\n  interval: 30s\n  rules:\n  - alert: Down\n    expr: up == 0\n    for: 5m\n    labels: {severity: page}\n    annotations: {summary: '{{ $labels.job }} is {{ $value }}'}\n  - record: a:b\n    expr: sum(x)\n",
        ],
    };
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
