//! The layer that limits requests in flight.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    app::App,
    http::{
        admission::{InFlightLimit, Permit},
        problem::Problem,
    },
    observability::metrics::Rejected,
};

/// Lets a request pass if a permit is free, and refuses it at once otherwise. The request holds the permit until its
/// answer is ready: decoding, waiting and inference included, waiting for its body excluded.
pub(super) async fn admit(
    State((app, limit)): State<(Arc<App>, Arc<InFlightLimit>)>,
    request: Request,
    next: Next,
) -> Response {
    let Some(permit) = Permit::acquire(limit.permits()) else {
        app.metrics.reject(Rejected::InFlight);
        return Problem::overloaded().into_response();
    };
    let request = request.map(|body| permit.tap(body));
    let response = next.run(request).await;
    drop(permit);
    if response.status().is_success() {
        limit.answered();
    }
    response
}
