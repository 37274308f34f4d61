//! Bodies of every format, good and bad.

use super::*;

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    headers
}

fn parse_json(text: &str) -> Result<Images, Problem> {
    json(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

fn base64(text: &'static str) -> EncodedImage {
    EncodedImage::Base64(Bytes::from_static(text.as_bytes()))
}

#[test]
fn the_media_type_says_how_to_read() {
    for (text, kind) in [
        ("image/png", BodyFormat::Raw),
        ("image/x-nothing", BodyFormat::Raw),
        ("IMAGE/JPEG; q=1", BodyFormat::Raw),
        ("application/octet-stream", BodyFormat::Raw),
        ("multipart/form-data; boundary=x", BodyFormat::Multipart),
        ("application/json", BodyFormat::Json),
        ("application/json; charset=utf-8", BodyFormat::Json),
    ] {
        assert_eq!(BodyFormat::of(&headers(text)), Ok(kind), "{text}");
    }
    assert_eq!(BodyFormat::of(&HeaderMap::new()), Ok(BodyFormat::Raw));
    for text in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "image/",
        "image",
        "multipart/mixed",
        "",
    ] {
        assert_eq!(
            BodyFormat::of(&headers(text)).unwrap_err().code,
            "unsupported_media_type",
            "{text}"
        );
    }
}

#[test]
fn an_encoded_body_is_refused() {
    let mut h = headers("image/png");
    h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(BodyFormat::of(&h).unwrap_err().code, "unsupported_encoding");
    h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("Identity"));
    assert_eq!(BodyFormat::of(&h), Ok(BodyFormat::Raw));
}

#[test]
fn json_holds_one_or_many() {
    assert_eq!(parse_json(r#"{"image":"QUJD"}"#), Ok(Images::One(base64("QUJD"))));
    assert_eq!(
        parse_json(r#" {"images": ["QUJD"] } "#),
        Ok(Images::Many(vec![base64("QUJD")]))
    );
    assert_eq!(
        parse_json(r#"{"images":["a","b\/","c"]}"#),
        Ok(Images::Many(vec![base64("a"), base64("b/"), base64("c")]))
    );
}

#[test]
fn json_without_escapes_is_not_copied() {
    let body = Bytes::from_static(br#"{"images":["QUJD"]}"#);
    let Ok(Images::Many(images)) = json(&body, 1) else {
        panic!()
    };
    let EncodedImage::Base64(text) = &images[0] else {
        panic!()
    };
    assert!(body.as_ptr_range().contains(&text.as_ptr()));
}

#[test]
fn wrong_json_is_refused_by_name() {
    for (text, code) in [
        ("", "bad_json"),
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ("null", "bad_json"),
        (r#"{"image":5}"#, "bad_json"),
        (r#"{"image":"a","image":"b"}"#, "bad_json"),
        (r#"{"image":"a","images":[]}"#, "bad_json"),
        (r#"{"img":"a"}"#, "bad_json"),
        (r#"{"images":"a"}"#, "bad_json"),
        (r#"{"images":[null]}"#, "bad_json"),
        (r#"{"image":"a"} x"#, "bad_json"),
        ("{}", "no_image"),
        (r#"{"image":null}"#, "no_image"),
        (r#"{"images":[]}"#, "no_image"),
        (r#"{"images":["a","b","c","d"]}"#, "too_many_images"),
    ] {
        assert_eq!(parse_json(text).unwrap_err().code, code, "{text}");
    }
    let many = format!(r#"{{"images":[{}""]}}"#, r#""","#.repeat(TEXTS_KEPT + 10));
    assert_eq!(parse_json(&many).unwrap_err().code, "too_many_images");
}

fn parse_form(body: &str) -> Result<Images, Problem> {
    let body = Bytes::from(body.replace('\n', "\r\n"));
    multipart(
        Some(HeaderValue::from_static("multipart/form-data; boundary=B")),
        body,
        2,
    )
}

fn part(name: &str, data: &str) -> String {
    format!("--B\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\n\n{data}\n")
}

#[test]
fn a_form_holds_one_or_many() {
    let raw = |s: &'static str| EncodedImage::Raw(Bytes::from_static(s.as_bytes()));
    let one = format!("{}{}--B--\n", part("note", "x"), part("image", "abc"));
    assert_eq!(parse_form(&one), Ok(Images::One(raw("abc"))));
    let two = format!("{}{}--B--\n", part("file", "abc"), part("image", ""));
    assert_eq!(parse_form(&two), Ok(Images::Many(vec![raw("abc"), raw("")])));
}

/// `--max-body` bounds a form before it is parsed; the smaller limit of axum's extractors is off.
#[test]
fn a_form_may_be_as_large_as_a_body() {
    let large = "x".repeat(3 << 20);
    let one = format!("{}--B--\n", part("image", &large));
    assert_eq!(
        parse_form(&one),
        Ok(Images::One(EncodedImage::Raw(Bytes::from(large.clone()))))
    );
    let three = format!("{}--B--\n", part("image", &large).repeat(3));
    assert_eq!(parse_form(&three).unwrap_err().code, "too_many_images");
}

#[test]
fn wrong_forms_are_refused_by_name() {
    let three = format!("{}--B--\n", part("image", "a").repeat(3));
    for (body, code) in [
        (three.as_str(), "too_many_images"),
        (&format!("{}--B--\n", part("img", "a")), "no_image"),
        ("--B--\n", "no_image"),
        ("nothing of the kind", "bad_multipart"),
        (&part("image", "cut off"), "bad_multipart"),
    ] {
        assert_eq!(parse_form(body).unwrap_err().code, code, "{body}");
    }
    let unbounded = multipart(
        Some(HeaderValue::from_static("multipart/form-data")),
        Bytes::new(),
        2,
    );
    assert_eq!(unbounded.unwrap_err().code, "bad_multipart");
}
