//! Frames and stored records against bytes that are checked in: what was agreed with clients and disks stays so.
//!
//! JSON stands as text, MessagePack as hex. A change of these files is a change of the wire or of the disk: write them
//! anew with `HUBBUB_UPDATE=1` only when that is meant, and say so in the changelog.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::frame::client::ClientFrame;
use hubbub_protocol::frame::server::ServerFrame;
use serde::Serialize;

use crate::samples::{self, Sample};

fn folder(direction: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(direction)
}

fn update() -> bool {
    std::env::var_os("HUBBUB_UPDATE").is_some_and(|value| value == "1")
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|character| !character.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

/// 64 bytes a line, so that a difference can be seen.
fn hex_lines(bytes: &[u8]) -> String {
    bytes.chunks(64).fold(String::new(), |text, line| text + &to_hex(line) + "\n")
}

fn compare(direction: &str, file: &str, actual: &str) -> Result<(), String> {
    let path = folder(direction).join(file);
    if update() {
        std::fs::create_dir_all(folder(direction)).unwrap();
        std::fs::write(path, actual).unwrap();
        return Ok(());
    }
    let golden = std::fs::read_to_string(&path).map_err(|error| format!("{direction}/{file}: {error}"))?;
    if golden == actual {
        return Ok(());
    }
    Err(format!("{direction}/{file} differs\n  agreed: {golden}  now:    {actual}"))
}

/// Compares all, names everything that differs, and refuses files that belong to no sample.
fn check(direction: &str, files: &[(String, String)]) {
    let faults: Vec<String> = files.iter().filter_map(|(file, text)| compare(direction, file, text).err()).collect();
    assert!(faults.is_empty(), "{}\n(HUBBUB_UPDATE=1 writes them anew, if the change is meant)", faults.join("\n"));
    let known: BTreeSet<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    for entry in std::fs::read_dir(folder(direction)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(name.as_str()), "tests/golden/{direction}/{name} belongs to no sample");
    }
}

fn frame_files<F: Serialize>(samples: &[Sample<F>]) -> Vec<(String, String)> {
    let files_of = |sample: &Sample<F>| {
        let json = codec::encode(&sample.frame, Format::Json).unwrap();
        let packed = codec::encode(&sample.frame, Format::MessagePack).unwrap();
        [
            (format!("{}.json", sample.name), String::from_utf8(json.to_vec()).unwrap() + "\n"),
            (format!("{}.msgpack.hex", sample.name), hex_lines(&packed)),
        ]
    };
    samples.iter().flat_map(files_of).collect()
}

/// Every type has a sample, and a sample's name begins with its type.
fn check_types<'a>(types: &[&str], samples: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut seen = BTreeSet::new();
    for (name, word) in samples {
        assert_eq!(name.split('-').next(), Some(word), "the sample {name} is a frame of type {word}");
        seen.insert(word);
    }
    assert_eq!(seen, types.iter().copied().collect(), "types with a sample, and all types");
}

#[test]
fn every_frame_type_has_a_sample() {
    let client = samples::client_frames();
    check_types(ClientFrame::TYPES, client.iter().map(|sample| (sample.name, sample.frame.word())));
    let server = samples::server_frames();
    check_types(ServerFrame::TYPES, server.iter().map(|sample| (sample.name, sample.frame.word())));
}

#[test]
fn client_frames_are_spelt_as_agreed() {
    check("client", &frame_files(&samples::client_frames()));
}

#[test]
fn server_frames_are_spelt_as_agreed() {
    check("server", &frame_files(&samples::server_frames()));
}

#[test]
fn stored_bodies_are_spelt_as_on_the_disks_that_exist() {
    let file_of =
        |sample: &Sample<_>| (format!("{}.msgpack.hex", sample.name), hex_lines(&samples::stored(&sample.frame)));
    check("record", &samples::bodies().iter().map(file_of).collect::<Vec<_>>());
}

/// Reads the checked-in bytes themselves, not what this build would write.
#[test]
fn agreed_bytes_are_still_read() {
    for sample in samples::client_frames() {
        for (format, bytes) in agreed("client", sample.name) {
            assert_eq!(codec::decode_client(&bytes, format).as_ref(), Ok(&sample.frame), "{}", sample.name);
        }
    }
    for sample in samples::server_frames() {
        for (format, bytes) in agreed("server", sample.name) {
            assert_eq!(codec::decode_server(&bytes, format).as_ref(), Ok(&sample.frame), "{}", sample.name);
        }
    }
    for sample in samples::bodies() {
        let hex = std::fs::read_to_string(folder("record").join(format!("{}.msgpack.hex", sample.name))).unwrap();
        assert_eq!(codec::decode_body(&from_hex(&hex)).as_ref(), Ok(&sample.frame), "{}", sample.name);
    }
}

fn agreed(direction: &str, name: &str) -> [(Format, Vec<u8>); 2] {
    let text = |file: String| std::fs::read_to_string(folder(direction).join(file)).unwrap();
    [
        (Format::Json, text(format!("{name}.json")).trim_end().as_bytes().to_vec()),
        (Format::MessagePack, from_hex(&text(format!("{name}.msgpack.hex")))),
    ]
}
