//! The JSON reader against JSONTestSuite and `serde_json`.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use proptest::prelude::*;
use umbra_discovery::schema::json::{Reader, Stop, Token};
use umbra_discovery::schema::{Schema, Syntax, ValueKey};

const KEY: ValueKey = ValueKey::new([1, 2]);

fn shared() -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    std::env::var_os("UMBRA_SHARED").map_or_else(|| default.into(), PathBuf::from)
}

/// Reads to the end.
fn verdict(bytes: &[u8], cut: bool) -> Stop {
    let mut reader = Reader::new(bytes, cut);
    loop {
        if let Err(stop) = reader.next() {
            assert_eq!(reader.next(), Err(stop), "the same when asked again");
            return stop;
        }
    }
}

fn schema_of(bytes: &[u8], cut: bool) -> Schema {
    let mut schema = Schema::default();
    schema.add(Syntax::Json, b"application/json", bytes, cut, &KEY);
    schema
}

#[test]
fn json_conformance_set() {
    let dir = shared().join("conformance/json");
    let Ok(list) = std::fs::read_to_string(dir.join("expected.tsv")) else {
        eprintln!("skipped: no conformance/json");
        return;
    };
    let mut seen = 0;
    for line in list.lines() {
        let mut columns = line.split('\t');
        let (Some(file), Some(expected)) = (columns.next(), columns.next()) else { continue };
        let Ok(bytes) = std::fs::read(dir.join(file)) else { continue };
        seen += 1;
        let accepted = verdict(&bytes, false) == Stop::End;
        match expected {
            "accept" => assert!(accepted, "{file}"),
            "reject" => assert!(!accepted, "{file}"),
            _ => {}
        }
        assert_eq!(schema_of(&bytes, false), schema_of(&bytes, false));
        // Whatever is cut off: no panic, and what can still become JSON is not called broken.
        for end in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            let part = verdict(&bytes[..end], true);
            assert!(expected != "accept" || part == Stop::Cut, "{file} cut at {end}: {part:?}");
            schema_of(&bytes[..end], true);
        }
    }
    assert_eq!(seen, 318);
    for entry in std::fs::read_dir(dir.join("test_transform")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let schema = schema_of(&bytes, false);
        assert!(schema.shape.seen() > 0 || schema.malformed > 0);
        assert_eq!(schema, schema_of(&bytes, false));
    }
}

#[test]
fn documents_one_after_another() {
    let mut reader = Reader::many(b"{\"a\":1}\n{\"a\":2} 3 [4]", false);
    let mut tokens = 0;
    let stop = loop {
        match reader.next() {
            Ok(_) => tokens += 1,
            Err(stop) => break stop,
        }
    };
    assert_eq!((tokens, stop), (12, Stop::End));
}

#[test]
fn escapes_are_undone_and_lone_surrogates_survive() {
    let mut reader = Reader::new(br#"["\u00e9\ud83d\ude00\n\/","\ud800x","\udc00\ud800"]"#, false);
    let mut texts = Vec::new();
    while let Ok(token) = reader.next() {
        if let Token::String(text) = token {
            texts.push(text.decoded().into_owned());
        }
    }
    assert_eq!(texts, ["é😀\n/", "\u{fffd}x", "\u{fffd}\u{fffd}"]);
}

/// JSON and things near it.
fn near_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\"\\u00e9\""),
        Just("\"\\n\""),
        Just("\""),
        Just("1"),
        Just("-0"),
        Just("0.5e+3"),
        Just("01"),
        Just("1."),
        Just("true"),
        Just("null"),
        Just("nul"),
        Just(" "),
        Just("\n"),
        Just("\"b\":"),
        Just("\"c\":[]"),
        Just("{}"),
        Just("é"),
        Just("\"é\""),
        Just("-"),
        Just("\\"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn value(depth: u32) -> BoxedStrategy<serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e9..1e9).prop_map(|number: f64| number.into()),
        ".{0,12}".prop_map(|text| text.into()),
    ];
    leaf.prop_recursive(depth, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            proptest::collection::vec(("[a-e]{1,2}", inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
    .boxed()
}

proptest! {
    #[test]
    fn as_strict_as_serde_json(text in near_json()) {
        let ours = verdict(text.as_bytes(), false) == Stop::End;
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn what_serde_json_writes_is_read(value in value(4), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        prop_assert_eq!(verdict(text.as_bytes(), false), Stop::End);
        let end = cut.index(text.len());
        prop_assert_eq!(verdict(&text.as_bytes()[..end], true), Stop::Cut);
        prop_assert_eq!(schema_of(text.as_bytes(), false).malformed, 0);
    }
}
