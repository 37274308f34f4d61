//! The one error envelope: RFC 9457 `application/problem+json`.
//!
//! A handler returns a [`Problem`]; the layer `observe` adds the request id and writes the body, so errors of the framework
//! (404, 405, a panic) get the same envelope. [`Problem::inside`] holds what only the log may contain. `catalogue.rs` lists
//! all codes.

mod catalogue;
mod convert;

pub(crate) use convert::Failure;

use std::borrow::Cow;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::ser::{Serialize, SerializeMap, Serializer};

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// A stable word for programs, in snake case.
    pub(crate) code: &'static str,
    /// One short sentence, the same for all problems with this code.
    pub(crate) title: &'static str,
    /// What is wrong in this case and how to fix it.
    pub(crate) detail: Cow<'static, str>,
    /// For the log only: paths, messages of libraries, panics.
    pub(crate) inside: Option<String>,
    header: Option<(HeaderName, HeaderValue)>,
}

/// Most characters of a detail. Some details, and messages of the JSON parser, quote the request: without a limit a body of
/// megabytes would be sent back.
const DETAIL_MAX: usize = 500;

fn shortened(detail: Cow<'static, str>) -> Cow<'static, str> {
    match detail.char_indices().nth(DETAIL_MAX) {
        None => detail,
        // The end of such a message says what was expected, as a rule.
        Some(_) => {
            let ends: Vec<char> = detail.chars().rev().take(DETAIL_MAX / 2).collect();
            let begins = detail.chars().take(DETAIL_MAX / 2);
            begins.chain(['…']).chain(ends.into_iter().rev()).collect()
        }
    }
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
            detail: shortened(detail.into()),
            inside: None,
            header: None,
        }
    }

    fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    pub(crate) fn inside(mut self, text: impl Into<String>) -> Self {
        self.inside = Some(text.into());
        self
    }

    /// The envelope. There is no request id outside of a request (`fer-serve predict`).
    pub(crate) const fn body<'a>(&'a self, request_id: Option<&'a str>) -> ProblemBody<'a> {
        ProblemBody {
            problem: self,
            request_id,
            error: false,
        }
    }

    /// Adds the header that belongs to the problem (`Retry-After`, `Accept-Post`, …), if there is one.
    pub(crate) fn extend_headers(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = self.header.clone() {
            headers.insert(name, value);
        }
    }
}

/// `{type, title, status, detail, code, request_id}`, in that order, and on `/v2` also `error`.
#[derive(Debug)]
pub(crate) struct ProblemBody<'a> {
    problem: &'a Problem,
    request_id: Option<&'a str>,
    error: bool,
}

impl ProblemBody<'_> {
    /// Adds the key `error`, which clients of the Open Inference Protocol read.
    pub(crate) const fn with_error(mut self) -> Self {
        self.error = true;
        self
    }
}

impl Serialize for ProblemBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // A URI that names the kind of problem; it is a name, not an address.
        map.serialize_entry("type", &format!("urn:fer-serve:problem:{}", self.problem.code))?;
        map.serialize_entry("title", self.problem.title)?;
        map.serialize_entry("status", &self.problem.status.as_u16())?;
        map.serialize_entry("detail", &self.problem.detail)?;
        map.serialize_entry("code", self.problem.code)?;
        if let Some(id) = self.request_id {
            map.serialize_entry("request_id", id)?;
        }
        if self.error {
            let error = format!("{} {}", self.problem.title, self.problem.detail);
            map.serialize_entry("error", &error)?;
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    /// The status and the headers; the layer `observe`, which knows the request id, writes the body.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.extend_headers(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use fer_image::ImageError;

    use super::*;
    use crate::pipeline::DecodeError;

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
    fn what_was_sent_is_not_repeated_without_end() {
        let long = Problem::bad_json(format!(
            "invalid type: string {:?}, expected a list",
            "ä".repeat(100_000)
        ));
        assert_eq!(long.detail.chars().count(), DETAIL_MAX + 1);
        assert!(long.detail.starts_with("invalid type") && long.detail.ends_with("expected a list"));
        let short = "x".repeat(DETAIL_MAX);
        assert_eq!(Problem::bad_json(short.clone()).detail, short);
    }

    #[test]
    fn headers_that_belong_to_a_status_are_there() {
        for (problem, name) in [
            (Problem::overloaded(), "retry-after"),
            (Problem::not_ready(), "retry-after"),
            (Problem::draining(), "retry-after"),
            (Problem::wedged(), "retry-after"),
            (Problem::unsupported_media_type("text/html"), "accept-post"),
            (Problem::unsupported_encoding(), "accept-encoding"),
            (Problem::body_timeout(), "connection"),
            (Problem::no_key(), "www-authenticate"),
            (Problem::wrong_key(), "www-authenticate"),
            (
                Problem::rate_limited(std::time::Duration::from_millis(1)),
                "retry-after",
            ),
        ] {
            let status = problem.status;
            let response = problem.into_response();
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key(name), "{status} has no {name}");
        }
    }

    #[test]
    fn picture_errors_map_to_their_status() {
        for (error, status, code) in [
            (ImageError::Empty, 400, "empty_image"),
            (
                ImageError::UnknownFormat(fer_image::Unread::Unknown),
                415,
                "unknown_image_format",
            ),
        ] {
            let problem = Problem::from(DecodeError::from(error));
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
