//! HTTP/2 as a peer writes it: frames and HPACK, written from the RFCs and independent of the decoder under test.

/// The client connection preface (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Default dynamic table size (RFC 9113 §6.5.2) and default largest frame payload.
const TABLE_BYTES: usize = 4_096;
const FRAME_BYTES: usize = 16_384;

/// Writes one direction of an HTTP/2 connection. Header fields are indexed as real peers do, so that later blocks refer
/// to earlier ones; strings are not Huffman coded.
///
/// ```
/// use umbra_testkit::Http2Writer;
///
/// let mut client = Http2Writer::client();
/// client.headers(1, &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")], true);
/// let first = client.take();
/// client.headers(3, &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")], true);
/// // Nine bytes of frame header, then one byte a field.
/// assert_eq!(client.take()[9..], [0x82, 0x86, 0x84, 0xbe]);
/// assert!(first.starts_with(b"PRI * HTTP/2.0"));
/// ```
#[derive(Clone, Debug)]
pub struct Http2Writer {
    bytes: Vec<u8>,
    /// Newest entry first (RFC 7541 §2.3.2).
    table: Vec<(String, String)>,
}

impl Http2Writer {
    /// The client's direction: preface and SETTINGS are written.
    pub fn client() -> Http2Writer {
        let mut writer = Http2Writer { bytes: PREFACE.to_vec(), table: Vec::new() };
        // SETTINGS_MAX_CONCURRENT_STREAMS 100.
        writer.frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        writer
    }

    /// The server's direction: SETTINGS and the answer to the client's are written.
    pub fn server() -> Http2Writer {
        let mut writer = Http2Writer { bytes: Vec::new(), table: Vec::new() };
        writer.frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
        writer.frame(SETTINGS, ACK, 0, &[]);
        writer
    }

    /// A frame of any kind (RFC 9113 §4.1).
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        assert_eq!(length[0], 0, "a frame length has 24 bits");
        self.bytes.extend_from_slice(&length[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream.to_be_bytes());
        self.bytes.extend_from_slice(payload);
    }

    /// A header block in one HEADERS frame; `end` ends the stream's direction.
    pub fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let mut block = Vec::new();
        for (name, value) in fields {
            self.field(name, value, &mut block);
        }
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, &block);
    }

    /// Content in as many DATA frames as it needs; `end` ends the stream's direction.
    pub fn data(&mut self, stream: u32, content: &[u8], end: bool) {
        let count = content.len().div_ceil(FRAME_BYTES).max(1);
        for n in 0..count {
            let part = content.chunks(FRAME_BYTES).nth(n).unwrap_or_default();
            let flags = if end && n + 1 == count { END_STREAM } else { 0 };
            self.frame(DATA, flags, stream, part);
        }
    }

    /// What was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    fn field(&mut self, name: &str, value: &str, block: &mut Vec<u8>) {
        let entries = || {
            let dynamic = self.table.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            STATIC.iter().copied().chain(dynamic).zip(1..)
        };
        if let Some((_, index)) = entries().find(|(entry, _)| *entry == (name, value)) {
            // RFC 7541 §6.1: indexed field.
            integer(index, 7, 0x80, block);
            return;
        }
        let name_index = entries().find(|((entry, _), _)| *entry == name).map_or(0, |(_, index)| index);
        // §7.1.3: a credential is never indexed.
        let secret = name == "authorization" || name == "cookie";
        let (prefix_bits, pattern) = if secret { (4, 0x10) } else { (6, 0x40) };
        integer(name_index, prefix_bits, pattern, block);
        if name_index == 0 {
            string(name, block);
        }
        string(value, block);
        if !secret {
            self.insert(name, value);
        }
    }

    fn insert(&mut self, name: &str, value: &str) {
        self.table.insert(0, (name.to_string(), value.to_string()));
        // §4.1: an entry counts 32 bytes more than its strings; §4.4: the oldest go first.
        while self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>() > TABLE_BYTES {
            self.table.pop();
        }
    }
}

/// RFC 7541 §5.1.
fn integer(value: usize, prefix_bits: u32, pattern: u8, out: &mut Vec<u8>) {
    let most = (1 << prefix_bits) - 1;
    if value < most {
        out.push(pattern | u8::try_from(value).unwrap());
        return;
    }
    out.push(pattern | u8::try_from(most).unwrap());
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(0x80 | u8::try_from(rest % 0x80).unwrap());
        rest /= 0x80;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// RFC 7541 §5.2, not Huffman coded.
fn string(text: &str, out: &mut Vec<u8>) {
    integer(text.len(), 7, 0, out);
    out.extend_from_slice(text.as_bytes());
}

/// RFC 7541 Appendix A.
#[rustfmt::skip]
const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 Appendix C.3: requests without Huffman coding.
    #[test]
    fn rfc_7541_c3() {
        let mut writer = Http2Writer { bytes: Vec::new(), table: Vec::new() };
        let first = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        writer.headers(1, &first, true);
        assert_eq!(writer.take()[9..], *b"\x82\x86\x84\x41\x0fwww.example.com");
        let second = [first.as_slice(), &[("cache-control", "no-cache")]].concat();
        writer.headers(3, &second, true);
        assert_eq!(writer.take()[9..], *b"\x82\x86\x84\xbe\x58\x08no-cache");
        let third = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        writer.headers(5, &third, true);
        assert_eq!(writer.take()[9..], *b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value");
    }

    #[test]
    fn integers_of_rfc_7541_c1_and_long_content() {
        let mut out = Vec::new();
        integer(10, 5, 0, &mut out);
        integer(1_337, 5, 0, &mut out);
        assert_eq!(out, [10, 31, 154, 10]);
        let mut writer = Http2Writer { bytes: Vec::new(), table: Vec::new() };
        writer.data(1, &[0; FRAME_BYTES + 1], true);
        assert_eq!(writer.take().len(), FRAME_BYTES + 1 + 2 * 9);
        writer.data(1, &[], true);
        assert_eq!(writer.take(), [0, 0, 0, 0, 1, 0, 0, 0, 1]);
    }

    #[test]
    fn the_table_stays_within_its_size_and_holds_no_credential() {
        let mut writer = Http2Writer::client();
        for n in 0..200 {
            let value = format!("{n:040}");
            writer.headers(1, &[("x-id", &value), ("authorization", &value)], true);
        }
        assert!(writer.table.len() <= TABLE_BYTES / (4 + 40 + 32));
        assert!(writer.table.iter().all(|(name, _)| name == "x-id"));
    }
}
