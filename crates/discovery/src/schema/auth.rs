//! Which credentials the requests of an endpoint carry: schemes and names of fields, never a value.

use serde::{Deserialize, Serialize};
use umbra_http::{HeaderBlock, KnownHeader};

use super::name::is_name;

/// Kinds of credentials kept of one endpoint; the first in order, so that any order of traffic keeps the same.
const KINDS: usize = 16;
/// Query parameters and cookies of a request that are looked at.
const PAIRS: usize = 256;

/// A kind of credential.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// `Authorization: Bearer` with a JSON Web Token (RFC 6750, RFC 7519).
    Jwt,
    /// `Authorization` of a known scheme, in lower case (RFC 9110 §11.1).
    Http(Box<str>),
    /// `Authorization` without a known scheme.
    Bare,
    /// A key in a field, its name in lower case.
    Header(Box<str>),
    /// A key in a query parameter.
    Query(Box<str>),
    /// A session cookie.
    Cookie(Box<str>),
}

/// The credentials of an endpoint's requests. Merging is a sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// By kind, with the requests that had it.
    pub(super) kinds: Vec<(Credential, u32)>,
    /// Requests in which nothing looked like a credential, not even remotely.
    pub anonymous: u32,
}

impl Auth {
    /// Kinds with the requests that had them, in order.
    pub fn kinds(&self) -> impl Iterator<Item = (&Credential, u32)> {
        self.kinds.iter().map(|(kind, count)| (kind, *count))
    }

    /// Nothing known?
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty() && self.anonymous == 0
    }

    /// Adds one request.
    pub(super) fn add(&mut self, query: &[u8], headers: &HeaderBlock) {
        let mut maybe = false;
        for (field, name, value) in headers.iter().filter(|(field, ..)| !field.trailer) {
            // What the capture has missed may have been anything.
            maybe |= field.unknown;
            match field.known {
                KnownHeader::Authorization => {
                    maybe = true;
                    if !field.unknown && !value.is_empty() {
                        self.count(authorization(value), 1);
                    }
                }
                KnownHeader::ProxyAuthorization => maybe = true,
                KnownHeader::XApiKey => {
                    maybe = true;
                    self.count(Credential::Header("x-api-key".into()), 1);
                }
                KnownHeader::Cookie => maybe |= self.cookies(value),
                KnownHeader::Other => {
                    let known = KEY_HEADERS.iter().find(|key| name.eq_ignore_ascii_case(key.as_bytes()));
                    if let Some(name) = known.filter(|_| !value.is_empty()) {
                        maybe = true;
                        self.count(Credential::Header((*name).into()), 1);
                    }
                    maybe |= sounds_secret(name);
                }
                _ => {}
            }
        }
        maybe |= self.query(query);
        self.anonymous = self.anonymous.saturating_add(u32::from(!maybe));
    }

    fn query(&mut self, query: &[u8]) -> bool {
        let mut maybe = false;
        for (name, value) in query.split(|byte| *byte == b'&').take(PAIRS).filter_map(split_pair) {
            let known = KEY_PARAMETERS.iter().find(|key| name.eq_ignore_ascii_case(key.as_bytes()));
            if known.is_some()
                && !value.is_empty()
                && let Ok(name) = std::str::from_utf8(name)
            {
                self.count(Credential::Query(name.into()), 1);
            }
            maybe |= sounds_secret(name);
        }
        maybe
    }

    fn cookies(&mut self, value: &[u8]) -> bool {
        let mut some = false;
        for (name, value) in value.split(|byte| *byte == b';').take(PAIRS).filter_map(split_pair) {
            // Any cookie may be what a server knows its client by.
            some = true;
            if let Ok(name) = std::str::from_utf8(name)
                && !value.is_empty()
                && is_session(name)
                && is_name(name)
            {
                self.count(Credential::Cookie(name.into()), 1);
            }
        }
        some
    }

    fn count(&mut self, kind: Credential, count: u32) {
        match self.kinds.binary_search_by(|(known, _)| known.cmp(&kind)) {
            Ok(place) => {
                if let Some((_, known)) = self.kinds.get_mut(place) {
                    *known = known.saturating_add(count);
                }
            }
            Err(place) if place < KINDS => {
                self.kinds.truncate(KINDS - 1);
                self.kinds.insert(place, (kind, count));
            }
            Err(_) => {}
        }
    }

    /// Adds another endpoint's.
    pub(super) fn merge(&mut self, other: &Auth) {
        for (kind, count) in &other.kinds {
            self.count(kind.clone(), *count);
        }
        self.anonymous = self.anonymous.saturating_add(other.anonymous);
    }
}

/// `Authorization: scheme credentials` (RFC 9110 §11.4).
fn authorization(value: &[u8]) -> Credential {
    let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).unwrap_or_default();
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Credential::Bare;
    }
    let is = |name: &str| scheme.eq_ignore_ascii_case(name.as_bytes());
    // `token` is how some call the same thing.
    if is("bearer") || is("token") {
        return if rest.starts_with(b"eyJ") { Credential::Jwt } else { Credential::Http("bearer".into()) };
    }
    match SCHEMES.iter().find(|name| is(name)) {
        Some(name) => Credential::Http((*name).into()),
        None => Credential::Bare,
    }
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', pair)?;
    Some((pair.get(..equals)?.trim_ascii(), pair.get(equals + 1..)?.trim_ascii()))
}

/// Whether the name of a cookie says that it stands for a session.
fn is_session(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let csrf = name.contains("csrf") || name.contains("xsrf");
    !csrf && ["sess", "sid", "auth", "token", "jwt"].iter().any(|part| name.contains(part))
}

/// Whether a name hints at a credential that no list here has: such a request is not told as one without.
fn sounds_secret(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [&b"auth"[..], b"token", b"key", b"secret", b"sig", b"sess", b"jwt", b"password", b"credential", b"cert"]
        .iter()
        .any(|part| memchr::memmem::find(&name, part).is_some())
}

/// Schemes of the registry (RFC 9110 §16.4.1) and those of large providers.
const SCHEMES: &[&str] = &[
    "aws4-ecdsa-p256-sha256",
    "aws4-hmac-sha256",
    "basic",
    "digest",
    "dpop",
    "gnap",
    "hawk",
    "hoba",
    "mutual",
    "negotiate",
    "ntlm",
    "oauth",
    "privatetoken",
    "scram-sha-256",
    "signature",
    "vapid",
];

/// Fields that carry an API key or token.
const KEY_HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "api_key",
    "ocp-apim-subscription-key",
    "private-token",
    "x-access-token",
    "x-amz-security-token",
    "x-api-token",
    "x-apikey",
    "x-app-key",
    "x-auth-key",
    "x-auth-token",
    "x-functions-key",
    "x-goog-api-key",
    "x-rapidapi-key",
    "x-session-token",
    "x-shopify-access-token",
    "x-token",
    "x-vault-token",
];

/// Query parameters that carry an API key or token and hardly ever anything else.
const KEY_PARAMETERS: &[&str] = &[
    "access_token",
    "accesstoken",
    "api-key",
    "api_key",
    "api_token",
    "apikey",
    "auth_token",
    "authtoken",
    "client_secret",
    "id_token",
    "jwt",
    "subscription-key",
    "x-amz-credential",
];

/// Whether a field, its name in lower case, carries an API key or token: not a parameter of the API.
pub(super) fn is_key_header(name: &str) -> bool {
    name == "x-api-key" || KEY_HEADERS.contains(&name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Query and fields of a request.
    type Sent<'a> = (&'a str, &'a [(KnownHeader, &'a str, &'a str)]);

    fn seen(requests: &[Sent<'_>]) -> Auth {
        let mut auth = Auth::default();
        for (query, fields) in requests {
            let mut block = HeaderBlock::default();
            for (known, name, value) in *fields {
                block.push(*known, name.as_bytes(), value.as_bytes());
            }
            auth.add(query.as_bytes(), &block);
        }
        auth
    }

    #[test]
    fn schemes_and_names_are_told_and_no_value() {
        use KnownHeader::{Authorization, Cookie, Other, XApiKey};
        let auth = seen(&[
            ("", &[(Authorization, "Authorization", "Bearer eyJCANARY.a.b")]),
            ("", &[(Authorization, "authorization", "bearer CANARY")]),
            ("", &[(Authorization, "authorization", "AWS4-HMAC-SHA256 Credential=CANARY/x")]),
            ("", &[(Authorization, "authorization", "CANARY")]),
            ("", &[(Authorization, "authorization", "CANARY CANARY")]),
            ("", &[(XApiKey, "X-Api-Key", "CANARY"), (Other, "X-Auth-Token", "CANARY")]),
            ("a=1&api_key=CANARY", &[(Cookie, "cookie", "theme=dark; JSESSIONID=CANARY; csrf_token=CANARY")]),
            ("page=2", &[(Other, "accept-language", "de")]),
            // Perhaps a credential, perhaps not: nothing is said.
            ("token=", &[]),
            ("", &[(Cookie, "cookie", "a=b")]),
        ]);
        let kinds: Vec<Credential> = auth.kinds().map(|(kind, _)| kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                Credential::Jwt,
                Credential::Http("aws4-hmac-sha256".into()),
                Credential::Http("bearer".into()),
                Credential::Bare,
                Credential::Header("x-api-key".into()),
                Credential::Header("x-auth-token".into()),
                Credential::Query("api_key".into()),
                Credential::Cookie("JSESSIONID".into()),
            ]
        );
        assert_eq!(auth.kinds().find(|(kind, _)| **kind == Credential::Bare).unwrap().1, 2);
        assert_eq!(auth.anonymous, 1);
        assert!(!serde_json::to_string(&auth).unwrap().contains("CANARY"));
    }

    #[test]
    fn the_same_kinds_are_kept_in_any_order() {
        let cookies: Vec<String> = (b'A'..=b'Z').map(|letter| format!("sess_{}=x", letter as char)).collect();
        let one = |cookie: &String| seen(&[("", &[(KnownHeader::Cookie, "cookie", cookie)])]);
        let (mut forward, mut backward) = (Auth::default(), Auth::default());
        cookies.iter().for_each(|cookie| forward.merge(&one(cookie)));
        cookies.iter().rev().for_each(|cookie| backward.merge(&one(cookie)));
        assert_eq!(forward, backward);
        assert_eq!(forward.kinds().count(), KINDS);
    }
}
