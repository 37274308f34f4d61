//! The bodies of the fuzz targets: each takes any bytes through one parser and asserts what must hold whatever
//! they are. `fuzz/` hands them bytes from libFuzzer, [`tests`] a corpus and its mutations on any toolchain.
//!
//! Compiled for tests and with the feature `fuzzing` only.

use std::io::Cursor;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;

use crate::{
    engine::Manifest,
    http::{
        parse::{self, BodyFormat, Images},
        problem::Problem,
        routes::v2::{request, tensor::Input},
    },
    image::{self, ImageError, Limits, PIXELS},
    pipeline::EncodedImage,
    train::data::{self, Reader},
};

#[cfg(test)]
mod tests;

/// One parser and what it is fed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also that of its file in `fuzz/fuzz_targets/`.
    pub name: &'static str,
    /// Runs it. Panics if a property does not hold.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "picture",
        run: picture,
    },
    Target {
        name: "multipart",
        run: multipart,
    },
    Target {
        name: "json",
        run: json,
    },
    Target {
        name: "infer",
        run: infer,
    },
    Target {
        name: "csv",
        run: csv,
    },
    Target {
        name: "manifest",
        run: manifest,
    },
];

/// Images of a request that the targets accept.
const MAX_IMAGES: usize = 64;

/// Small, so that a claim beyond it is soon found, and one within it costs little: decoding may take 16 bytes a
/// pixel and 4 MiB, 20 MiB in all, which is what libFuzzer is told to hold it to.
const LIMITS: Limits = Limits {
    max_pixels: 1 << 20,
    max_side: 8192,
};

/// Recognise, decode, turn upright, resize.
///
/// # Panics
/// If a picture is larger than allowed, or the text for clients lets out what the decoder said.
pub fn picture(bytes: &[u8]) {
    let face = image::decode(bytes, &LIMITS);
    let luma = image::decode_luma(bytes, &LIMITS);
    if let Ok(luma) = &luma {
        let (width, height) = (u64::from(luma.width()), u64::from(luma.height()));
        assert_eq!(luma.pixels().len() as u64, width * height);
        assert!(width > 0 && height > 0 && width * height <= LIMITS.max_pixels);
        assert!(luma.width().max(luma.height()) <= LIMITS.max_side);
    }
    assert_eq!(
        face.is_ok(),
        luma.is_ok(),
        "a picture is readable for both uses or for none"
    );
    if let Err(error) = face {
        said(&error);
    }
}

fn said(error: &ImageError) {
    let text = error.to_string();
    assert!(text.len() < 200, "{text}");
    if let Some(detail) = error.detail().filter(|detail| detail.len() > 12) {
        assert!(!text.contains(&detail), "the inside got out: {text}");
    }
}

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

/// A CSV file, read strictly and with bad rows left out.
///
/// # Panics
/// If the two readings disagree, or a message could break out of its line.
pub fn csv(bytes: &[u8]) {
    let rows = |skip_bad_rows| {
        let input = Cursor::new(bytes.to_vec());
        Reader::from_read("d.csv", input, data::Options { skip_bad_rows })
    };
    let (strict, lenient) = (rows(false), rows(true));
    assert_eq!(strict.is_ok(), lenient.is_ok(), "both read the same header");
    let (strict, mut lenient) = match (strict, lenient) {
        (Ok(strict), Ok(lenient)) => (strict, lenient),
        (strict, _) => return strict.err().iter().for_each(|e| one_line(&e.to_string())),
    };
    let (labels, usages) = (strict.has_labels(), strict.has_usage());
    let kept: Vec<_> = lenient.by_ref().collect();
    let mut good = 0;
    for (row, kept) in strict.zip(&kept) {
        match row {
            Ok(row) => {
                good += 1;
                assert_eq!((row.label.is_some(), row.usage.is_some()), (labels, usages));
                assert_eq!(kept.as_ref().ok(), Some(&row));
            }
            Err(error) => {
                one_line(&error.to_string());
                assert!(lenient.skipped().count > 0);
            }
        }
    }
    assert!(kept.iter().all(Result::is_ok), "memory has no way to fail");
    assert!(lenient.skipped().count > 0 || good == kept.len());
    lenient.skipped().first.iter().for_each(|text| one_line(text));
}

fn one_line(text: &str) {
    assert!(!text.contains(['\n', '\r', '\0', '\x1b']), "{text:?}");
    assert!(text.len() < 1024, "{text}");
}

/// A `model.json`.
///
/// # Panics
/// If one that is accepted could scale a gray value to something that is no number, would reach outside its
/// folder, or is another one after it was written and read again.
pub fn manifest(bytes: &[u8]) {
    let Ok(manifest) = Manifest::parse(bytes) else {
        return;
    };
    let (factor, offset) = manifest.input.affine();
    for gray in [0.0, 255.0] {
        let scaled = (gray * factor + offset) as f32;
        assert!(scaled.is_finite(), "{gray} becomes {scaled}");
    }
    for name in manifest.files.keys() {
        let mut parts = std::path::Path::new(name).components();
        let first = parts.next();
        assert!(
            matches!(first, Some(std::path::Component::Normal(_))) && parts.next().is_none(),
            "{name:?} is not a plain name"
        );
    }
    let again = serde_json::to_vec(&manifest)
        .ok()
        .and_then(|text| Manifest::parse(&text).ok());
    assert_eq!(again.as_ref(), Some(&manifest));
}
