//! Specifications: whatever the bytes, reading ends within its limits; what was read can be matched, compared with itself
//! and written, and what is written reads without a word.
#![no_main]

use libfuzzer_sys::fuzz_target;
use umbra_openapi::{Bound, Found, Limits, Observed, Schemas, SpecSet, read, write};

/// Small limits, so that each of them is met.
const LIMITS: Limits = Limits {
    bytes: 64 * 1024,
    nodes: 2000,
    depth: 40,
    files: 4,
    total_bytes: 256 * 1024,
    reference_chain: 8,
    shared_parts: 500,
    operations: 50,
    parameters: 20,
    responses: 8,
    template_bytes: 200,
    bases: 8,
    enumeration: 8,
    issues: 10,
};

fuzz_target!(|data: &[u8]| {
    // Whatever file is asked for is the second part of the input.
    let cut = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (main, part) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let mut asked = 0;
    let read_it = read("spec/main.yaml", main, &LIMITS, &mut |name| {
        assert!(!name.contains("://"));
        asked += 1;
        Some(part.to_vec())
    });
    assert!(asked < LIMITS.files);
    let spec = match read_it {
        Ok(spec) => spec,
        Err(issue) => {
            assert_eq!(issue.to_string().lines().count(), 1);
            return;
        }
    };
    assert!(spec.operations.len() <= 2 * LIMITS.operations && spec.issues.len() <= LIMITS.issues);
    assert!(spec.issues.iter().all(|issue| issue.to_string().lines().count() == 1));
    for operation in &spec.operations {
        assert!(operation.parameters.len() <= 2 * LIMITS.parameters && operation.responses.len() <= LIMITS.responses);
    }

    let text = write(&spec);
    let again = read("again.json", text.as_bytes(), &Limits::default(), &mut |_| None).expect("what is written reads");
    assert!(again.issues.is_empty(), "{:?}\n{text}", again.issues);

    let schemas: Schemas = spec.schemas.clone();
    let operations = spec.operations.clone();
    let set = SpecSet::new(vec![Bound { spec, hosts: vec!["h.test".into()] }]);
    let mut observed = Vec::new();
    for operation in operations {
        let found = set.request("h.test", &operation.method, operation.template.as_bytes());
        if let Found::Operations(found) = found {
            assert!(!found.is_empty() && found.iter().all(|at| set.template(*at).is_some()));
        }
        observed.push(Observed { host: "h.test".into(), operation, ..Observed::default() });
    }
    let report = set.compare(&observed, &schemas, &[]);
    assert_eq!(report.verdicts.len(), observed.len());
});
