//! Asking conditions of a split's templates: which decide them for all their rows, and which leave them open.

use std::collections::HashMap;

use taffrail_collector::model::{SpanId, TraceId};

use super::bits::Bits;
use super::field::Field;
use super::matching::{Condition, FieldTest, Matcher, WildcardMatcher};
use super::pattern::PatternId;
use super::row_conditions::{Need, Own, RowCondition};
use super::split_filter::{Node, Stop};
use super::split_reader::{IdColumn, Origin, SplitReader};
use super::template::{Cut, Holds, TERM_PLACEHOLDER, TemplateWord, WordPart, literals, runs, template_words, term_of};
use super::template_table::{Template, TemplateTable};
use super::text_automaton::{State, TextAutomaton};
use super::variable_column::Shape;
use super::words::is_word_character;
use crate::scan::Scan;

/// The condition, asked of the split's templates.
pub fn node<'a>(split: &'a SplitReader, condition: &'a Condition, scan: &'a Scan) -> Result<Node<'a>, Stop> {
    scan.touch(0, 0)?;
    let table = split.table()?;
    let asked = Asked { split, table, templates: table.templates.len() as u32 };
    let all = |conditions: &'a [Condition]| -> Result<Vec<Node<'a>>, Stop> {
        conditions.iter().map(|condition| node(split, condition, scan)).collect()
    };
    Ok(match condition {
        Condition::All => Node::decided(asked.all()),
        Condition::Nothing => Node::decided(asked.none()),
        Condition::And(conditions) => Node::and(all(conditions)?, asked.templates),
        Condition::Or(conditions) => Node::or(all(conditions)?, asked.templates),
        Condition::Not(condition) => Node::not(node(split, condition, scan)?),
        Condition::Text { text, everywhere: false } => asked.text(text)?,
        Condition::Text { text, everywhere: true } => {
            Node::or(vec![asked.text(text)?, asked.attribute_text(text)], asked.templates)
        }
        Condition::Field { field, test } => asked.field(field, test, condition, scan)?,
        Condition::SeverityBetween(low, high) => {
            Node::decided(asked.that(|template| (*low..=*high).contains(&template.severity)))
        }
        Condition::Trace(id) => asked.id(split.traces()?, id.bits())?,
        Condition::Span(id) => asked.id(split.spans()?, u128::from(id.bits()))?,
        Condition::Pattern(id) => asked.pattern(*id)?,
        Condition::Time(range) => {
            let rows = split.rows_in(*range)?;
            match rows.len() as u32 {
                0 => Node::decided(asked.none()),
                count if count == split.rows() => Node::decided(asked.all()),
                _ => Node::open(asked.none(), asked.all(), RowCondition::Rows(rows)),
            }
        }
    })
}

/// Ids between two looks at the scan's budget.
const IDS_PER_TOUCH: u32 = 1 << 12;

#[derive(Clone, Copy)]
struct Asked<'a> {
    split: &'a SplitReader,
    table: &'a TemplateTable,
    templates: u32,
}

impl<'a> Asked<'a> {
    fn all(&self) -> Bits {
        Bits::full(self.templates)
    }

    fn none(&self) -> Bits {
        Bits::empty(self.templates)
    }

    fn that(&self, holds: impl Fn(&Template) -> bool) -> Bits {
        let mut found = self.none();
        for (number, template) in self.table.templates.iter().enumerate() {
            if holds(template) {
                found.insert(number as u32);
            }
        }
        found
    }

    /// Bare text in bodies.
    fn text(&self, text: &'a Matcher) -> Result<Node<'a>, Stop> {
        match text {
            Matcher::Phrase(phrase) if phrase.is_empty() => Ok(Node::decided(self.all())),
            Matcher::Phrase(phrase) => self.phrase(phrase, text),
            Matcher::Prefix(prefix) if !prefix.chars().all(is_word_character) => Ok(Node::decided(self.none())),
            Matcher::Prefix(prefix) => self.prefix(prefix, text),
            Matcher::Wildcard(matcher) => self.wildcard(matcher, text),
            Matcher::Regex(regex) => Ok(self.regex(regex.automaton(), text)),
        }
    }

    /// A regular expression: asked of each template by the states that its texts may lead to.
    fn regex(&self, automaton: Option<&'a TextAutomaton>, text: &'a Matcher) -> Node<'a> {
        let (mut sure, mut possible) = (self.none(), self.none());
        for (number, template) in self.table.templates.iter().enumerate() {
            let (number, pieces) = (number as u32, self.table.text(template));
            let states = automaton
                .filter(|_| !self.table.beyond_ascii.contains(number))
                .and_then(|automaton| Some((automaton, states(automaton, pieces, self.table.shapes(template))?)));
            match states {
                Some((automaton, states)) if states.iter().all(|&state| automaton.at_end(state)) => sure.insert(number),
                Some((automaton, states)) if !states.iter().any(|&state| automaton.at_end(state)) => {}
                Some(_) => possible.insert(number),
                None if template.variables > 0 => possible.insert(number),
                None if std::str::from_utf8(pieces).is_ok_and(|body| text.is_in(body)) => sure.insert(number),
                None => {}
            }
        }
        let condition = match automaton {
            Some(automaton) => RowCondition::Automaton(automaton, text),
            None => RowCondition::BodyText(text),
        };
        Node::open(sure, possible, condition)
    }

    /// Words next to each other. A word that holds no digit stands in a template, if anywhere; one that does may stand in
    /// variables, which then must be what the word says.
    fn phrase(&self, phrase: &'a [String], text: &'a Matcher) -> Result<Node<'a>, Stop> {
        let terms: Vec<String> = phrase.iter().map(|word| term_of(word)).collect();
        let found = self.split.index()?.phrase(&terms)?;
        let doubtful = &self.table.doubtful;
        if !terms.iter().any(|term| term.contains(TERM_PLACEHOLDER)) {
            return Ok(Node::open(found, doubtful.clone(), RowCondition::BodyText(text)));
        }
        let wanted: Vec<&str> = phrase.iter().flat_map(|word| variables(word)).collect();
        let (mut possible, mut needs) = (doubtful.clone(), HashMap::new());
        for number in found.iter().filter(|&number| !doubtful.contains(number)) {
            let template = &self.table.templates[number as usize];
            let shapes = &self.table.shapes(template)[..template.variables as usize];
            if !wanted.iter().all(|text| shapes.iter().any(|shape| shape.may_equal(text))) {
                continue;
            }
            let words = template_words(self.table.text(template));
            let ways: Vec<Vec<Need>> = words
                .windows(phrase.len())
                .filter_map(|window| {
                    let needs: Option<Vec<Vec<Need>>> =
                        window.iter().zip(phrase).map(|(word, text)| equal(word, text)).collect();
                    Some(needs?.concat())
                })
                .filter(|needs| needs.iter().all(|need| need.may_be_met(shapes)))
                .collect();
            if !ways.is_empty() {
                possible.insert(number);
                needs.insert(number, ways);
            }
        }
        Ok(Node::open(self.none(), possible, RowCondition::Words(needs, text)))
    }

    /// A word that starts so.
    fn prefix(&self, prefix: &'a str, text: &'a Matcher) -> Result<Node<'a>, Stop> {
        // The last run of letters and digits may be the beginning of a longer one, which may be a variable.
        let tail = runs(prefix.as_bytes()).last().filter(|run| prefix.as_bytes().ends_with(run)).map_or(0, <[u8]>::len);
        let (head, tail) = prefix.split_at(prefix.len() - tail);
        let head_term = term_of(head);
        let open_head = head_term.contains(TERM_PLACEHOLDER);
        let literal = (!tail.bytes().any(|byte| byte.is_ascii_digit())).then(|| format!("{head_term}{tail}"));
        let variable = format!("{head_term}{TERM_PLACEHOLDER}");
        let (mut sure, mut perhaps) = (self.none(), self.none());
        self.split.index()?.visit_terms(&head_term, &mut |term, add| {
            if !term.starts_with(&head_term) {
                return Ok(false);
            }
            if literal.as_ref().is_some_and(|literal| term.starts_with(literal)) {
                add(if open_head { &mut perhaps } else { &mut sure })?;
            } else if term.starts_with(&variable) {
                add(&mut perhaps)?;
            }
            Ok(true)
        })?;
        let doubtful = &self.table.doubtful;
        let (mut possible, mut needs) = (doubtful.clone(), HashMap::new());
        perhaps.subtract(doubtful);
        perhaps.subtract(&sure);
        for number in perhaps.iter() {
            let template = &self.table.templates[number as usize];
            let shapes = &self.table.shapes(template)[..template.variables as usize];
            let ways: Vec<Vec<Need>> = template_words(self.table.text(template))
                .iter()
                .filter_map(|word| starts(word, prefix))
                .filter(|needs| needs.iter().all(|need| need.may_be_met(shapes)))
                .collect();
            if ways.iter().any(Vec::is_empty) {
                sure.insert(number);
            } else if !ways.is_empty() {
                possible.insert(number);
                needs.insert(number, ways);
            }
        }
        Ok(Node::open(sure, possible, RowCondition::Words(needs, text)))
    }

    /// A word of this pattern.
    fn wildcard(&self, matcher: &'a WildcardMatcher, text: &'a Matcher) -> Result<Node<'a>, Stop> {
        let (mut sure, mut possible) = (self.none(), self.table.doubtful.clone());
        self.split.index()?.visit_terms("", &mut |term, add| {
            if term.contains(TERM_PLACEHOLDER) {
                if matcher.pattern.may_match(term, TERM_PLACEHOLDER) {
                    add(&mut possible)?;
                }
            } else if matcher.pattern.matches(term) {
                add(&mut sure)?;
            }
            Ok(true)
        })?;
        let condition = match matcher.automaton() {
            Some(automaton) => RowCondition::Automaton(automaton, text),
            None => RowCondition::BodyText(text),
        };
        Ok(Node::open(sure, possible, condition))
    }

    /// Bare text in attributes that hold text.
    fn attribute_text(&self, text: &'a Matcher) -> Node<'a> {
        let possible = self.that(|template| self.table.schemas[template.schema as usize].text_columns() > 0);
        Node::open(self.none(), possible, RowCondition::AttributeText(text))
    }

    fn field(
        &self,
        field: &'a Field,
        test: &'a FieldTest,
        condition: &'a Condition,
        scan: &Scan,
    ) -> Result<Node<'a>, Stop> {
        let passes = |text: &str| !text.is_empty() && test.passes_text(text);
        Ok(match field {
            Field::Message => self.message(test)?,
            Field::Level => Node::decided(self.that(|template| passes(template.severity.name()))),
            Field::SeverityText => {
                let pass: Vec<bool> = self.table.severity_texts.iter().map(|text| passes(text)).collect();
                Node::decided(self.that(|template| pass[template.severity_text as usize]))
            }
            Field::Service => {
                let pass: Vec<bool> = self.table.services.iter().map(|text| passes(text)).collect();
                Node::decided(self.that(|template| pass[template.service as usize]))
            }
            Field::Host => self.origins(|origin| passes(&origin.host))?,
            Field::TraceId => match test.typed_phrase() {
                Some(typed) => match TraceId::from_hex(typed) {
                    Some(id) => self.id(self.split.traces()?, id.bits())?,
                    None => Node::decided(self.none()),
                },
                None => {
                    self.ids(self.split.traces()?, test, scan, |bits| TraceId::new(bits).map(|id| id.to_string()))?
                }
            },
            Field::SpanId => match test.typed_phrase() {
                Some(typed) => match SpanId::from_hex(typed) {
                    Some(id) => self.id(self.split.spans()?, u128::from(id.bits()))?,
                    None => Node::decided(self.none()),
                },
                None => {
                    self.ids(self.split.spans()?, test, scan, |bits| SpanId::new(bits as u64).map(|id| id.to_string()))?
                }
            },
            Field::Time => Node::open(self.none(), self.all(), RowCondition::Time(test)),
            Field::Attribute(name) => self.attribute(name, test, condition)?,
        })
    }

    fn message(&self, test: &'a FieldTest) -> Result<Node<'a>, Stop> {
        if let FieldTest::Text(text @ Matcher::Regex(_), _) = test {
            return Ok(Node::and(vec![self.text(text)?, self.message(&FieldTest::Exists)?], self.templates));
        }
        let words = |prefix: &str| !prefix.is_empty() && prefix.chars().all(is_word_character);
        match test {
            FieldTest::Text(text @ Matcher::Phrase(phrase), _) if !phrase.is_empty() => {
                return self.phrase(phrase, text);
            }
            // A body that starts so has a first word that does.
            FieldTest::Text(text @ Matcher::Prefix(prefix), _) if words(prefix) => return self.prefix(prefix, text),
            _ => {}
        }
        let mut equal = Vec::new();
        if let FieldTest::Equals(typed) = test {
            Cut::Digits.cut(typed, &mut equal, |_| {});
        }
        let (mut sure, mut possible) = (self.none(), self.none());
        for (number, template) in self.table.templates.iter().enumerate() {
            let (number, text) = (number as u32, self.table.text(template));
            let literal = if template.variables == 0 { std::str::from_utf8(text).ok() } else { None };
            match (literal, test) {
                (Some(text), _) if !text.is_empty() && test.passes_text(text) => sure.insert(number),
                (Some(_), _) => {}
                (None, FieldTest::Exists) if template.holds != Holds::Anything => sure.insert(number),
                (None, FieldTest::Equals(_)) if template.holds == Holds::Digits && text != equal => {}
                (None, _) => possible.insert(number),
            }
        }
        Ok(Node::open(sure, possible, RowCondition::Body(test)))
    }

    /// Bodies of this pattern: of a template cut by digits all have one.
    fn pattern(&self, id: PatternId) -> Result<Node<'a>, Stop> {
        let (mut sure, mut possible) = (self.none(), self.none());
        for (number, known) in (0..).zip(self.split.pattern_ids()?) {
            match known {
                Some(known) if *known == id => sure.insert(number),
                Some(_) => {}
                None => possible.insert(number),
            }
        }
        Ok(Node::open(sure, possible, RowCondition::Pattern(id)))
    }

    fn origins(&self, passes: impl Fn(&Origin) -> bool) -> Result<Node<'a>, Stop> {
        let pass: Vec<bool> = self.split.origins()?.iter().map(passes).collect();
        Ok(match pass.contains(&true) {
            false => Node::decided(self.none()),
            true if !pass.contains(&false) => Node::decided(self.all()),
            true => Node::open(self.none(), self.all(), RowCondition::Origin(pass)),
        })
    }

    /// The rows of one id.
    fn id(&self, column: Option<&IdColumn>, id: u128) -> Result<Node<'a>, Stop> {
        let Some((column, code)) = column.and_then(|column| Some((column, column.dictionary.code(id)?))) else {
            return Ok(Node::decided(self.none()));
        };
        let rows: Vec<u32> = column.runs.rows_of(code).into_iter().flatten().collect();
        let (mut possible, mut ordinals) = (self.none(), HashMap::<u32, Vec<u32>>::new());
        for (template, ordinal) in self.split.locate(&rows)? {
            possible.insert(template);
            ordinals.entry(template).or_default().push(ordinal);
        }
        Ok(Node::open(self.none(), possible, RowCondition::Ordinals(ordinals)))
    }

    /// A test of ids that is not equality.
    fn ids(
        &self,
        column: Option<&'a IdColumn>,
        test: &'a FieldTest,
        scan: &Scan,
        written: impl Fn(u128) -> Option<String>,
    ) -> Result<Node<'a>, Stop> {
        let Some(column) = column else { return Ok(Node::decided(self.none())) };
        let every = matches!(test, FieldTest::Exists);
        let passes =
            |code: u32| column.dictionary.id(code).and_then(&written).is_some_and(|hex| test.passes_text(&hex));
        let mut pass = Vec::with_capacity(column.dictionary.len());
        for code in 0..column.dictionary.len() as u32 {
            if code % IDS_PER_TOUCH == 0 {
                scan.touch(0, 0)?;
            }
            pass.push(every || passes(code));
        }
        Ok(Node::open(self.none(), self.all(), RowCondition::Ids(column, pass)))
    }

    fn attribute(&self, name: &'a str, test: &'a FieldTest, condition: &'a Condition) -> Result<Node<'a>, Stop> {
        let pass: Vec<bool> = self
            .split
            .origins()?
            .iter()
            .map(|origin| {
                let inherited = origin.attributes.iter().find(|(other, _)| **other == *name);
                inherited.is_some_and(|(_, value)| test.passes(value))
            })
            .collect();
        let number = self.table.names.iter().position(|other| other == name).map(|at| at as u32);
        let (every, some) = (!pass.contains(&false), pass.contains(&true));
        let own: Vec<Own> = self.table.schemas.iter().map(|schema| Own::of(schema, number)).collect();
        let (mut sure, mut possible) = (self.none(), self.none());
        for (at, template) in self.table.templates.iter().enumerate() {
            let at = at as u32;
            match own[template.schema as usize] {
                Own::Absent if every => sure.insert(at),
                Own::Absent if some => possible.insert(at),
                Own::Absent | Own::Null => {}
                Own::Field(..) | Own::Loose(_) => possible.insert(at),
            }
        }
        Ok(Node::open(sure, possible, RowCondition::Attribute { name, test, own, pass, condition }))
    }
}

/// The states that texts of a template may end in; none when there are too many to tell.
fn states(automaton: &TextAutomaton, template: &[u8], shapes: &[Shape]) -> Option<Vec<State>> {
    let mut states = vec![automaton.start()];
    for (at, literal) in literals(template).enumerate() {
        if at > 0 {
            let mut next = Vec::new();
            for &state in &states {
                next.extend(automaton.image(state, &shapes[at - 1])?);
            }
            next.sort_unstable();
            next.dedup();
            states = next;
        }
        states.iter_mut().for_each(|state| *state = automaton.run(*state, literal));
        states.sort_unstable();
        states.dedup();
    }
    Some(states)
}

/// The runs of a word that hold a digit.
fn variables(word: &str) -> impl Iterator<Item = &str> {
    let mut found = Vec::new();
    Cut::Digits.cut(word, &mut Vec::new(), |variable| found.push(variable));
    found.into_iter().filter_map(|variable| std::str::from_utf8(variable).ok())
}

/// What must hold of the variables for the word to equal the folded text; none when it cannot.
fn equal(word: &TemplateWord, text: &str) -> Option<Vec<Need>> {
    let (needs, rest) = walk(word, text, false)?;
    rest.is_empty().then_some(needs)
}

/// What must hold of the variables for the word to start with the folded text; none when it cannot.
fn starts(word: &TemplateWord, text: &str) -> Option<Vec<Need>> {
    let (needs, rest) = walk(word, text, true)?;
    rest.is_empty().then_some(needs)
}

/// Takes the parts of the word off the text, all of them or, for a beginning, until the text is used up.
fn walk<'t>(word: &TemplateWord, text: &'t str, beginning: bool) -> Option<(Vec<Need>, &'t str)> {
    let (mut needs, mut rest) = (Vec::new(), text);
    for part in &word.parts {
        if beginning && rest.is_empty() {
            break;
        }
        match part {
            WordPart::Literal(literal) => match rest.strip_prefix(literal.as_str()) {
                Some(after) => rest = after,
                None if beginning && literal.starts_with(rest) => rest = "",
                None => return None,
            },
            WordPart::Variable(variable) => {
                let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
                let (run, after) = rest.split_at(length);
                let open = beginning && after.is_empty();
                if run.is_empty() || !open && !run.bytes().any(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                needs.push(Need { variable: *variable, text: run.to_owned(), beginning: open });
                rest = after;
            }
        }
    }
    Some((needs, rest))
}
