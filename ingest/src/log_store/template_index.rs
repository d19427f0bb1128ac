//! The words of a split's templates: a tantivy index with one document a template, so thousands where rows are millions.
//!
//! Its one field holds the words of a template in order ([`template_words`]): literal words folded, words with a variable in
//! them with [`TERM_PLACEHOLDER`](super::template::TERM_PLACEHOLDER) in its place. A document's number is the template's. The index's files lie one
//! behind the other in one region of the split:
//!
//! ```text
//! files:varint { name:bytes content:bytes }…
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::{Directory, RamDirectory};
use tantivy::index::SegmentComponent;
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::store::Compressor;
use tantivy::tokenizer::{PreTokenizedString, Token};
use tantivy::{
    DocSet, Index, IndexSettings, InvertedIndexReader, SegmentReader, SingleSegmentIndexWriter, TERMINATED,
    TantivyDocument, TantivyError,
};

use super::bits::Bits;
use super::split_file::damaged;
use super::template::{Holds, template_words};
use crate::byte_cursor::{ByteCursor, put_prefixed, put_varint};

/// tantivy's indexing arena; a single-segment writer never flushes early, so this is a hint, not a limit.
const INDEXING_BYTES: usize = 15 << 20;

/// Where tantivy keeps the list of its segments.
const META_FILE: &str = "meta.json";

fn schema() -> (Schema, Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut schema = Schema::builder();
    let words = schema.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
    (schema.build(), words)
}

/// Makes the index of these templates and returns its bytes.
pub fn build<'a>(templates: impl Iterator<Item = (&'a [u8], Holds)>) -> io::Result<Vec<u8>> {
    let (schema, words) = schema();
    let directory = RamDirectory::create();
    let settings = IndexSettings {
        docstore_compression: Compressor::None,
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let mut writer: SingleSegmentIndexWriter = Index::builder()
        .schema(schema)
        .settings(settings)
        .single_segment_index_writer(directory.clone(), INDEXING_BYTES)
        .map_err(into_io)?;
    for (template, holds) in templates {
        let mut document = TantivyDocument::new();
        if holds != Holds::Anything {
            let tokens = template_words(template)
                .iter()
                .enumerate()
                .map(|(position, word)| Token { position, text: word.term(), position_length: 1, ..Token::default() })
                .collect();
            document.add_pre_tokenized_text(words, PreTokenizedString { text: String::new(), tokens });
        }
        writer.add_document(document).map_err(into_io)?;
    }
    let index = writer.finalize().map_err(into_io)?;
    let mut files = vec![PathBuf::from(META_FILE)];
    for segment in index.searchable_segment_metas().map_err(into_io)? {
        use SegmentComponent::{FastFields, FieldNorms, Positions, Postings, Store, Terms};
        files.extend(
            [Postings, Positions, Terms, FastFields, FieldNorms, Store].map(|part| segment.relative_path(part)),
        );
    }
    let mut contents = Vec::new();
    for file in files {
        // Not every segment has all of them.
        if directory.exists(&file).map_err(io::Error::other)? {
            contents.push((file.clone(), directory.atomic_read(&file).map_err(io::Error::other)?));
        }
    }
    let mut out = Vec::new();
    put_varint(&mut out, contents.len() as u64);
    for (name, content) in contents {
        put_prefixed(&mut out, name.to_string_lossy().as_bytes());
        put_prefixed(&mut out, &content);
    }
    Ok(out)
}

/// Adds the templates of a term to a set.
pub type AddTemplates<'a> = dyn FnMut(&mut Bits) -> io::Result<()> + 'a;

/// An open index.
pub struct TemplateIndex {
    words: Arc<InvertedIndexReader>,
    templates: u32,
}

impl TemplateIndex {
    /// Opens the index in `bytes`, of so many templates.
    pub fn open(bytes: &[u8], templates: u32) -> io::Result<TemplateIndex> {
        let directory = RamDirectory::create();
        let mut cursor = ByteCursor(bytes);
        for _ in 0..cursor.count(2, bytes.len())? {
            let name =
                std::str::from_utf8(cursor.prefixed()?).map_err(|_| damaged("a file of its index has no name"))?;
            directory.atomic_write(Path::new(name), cursor.prefixed()?)?;
        }
        let index = Index::open(directory).map_err(into_io)?;
        let segments = index.searchable_segments().map_err(into_io)?;
        let [segment] = segments.as_slice() else {
            return Err(damaged(&format!("its index has {} segments, not one", segments.len())));
        };
        let segment = SegmentReader::open(segment).map_err(into_io)?;
        if segment.max_doc() != templates {
            return Err(damaged(&format!("its index holds {} templates, not {templates}", segment.max_doc())));
        }
        let words = segment.inverted_index(schema().1).map_err(into_io)?;
        Ok(TemplateIndex { words, templates })
    }

    /// Templates in which these terms stand next to each other in this order.
    pub fn phrase(&self, terms: &[String]) -> io::Result<Bits> {
        let mut found = Bits::empty(self.templates);
        let mut postings = Vec::with_capacity(terms.len());
        for term in terms {
            match self.words.terms().get(term.as_bytes())? {
                Some(info) => postings.push(self.postings(&info, terms.len() > 1)?),
                None => return Ok(found),
            }
        }
        let Some((first, rest)) = postings.split_first_mut() else { return Ok(Bits::full(self.templates)) };
        let (mut positions, mut next) = (Vec::new(), Vec::new());
        let mut template = first.doc();
        while template != TERMINATED {
            let mut there = true;
            if !rest.is_empty() {
                first.positions(&mut positions);
                for (at, postings) in (1u32..).zip(rest.iter_mut()) {
                    if postings.doc() < template {
                        postings.seek(template);
                    }
                    there = postings.doc() == template;
                    if !there {
                        break;
                    }
                    postings.positions(&mut next);
                    positions.retain(|start| next.binary_search(&(start + at)).is_ok());
                }
            }
            if there && (rest.is_empty() || !positions.is_empty()) {
                found.insert(template);
            }
            template = first.advance();
        }
        Ok(found)
    }

    /// Calls `visit` with every term from `start` on, in byte order, until it says no; and a way to add the term's templates
    /// to a set.
    pub fn visit_terms(
        &self,
        start: &str,
        visit: &mut dyn FnMut(&str, &mut AddTemplates<'_>) -> io::Result<bool>,
    ) -> io::Result<()> {
        let mut terms = self.words.terms().range().ge(start.as_bytes()).into_stream()?;
        while terms.advance() {
            let term = std::str::from_utf8(terms.key()).map_err(|_| damaged("a word of its index is not UTF-8"))?;
            let mut add = |found: &mut Bits| {
                let mut postings = self.postings(terms.value(), false)?;
                let mut template = postings.doc();
                while template != TERMINATED {
                    found.insert(template);
                    template = postings.advance();
                }
                Ok(())
            };
            if !visit(term, &mut add)? {
                break;
            }
        }
        Ok(())
    }

    fn postings(&self, info: &TermInfo, positions: bool) -> io::Result<SegmentPostings> {
        let option = if positions { IndexRecordOption::WithFreqsAndPositions } else { IndexRecordOption::Basic };
        self.words.read_postings_from_terminfo(info, option)
    }
}

/// tantivy's error with the system's own inside it, where there is one: a full disk must stay recognisable.
fn into_io(error: TantivyError) -> io::Error {
    match error {
        TantivyError::IoError(source) => io::Error::new(source.kind(), source),
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_store::template::{Cut, term_of};

    #[test]
    fn words_and_phrases_lead_to_templates() {
        let texts = ["Timed out after 30s", "out timed", "user_42 timed out", "größe 1 out", ""];
        let templates: Vec<Vec<u8>> = texts
            .iter()
            .map(|text| {
                let mut template = Vec::new();
                Cut::Digits.cut(text, &mut template, |_| {});
                template
            })
            .collect();
        let bytes = build(templates.iter().map(|template| (template.as_slice(), Holds::Digits))).expect("built");
        let index = TemplateIndex::open(&bytes, texts.len() as u32).expect("opens");
        let check = |phrase: &[&str], expected: &[u32]| {
            let terms: Vec<String> = phrase.iter().map(|word| term_of(word)).collect();
            let found = index.phrase(&terms).expect("found");
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{phrase:?}");
        };
        check(&["out"], &[0, 1, 2, 3]);
        check(&["timed", "out"], &[0, 2]);
        check(&["out", "timed"], &[1]);
        check(&["user_7"], &[2]);
        check(&["user_7", "timed"], &[2]);
        check(&["after", "99x"], &[0]);
        check(&["größe", "2"], &[3]);
        check(&["absent"], &[]);
        check(&[], &[0, 1, 2, 3, 4]);
        let mut seen = Vec::new();
        index
            .visit_terms("o", &mut |term, add| {
                let mut templates = Bits::empty(5);
                add(&mut templates)?;
                seen.push((term.to_owned(), templates.count()));
                Ok(term < "t")
            })
            .expect("visited");
        assert_eq!(seen, [("out".to_owned(), 4), ("timed".to_owned(), 3)]);
    }
}
