//! The one error envelope: RFC 9457 `application/problem+json`.
//!
//! A handler returns a [`Problem`]; [`super::observe`] adds the request id and writes the body, so that
//! refusals of the framework (404, 405, a panic) end up in the same envelope. What a client may not see
//! travels in [`Problem::inside`], which only the log reads.
//!
//! | status | codes |
//! | --- | --- |
//! | 400 | `bad_request` `empty_body` `empty_image` `no_image` `bad_json` `bad_base64` `bad_multipart` |
//! | 404 | `not_found` |
//! | 405 | `method_not_allowed`, with `Allow` |
//! | 408 | `body_timeout` |
//! | 413 | `body_too_large` `too_many_images` |
//! | 415 | `unsupported_media_type` (the header), with `Accept-Post`; `unsupported_encoding`, with `Accept-Encoding`; `unknown_image_format` (the content) |
//! | 422 | `broken_image` `too_many_pixels` |
//! | 500 | `internal` |
//! | 503 | `overloaded` `not_ready` `draining`, with `Retry-After` |
//! | 504 | `deadline_exceeded` |

use std::borrow::Cow;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{batcher::ClassifyError, image::ImageError};

/// Media type of every error.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What `/predict` reads, for `Accept-Post` (W3C Linked Data Platform 7.1) beside a 415.
const ACCEPT_POST: HeaderValue =
    HeaderValue::from_static("image/*, application/octet-stream, multipart/form-data, application/json");

/// Seconds a client should wait after a 503.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// What went wrong, as a client may see it, and what the log should say beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable word for programs, in snake case.
    pub code: &'static str,
    /// One short sentence that is the same for every problem of this code.
    pub title: &'static str,
    /// What is wrong this time and what to do about it.
    pub detail: Cow<'static, str>,
    /// For the log only: paths, library messages, panics.
    pub inside: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            inside: None,
            header: None,
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// Adds what only the log may say.
    #[must_use]
    pub fn inside(mut self, text: impl Into<String>) -> Self {
        self.inside = Some(text.into());
        self
    }

    /// 400, for what no other code names.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            "The request is malformed.",
            detail,
        )
    }

    /// 400: nothing was sent.
    #[must_use]
    pub fn empty_body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "empty_body",
            "The request has no body.",
            "send a picture as the body, as a multipart part named `image`, or in JSON as {\"image\": base64}",
        )
    }

    /// 400: the form or the JSON holds no picture.
    pub fn no_image(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "no_image",
            "The request holds no picture.",
            detail,
        )
    }

    /// 400: JSON that is not JSON or not of the form asked for.
    pub fn bad_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_json",
            "The JSON body cannot be used.",
            detail,
        )
    }

    /// 400: an image string that is not base64.
    pub fn bad_base64(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_base64",
            "An image is not valid base64.",
            detail,
        )
    }

    /// 400: a form that cannot be taken apart.
    pub fn bad_multipart(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_multipart",
            "The multipart/form-data body cannot be used.",
            detail,
        )
    }

    /// 404.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing here.",
            "no such path; GET /openapi.yaml lists the paths there are",
        )
    }

    /// 405; the router adds `Allow`.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This path does not take that method.",
            "the Allow header lists the methods it takes",
        )
    }

    /// 408: the body did not arrive in time.
    #[must_use]
    pub fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The request body took too long to arrive.",
            "the whole body must arrive within the server's body timeout",
        )
        .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 413: more bytes than `limit`.
    #[must_use]
    pub fn body_too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The request body is too large.",
            format!("the body may have at most {limit} bytes"),
        )
    }

    /// 413: more pictures than `limit`.
    #[must_use]
    pub fn too_many_images(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_images",
            "The request holds too many pictures.",
            format!("a request may hold at most {limit} pictures; send the rest in further requests"),
        )
    }

    /// 415: a `Content-Type` that `/predict` does not read.
    #[must_use]
    pub fn unsupported_media_type(got: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The Content-Type is not one this path reads.",
            format!(
                "Content-Type is {got:?}; send image/* or application/octet-stream (the picture itself), multipart/form-data or application/json"
            ),
        )
        .with(HeaderName::from_static("accept-post"), ACCEPT_POST)
    }

    /// 415: a `Content-Encoding`; bodies are read as they are.
    #[must_use]
    pub fn unsupported_encoding() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "The Content-Encoding is not one this path reads.",
            "send the body without Content-Encoding; picture formats are compressed already",
        )
        .with(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
    }

    /// 500. The text goes to the log, not to the client.
    pub fn internal(inside: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed.",
            "the request may be fine; the server's log has the cause under this request id",
        )
        .inside(inside)
    }

    /// 503: there is as much work in flight as is allowed.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::unavailable(
            "overloaded",
            "The server is at its limit.",
            "too much work is in flight; try again after the time in Retry-After",
        )
    }

    /// 503: no model is ready yet, or none is any more.
    #[must_use]
    pub fn not_ready() -> Self {
        Self::unavailable(
            "not_ready",
            "The server is not ready.",
            "no model is ready; try again after the time in Retry-After",
        )
    }

    /// 503: the server is going away.
    #[must_use]
    pub fn draining() -> Self {
        Self::unavailable(
            "draining",
            "The server is shutting down.",
            "requests under way are finished; send new ones elsewhere",
        )
    }

    fn unavailable(code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail).with(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// 504: the answer was not there in time.
    #[must_use]
    pub fn deadline_exceeded() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            "The answer took too long.",
            "the answer was not ready within the server's request timeout",
        )
    }

    /// The envelope for a status that arose outside this crate's handlers.
    #[must_use]
    pub fn for_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::SERVICE_UNAVAILABLE => Self::overloaded(),
            s if s.is_client_error() => {
                let mut problem = Self::bad_request("the request could not be understood");
                problem.status = s;
                problem
            }
            _ => Self::internal(format!("a layer answered {status} without a problem")),
        }
    }

    /// A URI that names the kind of problem; it is a name, not an address.
    #[must_use]
    pub fn type_uri(&self) -> String {
        format!("urn:fer-serve:problem:{}", self.code)
    }

    /// The envelope with the request's id.
    #[must_use]
    pub const fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            problem: self,
            request_id,
        }
    }

    /// Headers that belong to the status (`Retry-After`, `Accept-Post`, …).
    pub fn extend_headers(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.header {
            headers.insert(name, value.clone());
        }
    }
}

/// `{type, title, status, detail, code, request_id}`, in that order. Outside a request (`fer-serve
/// predict`) there is no `request_id`.
#[derive(Debug)]
pub struct ProblemBody<'a> {
    problem: &'a Problem,
    request_id: Option<&'a str>,
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.problem.type_uri())?;
        map.serialize_entry("title", self.problem.title)?;
        map.serialize_entry("status", &self.problem.status.as_u16())?;
        map.serialize_entry("detail", &self.problem.detail)?;
        map.serialize_entry("code", self.problem.code)?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    /// The status and the headers; the body is written by [`super::observe`], which knows the request id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.extend_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<&ImageError> for Problem {
    fn from(error: &ImageError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            ImageError::Empty => Self::new(
                StatusCode::BAD_REQUEST,
                "empty_image",
                "A picture has no bytes.",
                detail,
            ),
            ImageError::UnknownFormat => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unknown_image_format",
                "The content is not a picture of a format this server reads.",
                detail,
            ),
            ImageError::TooManyPixels { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "too_many_pixels",
                "The picture is too large.",
                detail,
            ),
            ImageError::Broken { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "broken_image",
                "The picture cannot be decoded.",
                detail,
            ),
        };
        match error.detail() {
            Some(inside) => problem.inside(inside),
            None => problem,
        }
    }
}

impl From<ClassifyError> for Problem {
    fn from(error: ClassifyError) -> Self {
        match error {
            ClassifyError::QueueFull => Self::overloaded(),
            ClassifyError::Closed => Self::not_ready(),
            ClassifyError::Deadline => Self::deadline_exceeded(),
            ClassifyError::Engine(text) => Self::internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_its_keys_in_order_and_nothing_of_the_inside() {
        let problem = Problem::internal("/secret/path: panicked");
        let text = serde_json::to_string(&problem.body(Some("abc"))).unwrap();
        assert_eq!(
            text,
            r#"{"type":"urn:fer-serve:problem:internal","title":"The server failed.","status":500,"detail":"the request may be fine; the server's log has the cause under this request id","code":"internal","request_id":"abc"}"#
        );
    }

    #[test]
    fn headers_that_belong_to_a_status_are_there() {
        for (problem, name) in [
            (Problem::overloaded(), "retry-after"),
            (Problem::not_ready(), "retry-after"),
            (Problem::draining(), "retry-after"),
            (Problem::unsupported_media_type("text/html"), "accept-post"),
            (Problem::unsupported_encoding(), "accept-encoding"),
            (Problem::body_timeout(), "connection"),
        ] {
            let status = problem.status;
            let response = problem.into_response();
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key(name), "{status} wants {name}");
        }
    }

    #[test]
    fn picture_errors_map_to_their_status() {
        for (error, status, code) in [
            (ImageError::Empty, 400, "empty_image"),
            (ImageError::UnknownFormat, 415, "unknown_image_format"),
        ] {
            let problem = Problem::from(&error);
            assert_eq!((problem.status.as_u16(), problem.code), (status, code));
        }
    }

    #[test]
    fn a_foreign_status_keeps_its_number() {
        for status in [404, 405, 418, 500, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Problem::for_status(status).status, status);
        }
    }
}
