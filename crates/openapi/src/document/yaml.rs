//! YAML into a document: the first document of the stream, core schema, aliases shared, merge keys resolved.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::build::{Builder, Refusal};
use super::{Document, Flaw, MAX_LINE_BYTES};
use crate::limits::Limits;

pub(super) fn read(text: &str, limits: &Limits) -> Result<Document, Flaw> {
    if let Some(line) = text.lines().position(|line| line.len() > MAX_LINE_BYTES) {
        let what = format!("line {} has more than {MAX_LINE_BYTES} bytes", line.saturating_add(1));
        return Err(Flaw { pointer: String::new(), what });
    }
    let mut reader = Reader { builder: Builder::new(*limits), anchors: Vec::new(), open: Vec::new(), skipping: 0 };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((Event::DocumentEnd, _)) => break,
            Ok((event, _)) => reader.event(event),
            Err(error) => Err(Refusal(syntax(&error))),
        };
        if let Err(Refusal(what)) = outcome {
            return Err(Flaw { pointer: reader.builder.pointer(), what });
        }
    }
    Ok(reader.builder.finish())
}

fn syntax(error: &ScanError) -> String {
    let at = error.marker();
    format!("not YAML: {} at line {} column {}", error.info(), at.line(), at.col().saturating_add(1))
}

struct Reader {
    builder: Builder,
    /// Value of each anchor, by the parser's number; one that is still open is none.
    anchors: Vec<Option<u32>>,
    /// Of each open container: its anchor, and whether it is the value of a merge key.
    open: Vec<(usize, bool)>,
    /// Containers open inside one that is left out.
    skipping: usize,
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), Refusal> {
        if self.skipping > 0 {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => self.skipping += 1,
                Event::SequenceEnd | Event::MappingEnd => self.skipping -= 1,
                _ => {}
            }
            return Ok(());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.builder.wants_key() {
                    self.builder.key(&text);
                    return Ok(());
                }
                let id = self.scalar(&text, style, tag.as_deref())?;
                self.anchor(anchor, id);
            }
            Event::Alias(number) => match self.anchors.get(number).copied().flatten() {
                _ if self.builder.wants_key() => self.builder.key("*"),
                Some(id) if self.builder.pending_key() == Some("<<") => self.builder.merge(id),
                Some(id) => self.builder.alias(id),
                None => {
                    self.builder.flaw("an alias inside its own anchor: left out");
                    self.builder.null()?;
                }
            },
            Event::SequenceStart(anchor, _) => self.open(anchor, Builder::begin_list)?,
            Event::MappingStart(anchor, _) => self.open(anchor, Builder::begin_map)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, anchor: usize, begin: impl FnOnce(&mut Builder) -> Result<u32, Refusal>) -> Result<(), Refusal> {
        if self.builder.wants_key() {
            // A container as a key has no place in JSON's model.
            self.builder.flaw("a key that is no scalar");
            self.builder.key("?");
            self.skipping = 1;
            return Ok(());
        }
        if self.builder.too_deep() {
            self.builder.flaw("nested too deep: left out");
            self.builder.null()?;
            self.skipping = 1;
            return Ok(());
        }
        let merges = self.builder.pending_key() == Some("<<");
        begin(&mut self.builder)?;
        self.open.push((anchor, merges));
        Ok(())
    }

    fn close(&mut self) {
        let (anchor, merges) = self.open.pop().unwrap_or_default();
        if let Some(id) = self.builder.end(merges) {
            self.anchor(anchor, id);
        }
    }

    fn anchor(&mut self, number: usize, id: u32) {
        if number == 0 {
            return;
        }
        if self.anchors.len() <= number {
            self.anchors.resize(number + 1, None);
        }
        if let Some(slot) = self.anchors.get_mut(number) {
            *slot = Some(id);
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<u32, Refusal> {
        let is_text = style != ScalarStyle::Plain
            || tag.is_some_and(|tag| !tag.is_yaml_core_schema() || matches!(tag.suffix.as_str(), "str" | "binary"));
        match text {
            _ if is_text => self.builder.text(text),
            "" | "~" | "null" | "Null" | "NULL" => self.builder.null(),
            "true" | "True" | "TRUE" => self.builder.bool(true),
            "false" | "False" | "FALSE" => self.builder.bool(false),
            _ if is_number(text) => self.builder.number(text),
            _ => self.builder.text(text),
        }
    }
}

/// A number of the core schema (YAML 1.2.2 §10.3.2), less infinities and NaN, which JSON does not have.
fn is_number(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("0x") {
        return !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    let first = text.trim_start_matches(['-', '+']).bytes().next();
    first.is_some_and(|byte| byte.is_ascii_digit() || byte == b'.') && text.parse::<f64>().is_ok()
}
