//! Sealing: records become an immutable split on disk, newest first ([`split_layout`](super::split_layout) says what stands
//! in its file). It is written under a temporary name, made durable, and only then renamed, so that a split that has its
//! name is whole. The catalog decides whether it counts.

use std::borrow::Borrow;
use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use taffrail_collector::model::{LogRecord, Severity};

use super::RecordId;
use super::head::HeadSnapshot;
use super::number_column;
use super::schema::Schema;
use super::split::SplitMeta;
use super::split_builder::{AttributeColumn, SplitBuilder, TemplateBuilder};
use super::split_file::{Region, SplitFileWriter};
use super::split_layout::{Directory, turned};
use super::template::variables_of;
use super::template_table::{Place, Template, TemplateTable};
use super::variable_column::{self, PageSink, Strings};
use super::{id_column, minute_counts, postings, template_index};
use crate::byte_cursor::{put_prefixed, put_varint};
use taffrail_collector::crash_point::crash_point;

/// Files of splits end so.
pub const SPLIT_SUFFIX: &str = ".split";

/// The head's records, newest first, as [`write_split`] takes them.
pub fn newest_first(head: &HeadSnapshot) -> impl Iterator<Item = io::Result<(RecordId, &LogRecord)>> {
    let mut rows: Vec<(RecordId, &LogRecord)> = head
        .chunks()
        .flat_map(|chunk| chunk.records().iter().enumerate().map(|(at, record)| (chunk.id(at), record)))
        .collect();
    rows.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
    let mut at = 0;
    std::iter::from_fn(move || {
        if at % TOUCHED_AHEAD == 0 {
            // Bodies lie anywhere in memory: fetched some at a time they come in the time of one.
            let later = rows.iter().skip(at + TOUCHED_AHEAD).take(TOUCHED_AHEAD);
            black_box(later.fold(0, |sum, (_, record)| sum ^ record.body.as_bytes().first().unwrap_or(&0)));
        }
        let (id, record) = *rows.get(at)?;
        at += 1;
        Some(Ok((id, record)))
    })
}

/// Files that start so are unfinished.
pub const TEMPORARY_PREFIX: &str = "unfinished-";

/// Templates of fewer rows share regions: a region of its own would cost more than their variables.
const SMALL_ROWS: u32 = 32;
/// Unpacked bytes of a region that small templates share.
const GROUP_BYTES: usize = 64 << 10;
/// Texts of a small template's column up to so many bytes stay in the shared region, which is compressed anyway.
const SMALL_PLAIN_BYTES: usize = 16 << 10;

/// Records whose bodies are fetched before they are needed: about as many as a core waits for at once.
const TOUCHED_AHEAD: usize = 16;
/// Rows between two looks at whether the split is still wanted.
const ABANDON_CHECK_ROWS: usize = 1024;

/// Writes the rows, which come newest first, as one split into `splits_directory` and returns what to put in the catalog;
/// none when there are no rows. A split that replaces others has a greater `generation` than they, so that their names
/// never meet. Once `abandon` is set it gives up with an error, as it does at the rows' first error.
pub fn write_split<R: Borrow<LogRecord>>(
    splits_directory: &Path,
    generation: u32,
    rows: &mut dyn Iterator<Item = io::Result<(RecordId, R)>>,
    abandon: &AtomicBool,
) -> io::Result<Option<SplitMeta>> {
    let mut builder = SplitBuilder::default();
    for row in rows {
        if builder.rows() % ABANDON_CHECK_ROWS == 0 {
            check_wanted(abandon)?;
        }
        let (id, record) = row?;
        builder.push(id, record.borrow());
    }
    write_built(splits_directory, generation, builder, abandon)
}

fn write_built(
    splits_directory: &Path,
    generation: u32,
    builder: SplitBuilder,
    abandon: &AtomicBool,
) -> io::Result<Option<SplitMeta>> {
    let (Some(&newest), Some(&oldest)) = (builder.ids.first(), builder.ids.last()) else { return Ok(None) };
    let seqs = || builder.ids.iter().map(|id| id.seq);
    let (seq_first, seq_last) = (seqs().min().unwrap_or(0), seqs().max().unwrap_or(0));
    let name = format!("{seq_first:020}-{seq_last:020}-{generation}{SPLIT_SUFFIX}");
    let path = splits_directory.join(&name);
    let temporary = splits_directory.join(format!("{TEMPORARY_PREFIX}{name}"));
    if temporary.exists() {
        fs::remove_file(&temporary)?;
    }
    let rows = builder.rows() as u64;
    for (service, what) in builder.stepped_down() {
        tracing::info!(service, what, rows, "a service's lines have no templates; they are kept in a larger form");
    }
    let mut meta =
        SplitMeta { name, rows, bytes: 0, oldest, newest, seq_first, seq_last, generation, deletions_through: 0 };
    let written = SplitFileWriter::create(&temporary).and_then(|mut file| {
        let directory = write_parts(builder, &meta, &mut file, abandon)?;
        file.finish(&directory.encode())
    });
    meta.bytes = written.inspect_err(|_| {
        // What was written so far helps nobody, and may be what fills the disk.
        drop(fs::remove_file(&temporary));
    })?;
    crash_point("split:before_rename");
    fs::rename(&temporary, &path).inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    sync_directory(splits_directory).inspect_err(|_| drop(fs::remove_file(&path)))?;
    crash_point("split:after_rename");
    Ok(Some(meta))
}

/// Makes creations, renames and removals in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn check_wanted(abandon: &AtomicBool) -> io::Result<()> {
    if abandon.load(Relaxed) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "the store is stopping"));
    }
    Ok(())
}

impl PageSink for SplitFileWriter {
    fn put_page(&mut self, bytes: &[u8]) -> io::Result<Region> {
        self.put_compressed(bytes)
    }
}

/// Writes all regions but the directory, and returns that.
fn write_parts(
    mut builder: SplitBuilder,
    meta: &SplitMeta,
    file: &mut SplitFileWriter,
    abandon: &AtomicBool,
) -> io::Result<Directory> {
    let rows = builder.rows() as u32;
    let numbers = |file: &mut SplitFileWriter, values: &[u64]| {
        let mut bytes = Vec::new();
        number_column::encode(values, &mut bytes);
        file.put(&bytes)
    };
    let times: Vec<u64> = builder.ids.iter().map(|id| turned(id.time.unix_nanos())).collect();
    let page_starts = builder.ids.chunks(number_column::PAGE).map(|page| page[0].time.unix_nanos()).collect();
    let times = numbers(file, &times)?;
    let seqs = numbers(file, &builder.ids.iter().map(|id| id.seq).collect::<Vec<_>>())?;
    let observed = numbers(file, &builder.observed.iter().map(|&time| turned(time)).collect::<Vec<_>>())?;
    let mut origin_codes = Vec::new();
    number_column::encode_packed(&builder.origin_codes, &mut origin_codes);
    let origin_codes = file.put(&origin_codes)?;
    let mut origins = Vec::new();
    put_varint(&mut origins, builder.origins.len() as u64);
    builder.origins.iter().for_each(|origin| put_prefixed(&mut origins, origin));
    let origins = file.put_compressed(&origins)?;
    check_wanted(abandon)?;
    let mut ids = |column: Option<(Vec<u8>, Vec<u8>)>| -> io::Result<Option<(Region, Region)>> {
        let Some((dictionary, runs)) = column else { return Ok(None) };
        Ok(Some((file.put(&dictionary)?, file.put(&runs)?)))
    };
    let traces = ids(id_column::encode(&builder.traces, 16))?;
    let spans: Vec<u128> = builder.spans.iter().map(|&span| u128::from(span)).collect();
    let spans = ids(id_column::encode(&spans, 8))?;
    check_wanted(abandon)?;

    let renumbered = sort_templates(&mut builder);
    let classes = classes(&builder.templates);
    let class_of = |template: &TemplateBuilder| {
        classes.binary_search(&(template.service, template.severity)).expect("classes are of these templates") as u32
    };
    let class_of_template: Vec<u32> = builder.templates.iter().map(class_of).collect();
    builder.template_of_row.iter_mut().for_each(|template| *template = renumbered[*template as usize]);
    let cube = minute_counts::encode(
        builder.ids.iter().map(|id| id.time.unix_nanos()),
        builder.template_of_row.iter().map(|&template| class_of_template[template as usize]),
        &classes,
    );
    let cube = cube.map(|bytes| file.put_compressed(&bytes)).transpose()?;
    let mut earlier = vec![0; builder.templates.len()];
    let mut superblocks = Vec::new();
    for templates in builder.template_of_row.chunks(postings::SUPERBLOCK as usize) {
        let mut bytes = Vec::new();
        postings::encode(templates, &mut earlier, &mut bytes);
        superblocks.push(file.put(&bytes)?);
        check_wanted(abandon)?;
    }

    let index = template_index::build(builder.templates.iter().map(|template| (&*template.text, template.holds)))?;
    let index = file.put(&index)?;
    let stepped_down = builder.stepped_down().map(|(service, what)| (service.to_owned(), what.to_owned())).collect();
    let table = write_templates(builder, file, abandon)?;
    let table = file.put_compressed(&table.encode())?;
    let SplitMeta { oldest, newest, seq_first, seq_last, generation, .. } = *meta;
    Ok(Directory {
        rows,
        oldest,
        newest,
        seq_first,
        seq_last,
        generation,
        table,
        index,
        times,
        seqs,
        observed,
        page_starts,
        origins,
        origin_codes,
        superblocks,
        traces,
        spans,
        cube,
        stepped_down,
    })
}

/// Puts like templates next to each other, which compresses. Returns the new number of each.
fn sort_templates(builder: &mut SplitBuilder) -> Vec<u32> {
    let mut order: Vec<u32> = (0..builder.templates.len() as u32).collect();
    let key = |number: &u32| {
        let template = &builder.templates[*number as usize];
        (template.service, template.severity, template.severity_text, &template.text, template.schema)
    };
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    let mut renumbered = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(&old, new)| renumbered[old as usize] = new);
    let mut templates: Vec<Option<TemplateBuilder>> =
        std::mem::take(&mut builder.templates).into_iter().map(Some).collect();
    builder.templates =
        order.iter().map(|&old| templates[old as usize].take().expect("each number stands once")).collect();
    renumbered
}

/// The services and severities that occur, sorted.
fn classes(templates: &[TemplateBuilder]) -> Vec<(u32, Severity)> {
    let mut classes: Vec<_> = templates.iter().map(|template| (template.service, template.severity)).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

fn write_templates(
    builder: SplitBuilder,
    file: &mut SplitFileWriter,
    abandon: &AtomicBool,
) -> io::Result<TemplateTable> {
    let mut table = TemplateTable::new(builder.services.texts, builder.severity_texts.texts, builder.names.texts);
    table.schemas = builder.schemas;
    let (mut group, mut dealt) = (Vec::new(), Vec::new());
    for (at, template) in builder.templates.into_iter().enumerate() {
        if at % ABANDON_CHECK_ROWS == 0 {
            check_wanted(abandon)?;
        }
        let small = template.rows < SMALL_ROWS;
        let (columns, shapes) =
            encode_columns(&template, small, &table.schemas[template.schema as usize], &mut dealt, file)?;
        let place = if small {
            let offset = group.len() as u32;
            group.extend_from_slice(&columns);
            Place::Shared { group: table.groups.len() as u32, offset, length: columns.len() as u32 }
        } else {
            Place::Own(file.put(&columns)?)
        };
        let TemplateBuilder { service, severity, severity_text, schema, holds, text, rows, .. } = template;
        let template = Template::new(service, severity, severity_text, schema, holds, rows, place);
        table.push(template, &text, &shapes)?;
        if group.len() >= GROUP_BYTES {
            table.groups.push(file.put_compressed(&group)?);
            group.clear();
        }
    }
    // Also when it is empty: a small template without columns refers to it.
    table.groups.push(file.put_compressed(&group)?);
    Ok(table)
}

/// The columns of a template: their lengths, then they themselves; and the shapes of those of texts. `dealt` is kept between
/// templates only for its memory.
fn encode_columns(
    template: &TemplateBuilder,
    small: bool,
    schema: &Schema,
    dealt: &mut Vec<Strings>,
    file: &mut SplitFileWriter,
) -> io::Result<(Vec<u8>, Vec<variable_column::Shape>)> {
    let plain_bytes_max = if small { SMALL_PLAIN_BYTES } else { variable_column::PLAIN_BYTES_MAX };
    let (mut lengths, mut bytes, mut shapes) = (Vec::new(), Vec::new(), Vec::new());
    let variables = variables_of(&template.text);
    if dealt.len() < variables {
        dealt.resize_with(variables, Strings::default);
    }
    let dealt = &mut dealt[..variables];
    if variables > 0 {
        template.variables.deal(dealt);
    }
    for (at, column) in dealt.iter().enumerate() {
        let start = bytes.len();
        shapes.push(variable_column::encode(column, &dealt[..at], plain_bytes_max, file, &mut bytes)?);
        put_varint(&mut lengths, (bytes.len() - start) as u64);
    }
    debug_assert_eq!(template.attributes.len(), schema.columns());
    for column in &template.attributes {
        let start = bytes.len();
        match column {
            AttributeColumn::Plain(kind, values) => values.encode(*kind, &mut bytes),
            AttributeColumn::Strings(texts) => {
                shapes.push(variable_column::encode(texts, &[], plain_bytes_max, file, &mut bytes)?);
            }
        }
        put_varint(&mut lengths, (bytes.len() - start) as u64);
    }
    lengths.append(&mut bytes);
    Ok((lengths, shapes))
}
