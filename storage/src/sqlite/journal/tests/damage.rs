//! Every prefix, every torn tail and every flipped byte of a journal's segments.

use std::path::{Path, PathBuf};

use hubbub_protocol::{ConversationId, Sequence};
use tempfile::TempDir;

use super::super::frame::{Frame, HEADER_BYTES, Kind};
use super::super::recovery::{Found, look};
use super::super::segment::{self, Segment};
use super::tempdir;
use crate::conformance::any_message;
use crate::sqlite::OpenError;
use crate::stored::record;

const ID: ConversationId = ConversationId::from_bytes([7; 16]);
const FRAMES: u64 = 4;

/// A segment with some frames of one record each; where each frame ends.
fn write(dir: &Path, number: u64, before: u64, first: u64) -> Vec<usize> {
    let mut segment = Segment::create(dir, number, before, false).unwrap();
    let mut frame = Frame::default();
    (0..FRAMES)
        .map(|next| {
            let at = Sequence::new(first + next);
            frame.clear();
            frame.push(Kind::Stored, ID, at, &record::encode(ID, at, &any_message(&[7; 20])).unwrap()).unwrap();
            segment.append(&mut frame).unwrap();
            usize::try_from(segment.length()).unwrap()
        })
        .collect()
}

fn one() -> (TempDir, PathBuf, Vec<usize>, Vec<u8>) {
    let dir = tempdir();
    let ends = write(dir.path(), 1, 0, 1);
    let path = dir.path().join(segment::name(1));
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, ends, bytes)
}

fn refusal(found: Result<Found, OpenError>) -> String {
    match found {
        Err(OpenError::Damaged { file: "journal", reason }) => reason.to_string(),
        Err(other) => panic!("{other}"),
        Ok(found) => panic!("{} records are served as if all were sound", found.records()),
    }
}

#[test]
fn every_prefix_of_the_last_segment_gives_its_whole_groups_whatever_comes_after_them() {
    let (dir, path, ends, bytes) = one();
    for length in 0..=bytes.len() {
        for tail in [&[][..], &[0; 3000], &[0xFF; 100], &bytes[..length.min(40)]] {
            let left = [&bytes[..length], tail].concat();
            std::fs::write(&path, &left).unwrap();
            // What comes after may by chance be just what was cut off.
            let whole = ends.iter().filter(|end| left.get(..**end) == Some(&bytes[..**end])).count() as u64;
            if left.get(..HEADER_BYTES) != Some(&bytes[..HEADER_BYTES]) {
                if tail.is_empty() {
                    assert_eq!(look(dir.path(), 0, false).unwrap().records(), 0, "{length}: it was just being made");
                }
                assert!(look(dir.path(), 0, true).is_err(), "{length}: DURABLE: a segment that was used is empty");
                continue;
            }
            let found = look(dir.path(), 0, true).unwrap();
            assert_eq!(found.records(), whole, "cut to {length}, then {} bytes", tail.len());
            found.mend(dir.path()).unwrap();
            let again = look(dir.path(), 0, true).unwrap();
            assert_eq!((again.records(), again.torn_bytes), (whole, 0), "{length}: the torn tail stays");
        }
    }
}

#[test]
fn a_flipped_bit_before_the_last_group_refuses_the_start_and_names_the_place() {
    let (dir, path, ends, bytes) = one();
    let last = ends[ends.len() - 2];
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        let found = look(dir.path(), 0, true);
        if bit / 8 >= last {
            assert_eq!(found.unwrap().records(), FRAMES - 1, "bit {bit} of the last group was flipped and is served");
            continue;
        }
        let begins = ends.iter().rev().find(|end| **end <= bit / 8).copied().unwrap_or(HEADER_BYTES);
        let begins = if bit / 8 < HEADER_BYTES { 0 } else { begins };
        let told = refusal(found);
        assert!(told.starts_with(&format!("journal-0000000001, byte {begins}: ")), "bit {bit}: {told}");
    }
}

#[test]
fn a_middle_segment_that_is_flipped_cut_or_longer_refuses_the_start_and_names_the_place() {
    let (dir, path, ends, bytes) = one();
    write(dir.path(), 2, bytes.len() as u64, 1 + FRAMES);
    assert_eq!(look(dir.path(), 0, true).unwrap().records(), 2 * FRAMES);
    for byte in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 0x10;
        std::fs::write(&path, flipped).unwrap();
        let told = refusal(look(dir.path(), 0, true));
        assert!(told.starts_with("journal-0000000001, byte "), "{byte}: {told}");
        // Also where the cut is between two groups.
        for zeros in [0, 64] {
            std::fs::write(&path, [&bytes[..byte], &vec![0; zeros]].concat()).unwrap();
            let told = refusal(look(dir.path(), 0, true));
            assert!(told.starts_with("journal-0000000001, byte "), "cut to {byte}: {told}");
        }
    }
    std::fs::write(&path, &bytes[..ends[1]]).unwrap();
    assert!(refusal(look(dir.path(), 0, true)).contains("bytes long"));
    std::fs::write(&path, [&bytes[..], &[0; 9]].concat()).unwrap();
    assert_eq!(look(dir.path(), 0, true).unwrap().records(), 2 * FRAMES, "it was made longer than it was needed");
    std::fs::write(&path, [&bytes[..], &[1; 9]].concat()).unwrap();
    assert!(refusal(look(dir.path(), 0, true)).contains(&format!("byte {}: ", bytes.len())));
}

#[test]
fn segments_go_on_from_the_one_that_was_applied_last_without_a_hole() {
    let dir = tempdir();
    for number in 1..=4 {
        write(dir.path(), number, 0, 1 + (number - 1) * FRAMES);
    }
    for applied in 0..=3 {
        let found = look(dir.path(), applied, true).unwrap();
        assert_eq!(found.records(), (4 - applied) * FRAMES, "what was applied is not applied again");
    }
    assert!(refusal(look(dir.path(), 4, true)).contains("journal-0000000005 is missing"));
    assert_eq!(look(dir.path(), 4, false).unwrap().records(), 0, "a closed store needs none");
    std::fs::remove_file(dir.path().join(segment::name(3))).unwrap();
    let told = refusal(look(dir.path(), 1, true));
    assert!(told.starts_with("journal-0000000003 is missing") && told.contains("journal-0000000004"), "{told}");
    assert!(refusal(look(dir.path(), 0, false)).contains("journal-0000000003 is missing"));
    std::fs::remove_file(dir.path().join(segment::name(1))).unwrap();
    assert!(refusal(look(dir.path(), 0, true)).contains("has lost its log.db-wal"));
}

#[test]
fn a_frame_of_another_segment_or_another_place_is_none() {
    let (dir, path, ends, bytes) = one();
    write(dir.path(), 2, 0, 1);
    let other = std::fs::read(dir.path().join(segment::name(2))).unwrap();
    std::fs::remove_file(dir.path().join(segment::name(2))).unwrap();
    for frame in [&other[HEADER_BYTES..ends[0]], &bytes[HEADER_BYTES..ends[0]]] {
        std::fs::write(&path, [&bytes[..], frame].concat()).unwrap();
        assert_eq!(look(dir.path(), 0, true).unwrap().records(), FRAMES, "what nobody wrote there is served");
    }
}
