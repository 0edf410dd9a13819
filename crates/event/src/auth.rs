//! How a request proves who sent it: the kinds of credential, where they are, and a keyed hash that stands for the principal.
//!
//! ```
//! use umbra_event::auth::Credentials;
//! use umbra_event::{AuthKind, FleetKey};
//!
//! let key = FleetKey::new(&[7; 32]);
//! let mut found = Credentials::default();
//! found.field(b"Authorization", b"Bearer s3cr3t");
//! found.query(b"page=2");
//! let auth = found.auth(&key);
//! assert_eq!(auth.kinds, [AuthKind::Bearer]);
//! assert!(auth.principal_hash.is_some());
//! ```
//!
//! The principal is the part of a credential that stays the same from request to request: the whole of a token, key or session
//! cookie; the user name of Digest; the access key id of a signature. The first of header, query and cookie wins.

use crate::event::{Auth, AuthKind, AuthLocation};
use crate::hash::{FleetKey, Role};

/// Kinds kept of one request; more would be an attack, not a client.
const MAX_KINDS: usize = 4;
/// Parameters of a query that are looked at.
const MAX_PARAMETERS: usize = 256;
/// Cookies of a request that are looked at.
const MAX_COOKIES: usize = 64;

/// Credentials found in one request. Feed it every request field, then the query, then call [`auth`](Self::auth).
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    kinds: [AuthKind; MAX_KINDS],
    len: usize,
    location: Option<AuthLocation>,
    principal: Option<&'a [u8]>,
}

impl Default for Credentials<'_> {
    fn default() -> Self {
        Credentials { kinds: [AuthKind::None; MAX_KINDS], len: 0, location: None, principal: None }
    }
}

impl<'a> Credentials<'a> {
    /// Looks at one request field, its name in any case.
    pub fn field(&mut self, name: &[u8], value: &'a [u8]) {
        // One look at length and first letter: hardly any field gets further.
        match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (13, Some(b'a')) if name.eq_ignore_ascii_case(b"authorization") => self.authorization(value),
            (6, Some(b'c')) if name.eq_ignore_ascii_case(b"cookie") => self.cookies(value),
            (9, Some(b's')) if name.eq_ignore_ascii_case(b"signature") => {
                self.add(AuthKind::HttpSignature, AuthLocation::Header, None);
            }
            (15, Some(b's')) if name.eq_ignore_ascii_case(b"signature-input") => {
                self.add(AuthKind::HttpSignature, AuthLocation::Header, parameter(value, b"keyid"));
            }
            (4, Some(b'd')) if name.eq_ignore_ascii_case(b"dpop") => {
                self.add(AuthKind::Dpop, AuthLocation::Header, None)
            }
            (len @ 6..=25, Some(b'a' | b'o' | b'p' | b'x'))
                if !value.is_empty()
                    && KEY_HEADERS.iter().any(|key| key.len() == len && name.eq_ignore_ascii_case(key.as_bytes())) =>
            {
                let kind = if is_jwt(value) { AuthKind::Jwt } else { AuthKind::ApiKey };
                self.add(kind, AuthLocation::Header, Some(value));
            }
            _ => {}
        }
    }

    /// `Authorization: scheme credentials` (RFC 9110 §11.4).
    fn authorization(&mut self, value: &'a [u8]) {
        let end = memchr::memchr(b' ', value).unwrap_or(value.len());
        let scheme = value.get(..end).unwrap_or_default();
        let rest = value.get(end..).unwrap_or_default().trim_ascii();
        let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
        let (kind, principal) = if is(b"bearer") || is(b"token") {
            (if is_jwt(rest) { AuthKind::Jwt } else { AuthKind::Bearer }, Some(rest))
        } else if is(b"basic") {
            (AuthKind::Basic, Some(rest))
        } else if is(b"digest") {
            // The response differs with each nonce: the user name is what stays.
            (AuthKind::Digest, parameter(rest, b"username"))
        } else if is(b"negotiate") || is(b"ntlm") {
            (AuthKind::Negotiate, None)
        } else if is(b"aws4-hmac-sha256") || is(b"aws4-ecdsa-p256-sha256") {
            (AuthKind::AwsSigv4, parameter(rest, b"credential").and_then(access_key_id))
        } else if is(b"oauth") {
            (AuthKind::Oauth1, parameter(rest, b"oauth_token").or_else(|| parameter(rest, b"oauth_consumer_key")))
        } else if is(b"signature") {
            (AuthKind::HttpSignature, parameter(rest, b"keyid"))
        } else if is(b"hawk") {
            // Nonce and MAC differ with each request.
            (AuthKind::Other, parameter(rest, b"id"))
        } else if is(b"dpop") {
            (AuthKind::Dpop, Some(rest))
        } else if is(b"apikey") || is(b"api-key") || is(b"key") {
            (AuthKind::ApiKey, Some(rest))
        } else if rest.is_empty() {
            // A bare value, as many home-made APIs take it.
            (if is_jwt(scheme) { AuthKind::Jwt } else { AuthKind::Other }, Some(scheme))
        } else {
            (AuthKind::Other, Some(value))
        };
        self.add(kind, AuthLocation::Header, principal);
    }

    /// `Cookie: name=value; name=value` (RFC 6265 §4.2): a session cookie is a credential, an analytics cookie is none.
    fn cookies(&mut self, value: &'a [u8]) {
        for pair in value.split(|byte| *byte == b';').take(MAX_COOKIES) {
            let Some((name, value)) = split_pair(pair) else { continue };
            if value.is_empty() || is_analytics(name) {
                continue;
            }
            let session = is_session(name);
            self.add(AuthKind::Cookie, AuthLocation::Cookie, session.then_some(value));
            if is_jwt(value) {
                self.add(AuthKind::Jwt, AuthLocation::Cookie, Some(value));
            }
        }
    }

    /// Looks at the query (without `?`, not decoded).
    pub fn query(&mut self, query: &'a [u8]) {
        if query.is_empty() {
            return;
        }
        for pair in query.split(|byte| *byte == b'&').take(MAX_PARAMETERS) {
            let Some((name, value)) = split_pair(pair) else { continue };
            if value.is_empty() || !matches!(name.len(), 3..=20) {
                continue;
            }
            if name.eq_ignore_ascii_case(b"x-amz-credential") {
                self.add(AuthKind::AwsSigv4, AuthLocation::Query, access_key_id(value));
            } else if name.eq_ignore_ascii_case(b"oauth_token") || name.eq_ignore_ascii_case(b"oauth_consumer_key") {
                self.add(AuthKind::Oauth1, AuthLocation::Query, Some(value));
            } else if KEY_PARAMETERS.iter().any(|key| name.eq_ignore_ascii_case(key.as_bytes())) {
                let kind = if is_jwt(value) {
                    AuthKind::Jwt
                } else if name.eq_ignore_ascii_case(b"access_token") {
                    AuthKind::Bearer // RFC 6750 §2.3
                } else {
                    AuthKind::ApiKey
                };
                self.add(kind, AuthLocation::Query, Some(value));
            }
        }
    }

    fn add(&mut self, kind: AuthKind, location: AuthLocation, principal: Option<&'a [u8]>) {
        let known = self.kinds.get(..self.len).unwrap_or_default().contains(&kind);
        if !known && let Some(slot) = self.kinds.get_mut(self.len) {
            *slot = kind;
            self.len += 1;
        }
        // Header before query before cookie, and a credential that names its principal before one that does not.
        let rank = |location: Option<AuthLocation>| location.map_or(u8::MAX, |location| location as u8);
        let principal = principal.filter(|bytes| !bytes.is_empty());
        let better = match (self.principal, principal) {
            (None, Some(_)) => true,
            (Some(_), None) => false,
            _ => rank(Some(location)) < rank(self.location),
        };
        if better {
            (self.location, self.principal) = (Some(location), principal);
        }
    }

    /// What goes into the event: kinds in the order they were found, `none` if there were none.
    pub fn auth(&self, key: &FleetKey) -> Auth<'_> {
        let kinds = self.kinds.get(..self.len.max(1)).unwrap_or_default();
        let principal_hash = self.principal.map(|credential| key.hash128(Role::Principal, credential));
        Auth { kinds, location: self.location, principal_hash }
    }
}

/// Header fields that carry an API key or token.
const KEY_HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "api_key",
    "ocp-apim-subscription-key",
    "private-token",
    "x-access-token",
    "x-amz-security-token",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-app-key",
    "x-auth-token",
    "x-auth-key",
    "x-functions-key",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "x-rapidapi-key",
    "x-session-token",
    "x-shopify-access-token",
    "x-token",
    "x-vault-token",
];

/// Query parameters that carry an API key or token.
const KEY_PARAMETERS: &[&str] = &[
    "access_key",
    "access_token",
    "accesskey",
    "accesstoken",
    "api-key",
    "api_key",
    "api_token",
    "apikey",
    "appid",
    "app_key",
    "auth",
    "auth_token",
    "authtoken",
    "client_secret",
    "id_token",
    "jwt",
    "key",
    "secret",
    "session",
    "session_id",
    "sessionid",
    "sig",
    "signature",
    "subscription-key",
    "token",
];

/// How names of cookies begin that say nothing of who may do what.
const ANALYTICS_COOKIES: &[&[u8]] = &[
    b"_ga",
    b"_gid",
    b"_gat",
    b"_gcl",
    b"_fbp",
    b"_fbc",
    b"_hj",
    b"_pk_",
    b"_uet",
    b"_clck",
    b"_clsk",
    b"__utm",
    b"__cf",
    b"__hs",
    b"amplitude",
    b"mp_",
    b"ajs_",
    b"optimizely",
    b"cookieconsent",
    b"optanon",
    b"locale",
    b"lang",
    b"theme",
    b"csrf",
    b"xsrf",
];

fn is_jwt(value: &[u8]) -> bool {
    value.len() >= 16 && value.starts_with(b"eyJ") && memchr::memchr(b'.', value).is_some()
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = memchr::memchr(b'=', pair)?;
    Some((pair.get(..equals)?.trim_ascii(), pair.get(equals + 1..)?.trim_ascii()))
}

/// The value of `name=value` or `name="value"` in a list of parameters divided by commas or semicolons.
fn parameter<'a>(list: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    list.split(|byte| matches!(byte, b',' | b';')).take(MAX_COOKIES).find_map(|pair| {
        let (found, value) = split_pair(pair)?;
        found.eq_ignore_ascii_case(name).then(|| {
            let inner = value.strip_prefix(b"\"").unwrap_or(value);
            inner.strip_suffix(b"\"").unwrap_or(inner)
        })
    })
}

/// `AKIA…/20240101/eu-west-1/s3/aws4_request`: up to the slash, which queries encode.
fn access_key_id(credential: &[u8]) -> Option<&[u8]> {
    credential.split(|byte| matches!(byte, b'/' | b'%')).next()
}

fn is_analytics(name: &[u8]) -> bool {
    let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return true };
    ANALYTICS_COOKIES.iter().any(|prefix| prefix.first() == Some(&first) && starts_with_ignore_case(name, prefix))
}

/// Does the name of a cookie say session?
fn is_session(name: &[u8]) -> bool {
    (0..name.len().min(128)).any(|at| {
        let rest = name.get(at..).unwrap_or_default();
        let starts = |part: &[u8]| starts_with_ignore_case(rest, part);
        match rest.first().map(u8::to_ascii_lowercase) {
            Some(b's') => starts(b"sess") || starts(b"sid"),
            Some(b'a') => starts(b"auth"),
            Some(b't') => starts(b"token"),
            Some(b'j') => starts(b"jwt"),
            Some(b'l') => starts(b"login"),
            Some(b'r') => starts(b"remember"),
            Some(b'i') => starts(b"identity"),
            _ => false,
        }
    })
}

fn starts_with_ignore_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const JWT: &[u8] = b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

    fn found<'a>(
        fields: &[(&str, &'a [u8])],
        query: &'a [u8],
    ) -> (Vec<AuthKind>, Option<AuthLocation>, Option<&'a [u8]>) {
        let mut credentials = Credentials::default();
        for (name, value) in fields {
            credentials.field(name.as_bytes(), value);
        }
        credentials.query(query);
        (credentials.kinds[..credentials.len].to_vec(), credentials.location, credentials.principal)
    }

    #[test]
    fn schemes() {
        use AuthKind::{ApiKey, AwsSigv4, Basic, Bearer, Digest, Dpop, HttpSignature, Jwt, Negotiate, Oauth1, Other};
        for (value, kind, principal) in [
            (&b"Basic dXNlcjpwYXNz"[..], Basic, Some(&b"dXNlcjpwYXNz"[..])),
            (b"bearer abc", Bearer, Some(b"abc")),
            (b"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", Jwt, Some(JWT)),
            (b"Digest username=\"Mufasa\", realm=\"x\", response=\"e966\"", Digest, Some(b"Mufasa")),
            (b"NTLM TlRMTVNTUAAB", Negotiate, None),
            (b"Negotiate YII", Negotiate, None),
            (
                b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=5d67",
                AwsSigv4,
                Some(b"AKIDEXAMPLE"),
            ),
            (b"OAuth oauth_consumer_key=\"dpf43f\", oauth_token=\"nnch\"", Oauth1, Some(b"nnch")),
            (b"Hawk id=\"dh37\", ts=\"135\", nonce=\"j4h\", mac=\"6R4r\"", Other, Some(b"dh37")),
            (b"Signature keyId=\"k1\",signature=\"x\"", HttpSignature, Some(b"k1")),
            (b"DPoP tok", Dpop, Some(b"tok")),
            (b"ApiKey k", ApiKey, Some(b"k")),
            (b"Voucher id=\"1\"", Other, Some(b"Voucher id=\"1\"")),
            (b"s3cr3t", Other, Some(b"s3cr3t")),
            (b"", Other, None),
        ] {
            assert_eq!(found(&[("AUTHORIZATION", value)], b"").0, [kind], "{value:?}");
            assert_eq!(found(&[("authorization", value)], b"").2, principal, "{value:?}");
        }
    }

    #[test]
    fn places_and_order() {
        use AuthKind::{ApiKey, Bearer, Cookie};
        let (kinds, location, principal) =
            found(&[("Cookie", b"_ga=1; sessionid=abc"), ("X-Api-Key", b"k1")], b"a=1&api_key=q");
        assert_eq!(kinds, [Cookie, ApiKey]);
        assert_eq!((location, principal), (Some(AuthLocation::Header), Some(&b"k1"[..])));

        let (kinds, location, principal) = found(&[("Cookie", b"sessionid=abc")], b"access_token=q");
        assert_eq!((kinds, location, principal), (vec![Cookie, Bearer], Some(AuthLocation::Query), Some(&b"q"[..])));

        assert_eq!(found(&[("Cookie", b"_ga=1; theme=dark")], b"page=1&key="), (vec![], None, None));
        assert_eq!(found(&[("Cookie", b"cart=7")], b""), (vec![Cookie], Some(AuthLocation::Cookie), None));
        assert_eq!(found(&[], b"X-Amz-Credential=AKID%2F2024&X-Amz-Signature=1").2, Some(&b"AKID"[..]));
    }

    #[test]
    fn none_is_said() {
        let key = FleetKey::new(&[0; 32]);
        let credentials = Credentials::default();
        let auth = credentials.auth(&key);
        assert_eq!((auth.kinds, auth.location, auth.principal_hash), (&[AuthKind::None][..], None, None));
    }
}
