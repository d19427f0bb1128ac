//! Templates as data: text in, text out.

use std::collections::BTreeMap;

use proptest::prelude::*;
use taffrail_collector::model::{LabelSet, Timestamp};

use super::*;

fn expand(text: &str) -> String {
    let labels = LabelSet::new([("instance", "web-1.example.com:9100"), ("job", "shop"), ("__name__", "latency")]);
    let external = BTreeMap::from([("cluster".to_owned(), "eu".to_owned())]);
    let query = |text: &str| {
        if text != "up" {
            return Err(format!("nothing is known of {text}"));
        }
        let sample = |instance, value| InstantValue {
            labels: LabelSet::new([("__name__", "up"), ("instance", instance)]).into(),
            value,
            histogram: None,
        };
        Ok(vec![sample("b", 1.0), sample("a", 0.0)])
    };
    let context = Context {
        labels: &labels,
        value: 1234.5678,
        external_labels: &external,
        external_url: "https://mon.example.com/taffrail/",
        now: Timestamp::from_unix_seconds(1_795_256_430),
        query: &query,
    };
    match Template::parse(text) {
        Ok(template) => template.expand_or_explain(&context),
        Err(error) => format!("PARSE {error}"),
    }
}

#[test]
fn templates_expand_as_in_prometheus() {
    let check = |text: &str, expected: &str| assert_eq!(expand(text), expected, "{text}");
    check("plain text", "plain text");
    check("{{ $labels.job }} on {{ .Labels.instance }}: {{ $value }}", "shop on web-1.example.com:9100: 1234.5678");
    check(
        "{{ .Value }} {{ $externalLabels.cluster }} {{ .ExternalURL }}",
        "1234.5678 eu https://mon.example.com/taffrail/",
    );
    check("{{ $labels.missing }}|{{ .Nothing }}", "|<no value>");
    check("{{ $value | printf \"%.2f\" }} {{ printf \"%s is %d\" \"x\" 5 }}", "1234.57 x is 5");
    check("{{ $value | humanize }} {{ humanize 0.0123 }} {{ \"1e6\" | humanize }}", "1.235k 12.3m 1M");
    check("{{ humanize1024 1536.0 }} {{ humanize1024 0.5 }}", "1.5ki 0.5");
    check(
        "{{ humanizeDuration 93784.0 }} {{ humanizeDuration 1.5 }} {{ humanizeDuration 0.0012 }}",
        "1d 2h 3m 4s 1.5s 1.2ms",
    );
    check("{{ humanizeDuration -61.5 }} {{ humanizeDuration 0 }}", "-1m 1s 0s");
    check(
        "{{ humanizePercentage 0.1234567 }} {{ 1435065584.128 | humanizeTimestamp }}",
        "12.35% 2015-06-23 13:19:44.128 +0000 UTC",
    );
    check(
        "{{ 0 | humanizeTimestamp }} {{ now | toTime }}",
        "1970-01-01 00:00:00 +0000 UTC 2026-11-21 10:20:30 +0000 UTC",
    );
    check("{{ 90.5 | toDuration }} {{ parseDuration \"1h\" }} {{ toDuration 0.25 }}", "1m30.5s 3600 250ms");
    check("{{ if gt $value 1000.0 }}high{{ else if gt $value 100.0 }}middle{{ else }}low{{ end }}", "high");
    check("{{ if gt $value 5000 }}high{{ else if gt $value 100 }}middle{{ else }}low{{ end }}", "middle");
    check("{{ if and (eq $labels.job \"shop\" \"web\") (ne 1 2) (not false) }}yes{{ end }}", "yes");
    check("{{ if or $labels.missing nil \"\" 0 }}yes{{ else }}no{{ end }}", "no");
    check("{{ range query \"up\" }}[{{ .Labels.instance }}={{ .Value }}]{{ else }}none{{ end }}", "[b=1][a=0]");
    check(
        "{{ range $i, $s := query \"up\" | sortByLabel \"instance\" }}{{ $i }}{{ $s.Labels.instance }} {{ end }}",
        "0a 1b ",
    );
    check("{{ with query \"up\" }}{{ . | first | value }} {{ first . | label \"instance\" }}{{ end }}", "1 b");
    check(
        "{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}",
        "__name__=latency;instance=web-1.example.com:9100;job=shop;",
    );
    check(
        "{{ range $s := query \"up\" }}{{ if eq $s.Value 0.0 }}{{ continue }}{{ end }}{{ $s.Value }}{{ break }}{{ end }}",
        "1",
    );
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}", "32");
    check("{{ with $x := \"v\" }}{{ $x }}{{ . }}{{ end }}", "vv");
    check("a {{- \" b \" -}} c {{/* no */}}d{{- /* nor this */ -}} e", "a b c de");
    check("{{ `raw \\n` }}{{ \"q\\t\\u00e9\\\"\" }}", "raw \\nq\té\"");
    check("{{ len \"four\" }} {{ len $labels }} {{ index $labels \"job\" }} {{ slice \"abcdef\" 1 3 }}", "4 3 shop bc");
    check("{{ title \"high load\" }} {{ toUpper \"x\" }} {{ \"Y\" | toLower }}", "High Load X y");
    check(
        "{{ stripPort $labels.instance }} {{ stripDomain $labels.instance }} {{ stripPort \"[::1]:80\" }}",
        "web-1.example.com web-1:9100 ::1",
    );
    check("{{ stripDomain \"10.0.0.1:80\" }} {{ match \"^web\" $labels.instance }}", "10.0.0.1:80 true");
    check("{{ reReplaceAll \"(.*):\\\\d+\" \"$1\" $labels.instance }}", "web-1.example.com");
    check(
        "{{ graphLink \"up == 1\" }} {{ urlquery \"a b&c\" }} {{ html \"<a>\" }}",
        "/graph?g0.expr=up+%3D%3D+1&g0.tab=0 a+b%26c &lt;a&gt;",
    );
    check("{{ externalURL }}{{ pathPrefix }}", "https://mon.example.com/taffrail//taffrail");
    check(
        "{{ define \"t\" }}<{{ .arg0 }},{{ .arg1 }}>{{ end }}{{ template \"t\" (args 1 \"b\") }}{{ tmpl \"t\" (args 2 3) }}",
        "<1,b><2,3>",
    );
    check("{{ print 1 2 \"x\" 3.5 }}{{ println \"y\" 1 }}", "1 2x3.5y 1\n");
    check("{{ 1000000.0 }} {{ 123456.0 }} {{ 0.00001 }} {{ 100.0 }}", "1e+06 123456 1e-05 100");
    check("{{ (index (query \"up\") 1).Labels.instance }}", "a");
    check("{{ true }} {{ -5 }} {{ 0x1f }} {{ 1e3 }} {{ 'a' }}", "true -5 31 1000 97");
}

#[test]
fn printf_follows_go() {
    let check = |text: &str, expected: &str| assert_eq!(expand(text), expected, "{text}");
    check("{{ printf \"%5d|%-5d|%05d|%+d|%x|%X\" 42 42 42 42 255 255 }}", "   42|42   |00042|+42|ff|FF");
    check(
        "{{ printf \"%8.3f|%-8.1f|%08.2f|%+.1f|%.0f\" 3.14159 2.5 -1.5 2.0 2.5 }}",
        "   3.142|2.5     |-0001.50|+2.0|2",
    );
    check("{{ printf \"%e %.2e %g %.3g\" 123456.789 0.00012 1e21 1234.5 }}", "1.234568e+05 1.20e-04 1e+21 1.23e+03");
    check(
        "{{ printf \"%q %10s|%-4s|%.2s %t %v %%\" \"a\\\"b\" \"r\" \"l\" \"long\" true 1.5 }}",
        "\"a\\\"b\"          r|l   |lo true 1.5 %",
    );
    check("{{ printf \"%d %s\" 1.5 2 }}", "%!d(float64=1.5) %!s(int=2)");
    check("{{ printf \"%d\" }}{{ printf \"x\" 1 }}{{ printf \"%\" }}", "%!d(MISSING)x%!(EXTRA int=1)%!(NOVERB)");
}

#[test]
fn an_error_stands_in_the_text_and_a_wrong_template_is_refused_early() {
    let explained = |text: &str, part: &str| {
        let found = expand(text);
        assert!(found.starts_with("<error expanding template: ") && found.contains(part), "{text}: {found}");
    };
    explained("{{ query \"down\" }}", "nothing is known of down");
    explained("{{ .Labels.job.x }}", "a string has no .x");
    explained("{{ .Nothing.x }}", "there is nothing");
    explained("{{ humanize \"x\" }}", "no number");
    explained("{{ eq \"a\" 1 }}", "cannot be compared");
    explained("{{ toUpper 1 }}", "cannot be called with (int)");
    explained("{{ first (args 1) }}", "cannot be called");
    explained("{{ match \"(\" \"x\" }}", "no regular expression");
    explained("{{ template \"t\" }}", "no template \"t\"");
    explained("{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}", "call each other");
    explained("{{ range 99999 }}{{ range 99999 }}{{ end }}{{ end }}", "steps");
    explained("{{ range 9999 }}{{ printf \"%1000d\" 1 }}{{ end }}", "beyond 64 KiB");
    let refused = |text: &str, part: &str| {
        let found = expand(text);
        assert!(found.starts_with("PARSE ") && found.contains(part), "{text}: {found}");
    };
    refused("{{ $nothing }}", "$nothing is not known");
    refused("{{ nothing 1 }}", "function \"nothing\"");
    refused("{{ if true }}", "not closed");
    refused("{{ end }}", "without {{if}}");
    refused("{{ else }}", "without {{if}}");
    refused("{{ 1 | 2 }}", "only a function");
    refused("{{ $x = 1 }}", "declare it");
    refused("{{ if }}x{{ end }}", "missing");
    refused("{{ (1 }}", "not closed");
    refused("{{ 1) }}", "closes nothing");
    refused("{{ \"a }}", "not closed");
    refused("{{ \"\\z\" }}", "no escape");
    refused("{{", "}}");
    refused("{{}}", "empty");
    refused("{{ break }}", "outside of {{range}}");
    refused("{{ 1x }}", "no number");
    refused("{{ ~ }}", "means nothing");
    refused(&format!("{{{{ {}1 }}}}", "(".repeat(200)), "nest");
    refused(&"{{ if true }}".repeat(200), "nest");
}

proptest! {
    #[test]
    fn no_template_makes_the_evaluator_panic(text in r#"(\{\{-? ?|-?\}\}|\$labels|\.Labels|\.x|\$x|:=|=|\||\(|\)|"a"|`|'|[0-9.eEx+-]{1,4}|if |else |range |with |end|define |printf |"%[0-9.]{0,3}[vdfgsx]"|len |index |humanize | |é|,){0,24}"#) {
        expand(&text);
    }

    #[test]
    fn floats_print_shortest_and_read_back(number in proptest::num::f64::NORMAL) {
        let text = number::shortest(number);
        prop_assert_eq!(text.parse::<f64>(), Ok(number), "{}", text);
    }
}
