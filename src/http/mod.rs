//! The HTTP surface: the router, the order of its layers, and what the handlers share.
//!
//! A request passes, from the outside in:
//!
//! 1. [`observe`]: request id, log line, metrics; writes the body of every [`Problem`], whoever raised it;
//!    takes in what is left of a refused body after the answer, so that the client reads it and not a reset
//! 2. CORS, if origins are configured
//! 3. compression of answers above a kilobyte, for clients that ask for it
//! 4. a catcher of panics, which makes them a 500
//! 5. [`access`]: API keys and the limit of requests a client
//! 6. the routes; those with work to do only after [`admit`] has found room
//!
//! With `--admin-listen` there are two routers: metrics and administration on the second port, all else on
//! the first, probes on both.
//!
//! | file | routes |
//! | --- | --- |
//! | [`routes::predict`] | `POST /predict` |
//! | [`routes::faces`] | `POST /faces` |
//! | [`console`] | `GET /`, `GET /docs` and their files |
//! | [`health`] | `GET /livez`, `/readyz`, `/healthz`, `/metrics` |
//! | [`routes::model`] | `GET /model` |
//! | [`routes::v2`] | `/v2`, the Open Inference Protocol |
//! | [`contract`] | `GET /openapi.yaml`, `/openapi.json` |
//! | [`admin`] | `POST /admin/reload` |

pub mod access;
pub mod admin;
pub mod body;
pub mod console;
pub mod contract;
pub mod guests;
pub mod health;
mod job;
pub mod observe;
mod pace;
pub(crate) mod parse;
mod place;
pub mod problem;
mod refusals;
pub(crate) mod routes;
mod timing;
mod trace_context;
pub(crate) mod types;

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, predicate::SizeAbove},
};

use crate::{
    config::Config,
    loaded_model::LoadedModel,
    metrics::{Metrics, Rejected},
    panics,
    pipeline::Pipeline,
    reload::{Outcome, Wish},
    tls::Tls,
    traces::Traces,
};
use access::Access;
use admin::Port;
use problem::Problem;
use refusals::Refusals;
use routes::{faces, model, predict, v2};
pub use timing::Timing;
pub use trace_context::TraceParent;

/// What all handlers share.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Decoding, detection and the current model.
    pub(crate) pipeline: Arc<Pipeline>,
    /// API keys and limits.
    pub access: Access,
    /// The contract as JSON.
    pub contract_json: Bytes,
    /// Certificate and key of the main port; none if it speaks plain HTTP.
    pub tls: Option<Tls>,
    /// Where spans go.
    pub traces: Traces,
    /// Overload in the log.
    refusals: Refusals,
    /// Who grants reloads; nobody until the first model is ready.
    reloads: OnceLock<mpsc::Sender<Wish>>,
    /// The places of requests with work that may be in flight.
    pace: pace::Pace,
    /// One permit for each KiB of bodies that may be held.
    buffers: Arc<Semaphore>,
    draining: AtomicBool,
}

impl App {
    /// State without a model yet. `cuda` chooses between the defaults.
    ///
    /// # Errors
    /// If the contract, the file of API keys, certificate, key or OTLP endpoint cannot be used, or the decoding or detection threads cannot be started.
    pub fn new(config: Config, metrics: Arc<Metrics>, cuda: bool) -> std::io::Result<Self> {
        let kib = usize::try_from(config.max_buffered.div_ceil(1024)).unwrap_or(Semaphore::MAX_PERMITS);
        let access = Access::new(&config.access).map_err(|e| {
            let file = config.access.api_keys.as_deref().unwrap_or("".as_ref());
            std::io::Error::other(format!("--api-keys: {} {e}", file.display()))
        })?;
        let tls = config.access.tls_cert.clone().zip(config.access.tls_key.clone());
        let tls = tls
            .map(|(cert, key)| Tls::new(cert, key))
            .transpose()
            .map_err(std::io::Error::other)?;
        let traces = Traces::start(config.otlp_endpoint.as_deref()).map_err(std::io::Error::other)?;
        Ok(Self {
            access,
            traces,
            refusals: Refusals::default(),
            contract_json: contract::as_json()?,
            tls,
            reloads: OnceLock::new(),
            pipeline: Arc::new(Pipeline::start(&config, &metrics)?),
            pace: pace::Pace::new(
                config.max_in_flight(cuda),
                config.most_in_flight(cuda),
                metrics.in_flight_limit.clone(),
            ),
            buffers: Arc::new(Semaphore::new(kib.min(Semaphore::MAX_PERMITS))),
            draining: AtomicBool::new(false),
            metrics,
            config,
        })
    }

    /// From now on reloads are asked for there. Only the first call counts.
    pub fn reloads_go_to(&self, wishes: mpsc::Sender<Wish>) {
        let _ = self.reloads.set(wishes);
    }

    /// Asks for a reload and waits until it is done.
    ///
    /// # Errors
    /// [`Problem::not_ready`] before the first model is, [`Problem::draining`] at the end,
    /// [`Problem::overloaded`] with too many waiting, or what the reload was refused for.
    pub(crate) async fn reload(&self) -> Outcome {
        let wishes = self.reloads.get().ok_or_else(Problem::not_ready)?;
        let (wish, outcome) = Wish::answered();
        wishes.try_send(wish).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Problem::overloaded(),
            mpsc::error::TrySendError::Closed(_) => Problem::draining(),
        })?;
        outcome.await.unwrap_or_else(|_| Err(Problem::draining()))
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is on its way out.
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The model, if one is loaded and has at least one engine that works.
    ///
    /// # Errors
    /// [`Problem::not_ready`] if not.
    pub(crate) fn ready_model(&self) -> Result<Arc<LoadedModel>, Problem> {
        self.pipeline.ready_model().ok_or_else(Problem::not_ready)
    }
}

/// The routes of a port in their layers.
pub fn router(app: Arc<App>, port: Port) -> Router {
    let second = app.config.access.admin_listen.is_some();
    let routes = match port {
        Port::Admin => probes().merge(admin_routes()),
        Port::Main if second => probes().merge(routes(&app)),
        Port::Main => probes().merge(routes(&app)).merge(admin_routes()),
    };
    layered(routes.layer(Extension(port)), app)
}

fn probes() -> Router<Arc<App>> {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/healthz", get(health::readyz))
}

fn admin_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/metrics", get(health::metrics))
        .route("/admin/reload", post(admin::reload))
}

fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let admitted = middleware::from_fn_with_state(Arc::clone(app), admit);
    let predict = post(predict::predict).route_layer(admitted.clone());
    let faces = post(faces::faces).route_layer(admitted.clone());
    let infer = post(v2::infer::infer).route_layer(admitted);
    Router::new()
        .route("/predict", predict)
        .route("/faces", faces)
        .merge(console::routes())
        .route("/model", get(model::model))
        .route("/openapi.yaml", get(contract::openapi))
        .route("/openapi.json", get(contract::openapi_json))
        .route("/v2", get(v2::describe::server))
        .route("/v2/health/live", get(v2::describe::live))
        .route("/v2/health/ready", get(v2::describe::ready))
        .route("/v2/models/{name}", get(v2::describe::model))
        .route("/v2/models/{name}/config", get(v2::describe::config))
        .route("/v2/models/{name}/ready", get(v2::describe::model_ready))
        .route("/v2/models/{name}/infer", infer.clone())
        .route("/v2/models/{name}/versions/{version}", get(v2::describe::model))
        .route(
            "/v2/models/{name}/versions/{version}/config",
            get(v2::describe::config),
        )
        .route(
            "/v2/models/{name}/versions/{version}/ready",
            get(v2::describe::model_ready),
        )
        .route("/v2/models/{name}/versions/{version}/infer", infer)
}

fn layered(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let inner = routes
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1024)));
    let shared = match access::cors(&app.config.access.cors_origins) {
        Some(cors) => inner.layer(cors),
        None => inner,
    };
    shared
        .layer(middleware::from_fn_with_state(Arc::clone(&app), observe::observe))
        .with_state(app)
}

/// Lets a request through to its work if there is room, and refuses it at once if not. The place is held
/// from here until the answer is ready, decoding, waiting and inference included; while the body is awaited it is free.
async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Some(place) = place::Place::take(app.pace.room()) else {
        app.metrics.reject(Rejected::InFlight);
        return Problem::overloaded().into_response();
    };
    let request = request.map(|body| place::awaited(body, place.clone()));
    let response = next.run(request).await;
    drop(place);
    if response.status().is_success() {
        app.pace.answered();
    }
    response
}

async fn not_found() -> Problem {
    Problem::not_found()
}

/// The router adds `Allow` to either answer.
async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        Problem::method_not_allowed().into_response()
    }
}

#[allow(clippy::needless_pass_by_value)] // the signature tower-http asks for
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    Problem::internal(format!("a handler panicked: {}", panics::message(&*panic))).into_response()
}

#[cfg(test)]
mod tests;
