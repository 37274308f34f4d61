//! The HTTP surface: routes, the layers in front of them, and what both use.

pub(crate) mod admission;
pub(crate) mod body;
mod job;
mod layers;
pub(crate) mod parse;
pub(crate) mod problem;
mod readiness;
pub(crate) mod request_id;
pub(crate) mod routes;
pub(crate) mod timing;
pub(crate) mod types;

use std::sync::Arc;

use axum::{Extension, Router};

use crate::{app::App, reload::Reloads};
use admission::InFlightLimit;
pub use routes::table::{Route, routes};
pub(crate) use routes::{
    admin,
    port::Port,
    table::{Ports, series},
};

/// The routes of a port in their layers.
pub(crate) fn router(app: Arc<App>, port: Port, reloads: Reloads) -> Router {
    let routes = served(&app, port, reloads);
    layers::of_all(routes, app)
}

fn served(app: &Arc<App>, port: Port, reloads: Reloads) -> Router<Arc<App>> {
    let separate = app.config.access.admin_listen.is_some();
    let limit = Arc::new(InFlightLimit::new(
        app.config.max_in_flight(app.cuda),
        app.config.most_in_flight(app.cuda),
        app.metrics.in_flight_limit.clone(),
    ));
    let context = Extension(admin::Context { port, reloads });
    routes()
        .iter()
        .filter(|route| route.is_served(port, separate))
        .fold(Router::new(), |router, route| {
            let handler = match route.ports {
                Ports::Admin => route.handler().layer(context.clone()),
                Ports::Main | Ports::Both => route.handler(),
            };
            router.route(route.path, layers::of_route(route, handler, app, &limit))
        })
}

#[cfg(test)]
mod tests;
