//! All problems: status, code, title and detail.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;

use super::{Hint, Problem};

const OVERLOADED: &str = "overloaded";

/// A constructor for each of these codes, which is its name. `detail` says what is wrong in this case; where it is always
/// the same, it stands here.
macro_rules! problems {
    ($($code:ident($detail:ident) $status:ident $title:literal)*) => {
        impl Problem {$(
            pub(crate) fn $code($detail: impl Into<Cow<'static, str>>) -> Self {
                Self::new(StatusCode::$status, stringify!($code), $title, $detail)
            }
        )*}
    };
    ($($code:ident() $status:ident $title:literal $detail:literal)*) => {
        impl Problem {$(
            pub(crate) fn $code() -> Self {
                Self::new(StatusCode::$status, stringify!($code), $title, $detail)
            }
        )*}
    };
}

problems! {
    bad_request(detail) BAD_REQUEST "The request is malformed."
    no_image(detail) BAD_REQUEST "The request holds no picture."
    bad_json(detail) BAD_REQUEST "The JSON body cannot be used."
    bad_base64(detail) BAD_REQUEST "An image is not valid base64."
    bad_tensor(detail) BAD_REQUEST "A tensor of the request does not fit the model."
    bad_multipart(detail) BAD_REQUEST "The multipart/form-data body cannot be used."
}

problems! {
    empty_body() BAD_REQUEST "The request has no body."
        "send a picture as the body, as a multipart part named `image`, or in JSON as {\"image\": base64}"

    admin_closed() FORBIDDEN "The admin endpoints are disabled on this port."
        "start the server with --admin-listen and ask there, or with --api-keys and send a key"

    not_found() NOT_FOUND "There is nothing here."
        "no such path; GET /openapi.yaml lists the paths there are"

    method_not_allowed() METHOD_NOT_ALLOWED "This path does not take that method."
        "the Allow header lists the methods it takes"

    deadline_exceeded() GATEWAY_TIMEOUT "The answer took too long."
        "the answer was not ready within the server's request timeout"
}

impl Problem {
    /// A model or version on `/v2` other than the one in service.
    pub(crate) fn unknown_model(name: &str, version: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_model",
            "There is no such model.",
            format!("the model served here is {name:?}, version {version:?}"),
        )
    }

    /// No API key, or not in the expected form.
    pub(crate) fn no_key() -> Self {
        Self::unauthorized("send an API key in the header `Authorization: Bearer KEY`")
            .with(Hint::Challenge("Bearer realm=\"fer-serve\""))
    }

    pub(crate) fn wrong_key() -> Self {
        Self::unauthorized("the API key is not one that is known here").with(Hint::Challenge(
            "Bearer realm=\"fer-serve\", error=\"invalid_token\"",
        ))
    }

    fn unauthorized(detail: &'static str) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "An API key is required.",
            detail,
        )
    }

    /// 408: the body did not arrive in time.
    pub(crate) fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The request body took too long to arrive.",
            "the whole body must arrive within the server's body timeout",
        )
        .with(Hint::Close)
    }

    /// 413: more bytes than `limit`.
    pub(crate) fn body_too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The request body is too large.",
            format!("the body may have at most {limit} bytes"),
        )
    }

    /// 413: more images than `limit`.
    pub(crate) fn too_many_images(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_many_images",
            "The request holds too many pictures.",
            format!("a request may hold at most {limit} pictures; send the rest in further requests"),
        )
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
        .with(Hint::AcceptPost)
    }

    /// 415: a `Content-Encoding`; compressed bodies are not accepted.
    pub(crate) fn unsupported_encoding() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "The Content-Encoding is not one this path reads.",
            "send the body without Content-Encoding; picture formats are compressed already",
        )
        .with(Hint::AcceptEncoding)
    }

    /// 422: some of it could not be used; the old stays in service. `inside` is for the log.
    pub(crate) fn reload_refused(detail: String, inside: Option<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "reload_refused",
            "The reload was rejected.",
            detail,
        );
        problem.inside = inside;
        problem
    }

    /// 429: the next request is accepted after `wait`.
    pub(crate) fn rate_limited(wait: Duration) -> Self {
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
    pub(crate) fn internal(inside: impl Into<String>) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed.",
            "the request may be fine; the server's log has the cause under this request id",
        )
        .inside(inside)
    }

    /// Whether it is [`Problem::overloaded`].
    pub(crate) fn is_overload(&self) -> bool {
        self.code == OVERLOADED
    }

    /// 503: a limit on work in flight is reached.
    pub(crate) fn overloaded() -> Self {
        Self::unavailable(
            OVERLOADED,
            "The server is at its limit.",
            "too much work is in flight; try again after the time in Retry-After",
        )
    }

    /// 503: no model is loaded, or none of its engines works.
    pub(crate) fn not_ready() -> Self {
        Self::unavailable(
            "not_ready",
            "The server is not ready.",
            "no model is ready; try again after the time in Retry-After",
        )
    }

    /// 503: the server is shutting down.
    pub(crate) fn draining() -> Self {
        Self::unavailable(
            "draining",
            "The server is shutting down.",
            "requests under way are finished; send new ones elsewhere",
        )
    }

    /// 503: a worker has been inside its engine for too long and will not return.
    pub(crate) fn wedged(inside: Duration) -> Self {
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
