//! `docs/protocol.md` against the code: its examples, its tables of fields, codes and limits.
//!
//! The page promises that a client can be written from it alone, so what it leaves out is a fault as much as what it
//! gets wrong.

use std::collections::{BTreeMap, BTreeSet};

use hubbub_protocol::codec::{self, Format};
use hubbub_protocol::error::ErrorCode;
use hubbub_protocol::frame::client::ClientFrame;
use hubbub_protocol::frame::close::CloseCode;
use hubbub_protocol::frame::server::ServerFrame;
use hubbub_protocol::limits::Limits;
use serde_json::Value;

use crate::samples;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    std::fs::read_to_string(path).unwrap()
}

/// The fenced examples of one direction.
fn examples(page: &str, direction: &str) -> Vec<String> {
    let fence = format!("```json {direction}\n");
    let rest = page.split(&fence).skip(1);
    rest.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// What stands under a second-order heading that begins so.
fn chapter<'a>(page: &'a str, heading: &str) -> &'a str {
    let start = page.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("no chapter {heading}"));
    let rest = &page[start + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// The rows of the table whose first column is headed so, cell by cell, code marks taken off.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let bare = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let cells = |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(bare).collect() };
    let table = text.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |"))).skip(2);
    table.take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// Every example reads, and says what it seems to say: written again it is the same object.
fn check_examples<F: serde::Serialize>(
    direction: &str,
    types: &[&str],
    decode: impl Fn(&[u8]) -> Result<F, codec::DecodeError>,
) {
    let mut missing: BTreeSet<&str> = types.iter().copied().collect();
    for example in examples(&page(), direction) {
        let frame = decode(example.as_bytes()).unwrap_or_else(|error| panic!("{error} in\n{example}"));
        let again = codec::encode(&frame, Format::Json).unwrap();
        let (again, shown): (Value, Value) =
            (serde_json::from_slice(&again).unwrap(), serde_json::from_str(&example).unwrap());
        assert_eq!(again, shown, "this example is read as something else");
        missing.remove(shown["type"].as_str().unwrap());
    }
    assert!(missing.is_empty(), "no example shows {missing:?} ({direction})");
}

#[test]
fn every_client_frame_has_an_example_that_the_codec_reads() {
    check_examples("client", ClientFrame::TYPES, |bytes| codec::decode_client(bytes, Format::Json));
}

#[test]
fn every_server_frame_has_an_example_that_the_codec_reads() {
    check_examples("server", ServerFrame::TYPES, |bytes| codec::decode_server(bytes, Format::Json));
}

/// The fields of every type, as its samples have them, and whether all samples have the field.
fn fields(samples: impl Iterator<Item = (&'static str, Value)>) -> BTreeMap<&'static str, BTreeMap<String, bool>> {
    let mut types: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (word, frame) in samples {
        types.entry(word).or_default().push(frame);
    }
    let of_type = |frames: Vec<Value>| {
        let names: BTreeSet<&String> = frames.iter().flat_map(|frame| frame.as_object().unwrap().keys()).collect();
        let names = names.into_iter().filter(|name| *name != "type");
        names.map(|name| (name.clone(), frames.iter().all(|frame| frame.get(name).is_some()))).collect()
    };
    types.into_iter().map(|(word, frames)| (word, of_type(frames))).collect()
}

/// The fields that the section of a type lists, and whether it calls them required.
fn documented(chapter: &str, word: &str) -> BTreeMap<String, bool> {
    let start = chapter.find(&format!("\n### {word}\n")).unwrap_or_else(|| panic!("no section {word}"));
    let section = chapter[start + 1..].split("\n### ").next().unwrap();
    rows(section, "Field").into_iter().map(|cells| (cells[0].clone(), cells[2] != "optional")).collect()
}

#[test]
fn every_field_of_every_client_frame_is_documented() {
    let page = page();
    let chapter = chapter(&page, "8.");
    let samples = samples::client_frames().into_iter();
    let samples = samples.map(|sample| (sample.frame.word(), serde_json::to_value(&sample.frame).unwrap()));
    for (word, mut actual) in fields(samples) {
        // Every sample of these has an id, so that it is not seen to be optional.
        actual.entry("id".to_owned()).and_modify(|required| *required = false);
        assert_eq!(
            documented(chapter, &format!("`{word}`")),
            actual,
            "{word}: the page, and the code (true: required)"
        );
    }
}

#[test]
fn every_field_of_every_server_frame_is_documented() {
    let page = page();
    let chapter = chapter(&page, "9.");
    let of_events = documented(chapter, "Every event");
    let events: BTreeSet<&str> = samples::server_frames()
        .iter()
        .filter(|sample| sample.frame.clone().into_event().is_some())
        .map(|sample| sample.frame.word())
        .collect();
    let samples = samples::server_frames().into_iter();
    let samples = samples.map(|sample| (sample.frame.word(), serde_json::to_value(&sample.frame).unwrap()));
    for (word, mut actual) in fields(samples) {
        actual.entry("id".to_owned()).and_modify(|required| *required = false);
        let mut shown = documented(chapter, &format!("`{word}`"));
        if events.contains(word) {
            shown.extend(of_events.clone());
            actual.insert("device_id".to_owned(), false);
        }
        assert_eq!(shown, actual, "{word}: the page, and the code (true: required)");
    }
}

#[test]
fn every_close_code_is_documented_as_it_is() {
    let actual: Vec<Vec<String>> = CloseCode::ALL
        .iter()
        .map(|code| {
            let action = serde_json::to_value(code.action()).unwrap().as_str().unwrap().to_owned();
            vec![code.number().to_string(), code.reason().to_owned(), action]
        })
        .collect();
    let shown = rows(chapter(&page(), "10."), "Code");
    assert_eq!(shown.iter().map(|cells| cells[..3].to_vec()).collect::<Vec<_>>(), actual);
}

#[test]
fn every_close_code_is_found_by_its_number() {
    for code in CloseCode::ALL {
        assert_eq!(CloseCode::from_number(code.number()), Some(*code));
    }
    assert_eq!(CloseCode::from_number(1001), None);
}

#[test]
fn every_error_code_is_documented_as_it_is() {
    let of_code = |code: &ErrorCode| {
        let retryable = if code.retryable() { "yes" } else { "no" };
        [code.as_str(), &code.status().to_string(), retryable, code.i18n_key()].map(str::to_owned).to_vec()
    };
    let actual: Vec<Vec<String>> = ErrorCode::ALL.iter().map(of_code).collect();
    let shown = rows(chapter(&page(), "11."), "Code");
    assert_eq!(shown.iter().map(|cells| cells[..4].to_vec()).collect::<Vec<_>>(), actual);
}

#[test]
fn every_limit_is_documented_with_its_default() {
    let limits = serde_json::to_value(Limits::default()).unwrap();
    let actual: BTreeMap<String, String> =
        limits.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    let shown = rows(chapter(&page(), "12."), "Limit").into_iter();
    let shown: BTreeMap<String, String> = shown.map(|cells| (cells[0].clone(), cells[1].clone())).collect();
    assert_eq!(shown, actual, "BOUNDED: the page, and the code");
}

#[test]
fn the_subprotocols_are_documented() {
    let shown = rows(chapter(&page(), "2."), "Subprotocol");
    let names: Vec<&str> = shown.iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(names, Format::ALL.map(Format::subprotocol));
    for format in Format::ALL {
        assert_eq!(Format::from_subprotocol(format.subprotocol()), Some(format));
    }
}
