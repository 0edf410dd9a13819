//! Observed credentials against documented security requirements.

use super::drift::{DriftKind, Drifts};
use super::observed::Observed;
use crate::model::{Operation, SecurityKind, Spec};

pub(super) fn compare(documented: &[(&Spec, &Operation)], endpoint: &Observed, drifts: &mut Drifts) {
    let mut kinds: Vec<&SecurityKind> = Vec::new();
    let mut optional = false;
    for (spec, operation) in documented {
        // Where one of them says nothing, nothing can differ.
        let Some(alternatives) = &operation.security else { return };
        optional |= alternatives.is_empty() || alternatives.iter().any(Vec::is_empty);
        let schemes = alternatives.iter().flatten().filter_map(|place| spec.security_schemes.get(*place as usize));
        kinds.extend(schemes.map(|scheme| &scheme.kind));
    }
    let names = || {
        let mut names: Vec<String> = kinds.iter().map(|kind| name(kind)).collect();
        names.sort();
        names.dedup();
        if names.is_empty() { "none".to_string() } else { names.join(" or ") }
    };
    if endpoint.unauthenticated > 0 && !optional {
        drifts.push(DriftKind::AuthScheme, "security".into(), names(), "none".into());
    }
    // Credentials that are sent though none are needed change nothing.
    if kinds.is_empty() {
        return;
    }
    for seen in &endpoint.auth {
        if !kinds.iter().any(|kind| fits(kind, seen)) {
            drifts.push(DriftKind::AuthScheme, "security".into(), names(), name(seen));
        }
    }
}

/// Whether a credential on the wire may be of a documented scheme.
fn fits(documented: &SecurityKind, seen: &SecurityKind) -> bool {
    use SecurityKind::{ApiKey, Http, MutualTls, OAuth2, OpenIdConnect, Other};
    let bearer = |kind: &SecurityKind| match kind {
        OAuth2 | OpenIdConnect => true,
        Http { scheme, .. } => scheme == "bearer",
        _ => false,
    };
    match (documented, seen) {
        (ApiKey { location, name }, ApiKey { location: seen_location, name: seen_name }) => {
            location == seen_location && (seen_name.is_empty() || name.eq_ignore_ascii_case(seen_name))
        }
        // `Authorization` as an API key is how many documents say "a token".
        (ApiKey { name, .. }, Http { .. }) => name.eq_ignore_ascii_case("authorization"),
        (Http { scheme, .. }, Http { scheme: seen, .. }) => scheme == seen,
        (MutualTls, MutualTls) => true,
        // Nobody can tell what a scheme of an unknown type looks like.
        (Other(_), _) => true,
        _ => bearer(documented) && bearer(seen),
    }
}

fn name(kind: &SecurityKind) -> String {
    match kind {
        SecurityKind::ApiKey { location, name } if name.is_empty() => format!("apiKey in {}", location.name()),
        SecurityKind::ApiKey { location, name } => format!("apiKey {name} in {}", location.name()),
        SecurityKind::Http { scheme, .. } => format!("http {scheme}"),
        SecurityKind::OAuth2 => "oauth2".into(),
        SecurityKind::OpenIdConnect => "openIdConnect".into(),
        SecurityKind::MutualTls => "mutualTLS".into(),
        SecurityKind::Other(kind) => kind.clone(),
    }
}
