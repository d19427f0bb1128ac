//! Everything synced is there, nothing is invented, the order is kept: on the real disk, after damage, after the power was lost.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::file_system::{FileSystem, RealFileSystem};
use crate::simulated_file_system::SimulatedFileSystem;

const DIRECTORY: &str = "/journal";

fn config(segment_bytes_max: u64) -> JournalConfig {
    JournalConfig { directory: DIRECTORY.into(), segment_bytes_max }
}

fn open(disk: &SimulatedFileSystem, segment_bytes_max: u64) -> JournalWriter<SimulatedFileSystem> {
    JournalWriter::open(disk.clone(), config(segment_bytes_max), 0).unwrap()
}

fn read_from<F: FileSystem>(disk: &F, directory: &Path, from_seq: u64) -> (Vec<JournalRecord>, ReadReport) {
    let mut reader = JournalReader::open(disk.clone(), directory, from_seq).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(record);
    }
    (records, reader.report())
}

fn read(disk: &SimulatedFileSystem) -> (Vec<JournalRecord>, ReadReport) {
    read_from(disk, Path::new(DIRECTORY), 0)
}

fn segments(disk: &SimulatedFileSystem) -> Vec<String> {
    let files = disk.list(Path::new(DIRECTORY)).unwrap();
    files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn records_come_back_in_order_over_segments_and_restarts() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("new/journal");
    let config = JournalConfig { directory: directory.clone(), segment_bytes_max: 200 };
    let mut expected = Vec::new();
    for life in 0..3u8 {
        let mut journal = JournalWriter::open(RealFileSystem, config.clone(), 7).unwrap();
        for n in 0..10u8 {
            let (rows, payload) = (u32::from(n % 3), vec![life; usize::from(n) * 5]);
            let seq = journal.append(rows, &payload).unwrap();
            expected.push(JournalRecord { seq, rows, payload });
        }
        journal.sync().unwrap();
    }
    assert_eq!(expected[0].seq, 7);
    assert!(expected.windows(2).all(|pair| pair[1].seq == pair[0].seq + u64::from(pair[0].rows.max(1))));
    let (records, report) = read_from(&RealFileSystem, &directory, 0);
    assert_eq!(records, expected);
    assert_eq!(report, ReadReport { records: 30, ..ReadReport::default() });
    let from = expected[17].seq;
    assert_eq!(read_from(&RealFileSystem, &directory, from).0, expected[17..]);

    let mut journal = JournalWriter::open(RealFileSystem, config, 0).unwrap();
    let before = journal.disk_bytes();
    journal.remove_below(from).unwrap();
    assert!(journal.disk_bytes() < before);
    let on_disk: u64 = RealFileSystem.list(&directory).unwrap().iter().map(|p| RealFileSystem.length(p).unwrap()).sum();
    assert_eq!(journal.disk_bytes(), on_disk);
    assert_eq!(read_from(&RealFileSystem, &directory, from).0, expected[17..]);
}

#[test]
fn a_journal_goes_on_where_it_was_even_when_all_of_it_was_removed() {
    let disk = SimulatedFileSystem::new(1);
    let mut journal = open(&disk, 0);
    (0..5).for_each(|_| assert!(journal.append(10, b"rows").is_ok()));
    journal.sync().unwrap();
    journal.remove_below(u64::MAX).unwrap();
    drop(journal);
    assert_eq!(open(&disk, 0).next_seq(), 50);
    let journal = JournalWriter::open(disk, config(0), 70).unwrap();
    assert_eq!(journal.next_seq(), 70);
}

#[test]
fn an_open_journal_takes_no_payload_that_no_reader_would_take() {
    let mut journal = open(&SimulatedFileSystem::new(1), 100);
    let result = journal.append(1, &vec![0; PAYLOAD_BYTES_MAX + 1]);
    assert!(matches!(result, Err(JournalError::RecordTooLarge { .. })));
    assert_eq!(journal.append(1, b"small").unwrap(), 0);
}

#[test]
fn a_segment_of_a_newer_release_is_refused() {
    let disk = SimulatedFileSystem::new(1);
    open(&disk, 100).append(1, b"x").unwrap();
    let path = Path::new(DIRECTORY).join("00000000000000000000.tfj");
    let mut bytes = disk.read(&path).unwrap();
    bytes[4] = 2;
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    disk.overwrite(&path, &bytes);
    let result = JournalWriter::open(disk.clone(), config(100), 0);
    assert!(matches!(result, Err(JournalError::NewerVersion { version: 2, .. })));
    let mut reader = JournalReader::open(disk, Path::new(DIRECTORY), 0).unwrap();
    assert!(matches!(reader.next_record(), Err(JournalError::NewerVersion { version: 2, .. })));
}

#[test]
fn a_failed_sync_loses_what_was_not_synced_says_so_and_never_tries_that_file_again() {
    let disk = SimulatedFileSystem::new(1);
    let mut journal = open(&disk, 1 << 20);
    journal.append(3, b"kept").unwrap();
    journal.sync().unwrap();
    journal.append(2, b"lost").unwrap();
    journal.append(2, b"lost too").unwrap();
    disk.fail_syncs(1);
    assert!(matches!(journal.sync(), Err(JournalError::Lost { lost_from: 3, .. })));
    assert_eq!(journal.next_seq(), 3);
    assert_eq!(journal.append(5, b"after").unwrap(), 3);
    journal.sync().unwrap();
    assert_eq!(segments(&disk), ["00000000000000000000.tfj", "00000000000000000003.tfj"]);
    disk.lose_power();
    let (records, report) = read(&disk);
    let payloads: Vec<_> = records.iter().map(|record| &record.payload[..]).collect();
    assert_eq!(payloads, [&b"kept"[..], b"after"]);
    assert_eq!(report.damaged, 0);
    assert_eq!(open(&disk, 1 << 20).next_seq(), 8);
}

#[test]
fn a_failed_sync_of_a_segments_first_records_starts_it_anew() {
    let disk = SimulatedFileSystem::new(1);
    let mut journal = open(&disk, 1 << 20);
    journal.append(1, b"lost").unwrap();
    disk.fail_syncs(2);
    assert!(journal.sync().is_err());
    journal.append(1, b"lost again").unwrap();
    assert!(journal.sync().is_err());
    journal.append(1, b"kept").unwrap();
    journal.sync().unwrap();
    disk.lose_power();
    assert_eq!(read(&disk).0, [JournalRecord { seq: 0, rows: 1, payload: b"kept".to_vec() }]);
}

#[test]
fn a_full_disk_costs_the_record_at_hand_and_nothing_else() {
    let disk = SimulatedFileSystem::new(1);
    let mut journal = open(&disk, 1 << 20);
    journal.append(1, b"first").unwrap();
    disk.set_capacity(Some(100));
    let error = journal.append(1, &[b'x'; 200]).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    journal.sync().unwrap();
    disk.set_capacity(None);
    assert_eq!(journal.append(1, b"second").unwrap(), 1);
    journal.sync().unwrap();
    disk.lose_power();
    let (records, report) = read(&disk);
    assert_eq!(records.iter().map(|record| &record.payload[..]).collect::<Vec<_>>(), [&b"first"[..], b"second"]);
    assert_eq!((report.damaged, report.torn_bytes), (0, 0));
}

#[test]
fn a_failed_append_whose_bytes_cannot_be_taken_back_fails_the_sync_after_it() {
    let disk = SimulatedFileSystem::new(3);
    let mut journal = open(&disk, 1 << 20);
    journal.append(1, b"kept").unwrap();
    journal.sync().unwrap();
    journal.append(1, b"not synced").unwrap();
    disk.stop_after(0);
    assert!(matches!(journal.append(1, b"fails"), Err(JournalError::Lost { lost_from: 1, .. })));
    disk.stop_after(u64::MAX);
    assert!(matches!(journal.append(1, b"too early"), Err(JournalError::Lost { .. })));
    assert!(matches!(journal.sync(), Err(JournalError::Lost { lost_from: 1, .. })));
    assert_eq!(journal.append(1, b"after").unwrap(), 1);
    journal.sync().unwrap();
    assert_eq!(read(&disk).0.len(), 2);
}

/// A journal of records with payloads that look like records, and the byte range of each in its segment.
fn written(disk: &SimulatedFileSystem, segment_bytes_max: u64) -> Vec<JournalRecord> {
    let mut journal = open(disk, segment_bytes_max);
    let mut records = Vec::new();
    for n in 0..12u32 {
        let mut payload = vec![n as u8; n as usize];
        segment::put_record(&mut payload, 0xABCD, u64::from(n) * 2, 2, b"a record inside of a record");
        let seq = journal.append(2, &payload).unwrap();
        records.push(JournalRecord { seq, rows: 2, payload });
    }
    journal.sync().unwrap();
    records
}

#[test]
fn a_flipped_byte_costs_at_most_its_own_record() {
    for segment_bytes_max in [u64::MAX, 300] {
        let disk = SimulatedFileSystem::new(1);
        let expected = written(&disk, segment_bytes_max);
        for path in disk.list(Path::new(DIRECTORY)).unwrap() {
            let sound = disk.read(&path).unwrap();
            for at in 0..sound.len() {
                let mut damaged = sound.clone();
                damaged[at] ^= 0x20;
                disk.overwrite(&path, &damaged);
                let (records, report) = read(&disk);
                assert!(records.iter().all(|record| expected.contains(record)), "byte {at} of {path:?}: invented");
                assert!(records.is_sorted_by_key(|record| record.seq));
                let missing = expected.len() - records.len();
                assert!(missing <= 1, "byte {at} of {path:?}: {missing} records missing");
                assert!(missing == 0 || report.damaged + report.torn_bytes > 0, "byte {at} of {path:?}: not reported");
            }
            disk.overwrite(&path, &sound);
        }
    }
}

#[test]
fn every_prefix_of_a_segment_holds_the_records_that_are_whole_and_opens() {
    let disk = SimulatedFileSystem::new(1);
    let expected = written(&disk, u64::MAX);
    let path = Path::new(DIRECTORY).join("00000000000000000000.tfj");
    let whole = disk.read(&path).unwrap();
    let mut seen = 0;
    for length in 0..=whole.len() {
        disk.overwrite(&path, &whole[..length]);
        let (records, _) = read(&disk);
        assert_eq!(records, expected[..records.len()]);
        assert!(records.len() >= seen);
        seen = records.len();
        let mut journal = open(&disk, u64::MAX);
        assert_eq!(journal.next_seq(), seen as u64 * 2);
        journal.append(1, b"goes on").unwrap();
        let (records, report) = read(&disk);
        assert_eq!(records.len(), seen + 1);
        assert_eq!((report.damaged, report.torn_bytes), (0, 0));
    }
    assert_eq!(seen, expected.len());
}

/// One random life after the other: appends, syncs, faults, removals, then the power is lost.
fn random_schedule(seed: u64) -> (u64, u64) {
    let mut state = seed;
    // splitmix64 (<https://prng.di.unimi.it/splitmix64.c>)
    let mut below = |bound: u32| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(bound)) as u32
    };
    let disk = SimulatedFileSystem::new(seed);
    let mut synced: Vec<JournalRecord> = Vec::new();
    let (mut removed_below, mut syncs_failed) = (0, false);
    let (mut lost, mut torn) = (0, 0);
    for life in 0..6u32 {
        let mut pending: Vec<JournalRecord> = Vec::new();
        // What was refused or reported as lost; the power's loss may bring it back as long as nothing took its place.
        let mut given_up: Vec<Vec<JournalRecord>> = Vec::new();
        let opened = {
            if below(3) == 0 {
                disk.stop_after(u64::from(below(4)));
            }
            JournalWriter::open(disk.clone(), config(u64::from(100 + below(400))), 0)
        };
        if let Ok(mut journal) = opened {
            if below(2) == 0 {
                disk.stop_after(u64::from(below(60)));
            }
            for step in 0..below(40) {
                match below(20) {
                    0 => {
                        disk.fail_syncs(1);
                        syncs_failed = true;
                    }
                    1 => disk.fail_appends(1),
                    2 => disk.set_capacity(Some(u64::from(below(3000)))),
                    3..6 => disk.set_capacity(None),
                    6 => {
                        let seq = u64::from(below(200)).min(journal.synced_seq());
                        removed_below = removed_below.max(seq);
                        let _ = journal.remove_below(seq); // a removal that fails costs room, no record
                    }
                    7..11 => match journal.sync() {
                        Ok(()) if pending.is_empty() => {}
                        Ok(()) => {
                            synced.append(&mut pending);
                            given_up.clear();
                        }
                        Err(JournalError::Lost { lost_from, .. }) => {
                            assert_eq!(lost_from, journal.next_seq(), "seed {seed}");
                            lost += pending.len() as u64;
                            given_up.push(std::mem::take(&mut pending));
                        }
                        Err(error) => panic!("seed {seed}: {error}"),
                    },
                    _ => {
                        let payload = format!("{seed} {life} {step} ").repeat(below(5) as usize).into_bytes();
                        let rows = below(4);
                        let result = journal.append(rows, &payload);
                        // The segment before was synced if it was full.
                        let durable = pending.iter().take_while(|record| record.seq < journal.synced_seq()).count();
                        if durable > 0 {
                            synced.extend(pending.drain(..durable));
                            given_up.clear();
                        }
                        match result {
                            Ok(seq) => pending.push(JournalRecord { seq, rows, payload }),
                            Err(JournalError::Lost { .. }) => {
                                lost += pending.len() as u64;
                                given_up.push(std::mem::take(&mut pending));
                            }
                            Err(_) => {
                                let at_hand = JournalRecord { seq: journal.next_seq(), rows, payload };
                                given_up.push(pending.iter().cloned().chain([at_hand]).collect());
                            }
                        }
                    }
                }
            }
        }
        disk.lose_power();
        disk.set_capacity(None);
        let (records, report) = read(&disk);
        torn += report.torn_bytes;
        assert!(report.damaged == 0 || syncs_failed, "seed {seed} life {life}: {report:?}");
        assert!(records.is_sorted_by(|a, b| a.seq < b.seq), "seed {seed} life {life}: order");
        let must: Vec<_> = synced.iter().filter(|record| record.seq >= removed_below).collect();
        let found: Vec<_> = records.iter().filter(|record| record.seq >= removed_below).collect();
        assert!(found.len() >= must.len() && found[..must.len()] == must[..], "seed {seed} life {life}: lost");
        let rest: Vec<JournalRecord> = found[must.len()..].iter().map(|&record| record.clone()).collect();
        given_up.push(pending);
        assert!(
            given_up.iter().any(|written| written.starts_with(&rest)),
            "seed {seed} life {life}: invented {rest:?}, written {given_up:?}"
        );
        // What survived beyond the synced records was appended before, and counts from now on.
        synced = records;
    }
    (lost, torn)
}

#[test]
fn whatever_happens_before_the_power_is_lost_the_synced_records_are_there() {
    let first: u64 = std::env::var("TAFFRAIL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    println!("seeds {first}..{}", first + 400);
    let (mut lost, mut torn) = (0, 0);
    for seed in first..first + 400 {
        let (lost_here, torn_here) = random_schedule(seed);
        lost += lost_here;
        torn += torn_here;
    }
    assert!(lost > 0 && torn > 0, "the schedules met lost syncs ({lost}) and torn tails ({torn})");
}

proptest! {
    #[test]
    fn any_bytes_as_a_segment_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let disk = SimulatedFileSystem::new(1);
        disk.create(&Path::new(DIRECTORY).join("00000000000000000000.tfj")).unwrap();
        disk.overwrite(&Path::new(DIRECTORY).join("00000000000000000000.tfj"), &bytes);
        let (records, report) = read(&disk);
        prop_assert!(records.is_empty());
        prop_assert_eq!(report.torn_bytes + report.damaged_bytes, bytes.len() as u64);
        open(&disk, 100).append(1, b"goes on").unwrap();
        prop_assert_eq!(read(&disk).0.len(), 1);
    }
}
