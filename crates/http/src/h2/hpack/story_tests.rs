//! HPACK stories of other implementations: every header agrees, and a late reader is right or unknown, as the model says.
#![allow(clippy::unwrap_used)]

use super::Decoder;
use super::decoder::tests::hex;
use super::late_tests::{Late, List, Model};

/// Cut a block anywhere: an error or the right fields, never a panic or a wrong one.
fn check_cuts(block: &[u8], whole: &[(String, String)]) {
    for cut in 0..block.len() {
        let mut list = List::default();
        let mut decoder = Decoder::new(65536, true);
        let _ = decoder.decode(&block[..cut], &mut list);
        for (got, expected) in list.0.iter().zip(whole) {
            assert!(got == expected || got.0 == "?" || expected.0 == "?");
        }
    }
}

fn check_story(file: &std::path::Path) -> usize {
    let story: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut decoder = Decoder::new(65536, false);
    let mut model = Model::new();
    let mut late: Vec<Late> = Vec::new();
    let mut headers = 0;
    for (number, case) in story["cases"].as_array().unwrap().iter().enumerate() {
        let Some(wire) = case["wire"].as_str() else { return 0 };
        let block = hex(wire);
        let expected: Vec<(String, String)> = case["headers"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|field| field.as_object().unwrap())
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        headers += expected.len();
        let mut list = List::default();
        decoder.decode(&block, &mut list).unwrap();
        assert_eq!(list.0, expected, "{} case {number}", file.display());
        if number < 3 {
            check_cuts(&block, &expected);
        }
        // Joined late at an earlier case, or hit by a gap there.
        let known = model.read(&block, &expected);
        if number % 10 == 0 {
            late.extend(Late::join(number));
        }
        for reader in &mut late {
            reader.check(&block, &expected, &known, &format!("{} case {number}", file.display()));
        }
        if late.len() > 8 {
            late.drain(..2);
        }
    }
    headers
}

fn check_folder(folder: &std::path::Path) -> (usize, usize) {
    let (mut stories, mut headers) = (0, 0);
    for encoder in std::fs::read_dir(folder).unwrap() {
        let encoder = encoder.unwrap().path();
        if !encoder.is_dir() {
            continue;
        }
        for story in std::fs::read_dir(encoder).unwrap() {
            headers += check_story(&story.unwrap().path());
            stories += 1;
        }
    }
    (stories, headers)
}

#[test]
fn conformance_stories_decode_to_the_truth() {
    let Some(folder) = umbra_testkit::shared("conformance/hpack") else { return };
    let (stories, headers) = check_folder(&folder);
    assert!(stories > 100 && headers > 10_000, "{stories} stories, {headers} headers");
    println!("{stories} stories, {headers} headers");
}

#[test]
fn conformance_long_stories_decode_to_the_truth() {
    let Some(folder) = umbra_testkit::shared("conformance/hpack") else { return };
    let archive = folder.join("long-stories.tar.gz");
    let target = std::env::temp_dir().join(format!("umbra-hpack-{}", std::process::id()));
    std::fs::create_dir_all(&target).unwrap();
    let status = std::process::Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(&target).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("skipped: no tar, or {} is absent", archive.display());
        return;
    }
    let (stories, headers) = check_folder(&target);
    std::fs::remove_dir_all(&target).unwrap();
    assert!(stories >= 20 && headers > 10_000, "{stories} stories, {headers} headers");
    println!("{stories} stories, {headers} headers");
}
