//! Parameters.

use super::operations::form_property;
use super::{Place, Reader};
use crate::document::Kind;
use crate::model::{Format, Location, Operation, Parameter, Style};
use crate::pointer::percent_decode;
use crate::schema::{Property, Schema, SchemaId, Types};

/// What a list of parameters holds; Swagger 2.0 has bodies and forms among them.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    pub(super) list: Vec<Parameter>,
    /// `in: body`: its schema, and whether it is required.
    pub(super) body: Option<(Option<SchemaId>, bool)>,
    /// `in: formData`.
    pub(super) form: Vec<Property>,
    pub(super) has_file: bool,
    /// Some could not be read.
    pub(super) incomplete: bool,
}

impl Parameters {
    /// Adds those of the path item that the operation has not replaced: a parameter is its name and its place.
    pub(super) fn inherit(&mut self, shared: &Parameters, limit: usize) {
        for parameter in &shared.list {
            let same = |own: &Parameter| own.name == parameter.name && own.location == parameter.location;
            if !self.list.iter().any(same) && self.list.len() < limit {
                self.list.push(parameter.clone());
            }
        }
        if self.body.is_none() && self.form.is_empty() {
            self.body = shared.body;
        }
        for property in &shared.form {
            if !self.form.iter().any(|own| own.name == property.name) && self.form.len() < limit {
                self.form.push(property.clone());
            }
        }
        self.has_file |= shared.has_file;
    }
}

impl Reader<'_> {
    pub(super) fn parameters(&mut self, at: Place) -> Parameters {
        let troubles = self.troubles;
        let mut out = Parameters::default();
        let Some(list) = self.member_of(at, "parameters", Kind::List) else { return out };
        for item in self.items(list) {
            if out.list.len() + out.form.len() >= self.limits.parameters {
                self.issue(list, "too many parameters: the rest is left out");
                break;
            }
            if !self.take_part(item) {
                break;
            }
            if let Some(at) = self.resolved(item) {
                self.parameter(at, &mut out);
            }
        }
        out.incomplete = self.troubles != troubles;
        out
    }

    fn parameter(&mut self, at: Place, out: &mut Parameters) {
        let Some(name) = self.string(at, "name") else { return self.issue(at, "a parameter without name") };
        let required = self.flag(at, "required");
        let location = match self.string(at, "in").as_deref() {
            Some("path") => Location::Path,
            Some("query") => Location::Query,
            Some("header") => Location::Header,
            Some("cookie") => Location::Cookie,
            Some("body") => {
                let schema = self.member(at, "schema").and_then(|schema| self.schema_at(schema));
                out.body = Some((schema, required));
                return;
            }
            Some("formData") => {
                out.has_file |= self.string(at, "type").as_deref() == Some("file");
                let schema = self.schema_at(at).unwrap_or_else(|| self.spec.schemas.add(Schema::default()));
                out.form.push(form_property(name, schema, required));
                return;
            }
            Some(_) => return self.issue(at, "a parameter in an unknown place"),
            None => return self.issue(at, "a parameter that does not say where it is"),
        };
        // OpenAPI 3.0.4 §4.7.12.1: these have fields of their own and are ignored here.
        let reserved =
            ["accept", "content-type", "authorization"].iter().any(|reserved| name.eq_ignore_ascii_case(reserved));
        if location == Location::Header && reserved {
            return;
        }
        let schema = match self.member(at, "schema") {
            Some(schema) => self.schema_at(schema),
            None if self.spec.format == Format::Swagger2 => self.schema_at(at),
            None => self.content(at).first().and_then(|content| content.schema),
        };
        let style = self.style(at, location);
        let deprecated = self.flag(at, "deprecated");
        // Path parameters are always required, whether or not the document says so.
        let required = required || location == Location::Path;
        let same = |known: &Parameter| known.name == name && known.location == location;
        if out.list.iter().any(same) {
            return self.issue(at, "the parameter is there twice");
        }
        out.list.push(Parameter { name, location, required, deprecated, schema, style, confidence: None });
    }

    fn style(&self, at: Place, location: Location) -> Style {
        if self.spec.format == Format::Swagger2 || self.member(at, "content").is_some() {
            return Style::Plain;
        }
        let style = self.string(at, "style");
        // RFC 6570 form style explodes unless told otherwise.
        let explode = self.member(at, "explode").is_none() || self.flag(at, "explode");
        match (style.as_deref(), location) {
            (Some("deepObject"), _) => Style::DeepObject,
            (None | Some("form"), Location::Query | Location::Cookie) if explode => Style::Exploded,
            _ => Style::Plain,
        }
    }

    /// Parameters written into the path, `/x?action=start`.
    pub(super) fn query_of_template(&mut self, operation: &mut Operation, query: &str) {
        let pairs = query.split('#').next().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs.take(self.limits.parameters) {
            let name = percent_decode(pair.split('=').next().unwrap_or_default());
            let known = |parameter: &Parameter| parameter.name == name && parameter.location == Location::Query;
            if operation.parameters.iter().any(known) || operation.parameters.len() >= self.limits.parameters {
                continue;
            }
            let schema = self.spec.schemas.add(Schema { types: Types::STRING, ..Schema::default() });
            let parameter = Parameter::new(&name, Location::Query, true);
            operation.parameters.push(Parameter { schema: Some(schema), ..parameter });
        }
    }
}
