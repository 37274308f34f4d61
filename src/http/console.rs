//! `GET /`: the web console, four files built into the program.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

const PAGE: &str = include_str!("../../web/index.html");
const SCRIPT: &str = include_str!("../../web/app.js");
const FACES: &str = include_str!("../../web/faces.js");
const STYLE: &str = include_str!("../../web/style.css");

/// Nothing but this server's own files, no inline code, no framing; pictures and camera streams stay in the
/// browser as `blob:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(media_type: &'static str, content: &'static str) -> Response {
    let fixed = |value| HeaderValue::from_static(value);
    let headers = [
        (header::CONTENT_TYPE, fixed(media_type)),
        (header::CONTENT_SECURITY_POLICY, fixed(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (header::REFERRER_POLICY, fixed("no-referrer")),
        (
            HeaderName::from_static("permissions-policy"),
            fixed("camera=(self), microphone=(), geolocation=()"),
        ),
        // A new server may bring a new page; the files are small.
        (header::CACHE_CONTROL, fixed("no-cache")),
    ];
    (headers, content).into_response()
}

/// The page.
pub async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE)
}

/// What it does.
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// How it asks for faces and shows them.
pub async fn faces() -> Response {
    file("text/javascript; charset=utf-8", FACES)
}

/// What it looks like.
pub async fn style() -> Response {
    file("text/css; charset=utf-8", STYLE)
}
