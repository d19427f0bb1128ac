//! What is read, refused and written again.

use super::*;

#[test]
fn what_is_read_is_written_the_same_way() {
    let check = |query: &str, expected: &str| {
        let read = parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(read.to_string(), expected, "{query}");
        assert_eq!(parse(expected).unwrap().to_string(), expected, "written and read again");
    };
    check("sum(rate(x[5m]))by(job)", "sum by (job) (rate(x[5m]))");
    check("1 + 2*3 ^ 4 ^ 5", "1 + 2 * 3 ^ 4 ^ 5");
    check("-x ^ 2", "-x ^ 2");
    check("a or b and c unless d", "a or b and c unless d");
    check("a == bool on(x) group_left(y) b", "a == bool on (x) group_left (y) b");
    check("a + fill(0) b", "a + fill (0) b");
    check("a + on(x) fill_left(1) fill_right(-2) b", "a + on (x) fill_left (1) fill_right (-2) b");
    check("{\"my.metric\", \"a.b\"='c'}", "{\"my.metric\",\"a.b\"=\"c\"}");
    check("x[90m] offset -1w @ end()", "x[1h30m] @ end() offset -1w");
    check("x{a!~`b.*`}[1h:5m] @ 1.5", "x{a!~\"b.*\"}[1h:5m] @ 1.500");
    check("x[5m:]", "x[5m:]");
    check("x[step()*2+5s]", "x[step() * 2 + 5s]");
    check("x offset (1h/2)", "x offset (1h / 2)");
    check("1h30m + 0x1F + 1_000 + .5e1", "1h30m + 31 + 1000 + 5");
    check("rate(x[5m] smoothed)", "rate(x[5m] smoothed)");
    check("sum + by + offset", "sum + by + offset");
    check("topk without(a)(3, x)", "topk without (a) (3, x)");
    check("h </ 3", "h </ 3");
    check("\"a\\x41\\u00e9\\n\"", "\"aAé\\n\"");
    check("a:b:c{__name__!=\"d\"}", "a:b:c{__name__!=\"d\"}");
    check("+Inf - NaN", "+Inf - NaN");
    check("INCREASE(x[5m])".to_lowercase().as_str(), "increase(x[5m])");
}

#[test]
fn what_cannot_be_is_refused_with_its_place() {
    let check = |query: &str, expected: &str| match parse(query) {
        Err(PromqlError::Invalid(message)) => assert_eq!(message, expected, "{query}"),
        other => panic!("{query}: {other:?}"),
    };
    check("", "unknown position: parse error: no expression found in input");
    check("1 +", "1:4: parse error: unexpected end of input");
    check("sum(", "1:5: parse error: unexpected end of input");
    check("x[0]", "1:3: parse error: duration must be greater than 0");
    check("x[-5m]", "1:3: parse error: duration must be greater than 0");
    check("x[1e99]", "1:3: parse error: duration out of range");
    check("(x + y)[5m]", "1:1: parse error: ranges only allowed for vector selectors");
    check("rate(x)", "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector");
    check("1 == 1", "1:1: parse error: comparisons between scalars must use BOOL modifier");
    check("x + bool y", "1:1: parse error: bool modifier can only be used on comparison operators");
    check("1 and 2", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression");
    check("{a=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    check("x{__name__=\"y\"}", "1:1: parse error: metric name must not be set twice: \"x\" or \"y\"");
    check("foo(x)", "1:1: parse error: unknown function with name \"foo\"");
    check("abs(x, y)", "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 2");
    check(
        "topk(x)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    );
    check("a + on(x) group_left(x) b", "1:1: parse error: label \"x\" must not occur in ON and GROUP clause at once");
    check("x offset 5m offset 1m", "1:1: parse error: offset may not be set multiple times");
    check("x @ Inf", "1:5: parse error: timestamp out of bounds for @ modifier: +Inf");
    check("1\n+ é", "2:3: parse error: unexpected character: 'é'");
    check("\"abc", "1:1: parse error: unterminated quoted string");
    check("1m5h", "1:1: parse error: not a valid duration string: \"1m5h\"");
    check(
        "avg_over_time(x[5m] smoothed)",
        "1:15: parse error: smoothed modifier can only be used with: delta, increase, rate - not with avg_over_time",
    );
}

#[test]
fn what_nests_too_deep_or_is_no_text_of_ours_is_refused() {
    let deep = 5_000;
    for query in [
        format!("{}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("{}x", "-".repeat(deep)),
        vec!["x"; deep].join(" or "),
        vec!["2"; deep].join(" ^ "),
        format!("x[{}1m]", "-".repeat(deep)),
        format!("x[{}1m{}]", "(".repeat(deep), ")".repeat(deep)),
        format!("x[{}]", vec!["1m"; deep].join("+")),
        format!("x[{}]", vec!["1m"; deep].join("^")),
        "sum(".repeat(deep),
        "x{".repeat(deep),
        "\u{0}".to_owned(),
    ] {
        assert!(parse(&query).is_err(), "{query:.40}");
    }
}

#[test]
fn long_expressions_are_laid_out() {
    let query =
        format!("sum by (job) (rate({}_total[5m])) / on (job) group_left () {}", "a".repeat(60), "b".repeat(60));
    let laid_out = parse(&query).unwrap().pretty();
    assert_eq!(
        laid_out,
        format!("  sum by (job) (rate({}_total[5m]))\n/ on (job) group_left ()\n  {}", "a".repeat(60), "b".repeat(60))
    );
    assert_eq!(parse(&laid_out).unwrap().to_string(), query);
}

proptest::proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error(text in "[a-z0-9(){}\\[\\]=~!<>\"'` .,:@+*/^%#-]{0,60}|\\PC{0,40}") {
        let _ = parse(&text).map(|expression| (expression.to_string(), expression.pretty(), expression.outline()));
    }

    #[test]
    fn words_in_any_order_are_an_expression_or_an_error(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "sum", "by", "(", ")", "x", "rate", "[", "5m", "]", ":", "offset", "-", "@", "start", "{", "}", "a", "=",
                "\"b\"", ",", "+", "or", "on", "group_left", "bool", "==", "1", "topk", "fill", "smoothed", "step", "^",
                "histogram_quantile", "0.9", "ignoring", "end", "min", "</",
            ]),
            0..25,
        ),
    ) {
        if let Ok(expression) = parse(&words.join(" ")) {
            let written = expression.to_string();
            let again = parse(&written).unwrap_or_else(|error| panic!("{written}: {error}"));
            proptest::prop_assert_eq!(again.to_string(), written);
        }
    }
}
