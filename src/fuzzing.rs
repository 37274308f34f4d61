//! The bodies of the fuzz targets `multipart`, `json` and `infer`: see `fer_image::fuzzing`.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;

use crate::{
    http::{
        input::{self, Kind, Picture, Pictures},
        problem::Problem,
        v2::{request, tensor::Input},
    },
    image::{PIXELS, fuzzing::LIMITS},
};

#[cfg(test)]
mod tests;

/// Pictures of a request that the targets accept.
const MAX_IMAGES: usize = 64;

/// A form: the first line is the request's `Content-Type`, the rest its body.
///
/// # Panics
/// If there come more pictures than allowed, pictures that are not of the body, or the parser waits for something.
pub fn multipart(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (kind, body) = (
        bytes.get(..end).unwrap_or_default(),
        bytes.get(end + 1..).unwrap_or_default(),
    );
    let Ok(value) = HeaderValue::from_bytes(kind) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, value);
    let kind = Kind::of(&headers);
    let result = input::parse_multipart(&headers, Bytes::copy_from_slice(body), MAX_IMAGES);
    if let Err(problem) = &result {
        brief(problem);
        assert_ne!(problem.code, "internal", "the parser waits for something");
    }
    if let Ok(pictures) = result {
        // axum's parser takes any `multipart/form-data`; requests of another kind never reach it.
        assert!(kind.is_err() || kind == Ok(Kind::Multipart));
        bounded(list(&pictures), body.len());
    }
}

/// A JSON body, and the base64 in it.
///
/// # Panics
/// If there come more pictures than allowed, or more bytes than were sent.
pub fn json(bytes: &[u8]) {
    match input::parse_json(&Bytes::copy_from_slice(bytes), MAX_IMAGES) {
        Ok(pictures) => {
            bounded(list(&pictures), bytes.len());
            decode(list(&pictures));
        }
        Err(problem) => brief(&problem),
    }
}

/// A request of the Open Inference Protocol: the first line is the header that says how long its JSON is (empty: not
/// sent), the rest its body.
///
/// # Panics
/// If there come more pictures or faces than allowed, or more bytes than were sent.
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
        Ok(Input::Pictures(pictures)) => {
            bounded(&pictures, body.len());
            decode(&pictures);
        }
        // A value takes a byte at least, be it a digit.
        Ok(Input::Faces(faces)) => {
            assert!((1..=MAX_IMAGES).contains(&faces.len()) && faces.len() * PIXELS <= body.len());
        }
        Err(problem) => brief(&problem),
    }
}

fn list(pictures: &Pictures) -> &[Picture] {
    match pictures {
        Pictures::One(picture) => std::slice::from_ref(picture),
        Pictures::Many(pictures) => pictures,
    }
}

fn decode(pictures: &[Picture]) {
    for picture in pictures {
        if let Err(problem) = picture.decode(&LIMITS) {
            brief(&problem);
        }
    }
}

fn brief(problem: &Problem) {
    assert!(problem.detail.chars().count() <= 501, "{}", problem.detail);
}

fn bounded(pictures: &[Picture], sent: usize) {
    assert!((1..=MAX_IMAGES).contains(&pictures.len()));
    let held = pictures.iter().map(|picture| match picture {
        Picture::Raw(bytes) | Picture::Base64(bytes) => bytes.len(),
    });
    assert!(held.sum::<usize>() <= sent, "more bytes than were sent");
}
