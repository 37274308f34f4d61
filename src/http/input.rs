//! What `/predict` and `/faces` are sent → pictures.
//!
//! | Content-Type | body |
//! | --- | --- |
//! | `image/*`, `application/octet-stream`, none | the picture itself; its content says what it is |
//! | `multipart/form-data` | one or more parts named `image` or `file`; other parts are ignored |
//! | `application/json` | `{"image": base64}` or `{"images": [base64, …]}`, no other keys |
//!
//! base64 is that of RFC 4648 section 4, with or without padding; white space in it is ignored, and a
//! `data:…;base64,` in front of it is taken off.

use std::{
    borrow::Cow,
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Request},
    http::{HeaderMap, header},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};

use super::{pictures::no_encoding, problem::Problem};
use crate::image::{self, Face, Limits, LumaImage};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The picture itself.
    Raw,
    /// A form.
    Multipart,
    /// JSON.
    Json,
}

impl Kind {
    /// The kind by the request's headers.
    ///
    /// # Errors
    /// 415 for other media types and for a `Content-Encoding`.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        no_encoding(headers)?;
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Raw);
        };
        let text = value.to_str().unwrap_or_default();
        let essence = text
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/octet-stream" => Ok(Self::Raw),
            "multipart/form-data" => Ok(Self::Multipart),
            "application/json" => Ok(Self::Json),
            e if e.strip_prefix("image/").is_some_and(|s| !s.is_empty()) => Ok(Self::Raw),
            _ => Err(Problem::unsupported_media_type(text)),
        }
    }
}

/// One picture as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picture {
    /// Its bytes.
    Raw(Bytes),
    /// Its bytes in base64.
    Base64(Bytes),
}

/// The pictures of a request, at least one.
#[derive(Debug, PartialEq, Eq)]
pub enum Pictures {
    /// The answer is an object.
    One(Picture),
    /// The answer is a list.
    Many(Vec<Picture>),
}

impl Picture {
    /// Decodes to a face. Computes for long; not for an async thread.
    ///
    /// # Errors
    /// 400 if it is empty or not base64, 415 if it is of no format we read, 422 if it is broken or too large.
    pub fn decode(&self, limits: &Limits) -> Result<Face, Problem> {
        image::decode(&self.bytes()?, limits).map_err(|e| Problem::from(&e))
    }

    /// Decodes to full-size gray, upright. Computes for long; not for an async thread.
    ///
    /// # Errors
    /// As [`Picture::decode`].
    pub fn decode_luma(&self, limits: &Limits) -> Result<LumaImage, Problem> {
        image::decode_luma(&self.bytes()?, limits).map_err(|e| Problem::from(&e))
    }

    /// Bytes that it takes in memory as it was sent.
    #[must_use]
    pub fn size(&self) -> usize {
        let (Self::Raw(bytes) | Self::Base64(bytes)) = self;
        bytes.len()
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, Problem> {
        match self {
            Self::Raw(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Base64(text) => decode_base64(text).map(Cow::Owned),
        }
    }
}

fn decode_base64(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let data = if text.get(..5).is_some_and(|p| p.eq_ignore_ascii_case(b"data:")) {
        let form = || Problem::bad_base64("a data: URL must be of the form data:image/png;base64,…");
        let comma = text.iter().position(|b| *b == b',').ok_or_else(form)?;
        let (head, data) = (&text[..comma], &text[comma + 1..]);
        if !head.to_ascii_lowercase().ends_with(b";base64") {
            return Err(form());
        }
        data
    } else {
        text
    };
    let clean = if data.iter().any(u8::is_ascii_whitespace) {
        Cow::Owned(
            data.iter()
                .copied()
                .filter(|b| !b.is_ascii_whitespace())
                .collect::<Vec<u8>>(),
        )
    } else {
        Cow::Borrowed(data)
    };
    BASE64.decode(&clean[..]).map_err(|e| {
        Problem::bad_base64("the picture must be in base64 with the alphabet A–Z a–z 0–9 + /")
            .inside(e.to_string())
    })
}

/// What a JSON object says; `wanted` describes it to who sent something else.
///
/// # Errors
/// 400 if it is not an object of that kind.
pub fn json_object<'a, T: Deserialize<'a>>(text: &'a [u8], wanted: &str) -> Result<T, Problem> {
    // serde would take a list for a struct, field by field.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_json(format!("a JSON object is wanted: {wanted}")));
    }
    serde_json::from_slice(text).map_err(|e| Problem::bad_json(format!("{e}; wanted is {wanted}")))
}

/// Takes a JSON body apart. Computes for as long as the body is; not for an async thread if it is large.
///
/// # Errors
/// 400 if it is not JSON of the form asked for, 413 if there are more than `max` pictures.
pub fn parse_json(body: &Bytes, max: usize) -> Result<Pictures, Problem> {
    let parsed: JsonBody<'_> = json_object(body, "{\"image\": base64} or {\"images\": [base64, …]}")?;
    // Text without escapes is a piece of the body and is not copied.
    let picture = |text: Text<'_>| {
        Picture::Base64(match text.0 {
            Cow::Borrowed(s) => body.slice_ref(s.as_bytes()),
            Cow::Owned(s) => Bytes::from(s),
        })
    };
    match (parsed.image, parsed.images) {
        (Some(image), None) => Ok(Pictures::One(picture(image))),
        (None, Some(images)) if images.total > max => Err(Problem::too_many_images(max)),
        (None, Some(images)) if images.kept.is_empty() => Err(Problem::no_image("`images` is empty")),
        (None, Some(images)) => Ok(Pictures::Many(images.kept.into_iter().map(picture).collect())),
        (Some(_), Some(_)) => Err(Problem::bad_json("send either `image` or `images`, not both")),
        (None, None) => Err(Problem::no_image(
            "the JSON object has neither `image` nor `images`",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBody<'a> {
    #[serde(borrow, default)]
    image: Option<Text<'a>>,
    #[serde(borrow, default)]
    images: Option<Texts<'a>>,
}

/// A string that borrows where it can; serde's own `Cow` does so only outside of `Option` and `Vec`.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The first strings of a list and how many there are in all: a body of `"","","",…` would otherwise take
/// eight times its size.
struct Texts<'a> {
    kept: Vec<Text<'a>>,
    total: usize,
}

/// More than `--max-images` can be.
const TEXTS_KEPT: usize = 4096;

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seq;
        impl<'de> Visitor<'de> for Seq {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of base64 strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut texts = Texts {
                    kept: Vec::new(),
                    total: 0,
                };
                while texts.kept.len() < TEXTS_KEPT {
                    let Some(text) = seq.next_element()? else {
                        return Ok(texts);
                    };
                    texts.kept.push(text);
                    texts.total += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    texts.total += 1;
                }
                Ok(texts)
            }
        }
        deserializer.deserialize_seq(Seq)
    }
}

/// Takes a form apart. That takes as long as the form is, however little it holds.
///
/// # Errors
/// 400 if it is not a form or holds no picture, 413 if it holds more than `max`.
pub fn parse_multipart(content_type: &HeaderMap, body: Bytes, max: usize) -> Result<Pictures, Problem> {
    // All of the body is there, so that there is nothing to wait for.
    match pin!(form(content_type, body, max)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(pictures) => pictures,
        Poll::Pending => Err(Problem::internal(
            "the form's parser waits for more than the body",
        )),
    }
}

async fn form(content_type: &HeaderMap, body: Bytes, max: usize) -> Result<Pictures, Problem> {
    let mut request = Request::new(Body::from(body));
    if let Some(value) = content_type.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, value.clone());
    }
    // The body was bounded by `--max-body` when it was read; unless told, axum stops its own extractors at 2 MiB.
    DefaultBodyLimit::disable().apply(&mut request);
    let broken = |e: String| Problem::bad_multipart("the form is badly framed or ends too early").inside(e);
    let mut form = Multipart::from_request(request, &()).await.map_err(|e| {
        Problem::bad_multipart("Content-Type must give the form's boundary; let the HTTP library set it")
            .inside(e.to_string())
    })?;
    let mut pictures = Vec::new();
    let mut other = None;
    while let Some(field) = form.next_field().await.map_err(|e| broken(e.body_text()))? {
        match field.name() {
            Some("image" | "file") => {
                if pictures.len() == max {
                    return Err(Problem::too_many_images(max));
                }
                pictures.push(Picture::Raw(
                    field.bytes().await.map_err(|e| broken(e.body_text()))?,
                ));
            }
            name => other = other.or_else(|| name.map(|n| n.chars().take(64).collect::<String>())),
        }
    }
    match (pictures.len(), other) {
        (0, Some(name)) => Err(Problem::no_image(format!(
            "the form has a part named {name:?} but none named `image` or `file`"
        ))),
        (0, None) => Err(Problem::no_image("the form has no part named `image` or `file`")),
        (1, _) => pictures
            .pop()
            .map(Pictures::One)
            .ok_or_else(|| Problem::internal("a picture is gone")),
        _ => Ok(Pictures::Many(pictures)),
    }
}

#[cfg(test)]
mod tests;
