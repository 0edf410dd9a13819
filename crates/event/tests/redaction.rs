//! Nothing secret leaves: F076 and the rules of redaction.
#![allow(clippy::unwrap_used, missing_docs)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use umbra_event::auth::Credentials;
use umbra_event::*;

/// splitmix64: seeded, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn text(&mut self, alphabet: &str, len: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize]).collect()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn card(random: &mut Random) -> String {
    let mut digits =
        format!("{}{}", ["4", "51", "55", "2221"][random.below(4) as usize], random.text("0123456789", 14));
    digits.truncate(15);
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, d)| {
            let v = u32::from(d - b'0') << (1 - (at & 1));
            if v > 9 { v - 9 } else { v }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn iban(random: &mut Random) -> String {
    let bban = random.text("0123456789", 18);
    let remainder = format!("{bban}131400").bytes().fold(0u32, |r, d| (r * 10 + u32::from(d - b'0')) % 97);
    format!("DE{:02}{bban}", 98 - remainder)
}

fn canary(random: &mut Random) -> String {
    match random.below(14) {
        0 => format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(format!(r#"{{"sub":"{}"}}"#, random.next())),
            URL_SAFE_NO_PAD.encode(random.bytes(32))
        ),
        1 => card(random),
        2 => {
            let n = card(random);
            format!("{}-{}-{}-{}", &n[..4], &n[4..8], &n[8..12], &n[12..])
        }
        3 | 4 => {
            let (len, host_len) = (3 + random.below(8) as usize, 3 + random.below(8) as usize);
            format!("{}.{}@{}.com", random.text(LOWER, 3), random.text(LOWER, len), random.text(LOWER, host_len))
        }
        5 => iban(random),
        6 => format!("+49{}", random.text("123456789", 10)),
        7 => random.bytes(16).iter().map(|b| format!("{b:02x}")).collect(),
        8 => random.bytes(32).iter().map(|b| format!("{b:02x}")).collect(),
        9 => format!("sk_live_{}", random.text(ALNUM, 24)),
        10 => format!("AKIA{}", random.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        11 => format!("ghp_{}", random.text(ALNUM, 36)),
        12 => URL_SAFE_NO_PAD.encode(random.bytes(32)),
        _ => random.text(ALNUM, 32),
    }
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn percent_all(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02x}")).collect()
}

/// Everything of one event, with the text in every place that F076 names.
fn event_with(text: &str, redaction: &Redaction) -> String {
    let (mut path, mut query, mut host, mut route, mut operation, mut method) = Default::default();
    redaction
        .path(format!("/api/v1/{text}/items/{text};id={text};{text}/x:{text}/Users('{text}')").as_bytes(), &mut path);
    redaction.query(
        format!("a={text}&{text}=1&{text}&b=x,{text}&c={{\"k\":\"{text}\"}}&d=Bearer+{text}").as_bytes(),
        &mut query,
    );
    redaction.host(format!("{text}.example.com").as_bytes(), &mut host);
    redaction.text(format!("/{{id}}/{text}").as_bytes(), &mut route);
    redaction.text(text.as_bytes(), &mut operation);
    redaction.text(text.as_bytes(), &mut method);
    let mut headers = HeaderJson::default();
    let bearer = format!("Bearer {text}");
    let agent = format!("App/1.0 (contact: {text}; build=7) Lib/2 token={text}");
    let cookie = format!("sid={text}; theme=dark");
    let content_type = format!("multipart/form-data; boundary={text}; charset={text}");
    let facts = FieldFacts::default();
    for (name, value) in [
        ("Authorization", bearer.as_str()),
        ("User-Agent", &agent),
        ("Cookie", &cookie),
        ("Content-Type", &content_type),
        (text, text),
        ("X-Error", text),
        ("X-Request-Id", text),
        ("Location", text),
        ("Server", text),
        ("Traceparent", text),
    ] {
        headers.push(redaction, name.as_bytes(), value.as_bytes(), facts);
        headers.push(redaction, name.as_bytes(), value.as_bytes(), FieldFacts { trailer: true, unknown: false });
    }
    let mut credentials = Credentials::default();
    credentials.field(b"authorization", bearer.as_bytes());
    credentials.field(b"cookie", cookie.as_bytes());
    let event = Event {
        url: Some(Url { domain: Some(&host), path: Some(&path), query: Some(&query), ..Url::default() }),
        route: Some(&route),
        request: Some(Request { method: &method, headers: Some(&headers), ..Request::default() }),
        response: Some(Response { headers: Some(&headers), ..Response::default() }),
        api: Api { operation: Some(&operation), ..Api::default() },
        auth: credentials.auth(redaction.key()),
        ..Event::default()
    };
    let mut line = Vec::new();
    event.write_json(&mut line);
    String::from_utf8(line).unwrap()
}

/// F076: 1,000 seeded canaries in three forms each; none of the forms is in what is written.
#[test]
fn f076_no_canary_leaves() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    let mut random = Random(2026);
    let mut leaked = Vec::new();
    for _ in 0..1000 {
        let canary = canary(&mut random);
        for form in [
            canary.clone(),
            percent(&canary),
            percent_all(&canary),
            percent(&percent(&canary)),
            STANDARD.encode(&canary),
            URL_SAFE_NO_PAD.encode(&canary),
        ] {
            let line = event_with(&form, &redaction).to_ascii_lowercase();
            for needle in [&canary, &form] {
                if let Some(at) = line.find(&needle.to_ascii_lowercase()) {
                    leaked.push(format!(
                        "{needle} ({form}): …{}…",
                        &line[at.saturating_sub(30)..(at + needle.len() + 5).min(line.len())]
                    ));
                }
            }
        }
    }
    assert!(leaked.is_empty(), "{} leaks, e.g.\n{}", leaked.len(), leaked[..leaked.len().min(40)].join("\n"));
}

/// Redacting twice gives what redacting once gave.
#[test]
fn redaction_is_idempotent() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    let mut random = Random(7);
    for _ in 0..1000 {
        let (one, two) = (canary(&mut random), percent(&canary(&mut random)));
        let odd = String::from_utf8_lossy(&random.bytes(12)).into_owned();
        for raw in [format!("/v1/{one};k={two}/{odd}/{two}"), format!("{one}={two}&a=1&b=x&{odd}=&c={odd}&f=1.5")] {
            for apply in [Redaction::path, Redaction::query, Redaction::text, Redaction::host] {
                let (mut once, mut twice) = (Vec::new(), Vec::new());
                apply(&redaction, raw.as_bytes(), &mut once);
                apply(&redaction, &once, &mut twice);
                assert_eq!(String::from_utf8_lossy(&once), String::from_utf8_lossy(&twice), "{raw}");
            }
        }
    }
}

fn path(raw: &str) -> String {
    let mut out = Vec::new();
    Redaction::new(FleetKey::new(&[5; 32]), Reveal::default()).path(raw.as_bytes(), &mut out);
    String::from_utf8(out).unwrap()
}

/// Ordinary paths come through untouched.
#[test]
fn ordinary_paths_stay() {
    for raw in [
        "",
        "/",
        "//",
        "*",
        "/api/v1/users/12345/orders",
        "/users/7d444840-9dc0-11d1-b245-5ffdce74fad2/avatar.png",
        "/objects/507f1f77bcf86cd799439011",
        "/events/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "/tweets/1460323737035677698",
        "/metrics/1700000000000",
        "/2024/01/31/2024-01-31T10:00:00Z",
        "/static/js/main.8f3a9c1b2d.chunk.js",
        "/jquery-3.6.0.min.js",
        "/getCustomerAccountTransactionHistoryByIdentifier",
        "/very-long-blog-post-about-nothing-in-particular-2024-edition",
        "/com.example.shop.v1.OrderManagementService/ListOrdersByCustomer",
        "/google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion",
        "/@angular/core",
        "/apis/apps/v1/namespaces/kube-system/deployments",
        "/Products(42)/$value",
        "/batch:get/a,b,c",
        "/caf%C3%A9/%E6%BC%A2",
        "/a%2Fb/..%2f..%2fetc/passwd",
        "/IMG_20240101_123456789.JPG",
        "/SM-G991B/RP1A.200720.012",
        "/repos/rust-lang/rust/issues/123456",
        "/graphql",
        "/v2/checkout/session/start",
        "/AWSSimpleQueueService2012-11-05",
        "/wp-content/themes/twentytwentyfour/style.css",
        "/X.509/MyCompanyHttpClientLib2v10",
    ] {
        assert_eq!(path(raw), raw);
    }
}

#[test]
fn secret_segments_are_typed() {
    for (raw, kind) in [
        ("/users/john.doe@example.com/x", "/users/{email}/x"),
        ("/users/john.doe%40example.com", "/users/{email}"),
        ("/users/john.doe%2540example.com", "/users/{email}"),
        ("/c/4111111111111111", "/c/{card}"),
        ("/c/4111-1111-1111-1111/x", "/c/{card}/x"),
        ("/c/4111%201111%201111%201111", "/c/{card}"),
        ("/t/+491701234567", "/t/{phone}"),
        ("/t/%2B49%20170%201234567", "/t/{phone}"),
        ("/b/DE89370400440532013000", "/b/{iban}"),
        ("/b/DE89%203704%200044%200532%200130%2000", "/b/{iban}"),
        ("/s/123-45-6789", "/s/{ssn}"),
        ("/verify/d41d8cd98f00b204e9800998ecf8427e", "/verify/{hex}"),
        ("/k/sk_live_4eC39HqLyjWDarjtT1zdp7dc", "/k/{api_key}"),
        ("/k/AKIAIOSFODNN7EXAMPLE", "/k/{api_key}"),
        ("/e/am9obi5kb2VAZXhhbXBsZS5jb20=", "/e/{email|token}"),
        ("/e/YUBiLmNv", "/e/{email}"),
        ("/Users('a@b.co')/x", "/Users('{email}')/x"),
        ("/a;jsessionid=1A530637289A03B07199A44E8D531427/b", "/a;jsessionid={hex}/b"),
        ("/a;v=1;q=x;flag", "/a;v={integer};q={string};flag"),
    ] {
        let out = path(raw);
        let mut shown = String::new();
        let mut rest = out.as_str();
        while let Some((before, after)) = rest.split_once(':').filter(|(before, _)| before.contains('{')) {
            shown.push_str(before);
            let (hash, after) = after.split_once('}').unwrap();
            assert!(hash.len() == 12 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{out}");
            shown.push('}');
            rest = after;
        }
        shown.push_str(rest);
        let kinds = kind.replace("{email|token}", &shown[shown.find('{').unwrap_or(0)..]);
        assert_eq!(shown, kinds, "{raw}");
    }
}

/// The same secret has the same placeholder raw and encoded, and another under another key.
#[test]
fn placeholders_join() {
    assert_eq!(path("/u/john@example.com"), path("/u/john%40example.com"));
    assert_ne!(path("/u/john@example.com"), path("/u/joan@example.com"));
    let mut other = Vec::new();
    Redaction::new(FleetKey::new(&[6; 32]), Reveal::default()).path(b"/u/john@example.com", &mut other);
    assert_ne!(path("/u/john@example.com").as_bytes(), other);
}

#[test]
fn query_values_become_types() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    let mut out = Vec::new();
    for (raw, expected) in [
        ("", ""),
        ("flag", "flag"),
        ("a=&b", "a={empty}&b"),
        ("page=2&size=-10", "page={integer}&size={integer}"),
        ("x=1.5&y=1e5&z=.5", "x={decimal}&y={decimal}&z={decimal}"),
        ("t=true&f=False", "t={boolean}&f={boolean}"),
        ("id=7d444840-9dc0-11d1-b245-5ffdce74fad2", "id={uuid}"),
        ("from=2024-01-31&to=2024-01-31T10%3A00%3A00Z", "from={date}&to={datetime}"),
        ("e=a%40b.co&p=%2B491701234567&p=+491701234567", "e={email}&p={phone}&p={phone}"),
        ("c=4111111111111111&n=4111111111111112", "c={card}&n={integer}"),
        ("ip=10.0.0.1&ip6=2001:db8::1", "ip={ip}&ip6={ip}"),
        ("u=https%3A%2F%2Fexample.com%2Fx", "u={url}"),
        ("q=hello+world&filter[name]=x", "q={string}&filter[name]={string}"),
        ("q={string}&e={email}&x={nonsense}", "q={string}&e={email}&x={string}"),
        ("k=v=w&&=x", "k={string}&&={string}"),
    ] {
        out.clear();
        redaction.query(raw.as_bytes(), &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }
}

/// F073: parameters past the bound are summed up.
#[test]
fn f073_parameters_are_bounded() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    let mut out = Vec::new();
    redaction.query(&b"a=1&".repeat(5000), &mut out);
    assert_eq!(out.iter().filter(|byte| **byte == b'&').count(), 256);
    assert!(out.ends_with(b"&{more}"));
}

#[test]
fn reveal_lifts_by_name() {
    let raw = b"/u/john@example.com";
    let (mut path, mut query) = (Vec::new(), Vec::new());
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal { path: true, query: false, headers: false });
    redaction.path(raw, &mut path);
    redaction.query(b"a=b", &mut query);
    assert_eq!((path.as_slice(), query.as_slice()), (&raw[..], &b"a={string}"[..]));
}

/// Shown values that browsers and tools really send stay readable.
#[test]
fn ordinary_header_values_stay() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    for raw in [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.109 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Linux; Android 13; SM-G991B Build/TP1A.220624.014) AppleWebKit/537.36",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "curl/8.5.0",
        "python-requests/2.31.0",
        "grpc-java-netty/1.60.0",
        "Apache-HttpClient/4.5.13 (Java/11.0.21)",
        "aws-sdk-java/2.20.0 Linux/5.10.0-1160.el7.x86_64 OpenJDK_64-Bit_Server_VM/11.0.21+9-LTS",
        "PostmanRuntime/7.36.1",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "Sat, 01 Jan 2028 00:00:00 GMT",
        "max-age=31536000; includeSubDomains; preload",
    ] {
        let mut out = Vec::new();
        redaction.text(raw.as_bytes(), &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), raw);
    }
}

#[test]
fn hosts_stay_or_lose_their_labels() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    for (raw, expected) in [
        ("API.Example.COM", "api.example.com"),
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("ip-10-0-0-1.eu-west-1.compute.internal", "ip-10-0-0-1.eu-west-1.compute.internal"),
        ("payments.prod.svc.cluster.local", "payments.prod.svc.cluster.local"),
        ("d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net"),
    ] {
        let mut out = Vec::new();
        redaction.host(raw.as_bytes(), &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }
    let mut out = Vec::new();
    redaction.host(b"0123456789abcdef0123456789abcdef.example.com", &mut out);
    assert!(out.starts_with(b"{hex:") && out.ends_with(b"}.example.com"));
}

/// Repeated fields stay apart and in order; fields off the allow-list make no difference.
#[test]
fn header_fields_never_merge() {
    let redaction = Redaction::new(FleetKey::new(&[5; 32]), Reveal::default());
    let mut headers = HeaderJson::default();
    let mut lines = Vec::new();
    for secret in ["one", "two"] {
        headers.clear();
        for (name, value) in
            [("Vary", "Accept"), ("Set-Cookie", secret), ("VARY", "Origin"), ("set-cookie", "b=2"), ("vary", "Accept")]
        {
            headers.push(&redaction, name.as_bytes(), value.as_bytes(), FieldFacts::default());
        }
        let mut line = Vec::new();
        let response = Response { headers: Some(&headers), ..Response::default() };
        Event { response: Some(response), ..Event::default() }.write_json(&mut line);
        lines.push(line);
    }
    assert_eq!(lines[0], lines[1]);
    let record: EventRecord = serde_json::from_slice(&lines[0]).unwrap();
    let fields: Vec<_> =
        record.http.response.unwrap().headers.unwrap().into_iter().map(|f| (f.name, f.value)).collect();
    let shown = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    assert_eq!(fields, [shown("vary", "Accept"), shown("vary", "Origin"), shown("vary", "Accept")]);
}
