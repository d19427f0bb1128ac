//! What the kernel's texts under `/proc` say, as pure functions of the text (formats: proc(5), and the kernel's
//! `Documentation/admin-guide/iostats.rst`). A row that does not read is left out: newer kernels add rows and columns.

/// Clock ticks a second in `/proc/stat` and `/proc/<pid>/stat`: `USER_HZ`, 100 on every architecture Linux still runs on
/// but Alpha.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// A sector of `/proc/diskstats` in bytes, whatever the disk's own sectors are.
pub const SECTOR_BYTES: f64 = 512.0;

/// Names of the processor's modes, in the order of `/proc/stat`. The guests' time behind them is in `user` and `nice`.
pub const CPU_MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// `/proc/stat`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CpuStat {
    /// Seconds of all processors together since the start, by [`CPU_MODES`].
    pub seconds: [f64; 8],
    /// How many processors there are.
    pub processors: u32,
    /// Processes (and threads) that run or could run.
    pub running: u32,
    /// Processes that wait for a disk.
    pub blocked: u32,
}

/// One disk of `/proc/diskstats`; counts since the start.
#[derive(Clone, Debug, PartialEq)]
pub struct DiskStat {
    /// The kernel's name of it (`sda`, `nvme0n1p2`).
    pub device: String,
    /// Reads that were completed, and their bytes.
    pub reads: (f64, f64),
    /// Writes that were completed, and their bytes.
    pub writes: (f64, f64),
    /// Seconds in which anything was under way.
    pub busy_seconds: f64,
}

/// One interface of `/proc/net/dev`; counts since the start.
#[derive(Clone, Debug, PartialEq)]
pub struct InterfaceStat {
    /// The interface.
    pub interface: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub transmitted: Traffic,
}

/// One direction of an interface.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: f64,
    /// Packets.
    pub packets: f64,
    /// Packets with errors.
    pub errors: f64,
    /// Packets dropped.
    pub drops: f64,
}

/// One mounted file system that lies on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The device (`/dev/sda1`).
    pub device: String,
    /// Where it is mounted.
    pub path: String,
}

/// `/proc/<pid>/stat`.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessStat {
    /// The command's name, at most 15 bytes.
    pub name: String,
    /// Seconds on a processor since its start.
    pub cpu_seconds: f64,
    /// When it started, in ticks since the host's start: with the process id, this tells it from a later one.
    pub start_ticks: u64,
    /// Pages of memory that it holds.
    pub resident_pages: f64,
}

/// Reads `/proc/stat`; none without its first row.
pub fn cpu_stat(text: &str) -> Option<CpuStat> {
    let mut stat = CpuStat::default();
    let mut found = false;
    for row in text.lines() {
        let (key, rest) = row.split_once(' ')?;
        match key {
            "cpu" => {
                let ticks = rest.split_ascii_whitespace().map_while(|ticks| ticks.parse::<f64>().ok());
                stat.seconds.iter_mut().zip(ticks).for_each(|(mode, ticks)| *mode = ticks / TICKS_PER_SECOND);
                found = true;
            }
            "procs_running" => stat.running = rest.parse().unwrap_or(0),
            "procs_blocked" => stat.blocked = rest.parse().unwrap_or(0),
            _ if key.starts_with("cpu") => stat.processors += 1,
            _ => {}
        }
    }
    found.then_some(stat)
}

/// The load averages over 1, 5 and 15 minutes of `/proc/loadavg`.
pub fn load_averages(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_ascii_whitespace().map(|word| word.parse().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

/// The bytes of one row of `/proc/meminfo` (`MemTotal`).
pub fn memory_bytes(text: &str, row: &str) -> Option<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(row)?.strip_prefix(':'))?;
    let kibibytes: f64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

/// Reads `/proc/diskstats`, leaving out RAM disks and loop devices and what was never used.
pub fn disk_stats(text: &str) -> Vec<DiskStat> {
    let read = |row: &str| {
        let columns: Vec<&str> = row.split_ascii_whitespace().collect();
        let number = |at: usize| columns.get(at)?.parse::<f64>().ok();
        let device = *columns.get(2)?;
        let stat = DiskStat {
            device: device.to_owned(),
            reads: (number(3)?, number(5)? * SECTOR_BYTES),
            writes: (number(7)?, number(9)? * SECTOR_BYTES),
            busy_seconds: number(12)? / 1000.0,
        };
        let virtual_disk = ["loop", "ram", "zram"].iter().any(|kind| device.starts_with(kind));
        (!virtual_disk && stat.reads.0 + stat.writes.0 > 0.0).then_some(stat)
    };
    text.lines().filter_map(read).collect()
}

/// Reads `/proc/net/dev`, leaving out interfaces that never carried anything.
pub fn interface_stats(text: &str) -> Vec<InterfaceStat> {
    let read = |row: &str| {
        let (interface, rest) = row.split_once(':')?;
        let columns: Vec<f64> = rest.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
        let traffic = |at: usize| match columns.get(at..at + 4) {
            Some(&[bytes, packets, errors, drops]) => Some(Traffic { bytes, packets, errors, drops }),
            _ => None,
        };
        let stat =
            InterfaceStat { interface: interface.trim().to_owned(), received: traffic(0)?, transmitted: traffic(8)? };
        (stat.received.packets + stat.transmitted.packets > 0.0).then_some(stat)
    };
    text.lines().filter_map(read).collect()
}

/// The file systems of `/proc/self/mounts` that lie on a device, each device once, at its first mount.
pub fn mounts(text: &str) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for row in text.lines() {
        let mut words = row.split(' ');
        let (Some(device), Some(path)) = (words.next(), words.next()) else { continue };
        let real = device.starts_with("/dev/") && !device.starts_with("/dev/loop");
        if real && mounts.iter().all(|mount| mount.device != device) {
            mounts.push(Mount { device: device.to_owned(), path: unescaped(path) });
        }
    }
    mounts
}

/// Seconds since the host's start, from `/proc/uptime`.
pub fn uptime_seconds(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Reads `/proc/<pid>/stat`. The name may hold blanks and parentheses: it ends at the last one.
pub fn process_stat(text: &str) -> Option<ProcessStat> {
    let (head, rest) = text.rsplit_once(") ")?;
    let name = head.split_once(" (")?.1;
    let columns: Vec<&str> = rest.split_ascii_whitespace().collect(); // column 3 of proc(5) is at 0
    let number = |at: usize| columns.get(at)?.parse::<f64>().ok();
    Some(ProcessStat {
        name: name.to_owned(),
        cpu_seconds: (number(11)? + number(12)?) / TICKS_PER_SECOND,
        start_ticks: columns.get(19)?.parse().ok()?,
        resident_pages: number(21)?,
    })
}

/// Mount paths write blanks, tabs, line ends and backslashes as three octal digits.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (escape, meant)| path.replace(escape, meant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_gives_seconds_by_mode_and_counts_processors() {
        let text = "cpu  94768 1824 13396 210474 1062 0 103 77 5 5\ncpu0 47116 944 6684 105651 365 0 13 35 0 0\n\
                    cpu1 47652 879 6711 104823 696 0 89 41 0 0\nctxt 550596\nprocs_running 5\nprocs_blocked 1\n";
        let stat = cpu_stat(text).unwrap();
        assert_eq!(stat.seconds, [947.68, 18.24, 133.96, 2104.74, 10.62, 0.0, 1.03, 0.77]);
        assert_eq!((stat.processors, stat.running, stat.blocked), (2, 5, 1));
        assert_eq!(cpu_stat("intr 0\n"), None);
    }

    #[test]
    fn loadavg_meminfo_and_uptime_give_numbers() {
        assert_eq!(load_averages("1.04 0.58 0.59 5/112 18661\n"), Some([1.04, 0.58, 0.59]));
        assert_eq!(load_averages("1.04 x"), None);
        let text = "MemTotal:       24684092 kB\nSwapTotal:             0 kB\nHugePages_Total:       0\n";
        assert_eq!(memory_bytes(text, "MemTotal"), Some(24_684_092.0 * 1024.0));
        assert_eq!(memory_bytes(text, "SwapTotal"), Some(0.0));
        assert_eq!(memory_bytes(text, "Mem"), None);
        assert_eq!(uptime_seconds("1614.43 2104.74\n"), Some(1614.43));
    }

    #[test]
    fn diskstats_gives_disks_that_did_something() {
        let text = "   7       0 loop0 9 0 8 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n \
                    254       0 vda 37849 11999 9263098 42803 23697 74485 23205576 102888 0 16096 147008 9934 42 1005360 1220 2038 95\n \
                    254       1 vdb 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n torn 1 row\n";
        let expected = DiskStat {
            device: "vda".to_owned(),
            reads: (37_849.0, 9_263_098.0 * 512.0),
            writes: (23_697.0, 23_205_576.0 * 512.0),
            busy_seconds: 16.096,
        };
        assert_eq!(disk_stats(text), [expected]);
    }

    #[test]
    fn net_dev_gives_interfaces_that_carried_something() {
        let text = "Inter-|   Receive                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n\
                    ifb0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n\
                    eth0: 463839857   15247    1    2    0     0          0         0  1107148    9970    3    4    0     0       0          0\n";
        let expected = InterfaceStat {
            interface: "eth0".to_owned(),
            received: Traffic { bytes: 463_839_857.0, packets: 15_247.0, errors: 1.0, drops: 2.0 },
            transmitted: Traffic { bytes: 1_107_148.0, packets: 9_970.0, errors: 3.0, drops: 4.0 },
        };
        assert_eq!(interface_stats(text), [expected]);
    }

    #[test]
    fn mounts_gives_each_device_once() {
        let text = "proc /proc proc rw 0 0\n/dev/vda / ext4 rw,discard 0 0\n/dev/loop1 /snap/x squashfs ro 0 0\n\
                    /dev/vdb1 /srv/my\\040disk xfs rw 0 0\n/dev/vda /var/lib/docker ext4 rw 0 0\n";
        let found: Vec<(String, String)> = mounts(text).into_iter().map(|mount| (mount.device, mount.path)).collect();
        let pair = |device: &str, path: &str| (device.to_owned(), path.to_owned());
        assert_eq!(found, [pair("/dev/vda", "/"), pair("/dev/vdb1", "/srv/my disk")]);
    }

    #[test]
    fn a_process_may_be_called_anything() {
        let text = "18660 (a) R (b) R 18653 18653 12499 0 -1 4194304 131 0 0 0 150 25 0 0 20 0 1 0 161442 3133440 383 18446744073709551615 1 1\n";
        let stat = process_stat(text).unwrap();
        assert_eq!(stat.name, "a) R (b");
        assert_eq!((stat.cpu_seconds, stat.start_ticks, stat.resident_pages), (1.75, 161_442, 383.0));
        assert_eq!(process_stat("1 (x) R 2"), None);
        assert_eq!(process_stat(""), None);
    }
}
