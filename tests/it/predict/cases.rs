//! Wrong requests, and the problem each must get.

use super::base64;
use crate::support::pictures::{self, Format, Layout, SIDE};

/// A request to a server with [`FLAGS`], and the problem it must get.
pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: Vec<u8>,
    pub(super) status: u16,
    pub(super) code: &'static str,
}

/// Small limits.
pub(super) const FLAGS: [&str; 6] = [
    "--max-images",
    "3",
    "--max-body",
    "64Ki",
    "--max-pixels",
    "1000000",
];
/// The type of a form body made of [`part`]s and `--B--`.
pub(super) const FORM: &str = "multipart/form-data; boundary=B";

/// One part of a [`FORM`] body.
pub(super) fn part(name: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\r\n{content}\r\n")
}

/// One request for each way to be wrong that needs no special server.
pub(super) fn cases() -> Vec<Case> {
    let png = pictures::face_png(0.0);
    let jpeg = pictures::encode(
        Format::Jpeg,
        Layout::Rgb,
        SIDE,
        SIDE,
        &pictures::face(SIDE, SIDE, 0.0),
    );
    let tiff = pictures::encode(
        Format::Tiff,
        Layout::Rgb,
        SIDE,
        SIDE,
        &pictures::face(SIDE, SIDE, 0.0),
    );
    let text = base64(&png);
    let mut cases = Vec::new();
    let mut case = |status, code, what, media, body: &[u8]| {
        cases.push(Case {
            what,
            headers: vec![("content-type", media)],
            body: body.to_vec(),
            status,
            code,
        });
    };
    let json = "application/json";

    case(400, "empty_body", "nothing as a picture", "image/png", b"");
    case(400, "empty_body", "nothing as JSON", json, b"");
    case(400, "empty_body", "nothing as a form", FORM, b"");
    case(400, "empty_image", "an empty string", json, br#"{"image":""}"#);
    case(
        400,
        "empty_image",
        "an empty part",
        FORM,
        (part("image", "") + "--B--\r\n").as_bytes(),
    );
    case(400, "no_image", "an empty object", json, b"{}");
    case(400, "no_image", "an empty list", json, br#"{"images":[]}"#);
    case(400, "no_image", "null", json, br#"{"image":null}"#);
    case(
        400,
        "no_image",
        "a form of other parts",
        FORM,
        (part("picture", "x") + "--B--\r\n").as_bytes(),
    );
    case(400, "no_image", "a form of no parts", FORM, b"--B--\r\n");
    case(400, "bad_json", "half an object", json, br#"{"image":"#);
    case(400, "bad_json", "no object", json, b"[1,2]");
    case(
        400,
        "bad_json",
        "both keys",
        json,
        format!(r#"{{"image":"{text}","images":["{text}"]}}"#).as_bytes(),
    );
    case(
        400,
        "bad_json",
        "an unknown key",
        json,
        format!(r#"{{"image":"{text}","x":1}}"#).as_bytes(),
    );
    case(400, "bad_json", "a number", json, br#"{"image":5}"#);
    case(
        400,
        "bad_json",
        "a string for a list",
        json,
        br#"{"images":"QUJD"}"#,
    );
    case(
        400,
        "bad_json",
        "something after the end",
        json,
        br#"{"image":"QUJD"} {}"#,
    );
    case(400, "bad_json", "not UTF-8", json, b"{\"image\":\"\xff\"}");
    case(400, "bad_json", "the depths", json, &[b'['; 50_000]);
    case(400, "bad_json", "a picture said to be JSON", json, &png);
    case(
        400,
        "bad_base64",
        "another alphabet",
        json,
        br#"{"image":"ab_-"}"#,
    );
    case(
        400,
        "bad_base64",
        "a digit too many",
        json,
        br#"{"image":"QUJDR"}"#,
    );
    case(
        400,
        "bad_base64",
        "a data: URL without base64",
        json,
        br#"{"image":"data:image/png,QUJD"}"#,
    );
    case(400, "bad_multipart", "no boundary", "multipart/form-data", &png);
    case(
        400,
        "bad_multipart",
        "another boundary",
        FORM,
        b"--C\r\n\r\n--C--\r\n",
    );
    case(
        400,
        "bad_multipart",
        "cut off",
        FORM,
        part("image", "x").as_bytes(),
    );
    case(
        413,
        "body_too_large",
        "one byte too many",
        "image/png",
        &[0; 65_537],
    );
    case(413, "body_too_large", "a megabyte", json, &[b' '; 1 << 20]);
    case(
        413,
        "too_many_images",
        "four strings",
        json,
        br#"{"images":["QUJD","QUJD","QUJD","QUJD"]}"#,
    );
    case(
        413,
        "too_many_images",
        "four parts",
        FORM,
        (part("image", "x").repeat(4) + "--B--\r\n").as_bytes(),
    );
    case(415, "unsupported_media_type", "text", "text/plain", b"smile");
    case(
        415,
        "unsupported_media_type",
        "a simple form",
        "application/x-www-form-urlencoded",
        b"image=QUJD",
    );
    case(
        415,
        "unsupported_media_type",
        "another multipart",
        "multipart/mixed; boundary=B",
        &png,
    );
    case(415, "unsupported_media_type", "nonsense", "image", &png);
    case(
        415,
        "unknown_image_format",
        "text for a picture",
        "image/png",
        b"smile",
    );
    case(
        415,
        "unknown_image_format",
        "SVG",
        "image/svg+xml",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    );
    case(
        415,
        "unknown_image_format",
        "PDF",
        "application/octet-stream",
        b"%PDF-1.7\n",
    );
    case(
        415,
        "unknown_image_format",
        "text in base64",
        json,
        br#"{"image":"c21pbGU="}"#,
    );
    case(
        422,
        "broken_image",
        "a truncated PNG",
        "image/png",
        &png[..png.len() / 2],
    );
    case(
        422,
        "broken_image",
        "the start of a JPEG",
        "image/jpeg",
        &jpeg[..100],
    );
    case(
        422,
        "broken_image",
        "a truncated TIFF",
        "image/tiff",
        &tiff[..tiff.len() / 2],
    );
    case(
        422,
        "broken_image",
        "a PNG of no width",
        "image/png",
        &pictures::claimed_png(0, 48),
    );
    case(
        422,
        "broken_image",
        "a broken part",
        FORM,
        (part("file", "GIF89a") + "--B--\r\n").as_bytes(),
    );
    case(
        422,
        "broken_image",
        "broken in base64",
        json,
        br#"{"image":"R0lGODlh"}"#,
    );
    case(
        422,
        "unsupported_image",
        "an arithmetic JPEG",
        "image/jpeg",
        &pictures::arithmetic_jpeg(),
    );
    case(
        422,
        "too_many_pixels",
        "a large header",
        "image/png",
        &pictures::claimed_png(1001, 1000),
    );
    case(
        422,
        "too_many_pixels",
        "the largest header",
        "image/png",
        &pictures::claimed_png(u32::MAX, u32::MAX),
    );
    for (what, encoding) in [("gzip", "gzip"), ("two encodings", "identity, br")] {
        cases.push(Case {
            what,
            headers: vec![("content-type", "image/png"), ("content-encoding", encoding)],
            body: png.clone(),
            status: 415,
            code: "unsupported_encoding",
        });
    }
    cases
}
