//! Requests and responses as they were on the wire, owned, in buffers that are used again.

use std::ops::Range;

/// Header fields that the sensor looks at by name; found once, at parse time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // each is the field of that name
pub enum KnownHeader {
    Other = 0,
    Host,
    ContentLength,
    TransferEncoding,
    ContentType,
    ContentEncoding,
    Connection,
    Upgrade,
    Authorization,
    ProxyAuthorization,
    Cookie,
    SetCookie,
    UserAgent,
    XApiKey,
    GrpcStatus,
    TraceParent,
    XRequestId,
    Forwarded,
    XForwardedFor,
    SecWebSocketExtensions,
    Expect,
    Te,
    Trailer,
    Server,
    Location,
    WwwAuthenticate,
    Accept,
    Http2Settings,
    Date,
    CacheControl,
}

/// One field of a [`HeaderBlock`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: (u32, u32),
    value: (u32, u32),
    /// Which well-known field it is.
    pub known: KnownHeader,
    /// The value is not known: an HPACK reference to an entry from before we joined. `value` is empty then.
    pub unknown: bool,
    /// Came in the trailer section. Never merged into the headers (RFC 9110 §6.5.1).
    pub trailer: bool,
}

impl Field {
    pub(crate) fn name_place(&self) -> Range<u32> {
        self.name.0..self.name.1
    }

    pub(crate) fn value_place(&self) -> Range<u32> {
        self.value.0..self.value.1
    }
}

/// Header fields in wire order, repeats included, in one buffer. The same buffer holds the request target and
/// the like, so that a message is one copy.
#[derive(Clone, Debug, Default)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    fields: Vec<Field>,
    /// Which kinds of field are there: a bit each.
    kinds: u64,
}

// Each kind has a bit.
const _: () = assert!((KnownHeader::CacheControl as u8) < 64);

impl HeaderBlock {
    /// Empties the block, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
        self.kinds = 0;
    }

    /// Copies `bytes` in and says where they lie.
    pub fn store(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len() as u32
    }

    /// The bytes at a place that [`store`](Self::store) or [`Field`] named; empty if there is no such place.
    pub fn stored(&self, place: &Range<u32>) -> &[u8] {
        self.bytes.get(place.start as usize..place.end as usize).unwrap_or_default()
    }

    /// Appends a field, copying name and value.
    pub fn push(&mut self, known: KnownHeader, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.push_stored(known, name, value);
    }

    /// Appends a field whose name and value are stored already.
    pub fn push_stored(&mut self, known: KnownHeader, name: Range<u32>, value: Range<u32>) {
        self.kinds |= 1 << known as u8;
        self.fields.push(Field {
            name: (name.start, name.end),
            value: (value.start, value.end),
            known,
            unknown: false,
            trailer: false,
        });
    }

    /// The field appended last, to set its flags.
    pub fn last_mut(&mut self) -> Option<&mut Field> {
        self.fields.last_mut()
    }

    /// Fields in wire order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Name of a field of this block, as on the wire.
    pub fn name(&self, field: &Field) -> &[u8] {
        self.stored(&(field.name.0..field.name.1))
    }

    /// Value of a field of this block, without surrounding blanks.
    pub fn value(&self, field: &Field) -> &[u8] {
        self.stored(&(field.value.0..field.value.1))
    }

    /// Names and values in wire order, trailers too.
    pub fn iter(&self) -> impl Iterator<Item = (&Field, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field, self.name(field), self.value(field)))
    }

    /// Which kinds of field are there, trailers too: bit `1 << known as u8` each.
    pub fn kinds(&self) -> u64 {
        self.kinds
    }

    /// Value of the first header (not trailer) of this kind whose value is known.
    #[inline]
    pub fn first(&self, known: KnownHeader) -> Option<&[u8]> {
        if self.kinds >> known as u8 & 1 == 0 {
            return None;
        }
        self.fields
            .iter()
            .find(|field| field.known == known && !field.trailer && !field.unknown)
            .map(|field| self.value(field))
    }

    /// Bytes held.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held, used or not.
    pub fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Field>()
    }
}

/// HTTP version as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// HTTP/0.9: a request line without version, an answer without head.
    Http09,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
}

/// The scheme of a request, where it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    #[default]
    Http,
    /// Inside TLS.
    Https,
}

/// The head of a request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Header fields and the buffer of everything below.
    pub headers: HeaderBlock,
    /// Version.
    pub version: Version,
    /// Scheme: of an absolute-form target, of `:scheme`, or of the connection.
    pub scheme: Scheme,
    pub(crate) method: Range<u32>,
    pub(crate) target: Option<Range<u32>>,
    pub(crate) authority: Option<Range<u32>>,
}

impl Request {
    /// Method as on the wire, at most 32 bytes (F040); empty if unknown (HPACK, late join).
    pub fn method(&self) -> &[u8] {
        self.headers.stored(&self.method)
    }

    /// Path and query in origin form (the path of an absolute-form target, `*`, or for CONNECT nothing);
    /// `None` where HPACK state from before we joined hides it. At most 8 KiB (F034).
    pub fn target(&self) -> Option<&[u8]> {
        self.target.as_ref().map(|place| self.headers.stored(place))
    }

    /// Authority: of the absolute-form target, else `:authority`, else the first Host (RFC 9112 §3.2.2). As on
    /// the wire; `None` if there was none or it is unknown.
    pub fn authority(&self) -> Option<&[u8]> {
        self.authority.as_ref().map(|place| self.headers.stored(place))
    }

    /// Empties the request, keeping its memory.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Request { headers, ..Request::default() };
    }
}

/// The head of a response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Header and trailer fields.
    pub headers: HeaderBlock,
    /// Version.
    pub version: Version,
    /// Status code; 0 if unknown (HPACK, late join; HTTP/0.9).
    pub status: u16,
}

impl Response {
    /// Empties the response, keeping its memory.
    pub fn clear(&mut self) {
        let mut headers = std::mem::take(&mut self.headers);
        headers.clear();
        *self = Response { headers, ..Response::default() };
    }
}
