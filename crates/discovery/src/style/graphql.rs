//! GraphQL documents: operations with their root fields.
//!
//! An own reader of the header and root selection of each operation, and not a parser crate: those build a tree of the whole
//! document, recurse with its nesting, and give nothing for a document that the sample limit cuts. This one keeps names only, does
//! not recurse, and stops at a number of tokens (F067).

/// Tokens read of one document.
pub const TOKENS: usize = 20_000;
/// Operations of a document or batch, kept.
pub const OPERATIONS: usize = 32;
/// Fragments of a document, kept.
const FRAGMENTS: usize = 256;
/// Root fields of an operation and spreads in a fragment, kept.
pub const ROOT_FIELDS: usize = 64;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationType {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Listens.
    Subscription,
}

impl OperationType {
    /// The keyword.
    pub const fn name(self) -> &'static str {
        match self {
            OperationType::Query => "query",
            OperationType::Mutation => "mutation",
            OperationType::Subscription => "subscription",
        }
    }
}

/// An operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentOperation<'a> {
    /// What it does.
    pub kind: OperationType,
    /// Its name, if it has one.
    pub name: Option<&'a str>,
    /// Names of its root fields, no aliases, fragments followed, each once, first appearance first.
    pub root_fields: Vec<&'a str>,
}

/// What a text holds if it is a GraphQL document with operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document<'a> {
    /// Operations in order.
    pub operations: Vec<DocumentOperation<'a>>,
    /// The document is not sound to its end: cut, too long, or wrong.
    pub broken: bool,
}

/// Reads a document; `None` if the text does not begin like one.
pub fn read(text: &str) -> Option<Document<'_>> {
    let mut lexer = Lexer { rest: text.strip_prefix('\u{feff}').unwrap_or(text), left: TOKENS, ahead: None };
    let mut parsed = Parsed::default();
    let broken = loop {
        match parsed.definition(&mut lexer) {
            Ok(true) => {}
            Ok(false) => break false,
            Err(Broken) => break true,
        }
    };
    if parsed.operations.is_empty() {
        return None;
    }
    let fragments = &parsed.fragments;
    let operations = parsed
        .operations
        .iter()
        .map(|(kind, name, selections)| DocumentOperation {
            kind: *kind,
            name: *name,
            root_fields: resolve(selections, fragments),
        })
        .collect();
    Some(Document { operations, broken })
}

/// The document ends early, or is none from here on.
#[derive(Debug)]
struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Mark(char),
    Spread,
    /// A string or number.
    Value,
}

struct Lexer<'a> {
    rest: &'a str,
    left: usize,
    ahead: Option<Token<'a>>,
}

impl<'a> Lexer<'a> {
    /// The next token; `None` at the end.
    fn next(&mut self) -> Result<Option<Token<'a>>, Broken> {
        if let Some(token) = self.ahead.take() {
            return Ok(Some(token));
        }
        // White space, commas and byte order marks are ignored, as are comments.
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
            let Some(comment) = self.rest.strip_prefix('#') else { break };
            let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
            self.rest = comment.get(end..).unwrap_or_default();
        }
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        self.left = self.left.checked_sub(1).ok_or(Broken)?;
        let token = match first {
            '_' | 'a'..='z' | 'A'..='Z' => Token::Name(self.take_while(|c| c == '_' || c.is_ascii_alphanumeric())),
            '0'..='9' | '-' => {
                self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
                Token::Value
            }
            '"' => {
                self.string()?;
                Token::Value
            }
            '.' => {
                self.rest = self.rest.strip_prefix("...").ok_or(Broken)?;
                Token::Spread
            }
            '!' | '$' | '&' | '(' | ')' | ':' | '=' | '@' | '[' | ']' | '{' | '|' | '}' => {
                self.rest = self.rest.get(1..).unwrap_or_default();
                Token::Mark(first)
            }
            _ => return Err(Broken),
        };
        Ok(Some(token))
    }

    /// The next token, which must be there.
    fn need(&mut self) -> Result<Token<'a>, Broken> {
        self.next()?.ok_or(Broken)
    }

    /// The next token, left where it is.
    fn peek(&mut self) -> Result<Option<Token<'a>>, Broken> {
        if self.ahead.is_none() {
            self.ahead = self.next()?;
        }
        Ok(self.ahead)
    }

    /// Takes a mark off if it is next.
    fn take(&mut self, mark: char) -> Result<bool, Broken> {
        let found = self.peek()? == Some(Token::Mark(mark));
        if found {
            self.ahead = None;
        }
        Ok(found)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn string(&mut self) -> Result<(), Broken> {
        if let Some(mut block) = self.rest.strip_prefix("\"\"\"") {
            loop {
                let end = block.find("\"\"\"").ok_or(Broken)?;
                let (inside, after) = block.split_at(end);
                block = after.get(3..).unwrap_or_default();
                if !inside.ends_with('\\') {
                    self.rest = block;
                    return Ok(());
                }
            }
        }
        let mut escaped = false;
        let inside = self.rest.get(1..).unwrap_or_default();
        let end = inside.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends || byte == b'\n'
        });
        let end = end.filter(|&end| inside.as_bytes().get(end) == Some(&b'"')).ok_or(Broken)?;
        self.rest = inside.get(end + 1..).unwrap_or_default();
        Ok(())
    }

    /// Moves past everything to the mark that closes the one taken last.
    fn skip_balanced(&mut self) -> Result<(), Broken> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.need()? {
                Token::Mark('(' | '[' | '{') => depth += 1,
                Token::Mark(')' | ']' | '}') => depth -= 1,
                _ => {}
            }
        }
        Ok(())
    }

    fn skip_directives(&mut self) -> Result<(), Broken> {
        while self.take('@')? {
            self.need()?;
            if self.take('(')? {
                self.skip_balanced()?;
            }
        }
        Ok(())
    }
}

/// Something in a root selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection<'a> {
    Field(&'a str),
    Fragment(&'a str),
}

#[derive(Debug, Default)]
struct Parsed<'a> {
    operations: Vec<(OperationType, Option<&'a str>, Vec<Selection<'a>>)>,
    fragments: Vec<(&'a str, Vec<Selection<'a>>)>,
}

impl<'a> Parsed<'a> {
    /// Reads a definition; false at the end. An operation counts once its selection begins.
    fn definition(&mut self, lexer: &mut Lexer<'a>) -> Result<bool, Broken> {
        let Some(first) = lexer.next()? else { return Ok(false) };
        let kind = match first {
            Token::Mark('{') => {
                self.operation(lexer, OperationType::Query, None)?;
                return Ok(true);
            }
            Token::Name("query") => OperationType::Query,
            Token::Name("mutation") => OperationType::Mutation,
            Token::Name("subscription") => OperationType::Subscription,
            Token::Name("fragment") => {
                self.fragment(lexer)?;
                return Ok(true);
            }
            _ => return Err(Broken),
        };
        let mut name = None;
        if let Some(Token::Name(word)) = lexer.peek()? {
            name = Some(word);
            lexer.ahead = None;
        }
        if lexer.take('(')? {
            lexer.skip_balanced()?;
        }
        lexer.skip_directives()?;
        if !lexer.take('{')? {
            return Err(Broken);
        }
        self.operation(lexer, kind, name)?;
        Ok(true)
    }

    fn operation(&mut self, lexer: &mut Lexer<'a>, kind: OperationType, name: Option<&'a str>) -> Result<(), Broken> {
        let mut selections = Vec::new();
        let read = read_selections(lexer, &mut selections);
        // `{}` and `{"a": 1}` are no selections.
        if (read.is_ok() || !selections.is_empty()) && self.operations.len() < OPERATIONS && !selections.is_empty() {
            self.operations.push((kind, name, selections));
        }
        read
    }

    fn fragment(&mut self, lexer: &mut Lexer<'a>) -> Result<(), Broken> {
        let (Token::Name(name), Token::Name("on"), Token::Name(_)) = (lexer.need()?, lexer.need()?, lexer.need()?)
        else {
            return Err(Broken);
        };
        lexer.skip_directives()?;
        if !lexer.take('{')? {
            return Err(Broken);
        }
        let mut selections = Vec::new();
        let read = read_selections(lexer, &mut selections);
        if self.fragments.len() < FRAGMENTS {
            self.fragments.push((name, selections));
        }
        read
    }
}

/// Reads a selection set to its closing brace. What inline fragments hold is at the same level; what fields hold is passed over.
fn read_selections<'a>(lexer: &mut Lexer<'a>, out: &mut Vec<Selection<'a>>) -> Result<(), Broken> {
    let mut inline = 0_usize;
    loop {
        match lexer.need()? {
            Token::Mark('}') => match inline.checked_sub(1) {
                Some(left) => inline = left,
                None => return Ok(()),
            },
            Token::Spread => {
                match lexer.peek()? {
                    Some(Token::Name("on")) => {
                        lexer.ahead = None;
                        lexer.need()?;
                    }
                    Some(Token::Name(name)) => {
                        lexer.ahead = None;
                        push(out, Selection::Fragment(name));
                        lexer.skip_directives()?;
                        continue;
                    }
                    _ => {}
                }
                lexer.skip_directives()?;
                if !lexer.take('{')? {
                    return Err(Broken);
                }
                inline += 1;
            }
            Token::Name(first) => {
                let mut name = first;
                if lexer.take(':')? {
                    let Token::Name(behind) = lexer.need()? else { return Err(Broken) };
                    name = behind;
                }
                push(out, Selection::Field(name));
                if lexer.take('(')? {
                    lexer.skip_balanced()?;
                }
                lexer.skip_directives()?;
                if lexer.take('{')? {
                    lexer.skip_balanced()?;
                }
            }
            _ => return Err(Broken),
        }
    }
}

fn push<'a>(out: &mut Vec<Selection<'a>>, selection: Selection<'a>) {
    if out.len() < ROOT_FIELDS && !out.contains(&selection) {
        out.push(selection);
    }
}

/// Root fields with fragments followed, each fragment once: cycles end.
fn resolve<'a>(selections: &[Selection<'a>], fragments: &[(&'a str, Vec<Selection<'a>>)]) -> Vec<&'a str> {
    let mut fields = Vec::new();
    let mut followed = vec![false; fragments.len()];
    // The next selection is the last of the stack.
    let mut stack: Vec<Selection<'a>> = selections.iter().rev().copied().collect();
    while let Some(selection) = stack.pop() {
        match selection {
            Selection::Field(name) if fields.len() < ROOT_FIELDS && !fields.contains(&name) => fields.push(name),
            Selection::Field(_) => {}
            Selection::Fragment(name) => {
                let place = fragments.iter().position(|(other, _)| *other == name);
                if let Some(place) = place
                    && let (Some(done @ false), Some((_, inside))) = (followed.get_mut(place), fragments.get(place))
                {
                    *done = true;
                    stack.extend(inside.iter().rev());
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_document() {
        for text in [
            "",
            "red shoes",
            "select id from t",
            "{\"a\": 1}",
            "{}",
            "query shoes",
            "type A { b: C }",
            "{ 1 }",
            "fragment F on A { b }",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn f067_hostile_documents_end() {
        let aliases: String = (0..10_000).map(|n| format!("a{n}: field{n} ")).collect();
        let document = format!("{{{aliases}}}");
        let read_aliases = read(&document).map(|document| document.operations[0].root_fields.len());
        assert_eq!(read_aliases, Some(ROOT_FIELDS));

        let cycle = "query Q { ...A } fragment A on T { a ...B } fragment B on T { b ...A ...B }";
        assert_eq!(read(cycle).map(|document| document.operations[0].root_fields.clone()), Some(vec!["a", "b"]));

        for deep in
            ["{ a ".repeat(100_000), "{ ... ".repeat(100_000), "{ a(x: [".repeat(100_000), "{ a @b(".repeat(100_000)]
        {
            assert!(read(&deep).is_none_or(|document| document.broken));
        }
        let operations = "query A { a } ".repeat(10_000);
        assert_eq!(read(&operations).map(|document| document.operations.len()), Some(OPERATIONS));
    }
}
