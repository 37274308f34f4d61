//! Bodies of every kind, good and bad.

use super::*;
use axum::http::HeaderValue;

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
    headers
}

fn json(text: &str) -> Result<Pictures, Problem> {
    parse_json(&Bytes::copy_from_slice(text.as_bytes()), 3)
}

fn base64(text: &'static str) -> Picture {
    Picture::Base64(Bytes::from_static(text.as_bytes()))
}

#[test]
fn the_media_type_says_how_to_read() {
    for (text, kind) in [
        ("image/png", Kind::Raw),
        ("image/x-nothing", Kind::Raw),
        ("IMAGE/JPEG; q=1", Kind::Raw),
        ("application/octet-stream", Kind::Raw),
        ("multipart/form-data; boundary=x", Kind::Multipart),
        ("application/json", Kind::Json),
        ("application/json; charset=utf-8", Kind::Json),
    ] {
        assert_eq!(Kind::of(&headers(text)), Ok(kind), "{text}");
    }
    assert_eq!(Kind::of(&HeaderMap::new()), Ok(Kind::Raw));
    for text in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "image/",
        "image",
        "multipart/mixed",
        "",
    ] {
        assert_eq!(
            Kind::of(&headers(text)).unwrap_err().code,
            "unsupported_media_type",
            "{text}"
        );
    }
}

#[test]
fn an_encoded_body_is_refused() {
    let mut h = headers("image/png");
    h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(Kind::of(&h).unwrap_err().code, "unsupported_encoding");
    h.insert(header::CONTENT_ENCODING, HeaderValue::from_static("Identity"));
    assert_eq!(Kind::of(&h), Ok(Kind::Raw));
}

#[test]
fn json_holds_one_or_many() {
    assert_eq!(json(r#"{"image":"QUJD"}"#), Ok(Pictures::One(base64("QUJD"))));
    assert_eq!(
        json(r#" {"images": ["QUJD"] } "#),
        Ok(Pictures::Many(vec![base64("QUJD")]))
    );
    assert_eq!(
        json(r#"{"images":["a","b\/","c"]}"#),
        Ok(Pictures::Many(vec![base64("a"), base64("b/"), base64("c")]))
    );
}

#[test]
fn json_without_escapes_is_not_copied() {
    let body = Bytes::from_static(br#"{"images":["QUJD"]}"#);
    let Ok(Pictures::Many(pictures)) = parse_json(&body, 1) else {
        panic!()
    };
    let Picture::Base64(text) = &pictures[0] else {
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
        assert_eq!(json(text).unwrap_err().code, code, "{text}");
    }
    let many = format!(r#"{{"images":[{}""]}}"#, r#""","#.repeat(TEXTS_KEPT + 10));
    assert_eq!(json(&many).unwrap_err().code, "too_many_images");
}

#[test]
fn base64_comes_in_several_guises() {
    for text in [
        "QUJDRA==",
        "QUJDRA",
        "QUJD\r\nRA==\n",
        "data:image/png;base64,QUJDRA==",
        "DATA:;BASE64,QUJDRA",
    ] {
        assert_eq!(decode_base64(text.as_bytes()).unwrap(), b"ABCD", "{text}");
    }
    for text in [
        "QUJDR",
        "QU_D",
        "?",
        "data:image/png,QUJD",
        "data:image/png;base64",
        "QUJDRB==",
    ] {
        assert_eq!(
            decode_base64(text.as_bytes()).unwrap_err().code,
            "bad_base64",
            "{text}"
        );
    }
}

#[test]
fn an_empty_picture_is_an_error_of_its_own() {
    for picture in [
        base64(""),
        base64("data:image/png;base64,"),
        Picture::Raw(Bytes::new()),
    ] {
        assert_eq!(
            picture.decode(&Limits::default()).unwrap_err().code,
            "empty_image"
        );
    }
}

fn form(body: &str) -> Result<Pictures, Problem> {
    let body = Bytes::from(body.replace('\n', "\r\n"));
    parse_multipart(&headers("multipart/form-data; boundary=B"), body, 2)
}

fn part(name: &str, data: &str) -> String {
    format!("--B\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\n\n{data}\n")
}

#[test]
fn a_form_holds_one_or_many() {
    let raw = |s: &'static str| Picture::Raw(Bytes::from_static(s.as_bytes()));
    let one = format!("{}{}--B--\n", part("note", "x"), part("image", "abc"));
    assert_eq!(form(&one), Ok(Pictures::One(raw("abc"))));
    let two = format!("{}{}--B--\n", part("file", "abc"), part("image", ""));
    assert_eq!(form(&two), Ok(Pictures::Many(vec![raw("abc"), raw("")])));
}

/// `--max-body` bounds a form before it comes here; the smaller limit that axum's extractors set themselves is off.
#[test]
fn a_form_may_be_as_large_as_a_body() {
    let large = "x".repeat(3 << 20);
    let one = format!("{}--B--\n", part("image", &large));
    assert_eq!(
        form(&one),
        Ok(Pictures::One(Picture::Raw(Bytes::from(large.clone()))))
    );
    let three = format!("{}--B--\n", part("image", &large).repeat(3));
    assert_eq!(form(&three).unwrap_err().code, "too_many_images");
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
        assert_eq!(form(body).unwrap_err().code, code, "{body}");
    }
    let unbounded = parse_multipart(&headers("multipart/form-data"), Bytes::new(), 2);
    assert_eq!(unbounded.unwrap_err().code, "bad_multipart");
}
