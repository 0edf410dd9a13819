//! `kind (1) | request body | 0xff | response body`: any body is classified without a panic, the same each time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbra_discovery::schema::Sample;
use umbra_discovery::style::{Facts, TOOLS, classify, graphql};
use umbra_http::{HeaderBlock, KnownHeader};

const KINDS: [(&[u8], &[u8], &[u8]); 9] = [
    (b"/graphql", b"application/json", b"application/json"),
    (b"/graphql", b"application/graphql", b"text/event-stream"),
    (b"/graphql", b"multipart/form-data; boundary=b", b"application/json"),
    (b"/x", b"application/json", b"application/json"),
    (b"/mcp", b"application/json", b"text/event-stream"),
    (b"/ws", b"text/xml", b"text/xml"),
    (b"/v1/chat/completions", b"application/json", b"text/event-stream"),
    (b"/v1beta/models/m:streamGenerateContent", b"application/json", b"application/json"),
    (b"/api/chat", b"application/json", b"application/x-ndjson"),
];

fn headers(content_type: &[u8]) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    headers.push(KnownHeader::ContentType, b"content-type", content_type);
    headers
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let (path, request_type, response_type) = KINDS[usize::from(*kind) % KINDS.len()];
    let (request, response) = match rest.iter().position(|&byte| byte == 0xff) {
        Some(mark) => (&rest[..mark], &rest[mark + 1..]),
        None => (rest, &[][..]),
    };
    let (request_headers, response_headers) = (headers(request_type), headers(response_type));
    let facts = Facts {
        method: if kind % 2 == 0 { b"POST" } else { b"GET" },
        path,
        query: (kind % 2 == 1).then_some(request),
        request_headers: Some(&request_headers),
        request_body: Some(Sample { bytes: request, cut: kind & 64 != 0 }),
        status: 200,
        response_headers: Some(&response_headers),
        response_body: Some(Sample { bytes: response, cut: kind & 64 != 0 }),
        ..Facts::default()
    };
    let found = classify(&facts);
    assert_eq!(found, classify(&facts));
    assert!(found.tools_called.len() <= TOOLS && found.operations.len() <= graphql::OPERATIONS);
    classify(&Facts { websocket: true, socket_messages: &[request, response], ..facts });
    if let Ok(text) = std::str::from_utf8(request)
        && let Some(document) = graphql::read(text)
    {
        assert!(document.operations.iter().all(|operation| operation.root_fields.len() <= graphql::ROOT_FIELDS));
    }
});
