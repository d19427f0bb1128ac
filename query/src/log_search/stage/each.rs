//! Stages that treat every row alone.

use super::super::row::Row;
use super::{Flow, Operator, Run};

/// A stage that makes of each row one or none, whatever stands around it: it may run on any thread, wherever rows are read.
pub trait Each: Sync {
    /// What becomes of the row.
    fn each(&self, row: Row) -> Option<Row>;
}

impl Operator for &dyn Each {
    fn take(&mut self, row: Row, _: &Run<'_>, emit: &mut dyn FnMut(Row) -> Flow) -> Flow {
        self.each(row).map_or(Ok(()), emit)
    }
}
