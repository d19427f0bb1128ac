//! What makes two errors the same, as a name of 16 hexadecimal digits.

use std::collections::HashSet;

use super::name;
use super::stack_trace::{Exception, StackTrace};
use crate::log_store::PatternId;

/// So many own functions decide, from the one that failed outwards: who called them does not make it another error.
const OWN_FRAMES: usize = 8;
/// Where no function is the program's own, so many of libraries do.
const LIBRARY_FRAMES: usize = 5;

/// What is known of an error, besides its trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'t> {
    /// The service that failed.
    pub service: &'t str,
    /// The type of the exception, where a field says it.
    pub kind: &'t str,
    /// The record's message.
    pub message: &'t str,
}

/// The name of the error's group.
pub fn of(told: Told<'_>, trace: Option<&StackTrace<'_>>) -> String {
    let mut text = String::with_capacity(256);
    let part = |text: &mut String, said: &str| {
        text.push_str(said);
        text.push('\n');
    };
    part(&mut text, told.service);
    let kinds = trace.map(|trace| trace.exceptions.iter().map(|one| one.kind).filter(|kind| !kind.is_empty()));
    let mut has_kind = false;
    for kind in kinds.into_iter().flatten() {
        has_kind = true;
        name::function(kind, &mut text);
        text.push('\n');
    }
    if !has_kind && !told.kind.is_empty() {
        has_kind = true;
        part(&mut text, told.kind);
    }
    let frames = trace.map(frames).unwrap_or_default();
    for frame in &frames {
        part(&mut text, frame);
    }
    // A type alone says little, `Error: …` is thrown for everything, and so does a file.
    let is_named = frames.iter().any(|frame| !frame.starts_with('@'));
    if !is_named || !has_kind {
        let of_trace = trace.and_then(called_after).map_or("", |exception| exception.message);
        let message = if of_trace.is_empty() { first_line(told.message) } else { of_trace };
        part(&mut text, &PatternId::of(message).to_string());
    }
    PatternId::of_text(&text).to_string()
}

/// The functions that decide: own ones first, each once however deep a recursion went.
fn frames(trace: &StackTrace<'_>) -> Vec<String> {
    let deciding = |is_own: bool, count: usize| {
        let (mut seen, mut deciding) = (HashSet::new(), Vec::new());
        // The root cause is told last, except in JavaScript's and .NET's order, where the chain is short.
        for exception in trace.exceptions.iter().rev() {
            for frame in exception.frames.iter().filter(|frame| frame.is_own || !is_own) {
                let mut said = String::new();
                name::function(frame.function, &mut said);
                // A class names its file, and a bundle's functions have no names.
                if !says_where(frame.function) {
                    said.push('@');
                    name::file(frame.file, &mut said);
                }
                if deciding.len() < count && !said.is_empty() && seen.insert(said.clone()) {
                    deciding.push(said);
                }
            }
        }
        deciding
    };
    let own = deciding(true, OWN_FRAMES);
    if own.is_empty() { deciding(false, LIBRARY_FRAMES) } else { own }
}

/// Whether a function's name says where it is: `com.acme.Cart.total`, `main.(*Cart).Total`, `shop::cart::total`.
fn says_where(function: &str) -> bool {
    function.contains("::") && !function.starts_with('<')
        || function.matches('.').count() >= 2
        || function.starts_with("main.")
}

/// The exception that an error is called after: the outermost that has a type.
pub fn called_after<'a, 't>(trace: &'a StackTrace<'t>) -> Option<&'a Exception<'t>> {
    trace.exceptions.iter().find(|one| !one.kind.is_empty()).or_else(|| trace.exceptions.first())
}

fn first_line(message: &str) -> &str {
    message.lines().find(|line| !line.trim().is_empty()).unwrap_or(message)
}
