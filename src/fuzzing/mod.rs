//! The bodies of the fuzz targets `multipart`, `json` and `infer`: see `fer_image::fuzzing`.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use fer_image::{PIXELS, fuzzing::LIMITS};

use crate::{
    http::{
        parse::{self, BodyFormat, Images},
        problem::Problem,
        routes::v2::{request, tensor::Input},
    },
    pipeline::EncodedImage,
};

#[cfg(test)]
mod tests;

/// Images of a request that the targets accept.
const MAX_IMAGES: usize = 64;

/// A form: the first line is the request's `Content-Type`, the rest its body.
///
/// # Panics
/// If it yields more images than allowed, images that are not of the body, or if the parser waits.
pub fn multipart(bytes: &[u8]) {
    let (kind, body) = split_line(bytes);
    let Ok(value) = HeaderValue::from_bytes(kind) else {
        return;
    };
    let format = BodyFormat::of(&HeaderMap::from_iter([(header::CONTENT_TYPE, value.clone())]));
    let result = parse::multipart(Some(value), Bytes::copy_from_slice(body), MAX_IMAGES);
    if let Err(problem) = &result {
        brief(problem);
        assert_ne!(problem.code, "internal", "the parser waits");
    }
    if let Ok(images) = result {
        // axum's parser accepts any `multipart/form-data`; requests of another format never reach it.
        assert!(format.is_err() || format == Ok(BodyFormat::Multipart));
        bounded(list(&images), body.len());
    }
}

/// A JSON body, and the base64 in it.
///
/// # Panics
/// If it yields more images than allowed, or more bytes than were sent.
pub fn json(bytes: &[u8]) {
    match parse::json(&Bytes::copy_from_slice(bytes), MAX_IMAGES) {
        Ok(images) => {
            bounded(list(&images), bytes.len());
            decode(list(&images));
        }
        Err(problem) => brief(&problem),
    }
}

/// A request of the Open Inference Protocol: the first line is the header that says how long its JSON is (empty: not
/// sent), the rest its body.
///
/// # Panics
/// If it yields more images or faces than allowed, or more bytes than were sent.
pub fn infer(bytes: &[u8]) {
    let (length, body) = split_line(bytes);
    let mut headers = HeaderMap::new();
    match HeaderValue::from_bytes(length) {
        Ok(value) if value.is_empty() => {}
        Ok(value) => drop(headers.insert(request::JSON_LENGTH, value)),
        Err(_) => return,
    }
    let asked = request::json_length(&headers)
        .and_then(|json| request::parse(&Bytes::copy_from_slice(body), json, MAX_IMAGES));
    match asked.map(|asked| asked.input) {
        Ok(Input::Images(images)) => {
            bounded(&images, body.len());
            decode(&images);
        }
        // A value takes a byte at least, be it a digit.
        Ok(Input::Faces(faces)) => {
            assert!((1..=MAX_IMAGES).contains(&faces.len()) && faces.len() * PIXELS <= body.len());
        }
        Err(problem) => brief(&problem),
    }
}

/// The first line and what follows it.
fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = bytes.splitn(2, |b| *b == b'\n');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn list(images: &Images) -> &[EncodedImage] {
    match images {
        Images::One(image) => std::slice::from_ref(image),
        Images::Many(images) => images,
    }
}

fn decode(images: &[EncodedImage]) {
    for image in images {
        let decoded = image
            .file()
            .and_then(|file| Ok(fer_image::decode(&file, &LIMITS)?));
        if let Err(error) = decoded {
            brief(&error.into());
        }
    }
}

fn brief(problem: &Problem) {
    assert!(problem.detail.chars().count() <= 501, "{}", problem.detail);
}

fn bounded(images: &[EncodedImage], sent: usize) {
    assert!((1..=MAX_IMAGES).contains(&images.len()));
    let held = images.iter().map(EncodedImage::size);
    assert!(held.sum::<usize>() <= sent, "more bytes than were sent");
}
