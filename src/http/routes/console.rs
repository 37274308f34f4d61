//! `GET /`: the web console. `GET /docs`: the API page. The files of both are compiled into the program.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

#[derive(Debug, Clone, Copy)]
pub(crate) struct File {
    pub(crate) path: &'static str,
    media_type: &'static str,
    content: &'static str,
}

/// A file of the folder `web`.
macro_rules! web_file {
    ($path:literal, $media_type:ident, $file:literal) => {
        File {
            path: $path,
            media_type: $media_type,
            content: include_str!(concat!("../../../web/", $file)),
        }
    };
}

/// All files; the route table has a row for each.
pub(crate) const FILES: [File; 12] = [
    web_file!("/", HTML, "index.html"),
    web_file!("/console/app.js", SCRIPT, "app.js"),
    web_file!("/console/camera.js", SCRIPT, "camera.js"),
    web_file!("/console/faces.js", SCRIPT, "faces.js"),
    web_file!("/console/pictures.js", SCRIPT, "pictures.js"),
    web_file!("/console/style.css", STYLE, "style.css"),
    web_file!("/console/icon.svg", IMAGE, "icon.svg"),
    web_file!("/docs", HTML, "docs/index.html"),
    web_file!("/docs/app.js", SCRIPT, "docs/app.js"),
    web_file!("/docs/parts.js", SCRIPT, "docs/parts.js"),
    web_file!("/docs/try.js", SCRIPT, "docs/try.js"),
    web_file!("/docs/style.css", STYLE, "docs/style.css"),
];

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
