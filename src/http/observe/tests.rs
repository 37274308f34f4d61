use super::*;

fn id(value: &[u8]) -> String {
    let mut headers = HeaderMap::new();
    headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
    RequestId::of(&headers).as_str().to_owned()
}

#[test]
fn a_visible_short_request_id_is_echoed() {
    for good in ["a", "6b1f-42", "trace:1/2,3=\"x\"", &"x".repeat(128)] {
        assert_eq!(id(good.as_bytes()), good);
    }
}

#[test]
fn anything_else_gets_an_id_of_its_own() {
    for bad in [
        &b""[..],
        b"a b",
        b"a\tb",
        "ä".as_bytes(),
        "x".repeat(129).as_bytes(),
    ] {
        let made = id(bad);
        assert_eq!(
            uuid::Uuid::parse_str(&made).unwrap().get_version_num(),
            7,
            "{made}"
        );
    }
    assert_ne!(id(b""), id(b""));
}
