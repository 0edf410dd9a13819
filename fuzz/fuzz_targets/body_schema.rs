//! `syntax (1) | split (2) | bodies apart by 0xff`: hostile bodies, and the same schema for any order and split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbra_discovery::schema::describe::describe;
use umbra_discovery::schema::json::{Reader, Stop};
use umbra_discovery::schema::{Schema, Syntax, ValueKey};

const KEY: ValueKey = ValueKey::new([1, 2]);
const SYNTAXES: [Syntax; 8] = [
    Syntax::Json,
    Syntax::JsonLines,
    Syntax::EventStream,
    Syntax::Xml,
    Syntax::Form,
    Syntax::Multipart,
    Syntax::Protobuf,
    Syntax::Grpc,
];

fn fold<'a>(syntax: Syntax, bodies: impl Iterator<Item = &'a [u8]>) -> Schema {
    let mut schema = Schema::default();
    for body in bodies {
        schema.add(syntax, b"multipart/form-data; boundary=b", body, body.len() % 2 == 1, &KEY);
    }
    schema
}

fuzz_target!(|data: &[u8]| {
    let Some(([syntax, split, _], rest)) = data.split_first_chunk::<3>() else { return };
    let syntax = SYNTAXES[usize::from(*syntax) % SYNTAXES.len()];
    let bodies: Vec<&[u8]> = rest.split(|&byte| byte == 0xff).collect();
    let all = fold(syntax, bodies.iter().copied());
    let (one, other) = bodies.split_at(usize::from(*split) % (bodies.len() + 1));
    let (mut left, right) = (fold(syntax, one.iter().rev().copied()), fold(syntax, other.iter().copied()));
    left.merge(&right);
    assert_eq!(left, all);
    describe(&all.shape);

    // The reader ends, and stays at its end.
    for cut in [false, true] {
        let mut reader = Reader::new(rest, cut);
        let stop = loop {
            if let Err(stop) = reader.next() {
                break stop;
            }
        };
        assert_eq!(reader.next(), Err(stop));
        assert!(!cut || stop != Stop::End);
    }
});
