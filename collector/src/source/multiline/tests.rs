//! What programs print when they fail, and what must not be joined.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const AGE: Duration = Duration::from_secs(5);

fn grouper(setting: &Multiline) -> Grouper {
    Grouper::new(setting.rules("test").unwrap(), Limits { lines: 50, bytes: 4000, age: AGE })
}

/// The groups of a text, each with what cut it.
fn groups(setting: &Multiline, text: &str) -> Vec<(String, Option<&'static str>)> {
    let mut grouper = grouper(setting);
    let mut found = Vec::new();
    let mut take = |group: Group<'_>| found.push((String::from_utf8(group.bytes.to_vec()).unwrap(), group.cut_by));
    let now = Instant::now();
    for (number, line) in text.split('\n').enumerate() {
        let part = Part { bytes: line.as_bytes(), truncated: false, start: number as u64, time: None };
        grouper.push(part, now, &mut take);
    }
    grouper.finish(&mut take);
    found
}

/// Each of the texts is one group, alone and between ordinary lines, and next to itself.
fn check_whole(name: &str, text: &str) {
    let stranger = "2026-11-21 07:33:00 INFO served /index.html";
    let json = r#"{"level":"info","msg":"served"}"#;
    for between in [stranger, json] {
        let all = format!("{between}\n{text}\n{between}\n{text}\n{between}");
        let found: Vec<_> = groups(&Multiline::Auto, &all).into_iter().map(|(group, _)| group).collect();
        assert_eq!(found, [between, text, between, text, between], "{name}");
    }
}

#[test]
fn stack_traces_of_every_language_are_one_group() {
    check_whole(
        "Java",
        "Exception in thread \"main\" java.lang.IllegalStateException: no answer\n\tat com.example.Shop.ask(Shop.java:12)\n\tat com.example.Shop.main(Shop.java:4)\nCaused by: java.io.IOException: closed\n\tat com.example.Net.read(Net.java:99)\n\t... 2 more",
    );
    check_whole(
        "Java, below its log line",
        "2026-11-21 07:33:00.123 ERROR [main] c.e.Shop - request failed\njava.lang.IllegalStateException: no answer\n\tat com.example.Shop.ask(Shop.java:12)\n\tSuppressed: java.io.IOException: close\n\t\tat com.example.Net.close(Net.java:7)\nCaused by: java.lang.NullPointerException\n\tat com.example.Shop.cart(Shop.java:40)\n\t... 12 common frames omitted",
    );
    check_whole(
        "Python, chained",
        "Traceback (most recent call last):\n  File \"/app/shop.py\", line 3, in price\n    return prices[item]\n           ~~~~~~^^^^^^\nKeyError: 'tea'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/shop.py\", line 9, in <module>\n    price('tea')\nshop.errors.Missing: no tea",
    );
    check_whole(
        "Python's logging",
        "ERROR:root:order failed\nTraceback (most recent call last):\n  File \"x.py\", line 1, in <module>\n    1/0\nZeroDivisionError: division by zero",
    );
    check_whole(
        "Go",
        "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\nmain.pick(...)\n\t/srv/shop/main.go:12\nmain.main()\n\t/srv/shop/main.go:20 +0x1d\nexit status 2",
    );
    check_whole(
        "Go, several goroutines",
        "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\t/srv/main.go:8 +0x2c\n\ngoroutine 18 [select, 2 minutes]:\nnet/http.(*persistConn).writeLoop(0xc0001b2000)\n\t/go/src/net/http/transport.go:2410 +0xf2\ncreated by net/http.(*Transport).dialConn in goroutine 1\n\t/go/src/net/http/transport.go:1776 +0x16f1",
    );
    check_whole(
        "Go's HTTP server",
        "2026/11/21 07:33:00 http: panic serving 127.0.0.1:5: no\ngoroutine 21 [running]:\nnet/http.(*conn).serve.func1(0xc00009a000)\n\t/go/src/net/http/server.go:1801 +0x147\npanic({0x6b2a40, 0x77bd40})\n\t/go/src/runtime/panic.go:1047 +0x266\nmain.main.func1({0x7819b0, 0xc0000d6000}, 0x0)\n\t/srv/main.go:9 +0x39",
    );
    check_whole(
        "Rust",
        "thread 'main' panicked at src/main.rs:4:5:\nno tea\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/lib.rs:5\n   1: shop::main\nnote: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.",
    );
    check_whole(
        "Rust, as it was",
        "thread 'tokio-runtime-worker' panicked at 'no tea', src/main.rs:4:5\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace",
    );
    check_whole(
        "Rust, assertion",
        "thread 'main' (411) panicked at src/lib.rs:9:9:\nassertion `left == right` failed\n  left: 1\n right: 2",
    );
    let key = format!("{0}\n{0}\nQUJDRA==", "QUJD".repeat(16));
    check_whole("a private key", &format!("-----BEGIN RSA PRIVATE KEY-----\n{key}\n-----END RSA PRIVATE KEY-----"));
    check_whole(
        "a private key with headers, behind words",
        &format!(
            "loaded -----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n{key}\n-----END EC PRIVATE KEY-----"
        ),
    );
    check_whole("a private key that breaks off", &format!("-----BEGIN PRIVATE KEY-----\n{key}"));
    check_whole("anyhow", "Error: open the shop\n\nCaused by:\n    0: read prices\n    1: No such file or directory");
    check_whole(
        "Node, uncaught",
        "/app/index.js:10\n    throw new Error('no tea');\n    ^\n\nError: no tea\n    at Object.<anonymous> (/app/index.js:10:11)\n    at node:internal/main/run_main_module:28:49 {\n  code: 'ENOTEA'\n}\n\nNode.js v22.3.0",
    );
    check_whole(
        "JavaScript",
        "TypeError: Cannot read properties of undefined (reading 'tea')\n    at price (/app/shop.js:3:9)\n    at async Server.<anonymous> (file:///app/main.mjs:8:3)",
    );
    check_whole(
        "PHP",
        "PHP Fatal error:  Uncaught RuntimeException: no tea in /srv/shop.php:3\nStack trace:\n#0 /srv/shop.php(9): price()\n#1 {main}\n  thrown in /srv/shop.php on line 3",
    );
    check_whole(
        "Laravel",
        "[2026-11-21 07:33:00] local.ERROR: no tea {\"exception\":\"[object] (RuntimeException(code: 0): no tea at /srv/shop.php:3)\n[stacktrace]\n#0 /srv/shop.php(9): price()\n#1 {main}\n\"} ",
    );
    check_whole(
        ".NET",
        "Unhandled exception. System.InvalidOperationException: no tea\n ---> System.IO.IOException: closed\n   at Shop.Net.Read() in /src/Net.cs:line 9\n   --- End of inner exception stack trace ---\n   at Shop.Program.Main(String[] args) in /src/Program.cs:line 4",
    );
    check_whole(
        ".NET, logged",
        "fail: Shop.Orders[0]\n      order failed\n      System.InvalidOperationException: no tea\n         at Shop.Program.Main() in /src/Program.cs:line 4",
    );
    check_whole(
        "Ruby",
        "/app/shop.rb:3:in 'Shop#price': no tea (RuntimeError)\n\tfrom /app/shop.rb:9:in 'Shop#buy'\n\tfrom /app/main.rb:2:in '<main>'",
    );
    check_whole(
        "Rails",
        "RuntimeError (no tea):\n\napp/models/order.rb:12:in `total'\napp/controllers/orders_controller.rb:5:in `create'",
    );
    check_whole("indented", "settings:\n  tea: 3\n\tcups: 2");
}

#[test]
fn what_may_be_another_writers_is_not_joined() {
    let check = |text: &str, expected: &[&str]| {
        let found: Vec<_> = groups(&Multiline::Auto, text).into_iter().map(|(group, _)| group).collect();
        assert_eq!(found, expected, "{text:?}");
    };
    check("one\ntwo\n\nthree\n", &["one", "two", "three"]);
    // Another writer's line between an exception and its frames: these stand alone.
    check(
        "java.lang.X: no\n12:00 INFO served\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\n12:01 INFO served",
        &["java.lang.X: no", "12:00 INFO served", "\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)", "12:01 INFO served"],
    );
    // Two exceptions are two.
    check("java.lang.AError: x\njava.lang.BError: y", &["java.lang.AError: x", "java.lang.BError: y"]);
    // What an ordinary line is followed by is not its.
    check("12:00 INFO served\njava.lang.AError: x", &["12:00 INFO served", "java.lang.AError: x"]);
    check("starting up\nTraceback (most recent call last):", &["starting up", "Traceback (most recent call last):"]);
    check(
        "Traceback (most recent call last):\n  File \"a\"\n12:00 INFO x",
        &["Traceback (most recent call last):\n  File \"a\"", "12:00 INFO x"],
    );
    // A blank line ends what is merely indented.
    check("usage:\n  -a\n\n  -b", &["usage:\n  -a", "  -b"]);
    check("{\"a\":1}\n  {\"b\":2}\n\tat x", &["{\"a\":1}", "  {\"b\":2}", "\tat x"]);
    check("panic: no\n12:00 INFO served", &["panic: no", "12:00 INFO served"]);
    check("goroutine leak found\n#1 fix it\n}", &["goroutine leak found", "#1 fix it", "}"]);
}

#[test]
fn a_rule_of_ones_own_takes_the_place_of_all_others() {
    let check = |setting: Multiline, text: &str, expected: &[&str]| {
        let found: Vec<_> = groups(&setting, text).into_iter().map(|(group, _)| group).collect();
        assert_eq!(found, expected, "{setting:?} {text:?}");
    };
    check(Multiline::Start(r"^\d+ ".to_owned()), "a\n1 b\nc\n\n{\"d\":1}\n2 e", &["a", "1 b\nc\n\n{\"d\":1}", "2 e"]);
    check(Multiline::Continue(r"\\$|^> ".to_owned()), "a\n> b\nc\n> d", &["a\n> b", "c\n> d"]);
    check(Multiline::Off, "a\n  b\n\n\tat c", &["a", "  b", "\tat c"]);
}

#[test]
fn a_group_ends_at_its_limits_and_says_which() {
    let frames = |count: usize| "Error: no".to_owned() + &"\n\tat x".repeat(count);
    let found = groups(&Multiline::Auto, &frames(60));
    let cuts: Vec<_> = found.iter().map(|(group, cut_by)| (group.lines().count(), *cut_by)).collect();
    assert_eq!(cuts, [(50, Some("multiline_lines_max")), (11, None)]);
    let long = format!("Error: no\n  {}\n  {}", "x".repeat(3000), "y".repeat(3000));
    let cuts: Vec<_> = groups(&Multiline::Auto, &long).into_iter().map(|(group, cut)| (group.len(), cut)).collect();
    assert_eq!(cuts, [(3012, Some("multiline_bytes_max")), (3002, None)]);
}

#[test]
fn what_waits_is_given_after_its_time_and_says_where_it_starts() {
    let mut grouper = grouper(&Multiline::Auto);
    let mut found = Vec::new();
    let mut take = |group: Group<'_>| found.push((String::from_utf8_lossy(group.bytes).into_owned(), group.cut_by));
    let start = Instant::now();
    let mut push = |grouper: &mut Grouper, text: &str, at: u64, after: Duration| {
        let part = Part { bytes: text.as_bytes(), truncated: false, start: at, time: None };
        grouper.push(part, start + after, &mut take);
    };
    push(&mut grouper, "one", 7, Duration::ZERO);
    assert_eq!((grouper.start(), grouper.due()), (Some(7), Some(start + AGE / 20)));
    push(&mut grouper, "Error: x", 11, Duration::ZERO);
    push(&mut grouper, "  at y", 20, Duration::ZERO);
    assert_eq!((grouper.start(), grouper.due()), (Some(11), Some(start + AGE)));
    // Older than a group may grow: what comes now is another.
    push(&mut grouper, "  at z", 27, AGE);
    assert_eq!(grouper.start(), Some(27));
    let mut take = |group: Group<'_>| found.push((String::from_utf8_lossy(group.bytes).into_owned(), group.cut_by));
    grouper.give_old(start + AGE + AGE / 2, &mut take);
    assert_eq!(grouper.start(), Some(27), "frames wait longer than a lone line");
    grouper.give_old(start + AGE * 2, &mut take);
    assert_eq!((grouper.start(), grouper.due()), (None, None));
    let found: Vec<_> = found.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
    assert_eq!(found, [("one", None), ("Error: x\n  at y", Some("multiline_age_max")), ("  at z", None)]);
}

proptest! {
    /// No line is lost, repeated or reordered, and a stream that is read again from where the held group starts gives the
    /// same groups from there on.
    #[test]
    fn lines_stay_in_order_and_a_restart_at_the_held_group_changes_nothing(
        lines in proptest::collection::vec(
            prop_oneof![
                Just(""), Just("plain"), Just("Error: x"), Just("\tat y"), Just("  indented"), Just("Caused by: z"),
                Just("{\"json\":1}"), Just("panic: x"), Just("goroutine 1 [running]:"), Just("main.f()"), Just("}"),
                Just("Traceback (most recent call last):"), Just("KeyError: 'k'"), Just("/app/x.js:1"), Just("#0 x"),
                Just("Stack trace:"), Just("thread 'main' panicked at a.rs:1:1:"), Just("a.rb:1:in 'x'"), Just("Node.js v1"),
            ],
            0..40,
        ),
        cut in 0usize..40,
    ) {
        let text = lines.join("\n");
        let whole: Vec<_> = groups(&Multiline::Auto, &text).into_iter().map(|(group, _)| group).collect();
        let given: Vec<_> = whole.iter().flat_map(|group| group.lines()).filter(|line| !line.is_empty()).collect();
        let wanted: Vec<_> = lines.iter().copied().filter(|line| !line.is_empty()).collect();
        prop_assert_eq!(given, wanted);

        let cut = cut.min(lines.len());
        let mut first = grouper(&Multiline::Auto);
        let mut before = Vec::new();
        for (number, line) in lines[..cut].iter().enumerate() {
            let part = Part { bytes: line.as_bytes(), truncated: false, start: number as u64, time: None };
            first.push(part, Instant::now(), &mut |group| before.push(String::from_utf8(group.bytes.to_vec()).unwrap()));
        }
        let from = first.start().map_or(cut, |start| start as usize);
        let after = groups(&Multiline::Auto, &lines[from..].join("\n"));
        before.extend(after.into_iter().map(|(group, _)| group));
        prop_assert_eq!(before, whole);
    }

    #[test]
    fn no_bytes_make_it_panic(lines in proptest::collection::vec("[ -~\t\u{e9}]{0,40}", 0..20)) {
        groups(&Multiline::Auto, &lines.join("\n"));
    }
}
