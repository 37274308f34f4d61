//! Who may ask: API keys and the limit of requests a client.
//!
//! Open to everybody, and never counted, are the probes, the metrics, and what is the same for all: the contract
//! and the pages' own files. Everything else passes [`guard`].

pub mod keys;
pub mod rate;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use arc_swap::ArcSwap;
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{App, health::is_probe, problem::Problem};
use crate::{config::AccessArgs, metrics::Rejected};
use keys::{ApiKeys, KeysError};
use rate::{Client, RateLimiter};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// How long a browser may remember what a preflight said.
const CORS_MEMORY: std::time::Duration = std::time::Duration::from_secs(3600);

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Keys and limits in force.
#[derive(Debug)]
pub struct Access {
    keys: Option<(PathBuf, ArcSwap<ApiKeys>)>,
    limiter: Option<RateLimiter>,
    trusted_proxies: u8,
}

impl Access {
    /// Reads the file of keys, if there is to be one.
    ///
    /// # Errors
    /// [`KeysError`] if the file is not as it should be.
    pub fn new(args: &AccessArgs) -> Result<Self, KeysError> {
        let keys = match &args.api_keys {
            Some(path) => Some((path.clone(), ArcSwap::from_pointee(ApiKeys::read(path)?))),
            None => None,
        };
        Ok(Self {
            keys,
            limiter: args.rate_limit.map(|rate| RateLimiter::new(rate, args.burst())),
            trusted_proxies: args.trusted_proxies,
        })
    }

    /// Keys that are known; none if everybody may ask.
    #[must_use]
    pub fn keys(&self) -> Option<usize> {
        self.keys.as_ref().map(|(_, keys)| keys.load().count())
    }

    /// Reads the file of keys again; how many it holds, none if everybody may ask. Blocks.
    ///
    /// # Errors
    /// [`KeysError`]; the old keys then stay.
    pub fn reload(&self) -> Result<Option<usize>, KeysError> {
        let Some((path, keys)) = &self.keys else {
            return Ok(None);
        };
        let new = ApiKeys::read(path)?;
        let count = new.count();
        keys.store(Arc::new(new));
        Ok(Some(count))
    }

    /// Lets a request through, or says why not.
    fn admit(&self, request: &Request) -> Result<(), (Problem, Option<Rejected>)> {
        let headers = request.headers();
        let at = || {
            let peer = request.extensions().get::<Peer>();
            let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |p| p.0);
            Client::at(forwarded(headers, self.trusted_proxies).unwrap_or(peer))
        };
        let (client, refused) = match &self.keys {
            None => (at(), None),
            Some((_, keys)) => match bearer(headers) {
                None => (at(), Some(Problem::no_key())),
                Some(key) => match keys.load().find(key) {
                    Some(digest) => (Client::Key(digest), None),
                    None => (at(), Some(Problem::wrong_key())),
                },
            },
        };
        // Guesses count, too.
        if let Some(limiter) = &self.limiter {
            limiter
                .check(client, Instant::now())
                .map_err(|wait| (Problem::rate_limited(wait), Some(Rejected::RateLimit)))?;
        }
        refused.map_or(Ok(()), |problem| Err((problem, Some(Rejected::Unauthorized))))
    }
}

/// The layer.
pub async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let guarded = request
        .extensions()
        .get::<MatchedPath>()
        .is_some_and(|path| !open(path.as_str()));
    if guarded && let Err((problem, reason)) = app.access.admit(&request) {
        if let Some(reason) = reason {
            app.metrics.reject(reason);
        }
        return problem.into_response();
    }
    next.run(request).await
}

/// Whether a route is open to everybody. A route that is not named here is not.
fn open(route: &str) -> bool {
    let page = ["/console/", "/docs/"].iter().any(|p| route.starts_with(p));
    page || is_probe(route) || ["/", "/docs", "/openapi.yaml", "/openapi.json"].contains(&route)
}

/// The key of `Authorization: Bearer KEY`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
        .filter(|key| !key.is_empty())
}

/// The address that the outermost of `proxies` trusted proxies saw: each appends the address it was asked from, so
/// that is so many from the end. What a client wrote itself stands before it.
fn forwarded(headers: &HeaderMap, proxies: u8) -> Option<IpAddr> {
    let from_end = usize::from(proxies).checked_sub(1)?;
    let entries: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|v| v.to_str().unwrap_or_default())
        .flat_map(|v| v.split(','))
        .collect();
    let entry = entries.iter().rev().nth(from_end)?.trim();
    // Some proxies write the port, too.
    entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
}

/// The CORS layer for these origins; none if there are none.
pub fn cors(origins: &[HeaderValue]) -> Option<CorsLayer> {
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
            .max_age(CORS_MEMORY),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_bearer_key_is_read_whatever_the_schemes_case() {
        for (value, key) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER   abc", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            let headers = headers(&[("authorization", value)]);
            assert_eq!(bearer(&headers), key.map(str::as_bytes), "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let of = |proxies, value: &str| {
            let headers = headers(&[("x-forwarded-for", value)]);
            forwarded(&headers, proxies).map(|a| a.to_string())
        };
        assert_eq!(of(0, "1.2.3.4"), None);
        assert_eq!(of(1, "6.6.6.6, 1.2.3.4").as_deref(), Some("1.2.3.4"));
        assert_eq!(of(2, "6.6.6.6, 1.2.3.4,10.0.0.1").as_deref(), Some("1.2.3.4"));
        assert_eq!(of(1, "1.2.3.4:5678").as_deref(), Some("1.2.3.4"));
        assert_eq!(of(1, "[2001:db8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(of(1, "unknown"), None);
        assert_eq!(of(3, "1.2.3.4"), None);
    }

    #[test]
    fn a_new_route_is_guarded_until_it_is_named() {
        for route in [
            "/predict",
            "/faces",
            "/model",
            "/admin/reload",
            "/v2",
            "/v2/models/{name}/infer",
            "/new",
        ] {
            assert!(!open(route), "{route}");
        }
        for route in [
            "/livez",
            "/metrics",
            "/",
            "/console/app.js",
            "/v2/health/ready",
            "/v2/models/{name}/ready",
        ] {
            assert!(open(route), "{route}");
        }
    }
}
