//! `GET /`: the web page. `GET /docs`: the API page. The files of both are compiled into the program.

use axum::{
    extract::Path,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JPEG: &str = "image/jpeg";

#[derive(Debug, Clone, Copy)]
struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
}

/// Files of a folder below `web`, by name and media type.
macro_rules! files {
    ($($folder:literal $name:literal $media_type:ident,)*) => {
        &[$(File {
            name: $name,
            media_type: $media_type,
            content: include_bytes!(concat!("../../../web/", $folder, $name)),
        }),*]
    };
}

/// What `/console/{file}` serves.
const CONSOLE: &[File] = files![
    "" "api.js" SCRIPT,
    "" "app.js" SCRIPT,
    "" "camera.js" SCRIPT,
    "" "chart.js" SCRIPT,
    "" "check.js" SCRIPT,
    "" "code.js" SCRIPT,
    "" "dom.js" SCRIPT,
    "" "export.js" SCRIPT,
    "" "faces.js" SCRIPT,
    "" "files.js" SCRIPT,
    "" "intro.js" SCRIPT,
    "" "list.js" SCRIPT,
    "" "model.js" SCRIPT,
    "" "photos.js" SCRIPT,
    "" "queue.js" SCRIPT,
    "" "redraw.js" SCRIPT,
    "" "server.js" SCRIPT,
    "" "stage.js" SCRIPT,
    "" "store.js" SCRIPT,
    "" "tracks.js" SCRIPT,
    "" "video.js" SCRIPT,
    "" "style.css" STYLE,
    "" "icon.svg" SVG,
    "samples/" "astronaut.jpg" JPEG,
    "samples/" "photographer.jpg" JPEG,
    "samples/" "cat.jpg" JPEG,
    "samples/" "coffee.jpg" JPEG,
];

/// What `/docs/{file}` serves.
const DOCS: &[File] = files![
    "docs/" "app.js" SCRIPT,
    "docs/" "parts.js" SCRIPT,
    "docs/" "try.js" SCRIPT,
    "docs/" "style.css" STYLE,
];

/// Only this server's own files, no inline code, no framing; images and camera streams stay in the browser as `blob:`
/// addresses.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`
pub(crate) async fn page() -> Response {
    answer(HTML, include_bytes!("../../../web/index.html"))
}

/// `GET /docs`
pub(crate) async fn docs() -> Response {
    answer(HTML, include_bytes!("../../../web/docs/index.html"))
}

/// `GET /console/{file}`
pub(crate) async fn page_file(Path(name): Path<String>) -> Result<Response, Problem> {
    find(CONSOLE, &name)
}

/// `GET /docs/{file}`
pub(crate) async fn docs_file(Path(name): Path<String>) -> Result<Response, Problem> {
    find(DOCS, &name)
}

fn find(files: &[File], name: &str) -> Result<Response, Problem> {
    let file = files.iter().find(|file| file.name == name);
    file.map(|file| answer(file.media_type, file.content))
        .ok_or_else(Problem::not_found)
}

fn answer(media_type: &'static str, content: &'static [u8]) -> Response {
    let fixed = HeaderValue::from_static;
    let headers = [
        (header::CONTENT_TYPE, fixed(media_type)),
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
    (headers, content).into_response()
}
