//! All problems: status, code, title and detail.

use std::{borrow::Cow, time::Duration};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};

use super::Problem;

/// A constructor for each of these codes, which is its name: its arguments, status, title, what is wrong in this case, and
/// the header of the response.
macro_rules! problems {
    ($($code:ident($($arg:ident: $type:ty),*) $status:ident $title:literal => $detail:expr $(, $header:ident: $value:literal)?;)*) => {
        impl Problem {$(
            pub(crate) fn $code($($arg: $type),*) -> Self {
                Self::new(StatusCode::$status, stringify!($code), $title, $detail)
                    $(.with(header::$header, HeaderValue::from_static($value)))?
            }
        )*}
    };
}

type Text = Cow<'static, str>;

problems! {
    bad_request(detail: impl Into<Text>) BAD_REQUEST "The request is malformed." => detail;
    no_image(detail: impl Into<Text>) BAD_REQUEST "The request holds no picture." => detail;
    empty_image(detail: impl Into<Text>) BAD_REQUEST "A picture has no bytes." => detail;
    bad_json(detail: impl Into<Text>) BAD_REQUEST "The JSON body cannot be used." => detail;
    bad_base64(detail: impl Into<Text>) BAD_REQUEST "An image is not valid base64." => detail;
    bad_tensor(detail: impl Into<Text>) BAD_REQUEST "A tensor of the request does not fit the model." => detail;
    bad_multipart(detail: impl Into<Text>) BAD_REQUEST "The multipart/form-data body cannot be used." => detail;
    unknown_image_format(detail: impl Into<Text>) UNSUPPORTED_MEDIA_TYPE
        "The content is not a picture of a format this server reads." => detail;
    too_many_pixels(detail: impl Into<Text>) UNPROCESSABLE_ENTITY "The picture is too large." => detail;
    unsupported_image(detail: impl Into<Text>) UNPROCESSABLE_ENTITY "The picture is of a kind that is not read." => detail;
    broken_image(detail: impl Into<Text>) UNPROCESSABLE_ENTITY "The picture cannot be decoded." => detail;
    too_costly(detail: impl Into<Text>) UNPROCESSABLE_ENTITY "The picture takes too much to decode." => detail;
    reload_refused(detail: impl Into<Text>) UNPROCESSABLE_ENTITY "The reload was rejected." => detail;

    empty_body() BAD_REQUEST "The request has no body."
        => "send a picture as the body, as a multipart part named `image`, or in JSON as {\"image\": base64}";
    admin_closed() FORBIDDEN "The admin endpoints are disabled on this port."
        => "start the server with --admin-listen and ask there, or with --api-keys and send a key";
    not_found() NOT_FOUND "There is nothing here."
        => "no such path; GET /openapi.yaml lists the paths there are";
    unknown_model(name: &str, version: &str) NOT_FOUND "There is no such model."
        => format!("the model served here is {name:?}, version {version:?}");
    method_not_allowed() METHOD_NOT_ALLOWED "This path does not take that method."
        => "the Allow header lists the methods it takes";
    body_timeout() REQUEST_TIMEOUT "The request body took too long to arrive."
        => "the whole body must arrive within the server's body timeout", CONNECTION: "close";
    body_too_large(limit: u64) PAYLOAD_TOO_LARGE "The request body is too large."
        => format!("the body may have at most {limit} bytes");
    too_many_images(limit: usize) PAYLOAD_TOO_LARGE "The request holds too many pictures."
        => format!("a request may hold at most {limit} pictures; send the rest in further requests");
    unsupported_encoding() UNSUPPORTED_MEDIA_TYPE "The Content-Encoding is not one this path reads."
        => "send the body without Content-Encoding; picture formats are compressed already", ACCEPT_ENCODING: "identity";
    overloaded() SERVICE_UNAVAILABLE "The server is at its limit."
        => "too much work is in flight; try again after the time in Retry-After", RETRY_AFTER: "1";
    not_ready() SERVICE_UNAVAILABLE "The server is not ready."
        => "no model is ready; try again after the time in Retry-After", RETRY_AFTER: "1";
    draining() SERVICE_UNAVAILABLE "The server is shutting down."
        => "requests under way are finished; send new ones elsewhere", RETRY_AFTER: "1";
    wedged() SERVICE_UNAVAILABLE "The server hangs."
        => "the network does not come back with an answer; the server has to be started again", RETRY_AFTER: "1";
    deadline_exceeded() GATEWAY_TIMEOUT "The answer took too long."
        => "the answer was not ready within the server's request timeout";
}

impl Problem {
    pub(crate) fn no_key() -> Self {
        Self::unauthorized(
            "send an API key in the header `Authorization: Bearer KEY`",
            "Bearer realm=\"fer-serve\"",
        )
    }

    pub(crate) fn wrong_key() -> Self {
        Self::unauthorized(
            "the API key is not one that is known here",
            "Bearer realm=\"fer-serve\", error=\"invalid_token\"",
        )
    }

    /// `challenge` says how to authenticate (RFC 6750).
    fn unauthorized(detail: &'static str, challenge: &'static str) -> Self {
        let title = "An API key is required.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail)
            .with(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    }

    /// 415: a `Content-Type` that `/predict` does not read.
    pub(crate) fn unsupported_media_type(got: &str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The Content-Type is not one this path reads.",
            format!(
                "Content-Type is {got:?}; send image/* or application/octet-stream (the picture itself), multipart/form-data or application/json"
            ),
        )
        // W3C Linked Data Platform 7.1
        .with(
            HeaderName::from_static("accept-post"),
            HeaderValue::from_static("image/*, application/octet-stream, multipart/form-data, application/json"),
        )
    }

    /// 429: the next request is accepted after `wait`.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "This client sends too many requests.",
            "try again after the time in Retry-After",
        )
        .with(header::RETRY_AFTER, seconds.clamp(1, 3600))
    }

    /// 500. The text goes to the log, not to the client.
    pub(crate) fn internal(inside: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed.",
            "the request may be fine; the server's log has the cause under this request id",
        )
        .inside(inside)
    }

    /// The problem for an error status of a layer or of the framework.
    pub(crate) fn for_status(status: StatusCode) -> Self {
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
}
