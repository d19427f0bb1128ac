//! Reads a whole block and compares it with its checksums, with itself and with what the catalog says of it: for
//! `taffrail doctor` and `restore`. Questions read only what they need.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use taffrail_collector::model::Timestamp;

use super::block_reader::Block;
use super::place::Place;
use super::table_cache::TableCache;
use super::{BlockInfo, SeriesStoreError};

/// Reads all of the block in `directory` and checks it against what the catalog says.
pub fn verify_block(directory: &Path, info: &BlockInfo) -> Result<(), SeriesStoreError> {
    let found = describe_block(directory, &info.name)?;
    if found == *info {
        return Ok(());
    }
    let message = format!("its windows are not those that the catalog lists: {found:?}, not {info:?}");
    Err(SeriesStoreError::Block { block: info.name.clone(), message })
}

/// What the catalog would say of the block `name` in `directory`, from all of its own bytes.
pub fn describe_block(directory: &Path, name: &str) -> Result<BlockInfo, SeriesStoreError> {
    let fail = |message: String| SeriesStoreError::Block { block: name.to_owned(), message };
    let system = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => fail("it is missing".to_owned()),
        _ => fail(error.to_string()),
    };
    let path = directory.join(name);
    let at = Timestamp::from_unix_nanos;
    let unknown = BlockInfo {
        name: name.to_owned(),
        place: Place { partition: at(0), hours: 0, resolution_ms: 0, days_held: 0, order: 0, deletions_through: 0 },
        first_end: at(0),
        last_end: at(0),
        bytes: fs::metadata(&path).map_err(system)?.len(),
        samples: 0,
        series: 0,
    };
    let block = Block::new(directory, unknown, Arc::new(TableCache::default()));
    let footer = block.read_footer(&File::open(&path).map_err(system)?)?;
    block.metrics()?;
    let (mut windows, mut series) = (0, 0);
    for part in block.parts()? {
        windows += part?.points.len() as u64;
        series += 1;
    }
    if (windows, series) != (footer.windows, footer.series) {
        return Err(fail(format!(
            "it holds {windows} windows of {series} series, and says {} of {}",
            footer.windows, footer.series
        )));
    }
    Ok(BlockInfo {
        place: footer.place,
        first_end: at(footer.first_end),
        last_end: at(footer.last_end),
        samples: windows,
        series,
        ..block.info.clone()
    })
}
