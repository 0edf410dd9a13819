//! An endpoint as it is kept on disk.

use serde::{Deserialize, Serialize};
use umbra_wire::Timestamp;

use crate::clients::Clients;
use crate::endpoint::{Coverage, Endpoint};
use crate::endpoints::endpoint_id;
use crate::latency::Latency;
use crate::learnt::Learnt;
use crate::origin::Origin;
use crate::style::Style;
use crate::version::Versions;

/// All that is known of an endpoint, in a form that outlives the process. Members that are added later have a default, so
/// that what an earlier version wrote stays readable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// Name of the style.
    pub style: String,
    /// Canonical host.
    pub host: String,
    /// Method.
    pub method: String,
    /// Route template.
    pub route: String,
    /// As [`Endpoint::confirmed`].
    pub confirmed: bool,
    /// Where it is not confirmed although a server answered with success.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub answered: bool,
    /// Requests.
    pub requests: u64,
    /// Requests without an answer.
    pub unanswered: u64,
    /// Answers by status code.
    pub statuses: Vec<(u16, u64)>,
    /// Answers with a status past the cap on distinct ones.
    pub other_statuses: u64,
    /// First request, nanoseconds since 1970.
    pub first_seen: u64,
    /// Last request, nanoseconds since 1970.
    pub last_seen: u64,
    /// Hashes of clients, while they are few.
    pub clients: Vec<u64>,
    /// Registers of the sketch, once clients are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_registers: Option<String>,
    /// From requests to answers.
    #[serde(default)]
    pub latency: Latency,
    /// Request body bytes.
    pub request_bytes: u64,
    /// Response body bytes.
    pub response_bytes: u64,
    /// Coverage.
    pub coverage: Coverage,
    /// Where it was reached, and from where.
    #[serde(default, skip_serializing_if = "Origin::is_empty")]
    pub origin: Origin,
    /// API versions that requests asked for.
    #[serde(default, skip_serializing_if = "Versions::is_empty")]
    pub versions: Versions,
    /// The operation, where the style has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What bodies and parameters have taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt: Option<Box<Learnt>>,
}

impl From<&Endpoint> for EndpointState {
    fn from(endpoint: &Endpoint) -> EndpointState {
        EndpointState {
            style: endpoint.style.name().into(),
            host: endpoint.host().into(),
            method: endpoint.method().into(),
            route: endpoint.route().into(),
            confirmed: endpoint.confirmed,
            answered: endpoint.answered && !endpoint.confirmed,
            requests: endpoint.requests,
            unanswered: endpoint.unanswered,
            statuses: endpoint.statuses.clone(),
            other_statuses: endpoint.other_statuses,
            first_seen: endpoint.first_seen.nanos(),
            last_seen: endpoint.last_seen.nanos(),
            clients: endpoint.clients.hashes().to_vec(),
            client_registers: endpoint.clients.registers(),
            latency: endpoint.latency.clone(),
            request_bytes: endpoint.request_bytes,
            response_bytes: endpoint.response_bytes,
            coverage: endpoint.coverage,
            origin: endpoint.origin.clone(),
            versions: endpoint.versions.clone(),
            operation: endpoint.operation().map(str::to_owned),
            learnt: endpoint.learnt.clone(),
        }
    }
}

impl EndpointState {
    /// The endpoint again; `None` if it is not one that was ever written.
    pub fn endpoint(self) -> Option<Endpoint> {
        let style = Style::ALL.into_iter().find(|style| style.name() == self.style)?;
        let (host_len, method_len) = (u16::try_from(self.host.len()).ok()?, u8::try_from(self.method.len()).ok()?);
        let mut parts = vec![self.host.as_bytes(), self.method.as_bytes(), self.route.as_bytes()];
        parts.extend(self.operation.as_ref().map(String::as_bytes));
        if parts.iter().any(|part| part.contains(&0)) {
            return None;
        }
        let key = parts.join(&0);
        // Made anew: its recipe may be another one by now.
        let id = endpoint_id(style, &key, host_len, method_len);
        let mut endpoint = Endpoint::new(id, style, key, host_len, method_len);
        for (status, count) in self.statuses {
            endpoint.count_status(status, count);
        }
        endpoint.clients = Clients::restored(&self.clients, self.client_registers.as_deref())?;
        endpoint.latency = self.latency;
        endpoint.confirmed = self.confirmed;
        endpoint.answered = self.confirmed || self.answered;
        endpoint.requests = self.requests;
        endpoint.unanswered = self.unanswered;
        endpoint.other_statuses = endpoint.other_statuses.saturating_add(self.other_statuses);
        endpoint.first_seen = Timestamp(self.first_seen);
        endpoint.last_seen = Timestamp(self.last_seen);
        endpoint.request_bytes = self.request_bytes;
        endpoint.response_bytes = self.response_bytes;
        endpoint.coverage = self.coverage;
        // Through the merge, which keeps to the bounds.
        endpoint.origin.merge(&self.origin);
        endpoint.versions.merge(&self.versions);
        endpoint.learnt = self.learnt;
        Some(endpoint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sampling::SamplingConfig;
    use crate::schema::{Exchange, Sample, ValueKey};
    use crate::style::Classified;
    use crate::version::VersionPlace;

    fn learnt() -> Learnt {
        let mut learnt = Learnt::new(SamplingConfig::default());
        let exchange = Exchange {
            query: Some(b"page=1"),
            status: 200,
            response_body: Some(Sample {
                bytes: br#"{"a":[1,null,{"b":"x"}],"550e8400-e29b-41d4-a716-446655440000":1.5}"#,
                cut: true,
            }),
            ..Exchange::default()
        };
        for level in [0, 0, 3] {
            learnt.look(level).unwrap().add(&exchange, &ValueKey::new([1, 2]));
        }
        learnt.add(&Classified { batch: true, model: Some("m".into()), ..Classified::default() });
        learnt
    }

    fn sample(style: Style) -> Endpoint {
        let mut endpoint = EndpointState {
            style: style.name().into(),
            host: "api.example.com".into(),
            method: "GET".into(),
            route: "/users/{id}".into(),
            confirmed: true,
            answered: false,
            requests: 9,
            unanswered: 1,
            statuses: vec![(200, 5), (404, 3)],
            other_statuses: 0,
            first_seen: 1,
            last_seen: u64::MAX,
            clients: vec![],
            client_registers: None,
            latency: Latency::default(),
            request_bytes: 10,
            response_bytes: 11,
            coverage: Coverage { gap_bytes: 12, ..Coverage::default() },
            origin: Origin::default(),
            versions: Versions::default(),
            operation: style.operation_is_in_body().then(|| "query Größe".into()),
            learnt: Some(Box::new(learnt())),
        }
        .endpoint()
        .unwrap();
        endpoint.origin.add(([10, 0, 0, 1].into(), 80), true);
        endpoint.versions.add(VersionPlace::Query, "2024-10-01", 3, 7);
        (0..400).for_each(|client| endpoint.clients.insert(client * 0x1234_5678_9ABC));
        (0..400).for_each(|client| endpoint.latency.add(client * 0x1234_5678));
        endpoint
    }

    #[test]
    fn an_endpoint_comes_back_as_it_was() {
        for style in Style::ALL {
            let endpoint = sample(style);
            let json = serde_json::to_vec(&EndpointState::from(&endpoint)).unwrap();
            let back = serde_json::from_slice::<EndpointState>(&json).unwrap().endpoint().unwrap();
            assert_eq!(back, endpoint);
            assert_eq!((back.host(), back.method(), back.route()), ("api.example.com", "GET", "/users/{id}"));
        }
    }

    #[test]
    fn what_was_never_written_is_refused() {
        let good = EndpointState::from(&sample(Style::Rest));
        assert!(EndpointState { style: "telepathy".into(), ..good.clone() }.endpoint().is_none());
        assert!(EndpointState { host: "a\0b".into(), ..good.clone() }.endpoint().is_none());
        assert!(EndpointState { method: "M".repeat(256), ..good.clone() }.endpoint().is_none());
        assert!(EndpointState { host: "h".repeat(65_536), ..good }.endpoint().is_none());
    }
}
