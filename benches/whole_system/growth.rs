//! How the questions grow with the store: a tenth of the lines, all of them and four times as many, over the whole 24 hours
//! and over one of them.

use crate::corpus::{Corpus, Window};
use crate::plain_scan::{self, Expected};
use crate::question::{self, Question};
use crate::server::Server;
use crate::table::{Table, number};
use crate::{DATA_ROOT, ingest};

/// Bytes of a line in the corpus, of its copy in the store's journal and of all that is made of it, with room to spare.
const LINE_BYTES_ON_DISK: u64 = 247 * 3;

/// The answers' times over the whole day and over the hour, one text a question; a size that was not measured has none.
type Column = Option<[Vec<String>; 2]>;

/// Stores and asks the three sizes one after the other, and prints a table of its own.
pub fn measure(table: &mut Table, corpus: &Corpus) {
    let rows = corpus.rows;
    let sizes = [rows / 10, rows, rows * 4];
    let columns = sizes.map(|size| store_and_ask(table, size));
    println!("\nHow the answers grow (median ms of 5; min–max):\n");
    let mut head = String::from("| question |");
    for (size, span) in headings(&sizes) {
        head += &format!(" {} lines, {span} |", number(size as f64));
    }
    println!("{head}\n|---|{}", "---|".repeat(2 * sizes.len()));
    for (at, question) in question::questions(corpus).iter().enumerate() {
        let cells: String = [0, 1]
            .into_iter()
            .flat_map(|span| columns.iter().map(move |column| (span, column)))
            .map(|(span, column)| format!(" {} |", column.as_ref().map_or("not measured", |cells| &cells[span][at])))
            .collect();
        println!("| {} |{cells}", question.what);
    }
}

fn headings(sizes: &[u64]) -> impl Iterator<Item = (u64, &'static str)> {
    ["24 h", "1 h"].into_iter().flat_map(move |span| sizes.iter().map(move |&size| (size, span)))
}

fn store_and_ask(table: &mut Table, rows: u64) -> Column {
    let free = rustix::fs::statvfs(DATA_ROOT).expect("look at the disk");
    let free_bytes = free.f_bavail * free.f_frsize;
    if free_bytes < rows * LINE_BYTES_ON_DISK {
        eprintln!("NOT MEASURED: {} lines: only {} MB free", number(rows as f64), number(free_bytes as f64 / 1e6));
        return None;
    }
    let corpus = Corpus::of(rows)?;
    eprintln!("storing {} lines …", number(rows as f64));
    let stored = ingest::store(&corpus);
    Some(ask_all(table, &stored.server, &corpus))
}

fn ask_all(table: &mut Table, server: &Server, corpus: &Corpus) -> [Vec<String>; 2] {
    eprintln!("asking {} lines for a day and for an hour …", number(corpus.rows as f64));
    let questions = question::questions(corpus);
    let windows = [&corpus.day, &corpus.hour];
    let expected = plain_scan::scan(corpus, &windows, &questions);
    std::array::from_fn(|window| {
        let asked = questions.iter().zip(&expected[window]);
        asked.map(|(question, expected)| cell(table, server, question, windows[window], expected)).collect()
    })
}

fn cell(table: &mut Table, server: &Server, question: &Question, window: &Window, expected: &Expected) -> String {
    match question.measure(server, window, expected) {
        Ok((spread, _)) => format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high)),
        Err(why) => {
            table.note_wrong(format!("{} from {} to {}: {why}", question.what, window.from, window.to));
            "**WRONG**".to_owned()
        }
    }
}
