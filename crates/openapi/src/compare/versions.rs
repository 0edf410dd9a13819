//! Several specifications of one API: which is the newest, and what only older ones have.
//!
//! Specifications are of one API if they have the same title and are mounted at the same base path of the same host, version
//! segments apart. The newest is that with the greatest version in its base path, then in `info.version`; what cannot be
//! told apart is current together.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use super::shape;
use crate::matching::{OperationRef, SpecSet};

/// A specification and the version in its base path.
type Member = (u32, Vec<u64>);

pub(super) struct Versions {
    /// By specification: those that are newer.
    newer: HashMap<u32, Vec<u32>>,
    /// Operations that a newer specification does not have.
    gone: HashSet<(u32, u32)>,
}

impl Versions {
    pub(super) fn new(set: &SpecSet) -> Versions {
        let mut groups: HashMap<(String, String), Vec<Member>> = HashMap::new();
        for (number, (places, bound)) in set.places.iter().zip(&set.bound).enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let title = title_key(&bound.spec.title);
            if title.is_empty() {
                continue;
            }
            for (host, mount) in places {
                let Some(mount) = set.mount(*mount) else { continue };
                let (path, version) = without_version(&mount.path);
                let members = groups.entry((title.clone(), format!("{host}{path}"))).or_default();
                if !members.iter().any(|(member, _)| *member == number) {
                    members.push((number, version));
                }
            }
        }
        let mut newer: HashMap<u32, Vec<u32>> = HashMap::new();
        for members in groups.into_values().filter(|members| members.len() > 1) {
            for (older, old_base) in &members {
                for (other, base) in &members {
                    let text = |number: &u32| set.bound.get(*number as usize).map_or("", |bound| &bound.spec.version);
                    if order(old_base, text(older), base, text(other)) == Ordering::Less {
                        let list = newer.entry(*older).or_default();
                        if !list.contains(other) {
                            list.push(*other);
                        }
                    }
                }
            }
        }
        let gone = gone(set, &newer);
        Versions { newer, gone }
    }

    /// Those that are not replaced by one of a newer version among them.
    pub(super) fn newest(&self, refs: &[OperationRef]) -> Vec<OperationRef> {
        let replaced = |at: &OperationRef| {
            let newer = self.newer.get(&at.spec);
            newer.is_some_and(|newer| refs.iter().any(|other| newer.contains(&other.spec)))
        };
        refs.iter().copied().filter(|at| !replaced(at)).collect()
    }

    /// Whether a newer version of the API does not have the operation.
    pub(super) fn is_gone(&self, at: OperationRef) -> bool {
        self.gone.contains(&(at.spec, at.operation))
    }
}

fn gone(set: &SpecSet, newer: &HashMap<u32, Vec<u32>>) -> HashSet<(u32, u32)> {
    let mut shapes: HashMap<u32, HashSet<String>> = HashMap::new();
    let involved: HashSet<u32> = newer.iter().flat_map(|(old, new)| new.iter().chain([old])).copied().collect();
    let mut operations: Vec<(u32, u32, Vec<String>)> = Vec::new();
    for spec in involved {
        let Some(bound) = set.bound.get(spec as usize) else { continue };
        let incomplete = bound.spec.operations.iter().any(|operation| operation.method == "*");
        let known = shapes.entry(spec).or_default();
        for (number, operation) in bound.spec.operations.iter().enumerate() {
            let bases = bound.spec.bases(operation).map(|base| without_version(&base.path_pattern).0);
            let keys: Vec<String> = bases
                .map(|base| format!("{} {}", operation.method, shape(&format!("{base}{}", operation.template))))
                .collect();
            known.extend(keys.iter().cloned());
            operations.push((spec, u32::try_from(number).unwrap_or(u32::MAX), keys));
        }
        // A path that could not be read may hold anything: nothing is called gone for its sake.
        if incomplete {
            known.insert("*".into());
        }
    }
    let mut gone = HashSet::new();
    for (spec, operation, keys) in operations {
        let lacks = |newer: &u32| {
            let known = shapes.get(newer);
            known.is_some_and(|known| !known.contains("*") && !keys.iter().any(|key| known.contains(key)))
        };
        if newer.get(&spec).is_some_and(|newer| newer.iter().any(lacks)) {
            gone.insert((spec, operation));
        }
    }
    gone
}

/// A title without case, spaces, punctuation and versions.
fn title_key(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric() && c != '.');
    words.filter(|word| !word.is_empty() && !is_version(word)).map(str::to_lowercase).collect()
}

/// `v1`, `2`, `v2.1`, `2024-01-01`.
fn is_version(word: &str) -> bool {
    let digits = word.strip_prefix(['v', 'V']).unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_'))
}

/// A base path with its version segments replaced, and what they said.
fn without_version(path: &str) -> (String, Vec<u64>) {
    let mut version = Vec::new();
    let segments = path.split('/').map(|segment| {
        if is_version(segment) {
            version.extend(numbers(segment));
            "v*"
        } else {
            segment
        }
    });
    (segments.collect::<Vec<_>>().join("/"), version)
}

fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).take(8).collect()
}

/// Orders versions: base paths first, then `info.version`; a pre-release is before its release.
fn order(a_base: &[u64], a: &str, b_base: &[u64], b: &str) -> Ordering {
    let pre =
        |text: &str| text.split('-').nth(1).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
    let (mut a_numbers, mut b_numbers) = (numbers(a), numbers(b));
    if a_numbers.is_empty() || b_numbers.is_empty() {
        return a_base.cmp(b_base);
    }
    // `1.0` is `1`.
    let len = a_numbers.len().max(b_numbers.len());
    a_numbers.resize(len, 0);
    b_numbers.resize(len, 0);
    a_base.cmp(b_base).then_with(|| a_numbers.cmp(&b_numbers)).then_with(|| pre(b).cmp(&pre(a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        for (a, b, expected) in [
            ("1.9", "1.10", Ordering::Less),
            ("1.0", "1", Ordering::Equal),
            ("v2", "1.9.9", Ordering::Greater),
            ("2024-01-31", "2024-02-01", Ordering::Less),
            ("1.0.0-beta", "1.0.0", Ordering::Less),
            ("latest", "1.0", Ordering::Equal),
        ] {
            assert_eq!(order(&[], a, &[], b), expected, "{a} {b}");
        }
        assert_eq!(order(&[2], "1.0", &[1], "9.0"), Ordering::Greater);
    }

    #[test]
    fn titles_and_base_paths_without_versions() {
        assert_eq!(title_key("Pet Store API v2.1"), title_key("pet-store API (1.0)"));
        assert_ne!(title_key("Pet Store"), title_key("Pet Shop"));
        assert_eq!(without_version("/api/v2"), ("/api/v*".to_string(), vec![2]));
        assert_eq!(without_version("/2010-04-01/x"), ("/v*/x".to_string(), vec![2010, 4, 1]));
    }
}
