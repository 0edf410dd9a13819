//! Walking the members of JSON objects without building them.

use crate::schema::json::{Reader, Stop, Token};

/// Calls `each` with the name and first token of every member of the object that was entered last. It may read the value on; what it
/// leaves is passed over.
pub(super) fn each_member<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(&mut Reader<'a>, &str, Token<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let inside = reader.depth();
    loop {
        match reader.next()? {
            Token::Key(key) => {
                let token = reader.next()?;
                each(reader, &key.decoded(), token)?;
                finish(reader, inside)?;
            }
            _ => return Ok(()),
        }
    }
}

/// Calls `each` with the first token of every item of the array that was entered last, or with the value itself if it is none.
pub(super) fn each_item<'a>(
    reader: &mut Reader<'a>,
    token: Token<'a>,
    mut each: impl FnMut(&mut Reader<'a>, Token<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if token != Token::Array {
        return each(reader, token);
    }
    let inside = reader.depth();
    loop {
        match reader.next()? {
            Token::ArrayEnd => return Ok(()),
            token => {
                each(reader, token)?;
                finish(reader, inside)?;
            }
        }
    }
}

/// Reads on until `depth` containers are open.
fn finish(reader: &mut Reader<'_>, depth: usize) -> Result<(), Stop> {
    while reader.depth() > depth {
        reader.next()?;
    }
    Ok(())
}

/// The characters of a string.
pub(super) fn text(token: Token<'_>) -> Option<String> {
    match token {
        Token::String(text) => Some(text.decoded().into_owned()),
        _ => None,
    }
}

/// A whole number.
pub(super) fn integer(token: Token<'_>) -> Option<i64> {
    match token {
        Token::Number(text) => text.parse().ok(),
        _ => None,
    }
}
