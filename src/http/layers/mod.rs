//! The layers of a request, and their order. From the outside in:
//!
//! 1. [`observe`]: request id, log line, metrics; writes the body of every problem; discards an unread request body
//! 2. [`host`]: one `Host` header
//! 3. CORS, if origins are configured
//! 4. compression of answers above 1 KiB, for clients that accept it
//! 5. a catcher of panics, which answers 500
//! 6. [`guard`]: API keys and rate limit, on guarded routes
//! 7. [`admit`]: a permit of the in-flight limit, on routes with work
//! 8. the handler

mod admit;
mod guard;
mod host;
mod observe;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::MethodRouter,
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, CompressionLevel, predicate::SizeAbove},
    cors::{AllowOrigin, CorsLayer},
};

use super::{
    admission::InFlightLimit,
    problem::Problem,
    routes::table::{Kind, Route},
};
use crate::{app::App, panics};

/// How long a browser may cache the answer to a preflight request.
const PREFLIGHT_CACHE: std::time::Duration = std::time::Duration::from_secs(3600);

/// A route's handler in the layers of that route.
pub(super) fn of_route(
    route: &Route,
    handler: MethodRouter<Arc<App>>,
    app: &Arc<App>,
    limit: &Arc<InFlightLimit>,
) -> MethodRouter<Arc<App>> {
    let admitted = match route.kind {
        Kind::Work => {
            let state = (Arc::clone(app), Arc::clone(limit));
            handler.route_layer(from_fn_with_state(state, admit::admit))
        }
        Kind::Probe | Kind::Plain => handler,
    };
    let answering = admitted.fallback(method_not_allowed);
    if route.guarded {
        answering.layer(from_fn_with_state(Arc::clone(app), guard::guard))
    } else {
        answering
    }
}

/// All routes in the layers that they share.
pub(super) fn of_all(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let inner = routes
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(compression());
    let shared = match cors(&app.config.access.cors_origins) {
        Some(cors) => inner.layer(cors),
        None => inner,
    };
    shared
        .layer(from_fn(host::host))
        .layer(from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}

/// Async threads compress, piece by piece as the connection takes them: at the fastest level the longest answer, 1.1 MB for
/// 64 × 64 faces, takes 13 ms (70 ms at the usual one) after seconds of work on other threads.
fn compression() -> CompressionLayer<SizeAbove> {
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(1024))
}

/// The CORS layer for these origins; none if there are none.
fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let allowed = match origins {
        [] => return None,
        [all] if all == "*" => AllowOrigin::any(),
        list => AllowOrigin::list(list.iter().cloned()),
    };
    let name = HeaderName::from_static;
    Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::HEAD, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                name("inference-header-content-length"),
                name("traceparent"),
                name("tracestate"),
                name("x-request-id"),
            ])
            .expose_headers([
                header::RETRY_AFTER,
                name("inference-header-content-length"),
                name("server-timing"),
                name("x-request-id"),
            ])
            .max_age(PREFLIGHT_CACHE),
    )
}

async fn not_found() -> Problem {
    Problem::not_found()
}

/// The router adds `Allow` to both answers.
async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Problem::method_not_allowed().into_response()
    }
}

#[allow(clippy::needless_pass_by_value)] // the signature that tower-http expects
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Problem::internal(format!("a handler panicked: {}", panics::message(&*panic))).into_response()
}
