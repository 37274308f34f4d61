//! The one list of routes. The router, authentication, admission, the handling of probes, the series of
//! `fer_http_requests_total` and the test against openapi.yaml derive from it.

use std::sync::{Arc, LazyLock};

use axum::{
    handler::Handler,
    http::Method,
    routing::{self, MethodRouter},
};

use super::{admin, console, contract, faces, health, model, port::Port, predict, v2};
use crate::{
    app::App,
    observability::metrics::{ROUTE_OTHER, RouteSeries},
};

/// A path, with the one method that it takes.
#[derive(Debug)]
pub struct Route {
    /// As in openapi.yaml and in metrics.
    pub path: &'static str,
    /// GET stands for HEAD too.
    pub method: Method,
    /// The statuses that openapi.yaml documents for it.
    pub statuses: &'static [u16],
    /// Whether it needs an API key and counts against the rate limit, where those are configured.
    pub guarded: bool,
    pub(crate) kind: Kind,
    pub(crate) ports: Ports,
    /// Documented statuses without a series until they occur.
    rare: &'static [u16],
    /// Statuses with a series from the start, though not documented.
    extra: &'static [u16],
    handler: MethodRouter<Arc<App>>,
}

/// How a route is admitted and logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Needs a permit of the in-flight limit.
    Work,
    /// Reports the state of the server; logged at level debug, without a span.
    Probe,
    /// Neither.
    Plain,
}

/// The ports that serve a route, where `--admin-listen` opens a second one; without it the main port serves all routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ports {
    Main,
    Admin,
    Both,
}

const WORK: &[u16] = &[200, 400, 401, 408, 413, 415, 422, 429, 500, 503, 504];
const INFER: &[u16] = &[200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504];
/// GET requests about one model of the Open Inference Protocol.
const NAMED: &[u16] = &[200, 401, 404, 429, 503];
const NAMED_READY: &[u16] = &[200, 404, 503];
/// The files of the pages.
const FILE: &[u16] = &[200, 404];
/// A client that disconnected before its answer (nginx's number).
const CLIENT_GONE: u16 = 499;

static TABLE: LazyLock<Vec<Route>> = LazyLock::new(|| {
    vec![
        get("/", console::page, &[200]).open(),
        get("/console/{file}", console::page_file, FILE)
            .open()
            .rare(&[404]),
        get("/docs", console::docs, &[200]).open(),
        get("/docs/{file}", console::docs_file, FILE).open().rare(&[404]),
        post("/predict", predict::predict, WORK).work(),
        post("/faces", faces::faces, WORK).work(),
        get("/model", model::model, &[200, 401, 429, 503]),
        get("/openapi.yaml", contract::yaml, &[200]).open(),
        get("/openapi.json", contract::json, &[200]).open(),
        get("/livez", health::livez, &[200, 503])
            .probe(Ports::Both)
            .rare(&[503]),
        get("/readyz", health::readyz, &[200, 503]).probe(Ports::Both),
        get("/healthz", health::readyz, &[200, 503]).probe(Ports::Both),
        get("/metrics", health::metrics, &[200]).probe(Ports::Admin),
        post(
            "/admin/reload",
            admin::reload,
            &[200, 401, 403, 422, 429, 500, 503],
        )
        .admin()
        .rare(&[500]),
        get("/v2", v2::describe::server, &[200, 401, 429]),
        get("/v2/health/live", v2::describe::live, &[200, 503])
            .probe(Ports::Main)
            .rare(&[503]),
        get("/v2/health/ready", v2::describe::ready, &[200, 503]).probe(Ports::Main),
        get("/v2/models/{name}", v2::describe::model, NAMED),
        get("/v2/models/{name}/config", v2::describe::config, NAMED),
        // The series of 401 and 429 are older than the rule that probes are open; they stay for the users of metrics.
        get("/v2/models/{name}/ready", v2::describe::model_ready, NAMED_READY)
            .probe(Ports::Main)
            .extra(&[401, 429]),
        post("/v2/models/{name}/infer", v2::infer::infer, INFER).work(),
        get("/v2/models/{name}/versions/{version}", v2::describe::model, NAMED),
        get(
            "/v2/models/{name}/versions/{version}/config",
            v2::describe::config,
            NAMED,
        ),
        get(
            "/v2/models/{name}/versions/{version}/ready",
            v2::describe::model_ready,
            NAMED_READY,
        )
        .probe(Ports::Main)
        .extra(&[401, 429]),
        post(
            "/v2/models/{name}/versions/{version}/infer",
            v2::infer::infer,
            INFER,
        )
        .work(),
    ]
});

/// All routes.
#[must_use]
pub fn routes() -> &'static [Route] {
    &TABLE
}

/// Whether the route with that path is a probe.
pub(crate) fn is_probe(path: &str) -> bool {
    TABLE
        .iter()
        .any(|route| route.path == path && route.kind == Kind::Probe)
}

/// The series that `/metrics` shows from the start. Other combinations get theirs when they occur; labels stay bounded,
/// because routes come from this table, methods from `method_label` and statuses from this crate.
pub(crate) fn series() -> impl Iterator<Item = RouteSeries> {
    let unmatched = [Method::GET, Method::POST].map(|method| RouteSeries {
        route: ROUTE_OTHER,
        method,
        statuses: vec![404],
    });
    let matched = TABLE.iter().map(|route| RouteSeries {
        route: route.path,
        method: route.method.clone(),
        statuses: route.exported().collect(),
    });
    matched.chain(unmatched)
}

fn get<H, T>(path: &'static str, handler: H, statuses: &'static [u16]) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route::new(path, Method::GET, routing::get(handler), statuses)
}

fn post<H, T>(path: &'static str, handler: H, statuses: &'static [u16]) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Route::new(path, Method::POST, routing::post(handler), statuses)
}

impl Route {
    /// Guarded, and on the main port, unless the table says otherwise.
    const fn new(
        path: &'static str,
        method: Method,
        handler: MethodRouter<Arc<App>>,
        statuses: &'static [u16],
    ) -> Self {
        Self {
            path,
            method,
            statuses,
            guarded: true,
            kind: Kind::Plain,
            ports: Ports::Main,
            rare: &[],
            extra: &[],
            handler,
        }
    }

    fn open(mut self) -> Self {
        self.guarded = false;
        self
    }

    fn work(mut self) -> Self {
        self.kind = Kind::Work;
        self
    }

    /// Probes are open.
    fn probe(mut self, ports: Ports) -> Self {
        (self.kind, self.ports) = (Kind::Probe, ports);
        self.open()
    }

    fn admin(mut self) -> Self {
        self.ports = Ports::Admin;
        self
    }

    fn rare(mut self, statuses: &'static [u16]) -> Self {
        self.rare = statuses;
        self
    }

    fn extra(mut self, statuses: &'static [u16]) -> Self {
        self.extra = statuses;
        self
    }

    fn exported(&self) -> impl Iterator<Item = u16> {
        let documented = self.statuses.iter().filter(|status| !self.rare.contains(status));
        let gone = (self.kind == Kind::Work).then_some(CLIENT_GONE);
        documented.chain(self.extra).copied().chain(gone)
    }

    /// Whether a port serves it; `separate` says whether there is an admin port.
    pub(crate) fn is_served(&self, port: Port, separate: bool) -> bool {
        match (self.ports, port) {
            (Ports::Both, _) | (Ports::Main, Port::Main) | (Ports::Admin, Port::Admin) => true,
            (Ports::Admin, Port::Main) => !separate,
            (Ports::Main, Port::Admin) => false,
        }
    }

    pub(crate) fn handler(&self) -> MethodRouter<Arc<App>> {
        self.handler.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_administration_are_guarded_and_probes_and_files_are_open() {
        for route in routes() {
            let file = ["/", "/console/{file}", "/docs", "/docs/{file}"].contains(&route.path);
            let open = route.kind == Kind::Probe || file || route.path.starts_with("/openapi.");
            assert_eq!(route.guarded, !open, "{}", route.path);
            assert_eq!(is_probe(route.path), route.kind == Kind::Probe, "{}", route.path);
        }
    }

    #[test]
    fn only_the_admin_port_serves_administration_if_there_is_one() {
        let served = |port, separate| {
            let served = routes().iter().filter(move |r| r.is_served(port, separate));
            served.map(|r| r.path).collect::<Vec<_>>()
        };
        assert_eq!(served(Port::Main, false).len(), routes().len());
        assert_eq!(
            served(Port::Admin, true),
            ["/livez", "/readyz", "/healthz", "/metrics", "/admin/reload"]
        );
        let main = served(Port::Main, true);
        assert!(!main.contains(&"/metrics") && !main.contains(&"/admin/reload"));
        assert!(main.contains(&"/livez") && main.contains(&"/predict"));
    }
}
