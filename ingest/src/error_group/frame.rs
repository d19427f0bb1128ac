//! One line of a stack trace: which function of which file was at work, in the way each language writes it.
//!
//! ```text
//! Java, Kotlin   at com.acme.Cart.total(Cart.java:42)            at java.base/java.util.List.get(List.java:7)
//! JavaScript     at Cart.total (/app/cart.js:42:13)              at async /app/cart.js:42:13        total@https://x/a.js:1:9
//! .NET           at Acme.Cart.Total(String a) in /src/Cart.cs:line 42
//! Python         File "/app/cart.py", line 42, in total
//! Go             main.(*Cart).Total(0xc000, ...)    and behind it    /app/cart.go:42 +0x1d
//! Rust           3: shop::cart::total::h0123456789abcdef    and behind it    at ./src/cart.rs:42:5
//! PHP            #0 /app/cart.php(42): Cart->total('a', Array)
//! Ruby           from /app/cart.rb:42:in 'Cart#total'
//! ```

/// Who wrote the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "languages")]
pub enum Language {
    Java,
    JavaScript,
    DotNet,
    Python,
    Go,
    Rust,
    Php,
    Ruby,
}

/// A function at work. Names are as the trace has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'t> {
    /// The function, with its class or package as far as the trace says it; empty when it has no name.
    pub function: &'t str,
    /// The file; empty when the trace names none.
    pub file: &'t str,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether it is the program's own, not a library's or the language's.
    pub is_own: bool,
}

impl Language {
    /// Its name on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Language::Java => "java",
            Language::JavaScript => "javascript",
            Language::DotNet => "dotnet",
            Language::Python => "python",
            Language::Go => "go",
            Language::Rust => "rust",
            Language::Php => "php",
            Language::Ruby => "ruby",
        }
    }
}

/// Reads a line that is a frame by itself. Go's and Rust's take two: see [`place_of_go`], [`function_of_rust`].
pub fn read(line: &str) -> Option<(Language, Frame<'_>)> {
    let line = line.trim();
    // Node writes an error's own fields behind its last frame.
    let line = line.strip_suffix(" {").unwrap_or(line);
    if let Some(rest) = line.strip_prefix("at ") {
        return java(rest).or_else(|| javascript(rest)).or_else(|| dot_net(rest));
    }
    if let Some(rest) = line.strip_prefix("File \"") {
        return python(rest);
    }
    if line.starts_with('#') {
        return php(line);
    }
    ruby(line).or_else(|| javascript_at_sign(line))
}

fn java(rest: &str) -> Option<(Language, Frame<'_>)> {
    let (function, place) = rest.strip_suffix(')')?.split_once('(')?;
    if function.contains(' ') || !function.contains('.') {
        return None;
    }
    let (file, line) = file_and_line(place);
    let is_source = [".java", ".kt", ".scala", ".groovy", ".clj"].iter().any(|end| file.ends_with(end));
    if !is_source && !matches!(file, "Native Method" | "Unknown Source" | "SourceFile" | "<generated>" | "Unknown") {
        return None;
    }
    // A module or a class loader stands before the class: `java.base/`, `app//`.
    let is_module = |(module, name): &(&str, &str)| name.contains('.') && !module.contains('$');
    let function = function.rsplit_once('/').filter(is_module).map_or(function, |(_, name)| name);
    let file = if is_source { file } else { "" };
    Some((Language::Java, Frame { function, file, line, is_own: !starts_with_any(function, LIBRARIES_OF_JAVA) }))
}

fn javascript(rest: &str) -> Option<(Language, Frame<'_>)> {
    let (function, place) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
        Some((function, place)) => (function, place),
        None if rest.contains(' ') && !rest.starts_with("async ") => return None,
        None => ("", rest.strip_prefix("async ").unwrap_or(rest)),
    };
    let function = ["async ", "new "].iter().fold(function, |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
    if matches!(place, "<anonymous>" | "native" | "index 0") {
        return Some((Language::JavaScript, Frame { function, file: "", line: None, is_own: false }));
    }
    let (file, line) = file_line_column(place)?;
    Some((Language::JavaScript, Frame { function, file, line: Some(line), is_own: is_own_javascript(file) }))
}

/// As Firefox and Safari write it.
fn javascript_at_sign(line: &str) -> Option<(Language, Frame<'_>)> {
    let (function, place) = line.split_once('@')?;
    let is_place = ["http://", "https://", "file://", "webpack", "/"].iter().any(|start| place.starts_with(start));
    if !is_place || function.contains(' ') {
        return None;
    }
    let (file, line) = file_line_column(place)?;
    Some((Language::JavaScript, Frame { function, file, line: Some(line), is_own: is_own_javascript(file) }))
}

fn is_own_javascript(file: &str) -> bool {
    let library = ["node_modules/", "node:", "internal/", "<anonymous>", "chrome-extension:", "moz-extension:"];
    !file.is_empty()
        && !library.iter().any(|part| if part.ends_with(':') { file.starts_with(part) } else { file.contains(part) })
}

fn dot_net(rest: &str) -> Option<(Language, Frame<'_>)> {
    let (called, place) = rest.split_once(" in ").unwrap_or((rest, ""));
    let (function, _) = called.trim_end().strip_suffix(')')?.split_once('(')?;
    if !function.contains('.') || function.contains(' ') {
        return None;
    }
    let (file, line) =
        place.rsplit_once(":line ").map_or((place, None), |(file, line)| (file, line.trim().parse().ok()));
    Some((Language::DotNet, Frame { function, file, line, is_own: !starts_with_any(function, LIBRARIES_OF_DOT_NET) }))
}

fn python(rest: &str) -> Option<(Language, Frame<'_>)> {
    let (file, rest) = rest.split_once("\", line ")?;
    let (line, function) = rest.split_once(", in ").unwrap_or((rest, ""));
    let library = ["site-packages/", "dist-packages/", "/lib/python", "\\lib\\"];
    let is_own = !file.starts_with('<') && !library.iter().any(|part| file.contains(part));
    let frame = Frame { function: function.trim_end(), file, line: line.trim().parse().ok(), is_own };
    Some((Language::Python, frame))
}

fn php(line: &str) -> Option<(Language, Frame<'_>)> {
    let (number, rest) = line[1..].split_once(' ')?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if rest == "{main}" {
        return Some((Language::Php, Frame { function: "{main}", file: "", line: None, is_own: false }));
    }
    let (place, call) = rest.split_once(": ")?;
    let function = call.split('(').next().unwrap_or(call);
    let (file, number) = match place.strip_suffix(')').and_then(|place| place.rsplit_once('(')) {
        Some((file, number)) => (file, number.parse().ok()),
        None if place == "[internal function]" => ("", None),
        None => return None,
    };
    let is_own = !file.is_empty() && !file.contains("/vendor/") && !file.contains("\\vendor\\");
    Some((Language::Php, Frame { function, file, line: number, is_own }))
}

fn ruby(line: &str) -> Option<(Language, Frame<'_>)> {
    let line = line.strip_prefix("from ").unwrap_or(line);
    let (place, rest) = line.split_once(":in ")?;
    let (file, number) = place.rsplit_once(':')?;
    let number = number.parse().ok()?;
    if file.contains(' ') || !(file.ends_with(".rb") || file.starts_with("<internal:") || file.contains('/')) {
        return None;
    }
    let quoted = rest.strip_prefix(['`', '\''])?;
    let function = quoted.split('\'').next().unwrap_or(quoted);
    let library = ["/gems/", "/lib/ruby/", "<internal:", "/bin/"];
    let is_own = !library.iter().any(|part| file.contains(part));
    Some((Language::Ruby, Frame { function, file, line: Some(number), is_own }))
}

/// `/app/cart.go:42 +0x1d`: where the function of the line before was.
pub fn place_of_go(line: &str) -> Option<(&str, Option<u32>)> {
    let place = line.strip_prefix(['\t', ' '])?.trim();
    let place = place.split(" +0x").next().unwrap_or(place);
    let (file, line) = file_and_line(place);
    (file.ends_with(".go") || file.ends_with(".s") && line.is_some()).then_some((file, line))
}

/// `main.(*Cart).Total(0xc000, ...)`, `created by main.main in goroutine 1`, and as `%+v` of an error has it `main.f`.
pub fn function_of_go(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let line = line.strip_prefix("created by ").map_or(line, |made| made.split(" in goroutine").next().unwrap_or(made));
    let name = match line.strip_suffix(')').and_then(|line| line.rfind('(').map(|at| &line[..at])) {
        // `main.(*Cart).Total`: its own parenthesis is no list of arguments.
        Some(name) if !name.is_empty() && !name.ends_with('.') => name,
        _ => line,
    };
    (name.contains('.') && !name.contains(' ') && !name.starts_with(['\t', ' '])).then_some(name)
}

/// Whether Go's function is the program's own.
pub fn is_own_go(function: &str, file: &str) -> bool {
    let library = ["/usr/local/go/", "/go/src/", "/pkg/mod/", "/vendor/", "/libexec/src/", "/goroot/"];
    let of_language =
        ["runtime.", "runtime/", "testing.", "reflect.", "panic"].iter().any(|start| function.starts_with(start));
    !of_language && !library.iter().any(|part| file.contains(part))
}

/// `   3: shop::cart::total::h0123456789abcdef`
pub fn function_of_rust(line: &str) -> Option<&str> {
    let (number, function) = line.trim().split_once(": ")?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Short backtraces may have the address first: `0x55d0 - name`.
    let function = match function.split_once(" - ") {
        Some((address, name)) if address.trim().starts_with("0x") => name,
        _ => function,
    };
    (!function.is_empty()).then_some(function.trim())
}

/// `at ./src/cart.rs:42:5`: where the function of the line before was.
pub fn place_of_rust(line: &str) -> Option<(&str, u32)> {
    let (file, line) = file_line_column(line.trim().strip_prefix("at ")?)?;
    file.ends_with(".rs").then_some((file, line))
}

/// Whether Rust's function is the program's own.
pub fn is_own_rust(function: &str, file: &str) -> bool {
    // `<shop::Cart as core::ops::Drop>::drop` belongs to what comes first.
    let function = function.trim_start_matches(['<', '&', '_']);
    let library = ["/rustc/", "/.cargo/registry/", "/.cargo/git/", "/rustlib/"];
    !starts_with_any(function, LIBRARIES_OF_RUST) && !library.iter().any(|part| file.contains(part))
}

/// `cart.js:42:13`, `cart.js:42`
pub fn file_line_column(place: &str) -> Option<(&str, u32)> {
    let (before, last) = place.rsplit_once(':')?;
    let last = last.parse::<u32>().ok()?;
    match before.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse::<u32>().ok()?))) {
        Some((file, line)) => Some((file, line)),
        None => Some((before, last)),
    }
}

fn file_and_line(place: &str) -> (&str, Option<u32>) {
    match place.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => (file, Some(line)),
        _ => (place, None),
    }
}

fn starts_with_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

const LIBRARIES_OF_JAVA: &[&str] = &[
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "kotlinx.",
    "scala.",
    "groovy.",
    "clojure.",
    "org.springframework.",
    "org.apache.",
    "org.hibernate.",
    "org.eclipse.",
    "org.jboss.",
    "org.junit.",
    "org.mockito.",
    "org.slf4j.",
    "org.postgresql.",
    "io.netty.",
    "io.undertow.",
    "io.vertx.",
    "io.micronaut.",
    "io.quarkus.",
    "io.grpc.",
    "io.reactivex.",
    "io.micrometer.",
    "reactor.",
    "rx.",
    "akka.",
    "feign.",
    "okhttp3.",
    "okio.",
    "retrofit2.",
    "ch.qos.logback.",
    "com.fasterxml.",
    "com.google.common.",
    "com.google.inject.",
    "com.mysql.",
    "com.zaxxer.",
    "android.",
    "androidx.",
    "dalvik.",
    "net.sf.cglib.",
    "org.codehaus.",
    "org.glassfish.",
    "zio.",
    "cats.",
    "play.",
];

const LIBRARIES_OF_DOT_NET: &[&str] = &[
    "System.",
    "Microsoft.",
    "Newtonsoft.",
    "MediatR.",
    "Autofac.",
    "Npgsql.",
    "Dapper.",
    "Polly.",
    "Serilog.",
    "NLog.",
    "Castle.",
    "Grpc.",
    "Swashbuckle.",
    "StackExchange.",
    "lambda_method",
];

const LIBRARIES_OF_RUST: &[&str] = &[
    "std::",
    "core::",
    "alloc::",
    "rust_",
    "rustc",
    "start_thread",
    "libc_start",
    "tokio::",
    "hyper::",
    "axum::",
    "tower::",
    "futures",
    "rayon",
    "actix",
    "serde",
    "tracing",
    "anyhow::",
    "backtrace::",
    "test::",
];
