//! `GET /`: the web console. `GET /docs`: the API page. The files of both are compiled into the program.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file of a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    pub(crate) path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// All files; the route table has a row for each.
pub(crate) const FILES: [File; 12] = [
    file("/", HTML, include_str!("../../../web/index.html")),
    file("/console/app.js", SCRIPT, include_str!("../../../web/app.js")),
    file(
        "/console/camera.js",
        SCRIPT,
        include_str!("../../../web/camera.js"),
    ),
    file("/console/faces.js", SCRIPT, include_str!("../../../web/faces.js")),
    file(
        "/console/pictures.js",
        SCRIPT,
        include_str!("../../../web/pictures.js"),
    ),
    file(
        "/console/style.css",
        STYLE,
        include_str!("../../../web/style.css"),
    ),
    file("/console/icon.svg", IMAGE, include_str!("../../../web/icon.svg")),
    file("/docs", HTML, include_str!("../../../web/docs/index.html")),
    file("/docs/app.js", SCRIPT, include_str!("../../../web/docs/app.js")),
    file(
        "/docs/parts.js",
        SCRIPT,
        include_str!("../../../web/docs/parts.js"),
    ),
    file("/docs/try.js", SCRIPT, include_str!("../../../web/docs/try.js")),
    file(
        "/docs/style.css",
        STYLE,
        include_str!("../../../web/docs/style.css"),
    ),
];

const fn file(path: &'static str, media_type: &'static str, content: &'static str) -> File {
    File {
        path,
        media_type,
        content,
    }
}

/// Only this server's own files, no inline code, no framing; images and camera streams stay in the browser as `blob:`
/// addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

impl File {
    pub(crate) fn answer(self) -> Response {
        let fixed = HeaderValue::from_static;
        let headers = [
            (header::CONTENT_TYPE, fixed(self.media_type)),
            (header::CONTENT_SECURITY_POLICY, fixed(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
            (header::REFERRER_POLICY, fixed("no-referrer")),
            (
                HeaderName::from_static("permissions-policy"),
                fixed("camera=(self), microphone=(), geolocation=()"),
            ),
            // A new version of the server may bring new files; they are small.
            (header::CACHE_CONTROL, fixed("no-cache")),
        ];
        (headers, self.content).into_response()
    }
}
