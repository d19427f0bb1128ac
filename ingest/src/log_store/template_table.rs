//! The table of a split's templates: what all rows of a template share, and where their variables are.
//!
//! ```text
//! table    := services severity_texts names schemas groups templates
//! services, severity_texts, names := count:varint bytes…
//! schemas  := count:varint { fields:varint { name:varint kind:u8 }… }…
//! groups   := count:varint region…               ; what small templates share
//! templates:= count:varint template…
//! template := service:varint severity:u8 severity_text:varint schema:varint holds:u8 text:bytes rows:varint
//!             place shape…                       ; a shape for each variable, then for each text attribute of the schema
//! place    := 0 region | 1 group:varint offset:varint length:varint
//! bytes    := length:varint bytes
//! ```

use taffrail_collector::model::Severity;

use super::bits::Bits;
use super::schema::{FieldKind, Schema};
use super::split_file::Region;
use super::template::{Holds, PLACEHOLDER, folds_into_ascii, variables_of};
use super::variable_column::Shape;
use crate::byte_cursor::{ByteCursor, Malformed, put_prefixed, put_varint};

/// The table, read.
#[derive(Debug)]
pub struct TemplateTable {
    /// Names of services.
    pub services: Vec<String>,
    /// Level words as they were written.
    pub severity_texts: Vec<String>,
    /// Names of attributes.
    pub names: Vec<String>,
    /// Which attributes records have.
    pub schemas: Vec<Schema>,
    /// What small templates share.
    pub groups: Vec<Region>,
    /// The templates, by number.
    pub templates: Vec<Template>,
    /// Templates whose words cannot be told from them alone: bodies must be read.
    pub doubtful: Bits,
    /// Templates whose texts may hold characters that are not ASCII.
    pub beyond_ascii: Bits,
    /// Bytes that hold their texts: the table's own, once it was read.
    texts: Vec<u8>,
    /// Their columns' shapes, one behind the other.
    shapes: Vec<Shape>,
}

/// What the rows of a template share.
#[derive(Clone, Debug)]
pub struct Template {
    /// Place in [`TemplateTable::services`].
    pub service: u32,
    /// The severity.
    pub severity: Severity,
    /// Place in [`TemplateTable::severity_texts`].
    pub severity_text: u32,
    /// Place in [`TemplateTable::schemas`].
    pub schema: u32,
    /// What its placeholders may stand for.
    pub holds: Holds,
    /// How many rows have it.
    pub rows: u32,
    /// Where its columns are.
    pub place: Place,
    /// How many variables its text has.
    pub variables: u32,
    text: (u32, u32),
    shapes: (u32, u32),
}

/// Where a template's columns are.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    /// In a region of their own.
    Own(Region),
    /// In a part of a region that small templates share.
    Shared {
        /// Place in [`TemplateTable::groups`].
        group: u32,
        /// Where in it.
        offset: u32,
        /// How many bytes.
        length: u32,
    },
}

impl TemplateTable {
    /// The template's text, with its placeholders.
    pub fn text(&self, template: &Template) -> &[u8] {
        &self.texts[template.text.0 as usize..template.text.1 as usize]
    }

    /// The shapes of the template's columns of text: of its variables, then of its schema's text attributes.
    pub fn shapes(&self, template: &Template) -> &[Shape] {
        &self.shapes[template.shapes.0 as usize..template.shapes.1 as usize]
    }

    /// A table of no templates.
    pub fn new(services: Vec<String>, severity_texts: Vec<String>, names: Vec<String>) -> TemplateTable {
        TemplateTable {
            services,
            severity_texts,
            names,
            schemas: Vec::new(),
            groups: Vec::new(),
            templates: Vec::new(),
            doubtful: Bits::empty(0),
            beyond_ascii: Bits::empty(0),
            texts: Vec::new(),
            shapes: Vec::new(),
        }
    }

    /// Adds a template.
    pub fn push(&mut self, mut template: Template, text: &[u8], shapes: &[Shape]) -> Result<(), Malformed> {
        template.variables = variables_of(text) as u32;
        let end = |length: usize| u32::try_from(length).map_err(|_| Malformed("its templates are too long"));
        template.text = (end(self.texts.len())?, end(self.texts.len() + text.len())?);
        template.shapes = (end(self.shapes.len())?, end(self.shapes.len() + shapes.len())?);
        self.texts.extend_from_slice(text);
        self.shapes.extend_from_slice(shapes);
        self.templates.push(template);
        Ok(())
    }

    /// The table's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for list in [&self.services, &self.severity_texts, &self.names] {
            put_varint(&mut out, list.len() as u64);
            list.iter().for_each(|text| put_prefixed(&mut out, text.as_bytes()));
        }
        put_varint(&mut out, self.schemas.len() as u64);
        for schema in &self.schemas {
            put_varint(&mut out, schema.fields.len() as u64);
            for (name, kind) in &schema.fields {
                put_varint(&mut out, u64::from(*name));
                out.push(*kind as u8);
            }
        }
        put_varint(&mut out, self.groups.len() as u64);
        self.groups.iter().for_each(|region| region.put(&mut out));
        put_varint(&mut out, self.templates.len() as u64);
        for template in &self.templates {
            put_varint(&mut out, u64::from(template.service));
            out.push(template.severity.number());
            put_varint(&mut out, u64::from(template.severity_text));
            put_varint(&mut out, u64::from(template.schema));
            out.push(template.holds as u8);
            put_prefixed(&mut out, self.text(template));
            put_varint(&mut out, u64::from(template.rows));
            match &template.place {
                Place::Own(region) => {
                    out.push(0);
                    region.put(&mut out);
                }
                Place::Shared { group, offset, length } => {
                    out.push(1);
                    [group, offset, length].iter().for_each(|number| put_varint(&mut out, u64::from(**number)));
                }
            }
            self.shapes(template).iter().for_each(|shape| shape.put(&mut out));
        }
        out
    }

    /// Reads a table and checks that what it refers to is there.
    pub fn read(bytes: Vec<u8>) -> Result<TemplateTable, Malformed> {
        let mut cursor = ByteCursor(&bytes);
        let mut table = TemplateTable::new(texts(&mut cursor)?, texts(&mut cursor)?, texts(&mut cursor)?);
        for _ in 0..cursor.count(1, usize::MAX)? {
            let fields = (0..cursor.count(2, usize::MAX)?)
                .map(|_| {
                    let name = number(&mut cursor, table.names.len())?;
                    let kind = FieldKind::from_number(cursor.u8()?).ok_or(Malformed("an unknown kind of field"))?;
                    Ok((name, kind))
                })
                .collect::<Result<Vec<_>, Malformed>>()?;
            table.schemas.push(Schema { fields });
        }
        table.groups =
            (0..cursor.count(6, usize::MAX)?).map(|_| Region::read(&mut cursor)).collect::<Result<_, _>>()?;
        let templates = cursor.count(9, usize::MAX)?;
        table.templates.reserve(templates);
        table.doubtful = Bits::empty(templates as u32);
        table.beyond_ascii = Bits::empty(templates as u32);
        let place_of = |at: usize| u32::try_from(at).map_err(|_| Malformed("its templates are too long"));
        for at in 0..templates as u32 {
            let service = number(&mut cursor, table.services.len())?;
            let severity = Severity::from_number(cursor.u8()?).ok_or(Malformed("a severity above 24"))?;
            let severity_text = number(&mut cursor, table.severity_texts.len())?;
            let schema = number(&mut cursor, table.schemas.len())?;
            let holds = match cursor.u8()? {
                0 => Holds::Digits,
                1 => Holds::Words,
                2 => Holds::Anything,
                _ => return Err(Malformed("an unknown kind of template")),
            };
            let text = cursor.prefixed()?;
            let text_end = bytes.len() - cursor.0.len();
            let rows = number(&mut cursor, u32::MAX as usize)?;
            let place = match cursor.u8()? {
                0 => Place::Own(Region::read(&mut cursor)?),
                1 => Place::Shared {
                    group: number(&mut cursor, table.groups.len())?,
                    offset: number(&mut cursor, u32::MAX as usize)?,
                    length: number(&mut cursor, u32::MAX as usize)?,
                },
                _ => return Err(Malformed("a template lies nowhere")),
            };
            let variables = variables_of(text);
            let first_shape = table.shapes.len();
            for _ in 0..variables + table.schemas[schema as usize].text_columns() {
                table.shapes.push(Shape::read(&mut cursor)?);
            }
            let plain = !text.iter().any(|byte| (0x80..PLACEHOLDER).contains(byte));
            if !plain || holds == Holds::Anything {
                table.beyond_ascii.insert(at);
            }
            if holds != Holds::Digits || !plain && variables > 0 && folds_into_ascii(text) {
                table.doubtful.insert(at);
            }
            let mut template = Template::new(service, severity, severity_text, schema, holds, rows, place);
            template.variables = variables as u32;
            template.text = (place_of(text_end - text.len())?, place_of(text_end)?);
            template.shapes = (place_of(first_shape)?, place_of(table.shapes.len())?);
            table.templates.push(template);
        }
        cursor.finish()?;
        table.texts = bytes;
        Ok(table)
    }
}

impl Template {
    /// A template to be pushed into a table.
    pub fn new(
        service: u32,
        severity: Severity,
        severity_text: u32,
        schema: u32,
        holds: Holds,
        rows: u32,
        place: Place,
    ) -> Template {
        Template {
            service,
            severity,
            severity_text,
            schema,
            holds,
            rows,
            place,
            variables: 0,
            text: (0, 0),
            shapes: (0, 0),
        }
    }
}

/// A number below `end`.
fn number(cursor: &mut ByteCursor<'_>, end: usize) -> Result<u32, Malformed> {
    let number = cursor.varint()?;
    u32::try_from(number).ok().filter(|&n| (n as usize) < end).ok_or(Malformed("it refers to what is not there"))
}

fn texts(cursor: &mut ByteCursor<'_>) -> Result<Vec<String>, Malformed> {
    (0..cursor.count(1, usize::MAX)?)
        .map(|_| {
            let text = std::str::from_utf8(cursor.prefixed()?).map_err(|_| Malformed("a name is not UTF-8"))?;
            Ok(text.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> TemplateTable {
        let mut table = TemplateTable::new(vec!["shop".to_owned()], vec![String::new()], vec!["path".to_owned()]);
        table.schemas.push(Schema { fields: vec![(0, FieldKind::Text), (0, FieldKind::Int)] });
        table.groups.push(Region { offset: 8, length: 100, crc: 7, unpacked: 200 });
        for number in 0..20 {
            let text = [b"took ".as_slice(), &[PLACEHOLDER], b" ms ", &[b'a' + number]].concat();
            let place = match number % 2 {
                0 => Place::Own(Region { offset: 99, length: 5, crc: 1, unpacked: 0 }),
                _ => Place::Shared { group: 0, offset: 3, length: 9 },
            };
            let template = Template::new(0, Severity::INFO, 0, 0, Holds::Digits, 7, place);
            table.push(template, &text, &[Shape::default(); 2]).expect("small");
        }
        table
    }

    proptest! {
        #[test]
        fn damaged_tables_never_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
            let mut bytes = table().encode();
            prop_assert_eq!(TemplateTable::read(bytes.clone()).expect("reads").encode(), bytes.clone());
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = TemplateTable::read(bytes.clone());
            bytes.truncate(cut.index(bytes.len()));
            let _ = TemplateTable::read(bytes.clone());
        }
    }
}
