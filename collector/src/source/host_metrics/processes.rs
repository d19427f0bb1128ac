//! Which commands use the processors and the memory: the few greatest of each, by command name.
//!
//! Processes of one name are added up: fifty workers are one answer to "what is busy?". The names that ever become labels
//! are bounded, for a host that runs every job under a new name would otherwise make a series for each.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::proc_text::ProcessStat;

/// Names that may become labels while this process runs; later ones are reported as [`OTHER`].
const NAMES_MAX: usize = 200;

/// Stands for all names beyond [`NAMES_MAX`].
const OTHER: &str = "other";

/// What the processes of one name use; a figure is there when it is among the greatest.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessUse {
    /// The command's name.
    pub name: String,
    /// Processors kept busy, on average since the reading before.
    pub processors: Option<f64>,
    /// Bytes of memory held.
    pub resident_bytes: Option<f64>,
}

/// Follows the processes from reading to reading.
#[derive(Debug, Default)]
pub struct Processes {
    /// Processor seconds at the last reading, by process id and start.
    cpu_seconds: HashMap<(u32, u64), f64>,
    names: HashSet<String>,
    read_before: bool,
}

impl Processes {
    /// The `top` names by processor use since the last call, `elapsed_seconds` ago, and the `top` by memory.
    /// The first call knows no processor use.
    pub fn top(
        &mut self,
        found: &[(u32, ProcessStat)],
        elapsed_seconds: f64,
        page_bytes: f64,
        top: usize,
    ) -> Vec<ProcessUse> {
        let mut by_name: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let mut cpu_seconds = HashMap::with_capacity(found.len());
        for (id, process) in found {
            let key = (*id, process.start_ticks);
            // A process that started since the last reading did all its work since then.
            let before = self.cpu_seconds.get(&key).copied().unwrap_or(0.0);
            cpu_seconds.insert(key, process.cpu_seconds);
            let sums = by_name.entry(&process.name).or_default();
            sums.0 += (process.cpu_seconds - before).max(0.0);
            sums.1 += process.resident_pages * page_bytes;
        }
        self.cpu_seconds = cpu_seconds;
        let knows_use = std::mem::replace(&mut self.read_before, true) && elapsed_seconds > 0.0;
        let greatest = |of: fn(&(f64, f64)) -> f64| {
            let mut names: Vec<(&str, f64)> = by_name.iter().map(|(name, sums)| (*name, of(sums))).collect();
            names.retain(|(_, used)| *used > 0.0);
            names.sort_by(|a, b| b.1.total_cmp(&a.1));
            names.truncate(top);
            names
        };
        let mut uses: BTreeMap<String, ProcessUse> = BTreeMap::new();
        let busiest = if knows_use { greatest(|sums| sums.0) } else { Vec::new() };
        for (name, seconds) in busiest {
            let processors = &mut self.use_of(&mut uses, name).processors;
            *processors = Some(processors.unwrap_or(0.0) + seconds / elapsed_seconds);
        }
        for (name, bytes) in greatest(|sums| sums.1) {
            let resident_bytes = &mut self.use_of(&mut uses, name).resident_bytes;
            *resident_bytes = Some(resident_bytes.unwrap_or(0.0) + bytes);
        }
        uses.into_values().collect()
    }

    fn use_of<'a>(&mut self, uses: &'a mut BTreeMap<String, ProcessUse>, name: &str) -> &'a mut ProcessUse {
        let known = self.names.contains(name) || (self.names.len() < NAMES_MAX && self.names.insert(name.to_owned()));
        let name = if known { name } else { OTHER };
        uses.entry(name.to_owned()).or_insert_with(|| ProcessUse {
            name: name.to_owned(),
            processors: None,
            resident_bytes: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u32, name: &str, cpu_seconds: f64, resident_pages: f64) -> (u32, ProcessStat) {
        (id, ProcessStat { name: name.to_owned(), cpu_seconds, start_ticks: 7, resident_pages })
    }

    fn shown(uses: &[ProcessUse]) -> Vec<String> {
        uses.iter().map(|used| format!("{} {:?} {:?}", used.name, used.processors, used.resident_bytes)).collect()
    }

    #[test]
    fn processes_of_one_name_are_added_up_and_the_greatest_are_kept() {
        let mut processes = Processes::default();
        let first = [process(1, "web", 100.0, 10.0), process(2, "web", 50.0, 10.0), process(3, "db", 10.0, 15.0)];
        assert_eq!(shown(&processes.top(&first, 10.0, 4096.0, 1)), ["web None Some(81920.0)"]);
        let second = [
            process(1, "web", 101.0, 1.0),
            process(2, "web", 51.0, 1.0),
            process(3, "db", 25.0, 15.0),
            process(4, "new", 12.0, 3.0),
        ];
        assert_eq!(
            shown(&processes.top(&second, 10.0, 4096.0, 2)),
            ["db Some(1.5) Some(61440.0)", "new Some(1.2) Some(12288.0)"]
        );
    }

    #[test]
    fn names_beyond_the_bound_are_other() {
        let mut processes = Processes::default();
        let found: Vec<_> = (0..300).map(|id| process(id, &format!("job{id}"), 0.0, 1.0)).collect();
        let uses = processes.top(&found, 10.0, 1.0, 300);
        assert_eq!(uses.len(), NAMES_MAX + 1);
        let other = uses.iter().find(|used| used.name == OTHER).unwrap();
        assert_eq!(other.resident_bytes, Some(100.0));
    }
}
