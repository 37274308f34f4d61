//! The bodies of `/predict` and `/faces` → images.
//!
//! | Content-Type | body |
//! | --- | --- |
//! | `image/*`, `application/octet-stream`, none | the image itself; its content says what it is |
//! | `multipart/form-data` | one or more parts named `image` or `file`; other parts are ignored |
//! | `application/json` | `{"image": base64}` or `{"images": [base64, …]}`, no other keys |

use std::{
    borrow::Cow,
    fmt,
    marker::PhantomData,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request},
    http::{HeaderMap, HeaderValue, Uri, header},
};
use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};

use super::problem::Problem;
use crate::pipeline::EncodedImage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// The image itself.
    Raw,
    Multipart,
    Json,
}

impl BodyFormat {
    /// The format by the request's headers: 415 for other media types and for a `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
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

/// Refuses a `Content-Encoding`: bodies are read as they are.
pub(super) fn no_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = |v: &HeaderValue| !v.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        return Err(Problem::unsupported_encoding());
    }
    Ok(())
}

pub(super) fn query(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .map_err(|e| Problem::bad_request("the query string cannot be read").inside(e.to_string()))
}

/// The images of a request, at least one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Images {
    /// The answer is an object.
    One(EncodedImage),
    /// The answer is a list.
    Many(Vec<EncodedImage>),
}

/// A JSON object as a `T`; `expected` describes it in the problem, 400, if it is something else.
pub(crate) fn json_object<'a, T: Deserialize<'a>>(text: &'a [u8], expected: &str) -> Result<T, Problem> {
    // serde would also accept a list, field by field.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_json(format!("expected a JSON object: {expected}")));
    }
    serde_json::from_slice(text).map_err(|e| Problem::bad_json(format!("{e}; expected {expected}")))
}

/// Parses a JSON body: 400 if it is not of that form, 413 if there are more than `max` images. Takes time in proportion to its
/// length: a large one is not for an async thread.
pub(crate) fn json(body: &Bytes, max: usize) -> Result<Images, Problem> {
    let parsed: JsonBody<'_> = json_object(body, "{\"image\": base64} or {\"images\": [base64, …]}")?;
    let encoded = |text: Text<'_>| EncodedImage::from_json(body, text.0);
    match (parsed.image, parsed.images) {
        (Some(image), None) => Ok(Images::One(encoded(image))),
        (None, Some(images)) if images.total > max => Err(Problem::too_many_images(max)),
        (None, Some(images)) if images.kept.is_empty() => Err(Problem::no_image("`images` is empty")),
        (None, Some(images)) => Ok(Images::Many(images.kept.into_iter().map(encoded).collect())),
        (Some(_), Some(_)) => Err(Problem::bad_json("send either `image` or `images`, not both")),
        (None, None) => Err(Problem::no_image(
            "the JSON object has neither `image` nor `images`",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonBody<'a> {
    #[serde(borrow)]
    image: Option<Text<'a>>,
    #[serde(borrow)]
    images: Option<First<Text<'a>, TEXTS_KEPT>>,
}

/// A string that borrows where it can; serde's own `Cow` does so only outside of `Option` and `Vec`.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The first `N` elements of a list and their number in all: if all were kept, a body of `"","","",…` would take eight times
/// its size.
pub(crate) struct First<T, const N: usize> {
    pub(crate) kept: Vec<T>,
    pub(crate) total: usize,
}

impl<T, const N: usize> Default for First<T, N> {
    fn default() -> Self {
        let (kept, total) = (Vec::new(), 0);
        Self { kept, total }
    }
}

/// More than `--max-images` can be.
const TEXTS_KEPT: usize = 4096;

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for First<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seq<T, const N: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Seq<T, N> {
            type Value = First<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut first = First::default();
                while first.kept.len() < N {
                    let Some(element) = seq.next_element()? else {
                        return Ok(first);
                    };
                    first.kept.push(element);
                    first.total += 1;
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    first.total += 1;
                }
                Ok(first)
            }
        }
        deserializer.deserialize_seq(Seq(PhantomData))
    }
}

/// Parses a form: 400 if it is not one or holds no image, 413 if it holds more than `max`. Takes time in proportion to its
/// length: a large one is not for an async thread.
pub(crate) fn multipart(
    content_type: Option<HeaderValue>,
    body: Bytes,
    max: usize,
) -> Result<Images, Problem> {
    // The whole body is there, so the parser has nothing to wait for.
    match pin!(form(content_type, body, max)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(images) => images,
        Poll::Pending => Err(Problem::internal(
            "the form's parser waits for more than the body",
        )),
    }
}

async fn form(content_type: Option<HeaderValue>, body: Bytes, max: usize) -> Result<Images, Problem> {
    let mut request = Request::new(Body::from(body));
    if let Some(value) = content_type {
        request.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    // `--max-body` bounded the body when it was read; axum's own limit for extractors is 2 MiB.
    DefaultBodyLimit::disable().apply(&mut request);
    let broken = |e: String| Problem::bad_multipart("the form is badly framed or ends too early").inside(e);
    let mut form = Multipart::from_request(request, &()).await.map_err(|e| {
        Problem::bad_multipart("Content-Type must give the form's boundary; let the HTTP library set it")
            .inside(e.to_string())
    })?;
    let mut images = Vec::new();
    let mut other = None;
    while let Some(field) = form.next_field().await.map_err(|e| broken(e.body_text()))? {
        match field.name() {
            Some("image" | "file") => {
                if images.len() == max {
                    return Err(Problem::too_many_images(max));
                }
                let file = field.bytes().await.map_err(|e| broken(e.body_text()))?;
                images.push(EncodedImage::Raw(file));
            }
            name => other = other.or_else(|| name.map(|n| n.chars().take(64).collect::<String>())),
        }
    }
    match (images.len(), other) {
        (0, Some(name)) => Err(Problem::no_image(format!(
            "the form has a part named {name:?} but none named `image` or `file`"
        ))),
        (0, None) => Err(Problem::no_image("the form has no part named `image` or `file`")),
        (1, _) => Ok(Images::One(images.swap_remove(0))),
        _ => Ok(Images::Many(images)),
    }
}

#[cfg(test)]
mod tests;
