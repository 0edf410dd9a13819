//! A pull reader of JSON (RFC 8259) for text from the wire.
//!
//! Own, and not `serde_json`, because a sensor must go on where a program must refuse: a number that no float holds
//! (`1e400`), a lone surrogate, a text that the sample limit cuts. It also must read the same tokens whether or not the
//! caller keeps what is nested, or shapes would depend on the order of bodies. No recursion: a bit for each open container.
//! Strictness is tested against `serde_json` and JSONTestSuite.

use std::borrow::Cow;

/// A string or key as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// Between the quotes, escapes as written.
    pub raw: &'a str,
    /// There are escapes.
    pub escaped: bool,
}

impl<'a> Text<'a> {
    /// The characters it stands for; a lone surrogate becomes U+FFFD. Allocates only where there are escapes.
    pub fn decoded(&self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut out = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(backslash) = rest.find('\\') {
            out.push_str(rest.get(..backslash).unwrap_or_default());
            rest = rest.get(backslash + 1..).unwrap_or_default();
            let Some(kind) = rest.chars().next() else { break };
            rest = rest.get(kind.len_utf8()..).unwrap_or_default();
            match kind {
                'b' => out.push('\u{8}'),
                'f' => out.push('\u{c}'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let (character, after) = unicode(rest);
                    out.push(character);
                    rest = after;
                }
                other => out.push(other),
            }
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Is it this text?
    pub fn is(&self, text: &str) -> bool {
        if self.escaped { self.decoded() == text } else { self.raw == text }
    }
}

/// The character of `\u` escapes at the start of `rest` (behind the first `\u`), and what follows.
fn unicode(rest: &str) -> (char, &str) {
    let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(rest) else { return (char::REPLACEMENT_CHARACTER, rest) };
    let after = rest.get(4..).unwrap_or_default();
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = after.strip_prefix("\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x1_0000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), after.get(6..).unwrap_or_default());
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), after)
}

/// What stands next in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `{`
    Object,
    /// The name of the next member.
    Key(Text<'a>),
    /// `}`
    ObjectEnd,
    /// `[`
    Array,
    /// `]`
    ArrayEnd,
    /// A string.
    String(Text<'a>),
    /// A number as written.
    Number(&'a str),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

/// Why there is no further token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The text is over, and whole.
    End,
    /// The text ends within a value.
    Cut,
    /// The text is no JSON from here on.
    Bad,
}

/// Bytes before the first quote, backslash or control character, or all.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, tail) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The highest bit of each byte that is zero; below the first one found no other byte has it.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quote | backslash | control) & HIGH;
        if found != 0 {
            return number * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < b' ';
    words.len() * 8 + tail.iter().position(ends).unwrap_or(tail.len())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// A value or `]`.
    FirstItem,
    /// A key or `}`.
    FirstKey,
    /// A key.
    Key,
    /// `,` or the container's end; at the top, nothing or the next document.
    After,
}

/// Gives the tokens of a text one after another.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    state: State,
    /// A bit for each open container: is it an object?
    open: Vec<u64>,
    depth: usize,
    /// More bytes follow that are not here.
    cut: bool,
    /// Bytes after the text are no UTF-8.
    bad_tail: bool,
    /// One document may follow another (JSON lines).
    many: bool,
}

impl<'a> Reader<'a> {
    /// A reader of UTF-8 bytes, with or without byte order mark. `cut`: the bytes are only the beginning.
    pub fn new(bytes: &'a [u8], cut: bool) -> Self {
        let (text, cut, bad_tail) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, cut, false),
            Err(error) => {
                let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let text = std::str::from_utf8(valid).unwrap_or_default();
                // A character that the end cuts is one that the sample limit cut.
                (text, cut, !(cut && error.error_len().is_none()))
            }
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Reader { text, at: 0, state: State::Value, open: Vec::new(), depth: 0, cut, bad_tail, many: false }
    }

    /// A reader of documents that follow each other, with white space between or none.
    pub fn many(bytes: &'a [u8], cut: bool) -> Self {
        Reader { many: true, ..Reader::new(bytes, cut) }
    }

    /// Containers open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The text, less a byte order mark.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The next token.
    ///
    /// # Errors
    /// Why there is none. It stays the same when asked again.
    #[allow(clippy::should_implement_trait)] // an iterator could not say why it ended
    pub fn next(&mut self) -> Result<Token<'a>, Stop> {
        loop {
            self.skip_space();
            let Some(byte) = self.peek() else { return Err(self.ending()) };
            match (self.state, byte) {
                (State::After, _) if self.depth == 0 => {
                    if !self.many {
                        return Err(Stop::Bad);
                    }
                    self.state = State::Value;
                }
                (State::After, b',') => {
                    self.at += 1;
                    self.state = if self.in_object() { State::Key } else { State::Value };
                }
                (State::After | State::FirstKey, b'}') if self.in_object() => {
                    self.close();
                    return Ok(Token::ObjectEnd);
                }
                (State::After | State::FirstItem, b']') if !self.in_object() => {
                    self.close();
                    return Ok(Token::ArrayEnd);
                }
                (State::FirstKey | State::Key, b'"') => {
                    let start = self.at;
                    let key = self.string()?;
                    self.skip_space();
                    match self.peek() {
                        Some(b':') => {
                            self.at += 1;
                            self.state = State::Value;
                            return Ok(Token::Key(key));
                        }
                        // Asked again it says the same.
                        None => {
                            let stop = self.ending();
                            self.at = start;
                            return Err(stop);
                        }
                        Some(_) => {
                            self.at = start;
                            return Err(Stop::Bad);
                        }
                    }
                }
                (State::Value | State::FirstItem, _) => return self.value(byte),
                _ => return Err(Stop::Bad),
            }
        }
    }

    /// Reads to the end of the value whose first token was given last; nothing to do for a scalar.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn skip(&mut self, first: Token<'_>) -> Result<(), Stop> {
        if matches!(first, Token::Object | Token::Array) {
            let outside = self.depth.saturating_sub(1);
            while self.depth > outside {
                self.next()?;
            }
        }
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<Token<'a>, Stop> {
        let token = match byte {
            b'{' => {
                self.enter(true);
                return Ok(Token::Object);
            }
            b'[' => {
                self.enter(false);
                return Ok(Token::Array);
            }
            b'"' => Token::String(self.string()?),
            b't' => self.literal("true", Token::Bool(true))?,
            b'f' => self.literal("false", Token::Bool(false))?,
            b'n' => self.literal("null", Token::Null)?,
            b'-' | b'0'..=b'9' => self.number()?,
            _ => return Err(Stop::Bad),
        };
        self.state = State::After;
        Ok(token)
    }

    fn enter(&mut self, object: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.open.len() {
            self.open.push(0);
        }
        if let Some(bits) = self.open.get_mut(word) {
            *bits = *bits & !(1 << bit) | u64::from(object) << bit;
        }
        self.depth += 1;
        self.at += 1;
        self.state = if object { State::FirstKey } else { State::FirstItem };
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.at += 1;
        self.state = State::After;
    }

    fn in_object(&self) -> bool {
        let Some(last) = self.depth.checked_sub(1) else { return false };
        self.open.get(last / 64).is_some_and(|bits| bits >> (last % 64) & 1 == 1)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// What it means that the text is over here.
    fn ending(&self) -> Stop {
        if self.bad_tail {
            Stop::Bad
        } else if self.cut || self.depth > 0 || self.state != State::After {
            Stop::Cut
        } else {
            Stop::End
        }
    }

    fn literal(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Stop> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at += word.len();
            Ok(token)
        } else if word.starts_with(rest) {
            Err(if self.bad_tail { Stop::Bad } else { Stop::Cut })
        } else {
            Err(Stop::Bad)
        }
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<Token<'a>, Stop> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let digits = |from: usize| from + bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        // A digit must be at `from`; gives where they end.
        let some_digits = |from: usize| match bytes.get(from) {
            Some(b'0'..=b'9') => Ok(digits(from)),
            None if !self.bad_tail => Err(Stop::Cut),
            _ => Err(Stop::Bad),
        };
        at = if bytes.get(at) == Some(&b'0') { at + 1 } else { some_digits(at)? };
        if bytes.get(at) == Some(&b'.') {
            at = some_digits(at + 1)?;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at = some_digits(at + 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-'))))?;
        }
        match bytes.get(at) {
            // Further digits may follow.
            None if self.cut => return Err(Stop::Cut),
            None if self.bad_tail => return Err(Stop::Bad),
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}') => {}
            Some(_) => return Err(Stop::Bad),
        }
        self.at = at;
        Ok(Token::Number(self.text.get(start..at).unwrap_or_default()))
    }

    /// Moves past the string that begins here. On an error it stays.
    fn string(&mut self) -> Result<Text<'a>, Stop> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        let ended = if self.bad_tail { Stop::Bad } else { Stop::Cut };
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            at += plain_len(rest);
            match (bytes.get(at), bytes.get(at + 1)) {
                (Some(b'"'), _) => break,
                (None, _) | (Some(b'\\'), None) => return Err(ended),
                (Some(b'\\'), Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => at += 2,
                (Some(b'\\'), Some(b'u')) => {
                    let hex = bytes.get(at + 2..).unwrap_or_default();
                    let hex = hex.get(..hex.len().min(4)).unwrap_or_default();
                    if !hex.iter().all(u8::is_ascii_hexdigit) {
                        return Err(Stop::Bad);
                    }
                    if hex.len() < 4 {
                        return Err(ended);
                    }
                    at += 6;
                }
                _ => return Err(Stop::Bad),
            }
            escaped = true;
        }
        let raw = self.text.get(start..at).unwrap_or_default();
        self.at = at + 1;
        Ok(Text { raw, escaped })
    }
}
