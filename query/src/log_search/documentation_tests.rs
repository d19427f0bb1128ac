//! The language's documentation tells the truth: each of its examples is asked, and every stage and function stands in it.

use super::cases::{MORNING, now};
use super::question::Question;
use super::stage::STAGES;

const DOCUMENT: &str = include_str!("../../search-language.md");

/// The lines of the blocks with this mark.
fn examples(mark: &str) -> Vec<&'static str> {
    let blocks = DOCUMENT.split("```").skip(1).step_by(2);
    let marked = blocks.filter_map(|block| block.strip_prefix(mark)?.strip_prefix('\n'));
    marked.flat_map(str::lines).collect()
}

#[test]
fn what_the_documentation_finds_is_found() {
    let examples = examples("found");
    assert!(examples.len() > 25, "{examples:?}");
    for example in examples {
        let (rows, outcome) = MORNING.ask(example, 1_000);
        assert!(!rows.is_empty(), "{example}");
        assert_eq!((outcome.stopped, outcome.gaps), (None, Vec::new()), "{example}");
    }
}

#[test]
fn what_the_documentation_says_is_refused_is_refused_so() {
    let examples = examples("refused");
    assert!(examples.len() > 5);
    for example in examples {
        let (text, expected) = example.split_once('→').expect(example);
        let error = Question::parse_at(text.trim_end(), now()).expect_err(example);
        assert!(error.message.contains(expected.trim()), "{example}: {}", error.message);
    }
}

#[test]
fn every_stage_has_an_example() {
    let examples = examples("found").join("\n");
    for stage in STAGES {
        assert!(examples.contains(&format!("| {}", stage.name)), "{} has no example", stage.name);
        assert!(DOCUMENT.contains(&format!("`{}", stage.name)), "{} is not explained", stage.name);
    }
}
