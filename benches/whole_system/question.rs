//! The questions of the table: what is sought, how it is put to the API, and what was hoped for.

use crate::corpus::{Corpus, Window};
use crate::plain_scan::Expected;
use crate::server::Server;
use crate::table::{Beside, Spread, Table};

/// Records of an answer that shows the newest.
pub const NEWEST: usize = 100;
/// Hosts that are counted apart.
pub const TOP_HOSTS: usize = 10;
/// Asks that are not counted.
const WARM_UPS: usize = 2;
/// Asks that are.
const ASKS: usize = 5;

/// One question.
pub struct Question {
    /// Its line in the table.
    pub what: &'static str,
    /// Which lines it is about.
    pub sought: Sought,
    /// What it wants to know of them.
    pub answers: Answers,
    /// The most milliseconds that the answer should take from five million lines.
    pub target_ms: f64,
    /// Whether it is also put to servers that were just started.
    pub asked_cold: bool,
}

/// Which lines are meant; words compare without case, ids and names as they are.
pub enum Sought {
    /// All.
    Everything,
    /// Those with these words side by side.
    Phrase(String),
    /// Those with a word that begins so.
    Prefix(String),
    /// Those that the regular expression matches somewhere.
    Regex(String),
    /// Those of a trace.
    Trace(String),
    /// Those of a service at a level.
    ServiceAndLevel(&'static str, &'static str),
}

/// What is asked of the lines that are meant.
#[derive(Clone, Copy)]
pub enum Answers {
    /// The newest of them, whole.
    Newest,
    /// How many there are.
    Count,
    /// How many there are in every minute, by level.
    PerMinuteByLevel,
    /// Which hosts have the most.
    TopHosts,
}

/// The questions in the order of the table.
pub fn questions(corpus: &Corpus) -> Vec<Question> {
    use Answers::{Count, Newest, PerMinuteByLevel, TopHosts};
    let phrase = |text: &str| Sought::Phrase(text.to_owned());
    let regex = |pattern: &str| Sought::Regex(pattern.to_owned());
    let question = |what, sought, answers, target_ms| Question { what, sought, answers, target_ms, asked_cold: false };
    let cold = |question: Question| Question { asked_cold: true, ..question };
    vec![
        question("trace id, rows", Sought::Trace(corpus.trace_id.clone()), Newest, 2.0),
        question("rare word (`quasarflux`), rows", phrase("quasarflux"), Newest, 2.0),
        cold(question("count of a common word (`error`), any case", phrase("error"), Count, 1.5)),
        question("count of a phrase (`\"authentication failure\"`)", phrase("authentication failure"), Count, 1.5),
        question(
            "two fields (`service:hdfs level:warn`), newest 100",
            Sought::ServiceAndLevel("hdfs", "warn"),
            Newest,
            2.0,
        ),
        question("count per minute by level", Sought::Everything, PerMinuteByLevel, 3.0),
        question("the same for a word (`error`)", phrase("error"), PerMinuteByLevel, 10.0),
        question("top 10 hosts with a word (`error`)", phrase("error"), TopHosts, 3.0),
        question("regex (`/blk_-?\\d{3}/`), count", regex(r"blk_-?\d{3}"), Count, 40.0),
        question("substring (`/blk_1/`), count", regex("blk_1"), Count, 60.0),
        question("prefix (`blk_1*`), count", Sought::Prefix("blk_1".to_owned()), Count, 60.0),
        question("an id inside a message, rows", phrase(&corpus.id_in_message), Newest, 10.0),
        cold(question("newest 100", Sought::Everything, Newest, 3.0)),
        question("a word (`error`), newest 100", phrase("error"), Newest, 3.0),
    ]
}

impl Question {
    /// Asks once and returns the milliseconds and the answer.
    pub fn ask(&self, server: &Server, window: &Window) -> (f64, Result<serde_json::Value, String>) {
        let query = self.sought.query();
        let mut parameters = vec![("q", query.as_str()), ("from", &window.from), ("to", &window.to)];
        let path = match self.answers {
            Answers::Newest => {
                parameters.push(("limit", "100"));
                "/api/v1/logs/search"
            }
            Answers::Count => {
                parameters.push(("interval", "1d")); // the window lies in one day, so this is one number
                "/api/v1/logs/histogram"
            }
            Answers::PerMinuteByLevel => {
                parameters.extend([("interval", "1m"), ("by", "level")]);
                "/api/v1/logs/histogram"
            }
            Answers::TopHosts => {
                parameters.extend([("fields", "host"), ("limit", "10")]);
                "/api/v1/logs/facets"
            }
        };
        let answer = server.ask(path, &parameters);
        (answer.took.as_secs_f64() * 1e3, answer.json())
    }

    /// Asks until the caches are warm and then a few times more; every answer must be the expected one.
    pub fn measure(&self, server: &Server, window: &Window, expected: &Expected) -> Result<(Spread, String), String> {
        let mut times = Vec::new();
        let mut found = String::new();
        for _ in 0..WARM_UPS + ASKS {
            let (took, answer) = self.ask(server, window);
            found = expected.check(&answer?)?;
            times.push(took);
        }
        Ok((Spread::of(times.drain(WARM_UPS..)), found))
    }

    /// Measures and writes the line.
    pub fn measure_into(&self, table: &mut Table, server: &Server, window: &Window, expected: &Expected) {
        match self.measure(server, window, expected) {
            Ok((spread, found)) => {
                table.row(
                    self.what,
                    "ms",
                    spread,
                    Beside { target: Some(self.target_ms), remark: &found, ..Beside::default() },
                );
            }
            Err(why) => table.wrong(self.what, &why),
        }
    }
}

impl Sought {
    /// As it is typed into the query box.
    fn query(&self) -> String {
        match self {
            Sought::Everything => String::new(),
            Sought::Phrase(text) if text.contains(' ') => format!("\"{text}\""),
            Sought::Phrase(word) => word.clone(),
            Sought::Prefix(text) => format!("{text}*"),
            Sought::Regex(pattern) => format!("/{pattern}/"),
            Sought::Trace(id) => format!("trace_id:{id}"),
            Sought::ServiceAndLevel(service, level) => format!("service:{service} level:{level}"),
        }
    }
}
