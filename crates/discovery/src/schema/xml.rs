//! XML by element: names and the shapes of texts.
//!
//! Own, and not a library, because nothing but names is wanted of it: no entity is looked up, no document type read, nothing ever
//! fetched (F067). A bounded stack, no recursion while scanning; a text cut anywhere gives what came before.

use super::hash::ValueKey;
use super::json::Stop;
use super::shape::{Shape, Type};

/// Longest name of an element or attribute looked at, bytes.
const NAME_BYTES: usize = 256;

/// A piece of markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Markup<'a> {
    /// `<name …>`: local name, the rest of the tag.
    Start(&'a str, &'a str),
    /// `<name …/>`
    Empty(&'a str, &'a str),
    /// `</name>`
    End,
    /// Text or CDATA, entities as written; not only white space.
    Text(&'a str),
}

/// Gives the pieces of a document. Comments, processing instructions and the document type are passed over.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Scanner { rest: text.strip_prefix('\u{feff}').unwrap_or(text) }
    }

    /// The next piece.
    pub(crate) fn next_piece(&mut self) -> Result<Markup<'a>, Stop> {
        loop {
            let rest = self.rest;
            if rest.is_empty() {
                return Err(Stop::End);
            }
            let Some(tag) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                let (text, after) = rest.split_at(end);
                self.rest = after;
                if !text.trim_ascii().is_empty() {
                    return Ok(Markup::Text(text));
                }
                continue;
            };
            if let Some(comment) = tag.strip_prefix("!--") {
                self.skip_past(comment, "-->")?;
            } else if let Some(data) = tag.strip_prefix("![CDATA[") {
                let end = data.find("]]>").ok_or(Stop::Cut)?;
                self.rest = data.get(end + 3..).unwrap_or_default();
                return Ok(Markup::Text(data.get(..end).unwrap_or_default()));
            } else if let Some(instruction) = tag.strip_prefix('?') {
                self.skip_past(instruction, "?>")?;
            } else if let Some(declaration) = tag.strip_prefix('!') {
                self.rest = declaration;
                self.skip_declaration()?;
            } else if let Some(name) = tag.strip_prefix('/') {
                self.skip_past(name, ">")?;
                return Ok(Markup::End);
            } else {
                return self.tag(tag);
            }
        }
    }

    fn tag(&mut self, tag: &'a str) -> Result<Markup<'a>, Stop> {
        let mut quote = None;
        let end = tag.bytes().position(|byte| match quote {
            Some(mark) => {
                if byte == mark {
                    quote = None;
                }
                false
            }
            None => {
                if byte == b'"' || byte == b'\'' {
                    quote = Some(byte);
                }
                byte == b'>'
            }
        });
        let end = end.ok_or(Stop::Cut)?;
        let inside = tag.get(..end).unwrap_or_default();
        self.rest = tag.get(end + 1..).unwrap_or_default();
        let (inside, empty) = match inside.strip_suffix('/') {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let name_end = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(name_end);
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || name.len() > NAME_BYTES {
            return Err(Stop::Bad);
        }
        let name = local(name);
        Ok(if empty { Markup::Empty(name, attributes) } else { Markup::Start(name, attributes) })
    }

    fn skip_past(&mut self, from: &'a str, mark: &str) -> Result<(), Stop> {
        let end = from.find(mark).ok_or(Stop::Cut)?;
        self.rest = from.get(end + mark.len()..).unwrap_or_default();
        Ok(())
    }

    /// `<!DOCTYPE … [ … ]>`: to the `>` outside of brackets and quotes. Entities are not read.
    fn skip_declaration(&mut self) -> Result<(), Stop> {
        let (mut depth, mut quote) = (0_usize, None);
        let end = self.rest.bytes().position(|byte| {
            match (quote, byte) {
                (Some(mark), _) if byte == mark => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'[' | b'<') => depth += 1,
                (None, b']') => depth = depth.saturating_sub(1),
                (None, b'>') if depth == 0 => return true,
                (None, b'>') => depth = depth.saturating_sub(1),
                _ => {}
            }
            false
        });
        let end = end.ok_or(Stop::Cut)?;
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Ok(())
    }
}

/// A name without its namespace prefix: prefixes are the sender's choice.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// Names and values of attributes, less namespace declarations.
pub(crate) fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    std::iter::from_fn(move || {
        loop {
            let equals = rest.find('=')?;
            let (name, after) = rest.split_at(equals);
            let name = name.trim_ascii();
            let value = after.get(1..)?.trim_ascii_start();
            let mark = value.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
            let value = value.get(1..)?;
            let end = value.find(mark)?;
            rest = value.get(end + 1..)?;
            if name != "xmlns" && !name.starts_with("xmlns:") && name.len() <= NAME_BYTES {
                return Some((local(name), value.get(..end)?));
            }
        }
    })
}

/// Calls `each` with the depth and local name of each element, in order, while it says true; at most `pieces` pieces are looked at.
pub(crate) fn each_element(text: &str, pieces: usize, mut each: impl FnMut(usize, &str) -> bool) {
    let mut scanner = Scanner::new(text);
    let mut depth = 0_usize;
    for _ in 0..pieces {
        match scanner.next_piece() {
            Ok(Markup::Start(name, _)) => {
                if !each(depth, name) {
                    return;
                }
                depth += 1;
            }
            Ok(Markup::Empty(name, _)) => {
                if !each(depth, name) {
                    return;
                }
            }
            Ok(Markup::End) => depth = depth.saturating_sub(1),
            Ok(Markup::Text(_)) => {}
            Err(_) => return,
        }
    }
}

/// Adds a document: an element is an object of its attributes (`@name`), its children and its text (`#text`).
pub(super) fn add(shape: &mut Shape, bytes: &[u8], cut: bool, depth: usize, key: &ValueKey) -> Stop {
    let (text, ending) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, if cut { Stop::Cut } else { Stop::End }),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let ending = if cut && error.error_len().is_none() { Stop::Cut } else { Stop::Bad };
            (std::str::from_utf8(valid).unwrap_or_default(), ending)
        }
    };
    shape.count_one(Type::Object);
    let Some(levels) = depth.checked_sub(1) else { return ending };
    let object = shape.object_mut();
    let mut scanner = Scanner::new(text);
    let mut elements = 0;
    let stop = loop {
        match scanner.next_piece() {
            Ok(Markup::Start(name, tag)) => {
                elements += 1;
                if let Err(stop) = add_element(object.slot(name), &mut scanner, tag, false, levels, key) {
                    break stop;
                }
            }
            Ok(Markup::Empty(name, tag)) => {
                elements += 1;
                let _ = add_element(object.slot(name), &mut scanner, tag, true, levels, key);
            }
            // Outside of the document element.
            Ok(Markup::Text(_) | Markup::End) => break Stop::Bad,
            Err(stop) => break stop,
        }
    };
    match (stop, ending) {
        (Stop::End, Stop::End) if elements == 1 => {
            object.end();
            Stop::End
        }
        (stop, ending) => {
            object.abandon();
            match (stop, ending) {
                (Stop::Bad, _) | (_, Stop::Bad) | (Stop::End, Stop::End) => Stop::Bad,
                _ => Stop::Cut,
            }
        }
    }
}

/// Adds the element whose tag was read last, to its end.
fn add_element(
    shape: &mut Shape,
    scanner: &mut Scanner<'_>,
    tag: &str,
    empty: bool,
    levels: usize,
    key: &ValueKey,
) -> Result<(), Stop> {
    shape.count_one(Type::Object);
    let Some(levels) = levels.checked_sub(1) else { return if empty { Ok(()) } else { skip_element(scanner) } };
    let object = shape.object_mut();
    let mut name = String::from("@");
    for (attribute, value) in attributes(tag).take(super::form::PARAMETERS) {
        name.truncate(1);
        name.push_str(attribute);
        object.slot(&name).add_parameter(value, Some(key));
    }
    if empty {
        object.end();
        return Ok(());
    }
    loop {
        let read = match scanner.next_piece() {
            Ok(Markup::Start(name, tag)) => add_element(object.slot(name), scanner, tag, false, levels, key),
            Ok(Markup::Empty(name, tag)) => add_element(object.slot(name), scanner, tag, true, levels, key),
            Ok(Markup::Text(text)) => {
                object.slot("#text").add_parameter(text.trim_ascii(), Some(key));
                Ok(())
            }
            Ok(Markup::End) => break,
            Err(Stop::End) => Err(Stop::Cut),
            Err(stop) => Err(stop),
        };
        if read.is_err() {
            object.abandon();
            return read;
        }
    }
    object.end();
    Ok(())
}

/// Moves past an element of which nothing is kept.
fn skip_element(scanner: &mut Scanner<'_>) -> Result<(), Stop> {
    let mut open = 1_usize;
    while open > 0 {
        match scanner.next_piece() {
            Ok(Markup::Start(..)) => open += 1,
            Ok(Markup::End) => open -= 1,
            Ok(Markup::Empty(..) | Markup::Text(_)) => {}
            Err(Stop::End) => return Err(Stop::Cut),
            Err(stop) => return Err(stop),
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: ValueKey = ValueKey::new([1, 2]);

    #[test]
    fn elements_attributes_and_texts_have_names() {
        let body = b"<?xml version='1.0'?><!DOCTYPE o [<!ENTITY e '>'>]><!-- <x> --><s:order xmlns:s='urn:x' id='7'>\
            <s:line sku=\"a>b\"/><line>2</line><note><![CDATA[<y>]]></note></s:order>\n";
        let mut shape = Shape::default();
        assert_eq!(add(&mut shape, body, false, 64, &KEY), Stop::End);
        let order = shape.object().unwrap().property("order").unwrap().shape.object().unwrap();
        let names: Vec<&str> = order.properties().iter().map(|property| &*property.name).collect();
        assert_eq!(names, ["@id", "line", "note"]);
        assert!(order.property("line").unwrap().repeated);
        assert_eq!(order.property("@id").unwrap().shape.count(Type::Integer), 1);
        for cut in 0..body.len() {
            assert_eq!(add(&mut Shape::default(), &body[..cut], true, 64, &KEY), Stop::Cut, "{cut}");
        }
    }

    #[test]
    fn what_is_no_document_is_told() {
        for body in ["", "text", "<a></a><b/>", "<1>", "</a>"] {
            assert_eq!(add(&mut Shape::default(), body.as_bytes(), false, 64, &KEY), Stop::Bad, "{body}");
        }
        assert_eq!(add(&mut Shape::default(), b"<a><b>", false, 64, &KEY), Stop::Cut);
    }
}
