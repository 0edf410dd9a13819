//! Security schemes and requirements.

use super::{Place, Reader};
use crate::document::Kind;
use crate::model::{Format, Location, SecurityKind, SecurityScheme};

/// Security schemes of one specification, alternatives of one requirement, schemes of one alternative.
const SCHEMES: usize = 64;

impl Reader<'_> {
    pub(super) fn read_security_schemes(&mut self, root: Place) {
        let map = match self.spec.format {
            Format::Swagger2 => self.member_of(root, "securityDefinitions", Kind::Map),
            _ => self.member(root, "components").and_then(|all| self.member_of(all, "securitySchemes", Kind::Map)),
        };
        let Some(map) = map else { return };
        for (name, place) in self.entries(map).into_iter().take(SCHEMES) {
            let Some(at) = self.resolved(place) else { continue };
            match self.security_kind(at) {
                Some(kind) => self.spec.security_schemes.push(SecurityScheme { name, kind }),
                None => self.issue(at, "a security scheme without type, or without what its type needs"),
            }
        }
    }

    fn security_kind(&self, at: Place) -> Option<SecurityKind> {
        let kind = self.string(at, "type")?;
        Some(match kind.as_str() {
            "apiKey" => {
                let location = match self.string(at, "in")?.as_str() {
                    "header" => Location::Header,
                    "query" => Location::Query,
                    "cookie" => Location::Cookie,
                    _ => return None,
                };
                SecurityKind::ApiKey { location, name: self.string(at, "name")? }
            }
            "http" => SecurityKind::Http {
                scheme: self.string(at, "scheme")?.to_ascii_lowercase(),
                bearer_format: self.string(at, "bearerFormat"),
            },
            "basic" => SecurityKind::Http { scheme: "basic".into(), bearer_format: None },
            "oauth2" => SecurityKind::OAuth2,
            "openIdConnect" => SecurityKind::OpenIdConnect,
            "mutualTLS" => SecurityKind::MutualTls,
            _ => SecurityKind::Other(kind),
        })
    }

    /// The requirements at a place, if it says anything. A scheme that is not defined is told and stands for nothing.
    pub(super) fn security(&mut self, place: Place) -> Option<Vec<Vec<u32>>> {
        let list = self.member_of(place, "security", Kind::List)?;
        let mut alternatives = Vec::new();
        for item in self.items(list).into_iter().take(SCHEMES) {
            if !self.take_part(item) {
                break;
            }
            let mut together = Vec::new();
            let mut complete = true;
            for (name, place) in self.entries(item).into_iter().take(SCHEMES) {
                match self.spec.security_schemes.iter().position(|scheme| scheme.name == name) {
                    Some(number) => together.push(u32::try_from(number).unwrap_or(0)),
                    None => {
                        complete = false;
                        self.issue(place, "a security scheme that is not defined");
                    }
                }
            }
            // Without its unknown schemes an alternative would seem to need less than it does.
            if complete {
                together.sort_unstable();
                alternatives.push(together);
            }
        }
        let said_something = !self.items(list).is_empty();
        if said_something && alternatives.is_empty() { None } else { Some(alternatives) }
    }
}
