//! `GET /`: the web console. `GET /docs`: the API page. A few files each, built into the program.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";

/// Each file: path, media type, content.
const FILES: [(&str, &str, &str); 12] = [
    ("/", HTML, include_str!("../../web/index.html")),
    ("/console/app.js", SCRIPT, include_str!("../../web/app.js")),
    ("/console/camera.js", SCRIPT, include_str!("../../web/camera.js")),
    ("/console/faces.js", SCRIPT, include_str!("../../web/faces.js")),
    (
        "/console/pictures.js",
        SCRIPT,
        include_str!("../../web/pictures.js"),
    ),
    ("/console/style.css", STYLE, include_str!("../../web/style.css")),
    ("/console/icon.svg", PICTURE, include_str!("../../web/icon.svg")),
    ("/docs", HTML, include_str!("../../web/docs/index.html")),
    ("/docs/app.js", SCRIPT, include_str!("../../web/docs/app.js")),
    ("/docs/parts.js", SCRIPT, include_str!("../../web/docs/parts.js")),
    ("/docs/try.js", SCRIPT, include_str!("../../web/docs/try.js")),
    ("/docs/style.css", STYLE, include_str!("../../web/docs/style.css")),
];

/// Nothing but this server's own files, no inline code, no framing; pictures and camera streams stay in the
/// browser as `blob:` addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES
        .iter()
        .fold(Router::new(), |router, &(path, media_type, content)| {
            router.route(path, get(move || async move { file(media_type, content) }))
        })
}

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
