//! A specification without what could be somebody's data.

use crate::model::{Server, Spec};

impl Spec {
    /// Leaves what a comparison needs: operations, parameters, shapes, credentials by scheme. Examples, defaults and descriptions are
    /// not in the model; titles, enumerated values, host names and variables of servers go. For documents that were seen on the
    /// wire and not given by an operator: nobody has looked at what stands in them.
    pub fn without_values(mut self) -> Spec {
        self.title = String::new();
        self.issues.clear();
        for servers in &mut self.server_lists {
            let mut paths: Vec<String> = servers
                .iter()
                .flat_map(|server| &server.bases)
                .map(|base| if base.path.is_empty() { "/".to_owned() } else { base.path.clone() })
                .collect();
            paths.dedup();
            *servers = paths.iter().map(|path| Server::at(path)).collect();
        }
        for schema in self.schemas.iter_mut() {
            schema.enumeration.clear();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Limits, read, write};

    #[test]
    fn f076_nothing_of_a_document_but_its_structure_is_left() {
        let canary = "s3cr3t-canary";
        let document = format!(
            r#"{{"openapi":"3.0.0","info":{{"title":"{canary}","description":"{canary}","version":"2"}},
            "servers":[{{"url":"https://user:{canary}@api.test/v2/"}},{{"url":"https://{{t}}.test/v2","variables":{{"t":{{"default":"{canary}"}}}}}}],
            "paths":{{"/orders/{{id}}":{{"get":{{"operationId":"readOrder","deprecated":true,"description":"{canary}",
              "parameters":[{{"name":"id","in":"path","required":true,"schema":{{"type":"string","example":"{canary}","default":"{canary}","enum":["{canary}"]}}}}],
              "responses":{{"200":{{"description":"{canary}","content":{{"application/json":{{"schema":{{"type":"object","properties":{{"a":{{"type":"string","const":"{canary}"}}}}}},"example":"{canary}"}}}}}}}}}}}}}}}}"#
        );
        let spec = read("n", document.as_bytes(), &Limits::default(), &mut |_| None).unwrap();
        let text = write(&spec.without_values());
        assert!(!text.contains(canary), "{text}");
        let again = read("n", text.as_bytes(), &Limits::default(), &mut |_| None).unwrap();
        let operation = &again.operations[0];
        assert_eq!((operation.template.as_str(), operation.deprecated), ("/orders/{id}", true));
        assert_eq!(again.bases(operation).map(|base| base.path.as_str()).collect::<Vec<_>>(), ["/v2"]);
        assert_eq!(again.version, "2");
    }
}
