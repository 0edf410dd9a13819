//! HTTP/2 frames and HPACK.

use umbra_flow::{Direction, EndReason};
use umbra_wire::Timestamp;

use crate::engine::{Config, Engine};
use crate::h2::H2;
use crate::h2::hpack::encoder::{Encoder, Form};
use crate::h2::hpack::{Decoder, Name, Oddities, Sink};

/// Frames of both directions: the transactions depend on the bytes, not on how they were cut, and bounds are kept. The first
/// byte says whether the start was seen, the second how the bytes are cut; then come runs of a direction and a length byte.
pub fn h2_frames(data: &[u8]) {
    let [flags, cut, rest @ ..] = data else { return };
    let whole = frames_once(rest, *flags, usize::MAX);
    let pieces = frames_once(rest, *flags, usize::from(*cut % 13) + 1);
    assert_eq!(whole, pieces, "the result depends on how the bytes were cut");
}

fn frames_once(mut rest: &[u8], flags: u8, piece: usize) -> Vec<String> {
    let mut engine = Engine::new(Config::default());
    let mut h2 = H2::new(&mut engine, flags & 1 != 0, [0; 2]);
    if flags & 2 != 0 {
        h2.handle_data(&mut engine, Direction::ToServer, Timestamp(1), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }
    let mut time = 1;
    let mut found = Vec::new();
    while let [run, len, after @ ..] = rest {
        let direction = if run & 1 == 0 { Direction::ToServer } else { Direction::ToClient };
        time += 1_000_000;
        if run & 0xf0 == 0xf0 {
            h2.handle_gap(&mut engine, direction, Timestamp(time), u64::from(*len), run & 2 != 0);
            rest = after;
        } else if run & 0xf0 == 0xe0 {
            h2.handle_conflict(direction);
            rest = after;
        } else {
            let (now, after) = after.split_at(usize::from(*len).min(after.len()));
            for piece in now.chunks(piece) {
                h2.handle_data(&mut engine, direction, Timestamp(time), piece);
            }
            rest = after;
        }
        assert!(h2.memory_bytes() < 4 << 20, "more memory than the bounds allow");
        while let Some(transaction) = engine.poll_transaction() {
            assert!(transaction.request.is_some() || transaction.response.is_some());
            found.push(format!("{transaction:?}"));
        }
    }
    for direction in [Direction::ToServer, Direction::ToClient] {
        h2.handle_end(&mut engine, direction, EndReason::Finished);
    }
    while let Some(transaction) = engine.poll_transaction() {
        found.push(format!("{transaction:?}"));
    }
    found
}

#[derive(Default)]
struct List(Vec<Option<(Vec<u8>, Vec<u8>)>>);

impl Sink for List {
    fn field(&mut self, name: Name, odd: Oddities, name_text: &[u8], value: &[u8]) {
        let known = name != Name::Unknown && !odd.contains(Oddities::UNKNOWN_VALUE);
        self.0.push(known.then(|| (name_text.to_vec(), value.to_vec())));
    }
}

/// HPACK: any block is read without a panic and within bounds; what an encoder wrote comes back; a decoder that joined late,
/// or forgot, never says anything else than the one that saw everything.
pub fn hpack(data: &[u8]) {
    let [kind, rest @ ..] = data else { return };
    let (mut full, mut late) = (Decoder::new(65_536, false), Decoder::new(65_536, true));
    if kind & 1 == 0 {
        // Raw blocks, each with a length byte before it.
        let mut rest = rest;
        let mut number = 0;
        while let [len, after @ ..] = rest {
            let (block, after) = after.split_at(usize::from(*len).min(after.len()));
            rest = after;
            let (mut truth, mut seen) = (List::default(), List::default());
            let result = full.decode(block, &mut truth);
            if number > 2 {
                let late_result = late.decode(block, &mut seen);
                if result.is_ok() {
                    assert_eq!(late_result, Ok(()));
                    agree(&seen, &truth);
                } else {
                    // Behind an error nothing is certain of either.
                    late.forget();
                }
            }
            number += 1;
        }
    } else {
        let mut encoder = Encoder::new();
        encoder.huffman = kind & 2 != 0;
        let mut rest = rest;
        let mut number = 0;
        while let [form, name_len, value_len, after @ ..] = rest {
            let (name, after) = after.split_at(usize::from(*name_len % 8).min(after.len()));
            let (value, after) = after.split_at(usize::from(*value_len % 32).min(after.len()));
            rest = after;
            let mut block = Vec::new();
            if form & 0xf0 == 0xf0 {
                encoder.set_max(usize::from(*name_len) * 8, &mut block);
            }
            let how = [Form::Index, Form::Index, Form::Plain, Form::Never][usize::from(form % 4)];
            encoder.field(name, value, how, &mut block);
            let mut truth = List::default();
            assert_eq!(full.decode(&block, &mut truth), Ok(()));
            assert_eq!(truth.0, [Some((name.to_vec(), value.to_vec()))]);
            if number > usize::from(kind >> 4) {
                let mut seen = List::default();
                assert_eq!(late.decode(&block, &mut seen), Ok(()));
                agree(&seen, &truth);
            }
            number += 1;
        }
    }
    assert!(full.memory_bytes() < 512 * 1024 && late.memory_bytes() < 512 * 1024);
}

fn agree(late: &List, truth: &List) {
    assert_eq!(late.0.len(), truth.0.len());
    for (late, truth) in late.0.iter().zip(&truth.0) {
        assert!(late.is_none() || truth.is_none() || late == truth, "{late:?} is not {truth:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bytes that lean towards what frames are made of.
    fn seeds(run: fn(&[u8]), count: u64) {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 8
        };
        for _ in 0..count {
            let mut data = Vec::new();
            for _ in 0..random() % 24 {
                let len = random() % 40;
                data.extend([
                    random() as u8,
                    (len + 9) as u8,
                    0,
                    0,
                    len as u8,
                    (random() % 11) as u8,
                    random() as u8 & 0x2d,
                ]);
                data.extend([0, 0, 0, (random() % 8) as u8]);
                data.extend((0..len).map(|_| match random() % 4 {
                    0 => 0x80 | (random() % 70) as u8,
                    1 => (random() % 8) as u8,
                    _ => random() as u8,
                }));
            }
            run(&data);
        }
    }

    #[test]
    fn frames_of_random_bytes() {
        seeds(h2_frames, 20_000);
    }

    #[test]
    fn hpack_of_random_bytes() {
        seeds(hpack, 20_000);
    }
}
