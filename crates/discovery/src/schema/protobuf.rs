//! Protobuf messages without a descriptor: fields by number, types by wire shape.

use super::hash::ValueKey;
use super::json::Stop;
use super::shape::{Shape, Type, magnitude};

/// Texts of fields are not hashed: without a descriptor it is not known which are names of states.
const KEY: Option<&ValueKey> = None;

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Takes the next field off; `None` at the end.
fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<Option<(u32, Field<'a>)>, Stop> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let tag = take_varint(bytes)?;
    let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number)).ok_or(Stop::Bad)?;
    let field = match tag & 7 {
        0 => Field::Varint(take_varint(bytes)?),
        1 => Field::Fixed64(u64::from_le_bytes(take_array(bytes)?)),
        2 => {
            let len = usize::try_from(take_varint(bytes)?).map_err(|_| Stop::Bad)?;
            // 2 GiB is the most that any implementation takes.
            if len > i32::MAX as usize {
                return Err(Stop::Bad);
            }
            let (field, rest) = bytes.split_at_checked(len).ok_or(Stop::Cut)?;
            *bytes = rest;
            Field::Bytes(field)
        }
        5 => Field::Fixed32(u32::from_le_bytes(take_array(bytes)?)),
        // Groups went out of use before there was gRPC.
        _ => return Err(Stop::Bad),
    };
    Ok(Some((number, field)))
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Stop> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(Stop::Cut)?;
    *bytes = rest;
    Ok(*head)
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, Stop> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Stop::Cut)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Stop::Bad)
}

/// Adds a message.
pub(super) fn add(shape: &mut Shape, bytes: &[u8], cut: bool, levels: usize) -> Stop {
    shape.count_one(Type::Object);
    let Some(levels) = levels.checked_sub(1) else { return if cut { Stop::Cut } else { Stop::End } };
    let object = shape.object_mut();
    let mut rest = bytes;
    let mut name = String::new();
    let stop = loop {
        match take_field(&mut rest) {
            Ok(Some((number, field))) => {
                name.clear();
                let _ = std::fmt::Write::write_fmt(&mut name, format_args!("{number}"));
                add_field(object.slot_named(&name), field, levels);
            }
            Ok(None) => break if cut { Stop::Cut } else { Stop::End },
            // The end of a whole message within a field makes it none.
            Err(Stop::Cut) if !cut => break Stop::Bad,
            Err(stop) => break stop,
        }
    };
    match stop {
        Stop::End => object.end(),
        Stop::Cut | Stop::Bad => object.abandon(),
    }
    stop
}

fn add_field(shape: &mut Shape, field: Field<'_>, levels: usize) {
    match field {
        Field::Varint(value) => shape.add_magnitude(Type::Integer, magnitude(value as i64 as f64)),
        Field::Fixed64(bits) => shape.add_magnitude(Type::Number, magnitude(f64::from_bits(bits))),
        Field::Fixed32(bits) => shape.add_magnitude(Type::Number, magnitude(f64::from(f32::from_bits(bits)))),
        Field::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).ok();
            match text {
                Some(text) if !text.contains(|c: char| c.is_control()) => shape.add_text(text, KEY),
                _ if is_message(bytes) => {
                    add(shape, bytes, false, levels);
                }
                Some(text) if !text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => {
                    shape.add_text(text, KEY);
                }
                _ => shape.add_bytes(bytes.len()),
            }
        }
    }
}

/// Do the bytes read as a message, to their end? Looks at this level only.
fn is_message(mut bytes: &[u8]) -> bool {
    loop {
        match take_field(&mut bytes) {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// Adds the messages of a gRPC or gRPC-Web body: flags (1), length (4, big-endian), message.
pub(super) fn add_framed(shape: &mut Shape, bytes: &[u8], cut: bool, levels: usize) -> Stop {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((&[flags, a, b, c, d], after)) = rest.split_first_chunk::<5>() else { break };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((message, after)) = after.split_at_checked(len) else {
            if flags == 0 {
                add(shape, after, true, levels);
            }
            break;
        };
        match flags {
            0 => {
                add(shape, message, false, levels);
            }
            // Compressed, or the trailers of gRPC-Web.
            1 | 0x80 | 0x81 => {}
            _ => return Stop::Bad,
        }
        rest = after;
    }
    match (rest.is_empty(), cut) {
        (true, false) => Stop::End,
        (false, false) => Stop::Bad,
        (_, true) => Stop::Cut,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_wire_shape() {
        // 1: 150, 2: "testing", 3: { 1: 150 }, 4: fixed64, 5: fixed32, 6: bytes
        let body =
            b"\x08\x96\x01\x12\x07testing\x1a\x03\x08\x96\x01\x21\0\0\0\0\0\0\xf0\x3f\x2d\0\0\x80\x3f\x32\x02\xff\xfe";
        let mut shape = Shape::default();
        assert_eq!(add(&mut shape, body, false, 64), Stop::End);
        let object = shape.object().unwrap();
        let kind = |name: &str, kind| object.property(name).unwrap().shape.count(kind);
        assert_eq!(kind("1", Type::Integer), 1);
        assert_eq!(kind("2", Type::String), 1);
        assert_eq!(kind("3", Type::Object), 1);
        assert_eq!(kind("4", Type::Number), 1);
        assert_eq!(kind("5", Type::Number), 1);
        assert_eq!(kind("6", Type::String), 1);
        for cut in 0..body.len() {
            assert_eq!(add(&mut Shape::default(), &body[..cut], true, 64), Stop::Cut);
        }
        let mut framed = vec![0, 0, 0, 0, body.len() as u8];
        framed.extend_from_slice(body);
        let mut twice = Shape::default();
        assert_eq!(add_framed(&mut twice, &framed.repeat(2), false, 64), Stop::End);
        shape.merge(&shape.clone());
        assert_eq!(twice, shape);
    }
}
