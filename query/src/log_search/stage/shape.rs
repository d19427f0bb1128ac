//! What is known of rows before there are any: whether they are records or a table, which columns that has, and which fields
//! are needed of them.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What flows between two stages.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Whole log records.
    Records,
    /// Rows of a table.
    Table {
        /// Its columns.
        columns: Vec<Column>,
        /// Whether further columns come with the rows (`parse_json` of a table).
        open: bool,
    },
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// What stands in it.
    pub kind: ColumnKind,
}

/// What stands in a column; any cell of it may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Moments.
    Time,
    /// Numbers.
    Number,
    /// Texts.
    Text,
    /// Lists.
    List,
    /// Whatever the records say.
    Any,
}

/// Which fields of rows are needed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fields {
    /// All there are.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Shape {
    /// A table with these columns and no others.
    pub fn table<N: Into<Arc<str>>>(columns: impl IntoIterator<Item = (N, ColumnKind)>) -> Shape {
        let columns = columns.into_iter().map(|(name, kind)| Column { name: name.into(), kind }).collect();
        Shape::Table { columns, open: false }
    }

    /// What stands in the column of this name; of records, in the field.
    pub fn kind_of(&self, name: &str) -> ColumnKind {
        match self {
            Shape::Records if name == "time" => ColumnKind::Time,
            Shape::Records => ColumnKind::Any,
            Shape::Table { columns, .. } => {
                columns.iter().find(|column| &*column.name == name).map_or(ColumnKind::Any, |column| column.kind)
            }
        }
    }

    /// The same with a further field.
    #[must_use]
    pub fn with(mut self, name: &str, kind: ColumnKind) -> Shape {
        if let Shape::Table { columns, .. } = &mut self {
            match columns.iter_mut().find(|column| &*column.name == name) {
                Some(column) => column.kind = kind,
                None => columns.push(Column { name: name.into(), kind }),
            }
        }
        self
    }
}

impl Fields {
    /// These fields and no others.
    pub fn only<'a>(names: impl IntoIterator<Item = &'a str>) -> Fields {
        Fields::Only(names.into_iter().map(str::to_owned).collect())
    }

    /// These and the others.
    #[must_use]
    pub fn and<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Fields {
        if let Fields::Only(all) = &mut self {
            all.extend(names.into_iter().map(str::to_owned));
        }
        self
    }

    /// Those without these.
    #[must_use]
    pub fn without<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Fields {
        if let Fields::Only(all) = &mut self {
            names.into_iter().for_each(|name| {
                all.remove(name);
            });
        }
        self
    }

    /// All that either needs.
    #[must_use]
    pub fn union(self, other: Fields) -> Fields {
        match (self, other) {
            (Fields::Only(mut all), Fields::Only(more)) => {
                all.extend(more);
                Fields::Only(all)
            }
            _ => Fields::All,
        }
    }

    /// Whether the field is needed.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Fields::All => true,
            Fields::Only(names) => names.contains(name),
        }
    }
}
