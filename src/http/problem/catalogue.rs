//! Every problem there is: its status, code, title and detail.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;

use super::{Hint, Problem};

const OVERLOADED: &str = "overloaded";

impl Problem {
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

    /// 400: a tensor on `/v2` that does not fit the model.
    pub fn bad_tensor(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_tensor",
            "A tensor of the request does not fit the model.",
            detail,
        )
    }

    /// 404: a model or version on `/v2` that is not the one served.
    #[must_use]
    pub fn unknown_model(name: &str, version: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_model",
            "There is no such model.",
            format!("the model served here is {name:?}, version {version:?}"),
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

    /// 401: no API key, or not in the form that is wanted.
    #[must_use]
    pub fn no_key() -> Self {
        Self::unauthorized("send an API key in the header `Authorization: Bearer KEY`")
            .with(Hint::Challenge("Bearer realm=\"fer-serve\""))
    }

    /// 401: a key nobody knows.
    #[must_use]
    pub fn wrong_key() -> Self {
        Self::unauthorized("the API key is not one that is known here").with(Hint::Challenge(
            "Bearer realm=\"fer-serve\", error=\"invalid_token\"",
        ))
    }

    fn unauthorized(detail: &'static str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "An API key is wanted.",
            detail,
        )
    }

    /// 403: administration is for nobody here.
    #[must_use]
    pub fn admin_closed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "admin_closed",
            "Administration is closed on this port.",
            "start the server with --admin-listen and ask there, or with --api-keys and send a key",
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
        .with(Hint::Close)
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
        .with(Hint::AcceptPost)
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
        .with(Hint::AcceptEncoding)
    }

    /// 422: what was to be loaded is not as it should be; what was there goes on. `inside` is for the log.
    #[must_use]
    pub fn reload_refused(detail: String, inside: Option<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "reload_refused",
            "Something was not taken over.",
            detail,
        );
        problem.inside = inside;
        problem
    }

    /// 429: the client sends more than it may; the next request is let through after `wait`.
    #[must_use]
    pub fn rate_limited(wait: Duration) -> Self {
        let seconds = wait
            .as_secs()
            .saturating_add(u64::from(wait.subsec_nanos() > 0))
            .clamp(1, 3600);
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "This client sends too many requests.",
            "try again after the time in Retry-After",
        )
        .with(Hint::RetryIn(u32::try_from(seconds).unwrap_or(3600)))
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

    /// Whether it is [`Problem::overloaded`].
    #[must_use]
    pub fn is_overload(&self) -> bool {
        self.code == OVERLOADED
    }

    /// 503: there is as much work in flight as is allowed.
    #[must_use]
    pub fn overloaded() -> Self {
        Self::unavailable(
            OVERLOADED,
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

    /// 503: a worker has been inside its engine for that long and will not come back.
    #[must_use]
    pub fn wedged(inside: Duration) -> Self {
        Self::unavailable(
            "wedged",
            "The server hangs.",
            "the network does not come back with an answer; the server has to be started again",
        )
        .inside(format!("a worker has been inside its engine for {inside:?}"))
    }

    fn unavailable(code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail).with(Hint::RetryAfter)
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
}
