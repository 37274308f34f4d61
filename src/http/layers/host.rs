//! The layer that checks `Host`.

use axum::{
    extract::Request,
    http::{Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

/// Refuses HTTP/1.1 requests without `Host`, and requests with more than one (RFC 9112, section 3.2): a proxy in front may
/// have taken another one for the server's name. HTTP/1.0 has no `Host`, and HTTP/2 has `:authority` in its place.
pub(super) async fn host(request: Request, next: Next) -> Response {
    let detail = match request.headers().get_all(header::HOST).iter().count() {
        0 if request.version() == Version::HTTP_11 => "an HTTP/1.1 request must have the header Host",
        0 | 1 => return next.run(request).await,
        _ => "a request must have no more than one header Host",
    };
    Problem::bad_request(detail).into_response()
}
