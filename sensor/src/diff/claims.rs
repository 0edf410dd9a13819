//! Which operation of the specifications a request belongs to: decided request by request, before routes are inferred from what is
//! left.
//!
//! A specification knows its templates: however few values a variable had, and whatever they look like, a request for it is one
//! for the documented operation. Only where traffic shows that something else is behind a literal is it kept apart.

use std::cell::RefCell;
use std::collections::HashSet;

use umbra_discovery::Endpoint;
use umbra_discovery::routes::{Known, Templates, looks_like_value};
use umbra_openapi::SpecSet;
use umbra_pipeline::Inventory;

use crate::config::PinConfig;

/// Documented templates with a literal that looks like a value (`/folders/0` beside `/folders/{id}`), pinned: only while a request is
/// at hand can it be told from the values around it.
pub(super) fn pins(set: &SpecSet) -> Vec<PinConfig> {
    /// Each request is matched with those of its length.
    const PINS: usize = 1_000;
    // What the first segment is matters little: versions stand there.
    let is_odd =
        |template: &str| template.split('/').skip(2).any(|segment| !segment.contains('{') && looks_like_value(segment));
    let odd = set.documented().filter(|(host, template)| !host.contains('{') && is_odd(template));
    let pins = odd.filter_map(|(host, template)| PinConfig::new(host, &template));
    pins.take(PINS).collect()
}

/// Routes that are no values of the variables that a specification has in their places: host and route.
pub(crate) type Undocumented = HashSet<(String, String)>;

/// Decides the routes: those of the specifications where one matches, inferred ones else. Gives the ones that a specification only
/// seems to document.
pub(super) fn settle(set: &SpecSet, inventory: &mut Inventory) -> Undocumented {
    let mut known = Known::default();
    for (host, method, template) in set.operations().filter(|(host, ..)| !host.contains('{')) {
        known.add(host, method, &template);
    }
    let undocumented = RefCell::new(Undocumented::new());
    // Made once the templates are known, at the first endpoint.
    let variables = std::cell::OnceCell::new();
    inventory.settle_as(&known, |endpoint, templates| {
        let variables = variables.get_or_init(|| variables_of(templates));
        let inferred = templates.of(endpoint);
        // What was kept stands under its template already.
        let kept = || endpoint.confirmed.then(|| endpoint.route());
        let template = inferred.map(|inferred| inferred.template.as_str()).or_else(kept);
        let path = with_literals(endpoint, template);
        let certainty = |place: usize| {
            let Some(inferred) = inferred else { return 0.0 };
            let is_beside = variables.contains(&(inferred.service.clone(), prefix(&inferred.template, place)));
            // A documented word further up is no evidence against what is documented beside it; that at the end is what was asked
            // for, and not with this method.
            let segments = inferred.template.split('/').skip(1);
            let is_last = segments.clone().count() == place + 1;
            match (is_beside, known.is_part(&inferred.service, segments.take(place + 1))) {
                (false, _) => 0.0,
                (true, true) => f64::from(u8::from(is_last)),
                (true, false) => inferred.confidences.get(place).copied().unwrap_or_default(),
            }
        };
        let literals = template.map(|template| (template, &certainty as &dyn Fn(usize) -> f64));
        let claimed = set.claim(endpoint.host(), endpoint.method(), &path, literals);
        if let (None, Some(template)) = (&claimed, template)
            && set.claim(endpoint.host(), endpoint.method(), &path, None).is_some()
        {
            undocumented.borrow_mut().insert((endpoint.host().to_owned(), template.to_owned()));
        }
        claimed.or_else(|| template.map(str::to_owned))
    });
    undocumented.into_inner()
}

/// The path as it was asked for, as far as it is known: what looks like a value and is part of the route stands there too.
fn with_literals(endpoint: &Endpoint, template: Option<&str>) -> String {
    let route = endpoint.route();
    let Some(template) = template else { return route.to_owned() };
    let (asked, known): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), template.split('/').collect());
    if asked.len() != known.len() {
        return route.to_owned();
    }
    let segments = asked.iter().zip(known).map(|(asked, known)| if known.contains('{') { *asked } else { known });
    segments.collect::<Vec<&str>>().join("/")
}

/// Where the inventory has variables: service, and the segments before.
fn variables_of(templates: &Templates) -> HashSet<(String, String)> {
    let mut places = HashSet::new();
    for endpoint in templates.endpoints() {
        let segments = endpoint.template.split('/').skip(1);
        for (place, _) in segments.enumerate().filter(|(_, segment)| segment.starts_with('{')) {
            places.insert((endpoint.service.clone(), prefix(&endpoint.template, place)));
        }
    }
    places
}

/// The segments before a place, variables unnamed.
fn prefix(template: &str, place: usize) -> String {
    let segments = template.split('/').skip(1).take(place);
    segments
        .map(|segment| if segment.contains('{') { "/{}" } else { segment })
        .fold(String::new(), |out, segment| out + "/" + segment)
}
