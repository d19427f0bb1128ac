//! Lines of container files against what their programs wrote, and restarts at any moment.

use proptest::prelude::*;

use super::*;
use crate::source::line_splitter::LineSplitter;
use crate::source::multiline::Multiline;

fn reading(format: Format) -> Reading {
    let rules = Multiline::Auto.rules("test").unwrap();
    Reading { format, rules, line_bytes_max: 60, line_timeout: Duration::from_secs(5) }
}

/// Reads `file` from the places on, and returns what was given with the places behind it. Held text is given when `ends`.
fn read(file: &[u8], places: [u64; 2], ends: bool) -> (Vec<(Origin, String)>, [u64; 2]) {
    let from = places[0].min(places[1]);
    let mut assembly = Assembly::new(reading(Format::Auto), TextEncoding::UTF_8, places);
    let mut splitter = LineSplitter::new(60 + WRAPPING_BYTES_MAX).from(from).with_empty_lines();
    let mut found = Vec::new();
    let mut take = |whole: Whole<'_>| {
        let cut = if whole.truncated { "…" } else { "" };
        let problem = whole.problem.map_or_else(String::new, |problem| format!(" ({problem})"));
        found.push((whole.origin, format!("{}{cut}{problem}", String::from_utf8_lossy(whole.bytes))));
    };
    let now = Instant::now();
    splitter.push(&file[from as usize..], |line| assembly.push(line, now, &mut take));
    if ends {
        assembly.finish(now, &mut take);
    }
    (found, assembly.places(splitter.position()))
}

#[test]
fn container_files_give_what_their_programs_wrote() {
    let check = |file: &str, expected: &[(Origin, &str)]| {
        let (found, _) = read(file.as_bytes(), [0; 2], true);
        let found: Vec<_> = found.iter().map(|(origin, text)| (*origin, text.as_str())).collect();
        assert_eq!(found, expected, "{file}");
    };
    let (out, err) = (Origin::Stdout, Origin::Stderr);
    let cri = |lines: &[&str]| lines.iter().map(|line| format!("2026-11-21T07:33:00.1Z {line}\n")).collect::<String>();
    check(
        &cri(&[
            "stdout F {\"a\":1}",
            "stdout P {\"b\":",
            "stderr P one ",
            "stdout F 2}",
            "stderr P and ",
            "stderr F two",
        ]),
        &[(out, "{\"a\":1}"), (out, "{\"b\":2}"), (err, "one and two")],
    );
    // A trace on one stream, and lines of the other between its lines.
    check(
        &cri(&[
            "stderr F Error: no",
            "stdout F {\"a\":1}",
            "stderr F     at x (y.js:1:1)",
            "stdout F {\"a\":2}",
            "stderr F done",
        ]),
        &[(out, "{\"a\":1}"), (out, "{\"a\":2}"), (err, "Error: no\n    at x (y.js:1:1)"), (err, "done")],
    );
    let long = "x".repeat(40);
    check(
        &cri(&[&format!("stdout P {long}"), &format!("stdout F {long}"), "stdout F ", "stdout F {}"]),
        &[(out, &format!("{}…", "x".repeat(60))), (out, "{}")],
    );
    check(
        &(cri(&["stdout P half"]) + "torn\n" + &cri(&["stdout F {}"])),
        &[(out, "half"), (Origin::File, "torn (malformed_container_line)"), (out, "{}")],
    );
    let docker = |log: &str, stream: &str| {
        let log = serde_json::to_string(log).unwrap();
        format!("{{\"log\":{log},\"stream\":\"{stream}\",\"time\":\"2026-11-21T07:33:00.1Z\"}}\n")
    };
    check(
        &[docker("{\"a\":", "stdout"), docker("no\n", "stderr"), docker("1}\n", "stdout"), docker("\tat\n", "stderr")]
            .concat(),
        &[(out, "{\"a\":1}"), (err, "no\n\tat")],
    );
    check(
        "2026-11-21T07:33:00.1Z plain\nmore\n",
        &[(Origin::File, "2026-11-21T07:33:00.1Z plain"), (Origin::File, "more")],
    );
}

fn line() -> impl Strategy<Value = String> {
    let texts = prop_oneof![
        Just(""),
        Just("plain"),
        Just("{\"a\":1}"),
        Just("Error: no"),
        Just("    at x (y.js:1:1)"),
        Just("panic: no"),
        Just("goroutine 1 [running]:"),
        Just("main.f()"),
        Just("Traceback (most recent call last):"),
        Just("KeyError: 'a'"),
    ];
    let stream = prop_oneof![Just("stdout"), Just("stderr")];
    let tag = prop_oneof![4 => Just("F"), 1 => Just("P")];
    let wrapped =
        (stream, tag, texts).prop_map(|(stream, tag, text)| format!("2026-11-21T07:33:00Z {stream} {tag} {text}\n"));
    prop_oneof![12 => wrapped, 1 => Just("torn\n".to_owned())]
}

proptest! {
    /// However often reading is broken off and taken up where the places say, each stream gives what one reading gives.
    #[test]
    fn reading_that_is_broken_off_gives_the_same(lines in proptest::collection::vec(line(), 1..40), mut cuts in proptest::collection::vec(0usize..3000, 0..4)) {
        let mut file = b"2026-11-21T07:33:00Z stdout F {}\n".to_vec();
        file.extend(lines.concat().bytes());
        let (whole, _) = read(&file, [0; 2], true);
        cuts.sort_unstable();
        let (mut found, mut places) = (Vec::new(), [0; 2]);
        for cut in cuts {
            let cut = cut.min(file.len()).max(places[0].min(places[1]) as usize);
            let (given, behind) = read(&file[..cut], places, false);
            prop_assert!(behind[0] >= places[0] && behind[1] >= places[1]);
            found.extend(given);
            places = behind;
        }
        found.extend(read(&file, places, true).0);
        let of = |records: &[(Origin, String)], origin| {
            // Whether a torn line is counted depends on whether its file is known to be a container's by then.
            let text = |text: &str| text.trim_end_matches(" (malformed_container_line)").to_owned();
            records.iter().filter(|(from, _)| *from == origin).map(|(_, of)| text(of)).collect::<Vec<_>>()
        };
        for origin in [Origin::File, Origin::Stdout, Origin::Stderr] {
            prop_assert_eq!(of(&found, origin), of(&whole, origin));
        }
    }
}
