//! Schemas: what is learnt, that order does not matter, and that hostile bodies are survived.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use umbra_discovery::schema::describe::describe;
use umbra_discovery::schema::shape::{PROPERTIES, Type};
use umbra_discovery::schema::{DEPTH, NODES, Schema, Syntax, ValueKey};

const KEY: ValueKey = ValueKey::new([1, 2]);

fn schema(syntax: Syntax, bodies: &[&str]) -> Schema {
    let mut schema = Schema::default();
    for body in bodies {
        schema.add(syntax, b"multipart/form-data; boundary=b", body.as_bytes(), false, &KEY);
    }
    schema
}

#[test]
fn names_types_formats_and_required() {
    let schema = schema(
        Syntax::Json,
        &[
            r#"{"id": 7, "email": "a@b.example", "when": "2024-01-01T00:00:00Z", "state": "open", "tags": ["x"], "note": null}"#,
            r#"{"id": 70000000000, "email": "c@d.example", "when": "2024-01-02T00:00:00Z", "state": "open", "price": 1.5}"#,
            r#"{"id": 7, "email": "", "when": "2024-01-03T00:00:00Z", "state": "shut", "tags": []}"#,
            r#"{"id": 7, "email": "e@f.example", "when": "2024-01-04T00:00:00Z", "state": "shut", "550e8400-e29b-41d4-a716-446655440000": 1}"#,
        ],
    );
    let description = describe(&schema.shape);
    let of = |name: &str| description.properties.iter().find(|property| &*property.name == name).unwrap();
    assert!(of("id").required && of("email").required && !of("price").required);
    assert_eq!((of("id").value.types.as_slice(), of("id").value.format), ([Type::Integer].as_slice(), Some("int64")));
    assert_eq!(of("email").value.format, Some("email"));
    assert_eq!(of("when").value.format, Some("date-time"));
    assert_eq!(of("state").value.distinct, Some(2));
    assert_eq!(of("when").value.distinct, None);
    assert!(of("note").value.nullable && of("note").value.types.is_empty());
    assert_eq!(of("tags").value.items.as_ref().unwrap().types, [Type::String]);
    assert_eq!(description.properties.len(), 7);
    assert_eq!(description.additional.unwrap().types, [Type::Integer]);
}

#[test]
fn names_that_are_values_are_a_map() {
    let bodies: Vec<String> = (0..100)
        .map(|n| format!("{{\"{}{}\": {{\"age\": {n}}}}}", (b'a' + n % 26) as char, "xy".repeat(n as usize / 26 + 1)))
        .collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let description = describe(&schema(Syntax::Json, &bodies).shape);
    assert!(description.properties.is_empty());
    assert_eq!(&*description.additional.unwrap().properties[0].name, "age");
}

/// No value of a body is anywhere in the state.
#[test]
fn no_value_is_kept() {
    let bodies = [
        r#"{"password": "hunter2canary", "n": 4111111111111111, "f": 1234.5678, "list": ["canary-text"], "Kunde 12345678": 1}"#,
        r#"{"a": {"secret": "canarycanary"}}"#,
    ];
    let state = serde_json::to_string(&schema(Syntax::Json, &bodies)).unwrap();
    let xml = schema(Syntax::Xml, &["<a b='canary1'>canary2<c>4111111111111111</c></a>"]);
    let form = schema(Syntax::Form, &["password=canary&card=4111111111111111&me%40mail.example=1"]);
    let state = state + &serde_json::to_string(&xml).unwrap() + &serde_json::to_string(&form).unwrap();
    for value in ["canary", "hunter2", "4111", "1234", "5678", "Kunde", "mail.example"] {
        assert!(!state.contains(value), "{value} in {state}");
    }
}

#[test]
fn f066_hostile_json_gives_a_partial_schema() {
    let nested = "[".repeat(100_000);
    let objects = "{\"a\":".repeat(100_000);
    for body in [&nested, &objects] {
        let schema = schema(Syntax::Json, &[body]);
        assert_eq!((schema.bodies, schema.cut), (1, 1));
        let mut levels = 0;
        let mut description = describe(&schema.shape);
        while let Some(inner) = description.items.take().or(description.properties.pop().map(|p| Box::new(p.value))) {
            levels += 1;
            description = *inner;
        }
        assert_eq!(levels, DEPTH);
    }

    let wide: String = (0..100_000).map(|n| format!("\"k{}\":1,", letters(n))).collect();
    let wide = schema(Syntax::Json, &[&format!("{{{wide}\"z\":1}}")]);
    let object = wide.shape.object().unwrap();
    assert!(object.overflow() && object.properties().is_empty());
    assert_eq!(object.additional().unwrap().count(Type::Integer), 100_001);

    let odd = schema(
        Syntax::Json,
        &[
            r#"{"big": 1e400, "big": -1e999, "long": 123456789012345678901234567890, "s": "\ud800", "\udfff": 1, "x": "y"}"#,
        ],
    );
    assert_eq!((odd.cut, odd.malformed), (0, 0));
    let object = odd.shape.object().unwrap();
    let big = object.property("big").unwrap();
    assert_eq!((big.present, big.repeated, big.shape.count(Type::Number)), (1, true, 2));
    assert_eq!(object.property("x").unwrap().present, 1);

    let plain = schema(Syntax::Json, &[r#"{"a": 1}"#]);
    assert_eq!(schema(Syntax::Json, &["\u{feff}{\"a\": 1}"]), plain);
    for (mark, order) in
        [(true, u16::to_be_bytes as fn(u16) -> [u8; 2]), (false, u16::to_le_bytes), (true, u16::to_le_bytes)]
    {
        let text = if mark { "\u{feff}{\"a\": 1}" } else { "{\"a\": 1}" };
        let bytes: Vec<u8> = text.encode_utf16().flat_map(order).collect();
        let mut utf16 = Schema::default();
        utf16.add(Syntax::Json, b"", &bytes, false, &KEY);
        assert_eq!(utf16, plain);
    }

    // Cut: what is there counts, what lacks is not known to lack.
    let mut cut = plain.clone();
    cut.add(Syntax::Json, b"", br#"{"b": [{"c": 1}, {"c": 2"#, true, &KEY);
    let object = cut.shape.object().unwrap();
    assert_eq!(
        (object.whole(), object.property("a").unwrap().present, object.property("b").unwrap().present),
        (1, 1, 0)
    );
    let items = object.property("b").unwrap().shape.items().unwrap().shape().object().unwrap();
    assert_eq!((items.whole(), items.property("c").unwrap().present), (1, 1));
}

fn letters(mut n: u32) -> String {
    let mut out = String::new();
    for _ in 0..5 {
        out.push(char::from(b'g' + (n % 19) as u8));
        n /= 19;
    }
    out
}

#[test]
fn f066_nodes_of_a_schema_are_bounded() {
    // 500 names at each of two levels would be 250,000 nodes.
    let inner: String = (0..500).map(|n| format!("\"{}\":1,", letters(n))).collect();
    let mut schema = Schema::default();
    for n in 0..500 {
        let body = format!("{{\"{}\":{{{inner}\"z\":2}}}}", letters(n));
        schema.add(Syntax::Json, b"", body.as_bytes(), false, &KEY);
    }
    assert_eq!(schema.depth, 1);
    assert_eq!(schema.shape.object().unwrap().properties().len(), 500);
    assert!(schema.shape.memory_bytes() < NODES as usize * 256);
}

#[test]
fn f067_hostile_xml_expands_and_fetches_nothing() {
    let mut bomb = String::from("<?xml version=\"1.0\"?><!DOCTYPE lolz [<!ENTITY lol \"lol\">");
    for n in 1..10 {
        bomb += &format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10));
    }
    bomb += "]><lolz>&lol9;</lolz>";
    let small = schema(Syntax::Xml, &[&bomb]);
    assert_eq!(small.malformed, 0);
    assert!(small.shape.memory_bytes() < 2048);
    let external = schema(
        Syntax::Xml,
        &["<!DOCTYPE a SYSTEM \"http://127.0.0.1/x\"[<!ENTITY % e SYSTEM 'file:///etc/passwd'> %e;]><a>&x;</a>"],
    );
    assert_eq!(external.malformed, 0);
    let deep = schema(Syntax::Xml, &[&"<a>".repeat(100_000)]);
    assert_eq!((deep.cut, deep.malformed), (1, 0));
    let closed = schema(Syntax::Xml, &[&("<a>".repeat(100_000) + &"</a>".repeat(100_000))]);
    assert_eq!((closed.cut, closed.malformed), (0, 0));
}

#[test]
fn f068_hostile_parameters_are_capped_and_decoded_once() {
    let many: String = (0..100_000).map(|n| format!("p{}=1&", letters(n))).collect();
    let form = schema(Syntax::Form, &[&many]);
    assert_eq!(form.shape.object().unwrap().properties().len(), 256);
    assert_eq!(form.cut, 1);

    let twice = schema(Syntax::Form, &["a%2562=%2531"]);
    assert_eq!(twice.shape.object().unwrap().properties().len(), 0, "a%62 is no name, and is not decoded again");
    assert_eq!(twice.shape.object().unwrap().additional().unwrap().count(Type::Integer), 0);

    // A nested multipart is one part, however deep.
    let mut body = String::from("x");
    for level in 0..100 {
        body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"level\"\r\nContent-Type: multipart/mixed; boundary=b{level}\r\n\r\n{body}\r\n--b--\r\n"
        );
    }
    let nested = schema(Syntax::Multipart, &[&body]);
    assert_eq!(nested.shape.object().unwrap().properties().len(), 1);
    for boundary in
        ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"", "x;boundary=--"]
    {
        let mut schema = Schema::default();
        schema.add(Syntax::Multipart, boundary.as_bytes(), body.as_bytes(), false, &KEY);
        assert_eq!(schema.malformed, 1, "{boundary}");
    }
    let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
    let mut schema = Schema::default();
    schema.add(Syntax::Multipart, long.as_bytes(), b"--bbb", false, &KEY);
    assert_eq!(schema.malformed, 1);
}

#[test]
fn f073_random_keys_do_not_grow_a_schema() {
    let mut schema = Schema::default();
    for n in 0..20_000_u64 {
        let body = format!(
            "{{\"id\": 1, \"{:016x}\": 1, \"k{}\": true}}",
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            letters(n as u32)
        );
        schema.add(Syntax::Json, b"", body.as_bytes(), false, &KEY);
    }
    assert!(schema.shape.memory_bytes() < 4096, "{}", schema.shape.memory_bytes());
    assert!(schema.shape.object().unwrap().properties().len() <= PROPERTIES);
}

#[test]
fn f076_personal_data_in_keys_is_not_kept() {
    let schema = schema(
        Syntax::Json,
        &[
            r#"{"jane.doe@mail.example": 1, "+4915112345678": 1, "4111 1111 1111 1111": 1, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc": 1, "sk_live_abcdEFGH1234ijkl5678": 1}"#,
        ],
    );
    assert!(schema.shape.object().unwrap().properties().is_empty());
    assert_eq!(schema.shape.object().unwrap().additional().unwrap().count(Type::Integer), 5);
}

/// Small bodies that meet each other: common names, values used as names, wide and deep objects, cuts.
fn body() -> impl Strategy<Value = (String, bool)> {
    let name = prop_oneof![4 => "[a-c]", 1 => "[a-d]{1,2}", 1 => "[0-9]{6}"];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,20}",
        "[0-9]\\.[0-9]e[0-9]{1,3}",
        "\"[a-z]{0,3}\"",
        Just("\"2024-01-01\"".to_owned()),
    ];
    let value = leaf.prop_recursive(5, 40, 6, move |inner| {
        let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    let wide = (0_u32..400, 1_u32..400, 0..3_u8).prop_map(|(from, count, kind)| {
        let value = ["1", "{\"a\":{\"b\":[{\"c\":1}]}}", "\"x\""][usize::from(kind)];
        let members: Vec<String> = (from..from + count).map(|n| format!("\"{}\":{value}", letters(n))).collect();
        format!("{{{}}}", members.join(","))
    });
    let deep = wide.clone().prop_map(|wide| format!("{{\"a\":{wide},\"b\":[{wide}]}}"));
    (prop_oneof![6 => value, 1 => wide, 1 => deep], any::<bool>(), any::<prop::sample::Index>()).prop_map(
        |(body, cut, at)| {
            if cut { (body[..at.index(body.len())].to_owned(), true) } else { (body, false) }
        },
    )
}

fn fold<'a>(bodies: impl IntoIterator<Item = &'a (String, bool)>) -> Schema {
    let mut schema = Schema::default();
    for (body, cut) in bodies {
        schema.add(Syntax::Json, b"", body.as_bytes(), *cut, &KEY);
    }
    schema
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn f098_any_order_and_any_split_give_the_same_schema(
        bodies in proptest::collection::vec(body(), 1..14),
        order in any::<u64>(),
        split in any::<prop::sample::Index>(),
    ) {
        let all = fold(&bodies);
        let mut shuffled: Vec<_> = bodies.iter().collect();
        shuffled.sort_by_key(|(body, _)| ValueKey::new([order, 0]).hash(body.as_bytes()));
        prop_assert_eq!(&fold(shuffled.iter().copied()), &all);
        let (one, other) = shuffled.split_at(split.index(shuffled.len()));
        let (mut left, mut right) = (fold(one.iter().copied()), fold(other.iter().copied()));
        let (first, second) = (left.clone(), right.clone());
        left.merge(&second);
        right.merge(&first);
        prop_assert_eq!(&left, &all);
        prop_assert_eq!(&right, &all);
        let state = serde_json::to_string(&all).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schema>(&state).unwrap(), all);
    }
}
