//! Which line goes on with the lines before it, when no setting says so. Pure.
//!
//! A line is told by its first bytes: most log lines start with a date, a level or a bracket and are decided by one look.
//! What programs print: Java `Throwable.printStackTrace`, Python `traceback`, Go's panics and goroutine dumps, Rust's panic
//! hook and `anyhow`, V8's `Error.stack` and Node's uncaught exceptions, PHP's uncaught exceptions (and Monolog's, Laravel's), .NET's
//! `Exception.ToString`, Ruby's `full_message` and Rails' log. A private key in PEM (RFC 7468) stays together as well, so that it is
//! found as one.

use memchr::memmem;

/// What kind of group the held lines are, as far as it decides what may follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing that is known.
    #[default]
    Plain,
    /// Stack frames were seen.
    Frames,
    /// Below `Traceback (most recent call last):`; the exception comes flush left.
    Python,
    /// The exception of a traceback was seen.
    PythonDone,
    /// `During handling of …`; another traceback must follow.
    PythonChain,
    /// A panic or a goroutine.
    Go,
    /// `thread … panicked at …:`; the message is the next line.
    RustHead,
    /// Behind the message of a panic.
    RustBody,
    /// `/app/index.js:10`; source, a caret, a blank line and the error follow.
    NodeHead,
    /// `Stack trace:` with `#0 …` below.
    Php,
    /// `/app/x.rb:3:in …`, one a line.
    Ruby,
    /// Below `-----BEGIN … PRIVATE KEY-----`, until its end.
    Key,
}

/// What is known of the lines held when the next one comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) state: State,
    /// Lines held.
    pub(super) lines: u32,
    /// Blank lines since the last of them.
    pub(super) blanks: u32,
    /// The last one that is not indented; the first when all are.
    pub(super) flush_left: &'a [u8],
    /// The last one.
    pub(super) last: &'a [u8],
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

/// The state of a group that begins with this line.
pub(super) fn state_of_first(line: &[u8]) -> State {
    match line.first() {
        Some(b' ' | b'\t') => return if is_frame(line.trim_ascii_start()) { State::Frames } else { State::Plain },
        Some(b'p') if line.starts_with(b"panic: ") => return State::Go,
        Some(b'f') if line.starts_with(b"fatal error: ") => return State::Go,
        Some(b'g') if is_goroutine(line) => return State::Go,
        Some(b'S') if line.starts_with(b"SIGQUIT: ") || line.starts_with(b"SIGABRT: ") => return State::Go,
        Some(b't') if line.starts_with(b"thread '") => return state_of_panic(line),
        Some(b'/' | b'f' | b'n' | b'w') if is_node_head(line) => return State::NodeHead,
        Some(_) if is_ruby_frame(line) => return State::Ruby,
        _ => {}
    }
    if line.ends_with(TRACEBACK) {
        State::Python
    } else if begins_key(line) {
        State::Key
    } else {
        State::Plain
    }
}

/// Whether a private key begins in this line and does not end in it.
fn begins_key(line: &[u8]) -> bool {
    line.ends_with(b" PRIVATE KEY-----") && memmem::find(line, b"-----BEGIN ").is_some()
}

/// Lines of a key are base64; some have headers and a blank line before that (RFC 1421 §4.4).
fn after_key_line(held: Held<'_>, line: &[u8]) -> Option<State> {
    if line.starts_with(b"-----END ") {
        return Some(State::Plain);
    }
    let is_base64 = line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let is_header = line.starts_with(b"Proc-Type: ") || line.starts_with(b"DEK-Info: ");
    (held.blanks <= 1 && (is_base64 || is_header)).then_some(State::Key)
}

/// The state of the group once it holds this line as well; none when the line starts another group.
/// The line is not blank, and no JSON object.
pub(super) fn state_after(held: Held<'_>, line: &[u8]) -> Option<State> {
    if held.state == State::Key {
        return after_key_line(held, line.trim_ascii());
    }
    match *line.first()? {
        b' ' | b'\t' => indented(held, line.trim_ascii_start()),
        // The end of what was opened and indented below: `} { code: 'ENOENT' }`, pretty-printed JSON.
        b'}' | b']' | b')' if held.blanks == 0 && line.len() <= 3 => {
            held.last.first().is_some_and(u8::is_ascii_whitespace).then_some(held.state)
        }
        first => flush_left(held, line, first),
    }
}

fn indented(held: Held<'_>, line: &[u8]) -> Option<State> {
    if held.blanks > 0 {
        // Source lines of Node stand below blank ones; frames below a blank line belong to nobody.
        return matches!(held.state, State::NodeHead | State::Go | State::RustBody | State::Ruby).then_some(held.state);
    }
    match held.state {
        State::Plain if is_frame(line) => {
            // In a file of several writers the exception may stand further above.
            let is_orphan = held.flush_left.first().is_some_and(u8::is_ascii_whitespace);
            (is_orphan || tells_of_trouble(held.flush_left)).then_some(State::Frames)
        }
        // The message of the panic is indented itself.
        State::RustHead => Some(State::RustBody),
        state => Some(state),
    }
}

fn flush_left(held: Held<'_>, line: &[u8], first: u8) -> Option<State> {
    let Held { state, blanks, .. } = held;
    let joins = |truth: bool, state: State| truth.then_some(state);
    match state {
        State::Python if blanks == 0 && (is_exception(line) || is_ruby_frame(line)) => return Some(State::PythonDone),
        State::Python => return None,
        State::PythonDone => return joins(CHAINS.iter().any(|chain| line.starts_with(chain)), State::PythonChain),
        State::PythonChain => return joins(line.starts_with(TRACEBACK), State::Python),
        State::RustHead => return joins(blanks == 0, State::RustBody),
        State::RustBody => {
            let goes_on = line.starts_with(b"stack backtrace:") || line.starts_with(b"note: ");
            return joins(goes_on && blanks == 0, State::RustBody);
        }
        State::Go => return joins(goes_on_in_go(held, line), State::Go),
        State::NodeHead if is_exception(line) => return Some(State::Frames),
        State::Php | State::Frames if first == b'#' => return joins(is_numbered(line), state),
        _ => {}
    }
    match first {
        b'C' if line.starts_with(b"Caused by:") => {
            joins(state != State::Plain || tells_of_trouble(held.flush_left), State::Frames)
        }
        b'S' if line.starts_with(b"Suppressed:") => joins(state == State::Frames, state),
        b'S' if line.starts_with(b"Stack trace:") && blanks == 0 => Some(State::Php),
        b'S' | b's' | b'L' if [&b"tack backtrace:"[..], b"ocation:"].contains(&&line[1..]) => {
            joins(tells_of_trouble(held.flush_left), State::Frames)
        }
        b'W' if line.starts_with(b"Wrapped by:") => joins(state == State::Frames, state),
        b'-' if line.starts_with(b"--- End of ") => joins(blanks == 0, State::Frames),
        b'[' if line == b"[stacktrace]" || line.starts_with(b"[previous exception]") => Some(State::Php),
        b'"' if state == State::Php => joins(line.starts_with(b"\"}"), State::Plain),
        b'N' if line.starts_with(b"Next ") => joins(state == State::Php && is_exception(&line[5..]), state),
        b'N' if line.starts_with(b"Node.js v") => joins(state == State::Frames, state),
        b'P' if line.starts_with(b"PHP Stack trace:") => joins(blanks == 0, State::Php),
        b'P' if line.starts_with(b"PHP   ") => joins(state == State::Php && blanks == 0, state),
        b'g' if is_goroutine(line) => joins(tells_of_trouble(held.flush_left), State::Go),
        b'T' if line.starts_with(TRACEBACK) => {
            joins(blanks == 0 && held.lines == 1 && tells_of_trouble(held.flush_left), State::Python)
        }
        _ if is_ruby_frame(line) => joins(state == State::Ruby || tells_of_trouble(held.flush_left), State::Ruby),
        // `2026-11-21 07:33:00 ERROR no answer` and below it the exception.
        _ if held.lines == 1 && blanks == 0 && state == State::Plain && is_qualified_exception(line) => {
            let is_another = is_qualified_exception(held.flush_left);
            joins(!is_another && tells_of_trouble(held.flush_left), State::Plain)
        }
        _ => None,
    }
}

fn goes_on_in_go(held: Held<'_>, line: &[u8]) -> bool {
    if is_goroutine(line) {
        return true;
    }
    // A dump's registers, and what else `fatal error` prints.
    let starts =
        [&b"created by "[..], b"[signal ", b"[recovered", b"runtime stack:", b"exit status ", b"PC=", b"goroutine "];
    if starts.iter().any(|start| line.starts_with(start)) {
        return true;
    }
    let is_register = line.len() < 40 && memmem::find(line, b"    0x").is_some();
    is_register || (held.blanks == 0 && is_go_function(line))
}

/// `main.handler(0xc000010000, {0x1, 0x2})`, `net/http.(*conn).serve(0x0)`.
fn is_go_function(line: &[u8]) -> bool {
    let Some(open) = memchr::memchr(b'(', line) else { return line.starts_with(b"...additional frames elided...") };
    let name = &line[..open];
    (line.ends_with(b")") || line.ends_with(b"..."))
        && (name.contains(&b'.') || name == b"panic")
        && !name.contains(&b' ')
}

fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.get(10).is_some_and(u8::is_ascii_digit) && line.ends_with(b":")
}

/// `thread 'main' panicked at src/main.rs:4:5:` has its message below, `thread 'main' panicked at 'no', src/main.rs:4:5` in itself.
fn state_of_panic(line: &[u8]) -> State {
    match memmem::find(line, b" panicked at ") {
        Some(_) if line.ends_with(b":") => State::RustHead,
        Some(_) => State::RustBody,
        None => State::Plain,
    }
}

/// `/app/index.js:10`, `file:///app/x.mjs:3`, `node:internal/process/promises:288`, `webpack://x/y.ts:3`.
fn is_node_head(line: &[u8]) -> bool {
    let digits = line.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0
        && line.len() > digits
        && line[line.len() - digits - 1] == b':'
        && [&b"/"[..], b"file://", b"node:", b"webpack"].iter().any(|start| line.starts_with(start))
        && !line.contains(&b' ')
}

/// `#0 /srv/app/index.php(12): run()`.
fn is_numbered(line: &[u8]) -> bool {
    line.get(1).is_some_and(u8::is_ascii_digit)
}

/// `app/models/order.rb:12:in 'total'`, also with a message behind it.
fn is_ruby_frame(line: &[u8]) -> bool {
    let Some(space) = memchr::memchr(b' ', line) else { return false };
    let Some(place) = line[..space].strip_suffix(b":in") else { return false };
    let digits = place.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && place[..place.len() - digits].ends_with(b".rb:")
}

/// A frame without its indentation.
fn is_frame(line: &[u8]) -> bool {
    match line.first() {
        Some(b'a') => line.starts_with(b"at "),
        Some(b'F') => line.starts_with(b"File \""),
        Some(b'f') => line.starts_with(b"from ") && memchr::memchr(b':', line).is_some(),
        Some(b'.') => {
            line.starts_with(b"... ") && (line.ends_with(b" more") || line.ends_with(b"common frames omitted"))
        }
        Some(b'C') => line.starts_with(b"Caused by: "),
        Some(b'S') => line.starts_with(b"Suppressed: "),
        Some(b'-') => line.starts_with(b"--- End of ") || line.starts_with(b"---> "),
        _ => false,
    }
}

/// `ValueError: no`, `shop.errors.Missing: x`, `KeyboardInterrupt`, `Error [ERR_X]: no`, `Uncaught TypeError: x`.
fn is_exception(line: &[u8]) -> bool {
    let line = line.strip_prefix(b"Uncaught ").unwrap_or(line);
    let name = line.iter().take_while(|byte| is_name(**byte) || matches!(byte, b'\\')).count();
    let starts_well = line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'\\'));
    starts_well && matches!(line[name..], [] | [b':', ..] | [b' ', b'[', ..] | [b' ', b'{', ..])
}

/// `java.lang.IllegalStateException: no`, `System.IO.IOException`, `Error: no`: what stands alone in its line.
fn is_qualified_exception(line: &[u8]) -> bool {
    if !line.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    let name = line.iter().take_while(|byte| is_name(**byte)).count();
    let ends = [&b"Exception"[..], b"Error", b"Throwable", b"Failure"];
    matches!(line[name..], [] | [b':', ..]) && ends.iter().any(|end| line[..name].ends_with(end))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$')
}

/// Whether the line says that something went wrong, in any of the words that exceptions and log levels are called by.
fn tells_of_trouble(line: &[u8]) -> bool {
    const WORDS: [&[u8]; 16] = [
        b"rror",
        b"RROR",
        b"xception",
        b"hrow",
        b"race",
        b"anic",
        b"arn",
        b"WARN",
        b"ail",
        b"atal",
        b"FATAL",
        b"CRIT",
        b"ritical",
        b"evere",
        b"SEVERE",
        b"aused",
    ];
    let start = &line[..line.len().min(1024)];
    WORDS.iter().any(|word| memmem::find(start, word).is_some()) || is_class(line)
}

/// `com.example.Missing: x`: a qualified name and a colon, or nothing behind it.
fn is_class(line: &[u8]) -> bool {
    let name = line.iter().take_while(|byte| is_name(**byte)).count();
    let is_qualified = line[..name].iter().skip(1).any(|byte| *byte == b'.') && line[0].is_ascii_alphabetic();
    is_qualified && matches!(line[name..], [] | [b':', ..])
}
