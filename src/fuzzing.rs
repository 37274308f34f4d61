//! The bodies of the fuzz targets `multipart`, `json` and `infer`: see `fer_image::fuzzing`.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;

use crate::{
    http::{
        parse::{self, BodyFormat, Images},
        problem::Problem,
        routes::v2::{request, tensor::Input},
    },
    image::{PIXELS, fuzzing::LIMITS},
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
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (kind, body) = (
        bytes.get(..end).unwrap_or_default(),
        bytes.get(end + 1..).unwrap_or_default(),
    );
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
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let body = bytes.get(end + 1..).unwrap_or_default();
    let mut headers = HeaderMap::new();
    match HeaderValue::from_bytes(bytes.get(..end).unwrap_or_default()) {
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

fn list(images: &Images) -> &[EncodedImage] {
    match images {
        Images::One(image) => std::slice::from_ref(image),
        Images::Many(images) => images,
    }
}

fn decode(images: &[EncodedImage]) {
    for image in images {
        if let Err(error) = image.decode(&LIMITS) {
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
