//! Which client may send a request: API keys and rate limits, read again on reload. No HTTP layer: that is
//! `http::layers::guard`.

mod keys;
mod rate;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, HeaderName, header};

use crate::config::AccessArgs;
use keys::ApiKeys;
pub(crate) use keys::KeysError;
use rate::{Client, RateLimiter};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    MissingKey,
    UnknownKey,
    /// The next request is accepted after this time.
    RateLimited(Duration),
}

#[derive(Debug)]
pub(crate) struct Auth {
    keys: Option<(PathBuf, ArcSwap<ApiKeys>)>,
    limiter: Option<RateLimiter>,
    trusted_proxies: u8,
}

impl Auth {
    /// Reads the file of keys, if one is configured.
    pub(crate) fn new(args: &AccessArgs) -> Result<Self, KeysError> {
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

    pub(crate) const fn requires_key(&self) -> bool {
        self.keys.is_some()
    }

    /// Reads the file of keys again; on an error the old keys stay in force. Returns the number of keys, or `None` if
    /// no file is configured. Blocks.
    pub(crate) fn reload(&self) -> Result<Option<usize>, KeysError> {
        let Some((path, keys)) = &self.keys else {
            return Ok(None);
        };
        let new = ApiKeys::read(path)?;
        let count = new.count();
        keys.store(Arc::new(new));
        Ok(Some(count))
    }

    /// Checks the key of a request with these headers, and counts it against its client's rate limit.
    pub(crate) fn check(&self, headers: &HeaderMap, peer: Option<Peer>) -> Result<(), Denied> {
        let by_address = || {
            let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |p| p.0);
            Client::at(forwarded(headers, self.trusted_proxies).unwrap_or(peer))
        };
        let (client, denied) = match &self.keys {
            None => (by_address(), None),
            Some((_, keys)) => match bearer(headers) {
                None => (by_address(), Some(Denied::MissingKey)),
                Some(key) => match keys.load().find(key) {
                    Some(digest) => (Client::Key(digest), None),
                    None => (by_address(), Some(Denied::UnknownKey)),
                },
            },
        };
        // Before a wrong key is reported: attempts to guess a key count too.
        if let Some(limiter) = &self.limiter {
            limiter
                .check(client, Instant::now())
                .map_err(Denied::RateLimited)?;
        }
        denied.map_or(Ok(()), Err)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(b"bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
        .filter(|key| !key.is_empty())
}

/// The client's address as the outermost of `proxies` trusted proxies saw it. Each proxy appends the address that
/// connected to it, so the address is at position `proxies` from the end; entries before it come from the client and
/// are not trusted.
fn forwarded(headers: &HeaderMap, proxies: u8) -> Option<IpAddr> {
    let from_end = usize::from(proxies).checked_sub(1)?;
    let entries: Vec<_> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|v| v.to_str().unwrap_or_default())
        .flat_map(|v| v.split(','))
        .collect();
    let entry = entries.iter().rev().nth(from_end)?.trim();
    // Some proxies append the port.
    entry
        .parse()
        .ok()
        .or_else(|| entry.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
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
}
