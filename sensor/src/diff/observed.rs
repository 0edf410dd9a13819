//! An endpoint of the inventory for the comparison with specifications.

use umbra_discovery::{Endpoint, contract};
use umbra_openapi::{Location, Observed, Operation, Schemas, Status};

/// What was observed of an endpoint; its shapes go to `schemas`.
pub(super) fn observed(endpoint: &Endpoint, schemas: &mut Schemas) -> Observed {
    let mut operation = contract::operation(endpoint, schemas);
    operation.evidence = Some(contract::evidence(endpoint));
    // Documents say which cookies stand for a session, if anything; who set the others cannot be told.
    operation.parameters.retain(|parameter| parameter.location != Location::Cookie);
    // A number is what it looks like; documents often say that it is a text.
    for parameter in operation.parameters.iter_mut().filter(|parameter| parameter.location == Location::Path) {
        parameter.schema = None;
    }
    only_bodies_of_one_code(&mut operation);
    let mut observed = Observed { host: endpoint.host().to_string(), operation, ..Observed::default() };
    // Without a byte of one in all its requests, and nothing missed, there never was a body.
    observed.bodies = endpoint.request_bytes == 0 && endpoint.coverage.incomplete == 0;
    let Some(learnt) = &endpoint.learnt else { return observed };
    let learnt = learnt.schemas();
    observed.auth = learnt.auth.kinds().map(|(credential, _)| contract::security(credential)).collect();
    observed.unauthenticated = u64::from(learnt.auth.anonymous);
    // Of fields only those are kept that are no business of transport: one that is not there may have been.
    if learnt.exchanges > 0 && !learnt.query.overflow() {
        observed.looked_at = vec![Location::Query];
    }
    observed
}

/// Bodies were told apart by status class: where several codes of a class may have had one, nobody knows whose it was.
fn only_bodies_of_one_code(operation: &mut Operation) {
    let class = |status: Status| match status {
        Status::Code(code) => code / 100,
        Status::Class(class) => class,
        Status::Default => 0,
    };
    let with_bodies: Vec<u16> = operation
        .responses
        .iter()
        .filter(|response| !response.content.is_empty())
        .map(|response| class(response.status))
        .collect();
    for response in &mut operation.responses {
        if with_bodies.iter().filter(|other| **other == class(response.status)).count() > 1 {
            response.content.clear();
        }
    }
}
