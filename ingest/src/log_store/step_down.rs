//! Services whose texts have no templates, or whose records never have the same attributes twice: noticed while a split is
//! built, for each service alone, so that one of them spoils nothing for the others.
//!
//! Normal text brings few new templates once some thousand lines were seen (a fifth of the first 2,048 lines of real
//! systems, a fifteenth of the first 16,384); text without templates brings one with every line. So a service steps down when
//! more than half of a window's lines did: first to templates of frequent words, where every rare word is a variable too,
//! then to raw text. It climbs again with the next split.

use std::collections::HashMap;

use super::schema::{FieldKind, Schema};
use super::template::{Cut, runs};

/// Rows of a window.
const WINDOW: u32 = 2048;
/// A word is frequent when so many of a window's new templates have it.
const FREQUENT: u32 = 4;
/// Different schemas of one service before it gets a loose one.
const SCHEMAS_MAX: usize = 64;
/// An attribute gets a column of its own in a loose schema when one of so many rows has it …
const RARE: u64 = 16;
/// … and at most so many attributes do.
const LOOSE_COLUMNS_MAX: usize = 256;

/// How one service's records are taken apart.
#[derive(Debug, Default)]
pub struct ServiceSteps {
    cut: Cut,
    rows: u32,
    new_templates: u32,
    words: HashMap<Box<[u8]>, u32>,
    /// Strict schemas, and how many rows have each.
    schemas: HashMap<u32, u64>,
    loose: Option<LooseSchema>,
}

/// A loose schema of a service.
#[derive(Debug)]
pub struct LooseSchema {
    /// Its place among the split's schemas.
    pub schema: u32,
    /// The columns of its attributes, by place of the name.
    pub columns: HashMap<u32, usize>,
}

impl ServiceSteps {
    /// How the next text is cut.
    pub fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The loose schema, once the service has one.
    pub fn loose(&self) -> Option<&LooseSchema> {
        self.loose.as_ref()
    }

    /// What the service stepped down to, in words for people; none when it did not.
    pub fn stepped_down(&self) -> Option<&'static str> {
        match (&self.cut, &self.loose) {
            (Cut::Digits, None) => None,
            (Cut::Digits, Some(_)) => Some("loose attributes"),
            (Cut::RareWords(_), None) => Some("frequent words"),
            (Cut::RareWords(_), Some(_)) => Some("frequent words, loose attributes"),
            (Cut::Raw, None) => Some("raw text"),
            (Cut::Raw, Some(_)) => Some("raw text, loose attributes"),
        }
    }

    /// Notes a row, and whether its text brought a new template; its schema is looked at by [`ServiceSteps::schema`].
    #[inline]
    pub fn row(&mut self, text: &str, new_template: bool) {
        self.rows += 1;
        if new_template {
            self.new_template(text);
        }
        if self.rows == WINDOW {
            self.close_window();
        }
    }

    fn new_template(&mut self, text: &str) {
        self.new_templates += 1;
        if matches!(self.cut, Cut::Digits) {
            for run in runs(text.as_bytes()) {
                match self.words.get_mut(run) {
                    Some(count) => *count += 1,
                    None => {
                        self.words.insert(run.into(), 1);
                    }
                }
            }
        }
    }

    fn close_window(&mut self) {
        let exploding = self.new_templates > WINDOW / 2;
        let words = std::mem::take(&mut self.words);
        (self.rows, self.new_templates) = (0, 0);
        if !exploding {
            return;
        }
        self.cut = match self.cut {
            Cut::Digits => Cut::RareWords(
                words
                    .into_iter()
                    .filter(|(word, count)| *count >= FREQUENT && !word.iter().any(u8::is_ascii_digit))
                    .map(|(word, _)| word)
                    .collect(),
            ),
            Cut::RareWords(_) | Cut::Raw => Cut::Raw,
        };
    }

    /// Notes a row of a strict schema. When the service has had too many of them, it gets a loose one, which
    /// `add_schema` takes; `schemas` are those of the split.
    pub fn schema(&mut self, schema: u32, schemas: &[Schema], add_schema: &mut dyn FnMut(Schema) -> u32) {
        *self.schemas.entry(schema).or_default() += 1;
        if self.schemas.len() <= SCHEMAS_MAX || self.loose.is_some() {
            return;
        }
        let rows: u64 = self.schemas.values().sum();
        let mut counts: HashMap<u32, u64> = HashMap::new();
        let mut order = Vec::new();
        for (&schema, &rows) in &self.schemas {
            for (name, _) in &schemas[schema as usize].fields {
                *counts.entry(*name).or_insert_with(|| {
                    order.push(*name);
                    0
                }) += rows;
            }
        }
        // Names are numbered as they were first met, which is mostly the order in which records have them.
        order.sort_unstable();
        order.retain(|name| counts[name] * RARE >= rows);
        order.truncate(LOOSE_COLUMNS_MAX);
        let columns = order.iter().enumerate().map(|(column, name)| (*name, column)).collect();
        let mut fields: Vec<(u32, FieldKind)> = order.into_iter().map(|name| (name, FieldKind::Loose)).collect();
        fields.push((0, FieldKind::Rest));
        self.loose = Some(LooseSchema { schema: add_schema(Schema { fields }), columns });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_templates_steps_down_twice_and_normal_text_stays() {
        let mut steps = ServiceSteps::default();
        for n in 0..WINDOW * 3 {
            steps.row("user logged in", n % 7 == 0);
        }
        assert_eq!(steps.stepped_down(), None);
        for n in 0..WINDOW {
            steps.row(&format!("login of {}", ["ab", "ba"][n as usize % 2].repeat(n as usize % 50)), true);
        }
        assert_eq!(steps.stepped_down(), Some("frequent words"));
        assert!(matches!(steps.cut(), Cut::RareWords(words) if words.contains(b"login".as_slice())));
        (0..WINDOW).for_each(|_| steps.row("x", true));
        assert_eq!(steps.stepped_down(), Some("raw text"));
    }

    #[test]
    fn too_many_schemas_become_one_loose_one() {
        let mut steps = ServiceSteps::default();
        let mut schemas: Vec<Schema> = Vec::new();
        for n in 0..100u32 {
            schemas.push(Schema { fields: vec![(0, FieldKind::Int), (n + 1, FieldKind::Text)] });
            let mut added = None;
            steps.schema(n, &schemas, &mut |schema| {
                added = Some(schema);
                1000
            });
            if let Some(schema) = added {
                assert_eq!(n as usize, SCHEMAS_MAX);
                assert_eq!(schema.fields, [(0, FieldKind::Loose), (0, FieldKind::Rest)]);
            }
        }
        assert_eq!(steps.stepped_down(), Some("loose attributes"));
        assert!(steps.loose().is_some_and(|loose| loose.schema == 1000 && loose.columns == HashMap::from([(0, 0)])));
    }
}
