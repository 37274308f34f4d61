//! The layer that checks API keys and rate limits.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    auth::{Denied, Peer},
    http::problem::Problem,
    observability::metrics::Rejected,
};

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    if let Err(denied) = app.auth.check(request.headers(), peer) {
        app.metrics.reject(match denied {
            Denied::MissingKey | Denied::UnknownKey => Rejected::Unauthorized,
            Denied::RateLimited(_) => Rejected::RateLimit,
        });
        return Problem::from(denied).into_response();
    }
    next.run(request).await
}
