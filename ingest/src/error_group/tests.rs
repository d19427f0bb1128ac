//! Real traces of every language: the same error in two builds and two requests, and another one.

use std::sync::Arc;

use proptest::prelude::*;
use taffrail_collector::model::{LogRecord, Resource, Severity, Timestamp, Value};

use super::record::read;
use super::stack_trace::{self, StackTrace};
use super::*;

fn record(body: &str, service: &str, severity: Severity, attributes: &[(&str, &str)]) -> LogRecord {
    LogRecord {
        timestamp: Timestamp::EPOCH,
        observed_timestamp: Timestamp::EPOCH,
        severity,
        severity_text: Default::default(),
        body: body.to_owned(),
        trace_id: None,
        span_id: None,
        resource: Arc::new(Resource { host: "h".into(), service: service.into(), attributes: Vec::new() }),
        attributes: attributes.iter().map(|(key, value)| (Arc::from(*key), Value::from(*value))).collect(),
    }
}

/// The group of a record, once it is marked.
fn group(mut record: LogRecord) -> Option<String> {
    mark(&mut record);
    let found = record.attributes.iter().find(|(key, _)| &**key == GROUP_FIELD);
    found.map(|(_, value)| value.to_string())
}

fn group_of(body: &str) -> String {
    group(record(body, "web", Severity::ERROR, &[])).expect("an error has a group")
}

/// The first two are the same error, the others are not.
fn check(name: &str, same: [&str; 2], others: &[&str]) {
    let group = group_of(same[0]);
    assert_eq!(group_of(same[1]), group, "{name}: these are one error\n{}\n{}", same[0], same[1]);
    for other in others {
        assert_ne!(group_of(other), group, "{name}: these are two errors\n{}\n{other}", same[0]);
    }
}

fn shown(trace: &StackTrace<'_>) -> Vec<String> {
    let exceptions = trace.exceptions.iter().map(|one| {
        let frames = one.frames.iter().map(|frame| {
            let line = frame.line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{}@{}{line}", if frame.is_own { "+" } else { "-" }, frame.function, frame.file)
        });
        format!("{}|{}|{}", one.kind, one.message, frames.collect::<Vec<_>>().join(" "))
    });
    std::iter::once(trace.language.name().to_owned()).chain(exceptions).collect()
}

#[test]
fn one_error_is_one_group_in_java_and_kotlin() {
    let first = "2026-11-21 07:33:00 ERROR request 17 failed\njava.lang.IllegalStateException: no cart 17\n\tat com.acme.Cart.lambda$total$3(Cart.java:42)\n\tat com.acme.Cart$$Lambda$15/0x0000000800c8.apply(Unknown Source)\n\tat java.base/java.util.stream.ReferencePipeline.collect(ReferencePipeline.java:682)\n\tat com.acme.Shop.buy(Shop.kt:9)\n\tat com.acme.Shop$$EnhancerBySpringCGLIB$$1f2e3d.buy(<generated>)\n\tat org.springframework.web.Dispatcher.handle(Dispatcher.java:9)\nCaused by: java.io.IOException: closed by 10.0.0.1\n\tat com.acme.Net.read(Net.java:99)\n\t... 12 more";
    let again = "java.lang.IllegalStateException: no cart 18\n\tat com.acme.Cart.lambda$total$4(Cart.java:44)\n\tat com.acme.Cart$$Lambda$99/0x0000000800ff.apply(Unknown Source)\n\tat java.base/java.util.stream.ReferencePipeline.collect(ReferencePipeline.java:700)\n\tat com.acme.Shop.buy(Shop.kt:11)\n\tat com.acme.Shop$$EnhancerBySpringCGLIB$$99ab.buy(<generated>)\n\tat org.springframework.web.OtherDispatcher.handle(Dispatcher.java:9)\nCaused by: java.io.IOException: reset\n\tat com.acme.Net.read(Net.java:101)\n\t... 13 more";
    let other_function = first.replace("com.acme.Net.read", "com.acme.Net.write");
    let other_type = first.replace("java.io.IOException", "java.net.SocketException");
    check("Java", [first, again], &[&other_function, &other_type]);
    let trace = stack_trace::find(first).unwrap();
    let told = shown(&trace);
    assert_eq!(told[0], "java");
    assert!(told[1].starts_with(
        "java.lang.IllegalStateException|no cart 17|+com.acme.Cart.lambda$total$3@Cart.java:42 +com.acme"
    ));
    assert!(told[1].contains("-java.util.stream.ReferencePipeline.collect@ReferencePipeline.java:682"));
    assert_eq!(told[2], "java.io.IOException|closed by 10.0.0.1|+com.acme.Net.read@Net.java:99");
    let deep = |depth: usize| {
        format!(
            "java.lang.StackOverflowError\n{}\tat com.acme.A.start(A.java:1)",
            "\tat com.acme.A.walk(A.java:7)\n".repeat(depth)
        )
    };
    check("a recursion", [&deep(30), &deep(900)], &[first]);
}

#[test]
fn one_error_is_one_group_in_python() {
    let first = "Traceback (most recent call last):\n  File \"/app/main.py\", line 9, in <module>\n    buy('tea')\n  File \"/usr/lib/python3.12/site-packages/flask/app.py\", line 880, in dispatch\n    return f()\n  File \"/app/shop/cart.py\", line 3, in total\n    return prices[item]\n           ~~~~~~^^^^^^\nKeyError: 'tea'";
    let again = first.replace("line 3,", "line 33,").replace("'tea'", "'milk'").replace("python3.12", "python3.13");
    let other_function = first.replace("in total", "in price");
    let other_type = first.replace("KeyError", "IndexError");
    check("Python", [first, &again], &[&other_function, &other_type]);
    let chained = format!(
        "{first}\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/shop.py\", line 9, in buy\n    x()\nshop.errors.Missing: no tea"
    );
    check("a chain in Python", [&chained, &chained.replace("no tea", "no milk")], &[first]);
    let told = shown(&stack_trace::find(&chained).unwrap());
    assert!(told[1].starts_with("KeyError|'tea'|+total@/app/shop/cart.py:3 -dispatch@"), "{told:?}");
    assert_eq!(told[2], "shop.errors.Missing|no tea|+buy@/app/shop.py:9");
}

#[test]
fn one_error_is_one_group_in_go() {
    let first = "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\nruntime.panicIndex()\n\t/usr/local/go/src/runtime/panic.go:88 +0x1\nmain.(*Cart).pick(0xc000012345, 0x3)\n\t/srv/shop/main.go:12 +0x1d\nmain.main.func1()\n\t/srv/shop/main.go:20 +0x1d\ncreated by main.main in goroutine 7\n\t/srv/shop/main.go:30 +0x1d\n\ngoroutine 5 [select]:\nmain.other()\n\t/srv/shop/main.go:99 +0x1d\nexit status 2";
    let again = first
        .replace("[3] with length 3", "[7] with length 2")
        .replace("0xc000012345", "0xc000999999")
        .replace("main.go:12", "main.go:14")
        .replace("func1", "func2")
        .replace("main.other", "main.another");
    let other = first.replace("(*Cart).pick", "(*Cart).drop");
    check("Go", [first, &again], &[&other]);
    let told = shown(&stack_trace::find(first).unwrap());
    assert_eq!(
        told[1],
        "runtime error|index out of range [3] with length 3|-runtime.panicIndex@/usr/local/go/src/runtime/panic.go:88 +main.(*Cart).pick@/srv/shop/main.go:12 +main.main.func1@/srv/shop/main.go:20 +main.main@/srv/shop/main.go:30"
    );
    let wrapped = "read cart 17: no such file\nmain.load\n\t/app/load.go:9\nmain.main\n\t/app/main.go:3\nruntime.main\n\t/usr/local/go/src/runtime/proc.go:250";
    check(
        "an error of Go's with its stack",
        [wrapped, &wrapped.replace("cart 17", "cart 18")],
        &[&wrapped.replace("main.load", "main.store")],
    );
}

#[test]
fn one_error_is_one_group_in_rust() {
    let first = "thread 'main' panicked at src/cart.rs:4:5:\nno tea\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:597:5\n   1: core::panicking::panic_fmt\n             at /rustc/abc/library/core/src/panicking.rs:72:14\n   2: shop::cart::total::h0123456789abcdef\n             at ./src/cart.rs:4:5\n   3: <shop::Cart as core::ops::drop::Drop>::drop\n             at ./src/lib.rs:9:1\n   4: tokio::runtime::run\n             at /root/.cargo/registry/src/x/tokio-1.40.0/src/run.rs:7:1\nnote: Some details are omitted";
    let again = first
        .replace("h0123456789abcdef", "hfedcba9876543210")
        .replace("cart.rs:4:5", "cart.rs:6:5")
        .replace("no tea", "no milk")
        .replace("'main'", "'worker-7'");
    let other = first.replace("cart::total", "cart::price");
    check("Rust", [first, &again], &[&other]);
    let short = "thread 'main' panicked at src/cart.rs:4:5:\nno tea\nnote: run with `RUST_BACKTRACE=1`";
    check("Rust without a backtrace", [short, &short.replace(":4:5", ":9:1")], &[&short.replace("cart.rs", "shop.rs")]);
    let before = "thread 'tokio-runtime-worker' panicked at 'no tea', src/main.rs:4:5\nnote: run with";
    let told = shown(&stack_trace::find(before).unwrap());
    assert_eq!(told, ["rust", "panic|no tea|+@src/main.rs:4"]);
}

#[test]
fn one_error_is_one_group_in_javascript() {
    let first = "TypeError: Cannot read properties of undefined (reading 'tea')\n    at price (/app/shop.js:3:9)\n    at Cart.total (/app/shop.js:30:9)\n    at /app/node_modules/express/lib/router.js:5:12\n    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)\n    at async Server.<anonymous> (file:///app/main.mjs:8:3)";
    let again = first
        .replace(":3:9", ":4:11")
        .replace("'tea'", "'milk'")
        .replace("express/lib/router.js:5", "express/lib/router.js:9");
    let other = first.replace("at price", "at weight");
    let other_type = first.replace("TypeError", "RangeError");
    check("JavaScript", [first, &again], &[&other, &other_type]);
    let bundle = "Error: no tea\n    at t (https://cdn.acme.com/app.4f3a2b1c.min.js:1:12345)\n    at https://cdn.acme.com/app.4f3a2b1c.min.js:1:999";
    check(
        "a bundle",
        [bundle, &bundle.replace("4f3a2b1c", "99aa77bb").replace(":1:12345", ":1:777")],
        &[&bundle.replace("/app.", "/admin.")],
    );
    let firefox = "TypeError: x is undefined\nprice@https://acme.com/shop.js:3:9\ntotal@https://acme.com/shop.js:9:1";
    check("Firefox", [firefox, &firefox.replace(":3:9", ":4:4")], &[&firefox.replace("price@", "weight@")]);
    let node = "/app/index.js:10\n    throw new Error('no tea');\n    ^\n\nError: no tea\n    at Object.<anonymous> (/app/index.js:10:11)\n    at node:internal/main/run_main_module:28:49 {\n  code: 'ENOTEA'\n}\n\nNode.js v22.3.0";
    let told = shown(&stack_trace::find(node).unwrap());
    assert_eq!(told[1], "Error|no tea|+Object.<anonymous>@/app/index.js:10 -@node:internal/main/run_main_module:28");
}

#[test]
fn one_error_is_one_group_in_php_dot_net_and_ruby() {
    let php = "PHP Fatal error:  Uncaught RuntimeException: no tea 17 in /srv/shop.php:3\nStack trace:\n#0 /srv/cart.php(9): Shop->price('tea', Array)\n#1 /srv/vendor/slim/App.php(7): Cart->total()\n#2 [internal function]: x()\n#3 {main}\n  thrown in /srv/shop.php on line 3";
    check(
        "PHP",
        [php, &php.replace("no tea 17", "no tea 18").replace("(9)", "(11)").replace("'tea'", "'milk'")],
        &[&php.replace("->price", "->weight")],
    );
    let net = "Unhandled exception. System.InvalidOperationException: no tea\n ---> System.IO.IOException: closed\n   at Shop.Net.Read(String name) in /src/Net.cs:line 9\n   --- End of inner exception stack trace ---\n   at Shop.Cart.<Total>d__12.MoveNext() in /src/Cart.cs:line 4\n   at System.Threading.Tasks.Task.Run()\n   at Shop.Program.Main(String[] args) in /src/Program.cs:line 4";
    check(
        ".NET",
        [net, &net.replace("d__12", "d__13").replace("line 9", "line 10").replace("closed", "reset")],
        &[&net.replace("Net.Read", "Net.Write")],
    );
    let ruby = "/app/shop.rb:3:in 'Shop#price': no tea (RuntimeError)\n\tfrom /app/shop.rb:9:in 'Shop#buy'\n\tfrom /usr/lib/ruby/gems/3.3/gems/rack-3.0/lib/rack.rb:5:in 'call'\n\tfrom /app/main.rb:2:in '<main>'";
    check(
        "Ruby",
        [ruby, &ruby.replace(":3:in", ":4:in").replace("no tea", "no milk")],
        &[&ruby.replace("#price", "#weight"), &ruby.replace("RuntimeError", "KeyError")],
    );
    let rails = "RuntimeError (no tea):\n\napp/models/order.rb:12:in `total'\napp/controllers/orders_controller.rb:5:in `create'";
    check("Rails", [rails, &rails.replace(":12:", ":14:")], &[&rails.replace("`total'", "`weight'")]);
    let told = |text: &str| shown(&stack_trace::find(text).unwrap());
    assert_eq!(
        told(php)[1],
        "RuntimeException|no tea 17 in /srv/shop.php:3|+Shop->price@/srv/cart.php:9 -Cart->total@/srv/vendor/slim/App.php:7 -x@ -{main}@"
    );
    assert_eq!(told(net)[1], "System.IO.IOException|closed|+Shop.Net.Read@/src/Net.cs:9");
    assert!(told(net)[2].starts_with("System.InvalidOperationException|no tea|+Shop.Cart.<Total>d__12.MoveNext@"));
    assert_eq!(told(ruby)[1].split('|').collect::<Vec<_>>()[..2], ["RuntimeError", "no tea"]);
    assert_eq!(
        told(rails)[1],
        "RuntimeError|no tea|+total@app/models/order.rb:12 +create@app/controllers/orders_controller.rb:5"
    );
}

#[test]
fn errors_without_a_trace_go_by_type_and_pattern() {
    check(
        "a pattern",
        ["cannot reach 10.0.0.1:5432 after 3 s", "cannot reach 10.0.0.7:5432 after 30 s"],
        &["cannot read 10.0.0.1"],
    );
    let of = |body: &str, service: &str, attributes: &[(&str, &str)]| {
        group(record(body, service, Severity::ERROR, attributes))
    };
    assert_ne!(of("x", "web", &[]), of("x", "api", &[]), "each service has its own");
    assert_ne!(of("x", "web", &[("exception.type", "A")]), of("x", "web", &[("exception.type", "B")]));
    let stack = "java.lang.IllegalStateException: no\n\tat com.acme.Cart.total(Cart.java:42)\n\tat com.acme.Shop.buy(Shop.java:4)";
    let in_field = of("request 7 failed", "web", &[("exception.stacktrace", stack)]);
    assert_eq!(in_field, of(stack, "web", &[]), "where the trace stands makes no difference");
    assert_eq!(of("x", "web", &[(GROUP_FIELD, "mine")]), Some("mine".to_owned()), "a sender may name its groups");
}

#[test]
fn only_errors_have_a_group() {
    let stack = "oops\njava.lang.IllegalStateException: no\n\tat com.acme.Cart.total(Cart.java:42)\n\tat com.acme.Shop.buy(Shop.java:4)";
    let check = |body: &str, severity: Severity, attributes: &[(&str, &str)], expected: bool| {
        assert_eq!(group(record(body, "web", severity, attributes)).is_some(), expected, "{severity} {body}");
    };
    check("fine", Severity::INFO, &[], false);
    check(stack, Severity::INFO, &[], false);
    check("careful", Severity::WARN, &[], false);
    check(stack, Severity::WARN, &[], true);
    check(stack, Severity::UNSPECIFIED, &[], true);
    check("a\nb", Severity::UNSPECIFIED, &[], false);
    check("failed", Severity::FATAL, &[], true);
    check("alert X firing", Severity::ERROR, &[("alert.name", "X")], false);
    check("db is critical", Severity::ERROR, &[("check.name", "db")], false);
}

#[test]
fn ordinary_text_has_no_trace() {
    for text in [
        "",
        "at home (in bed)",
        "see #1 fix it",
        "user@host:22",
        "12:00:01 at noon",
        "a\n\tb",
        "File \"x\" is missing",
        "meet at 5:30",
    ] {
        assert_eq!(stack_trace::find(text), None, "{text:?}");
    }
}

#[test]
fn an_error_is_called_by_its_type_and_message() {
    let traced =
        record("cart failed\nTypeError: x is undefined\n    at a (/app/b.js:1:1)", "web", Severity::ERROR, &[]);
    let error = read(&traced);
    assert_eq!((error.kind, error.message), ("TypeError", "x is undefined"));
    let plain = record("disk full\nreally", "web", Severity::ERROR, &[("err.type", "Full")]);
    let error = read(&plain);
    assert_eq!((error.kind, error.message, error.text), ("Full", "disk full", ""));
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~\\tß]{0,60}",
        Just("\tat a.B.c(B.java:1)".to_owned()),
        Just("    at f (/x.js:1:2)".to_owned()),
        Just("java.lang.X: y".to_owned()),
        Just("Caused by: a.B: c".to_owned()),
        Just("  File \"/a.py\", line 1, in f".to_owned()),
        Just("Traceback (most recent call last):".to_owned()),
        Just("main.f(0x1)".to_owned()),
        Just("\t/a/b.go:12 +0x1".to_owned()),
        Just("#0 /a.php(1): f()".to_owned()),
        Just("thread 'x' panicked at a.rs:1:2:".to_owned()),
        Just("   0: a::b".to_owned()),
        Just("from /a.rb:1:in 'b'".to_owned()),
        Just("".to_owned()),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_text_has_one_group(lines in proptest::collection::vec(line(), 0..30)) {
        let text = lines.join("\n");
        prop_assert_eq!(group_of(&text), group_of(&text));
        if let Some(trace) = stack_trace::find(&text) {
            prop_assert!(!trace.exceptions.is_empty());
            prop_assert!(trace.exceptions.iter().map(|one| one.frames.len()).sum::<usize>() <= 2_001);
        }
    }

    /// Numbers of lines never make another group.
    #[test]
    fn numbers_of_lines_change_nothing(numbers in proptest::collection::vec(1u32..100_000, 4)) {
        let trace = |numbers: &[u32]| format!(
            "a.BError: c\n\tat a.b.C.d(C.java:{})\n\tat a.b.C.e(C.java:{})\nCaused by: a.FError: g\n\tat a.b.H.i(H.java:{})\n\tat a.b.H.j(H.java:{})",
            numbers[0], numbers[1], numbers[2], numbers[3]
        );
        prop_assert_eq!(group_of(&trace(&numbers)), group_of(&trace(&[1, 2, 3, 4])));
    }
}
