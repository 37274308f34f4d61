//! Flags for authentication, limits of a client, ports and TLS.

use std::{net::SocketAddr, num::NonZeroU32, path::PathBuf};

use axum::http::HeaderValue;
use clap::Args;

use super::values::{address, origin, rate};

#[derive(Debug, Clone, Args)]
pub(crate) struct AccessArgs {
    /// File of API keys, one on each line, # begins a comment; if set, /predict, /faces, /model, /v2 and /admin require Authorization: Bearer KEY [default: none, no authentication]
    #[arg(long, env = "FER_API_KEYS", value_name = "FILE")]
    pub(crate) api_keys: Option<PathBuf>,
    /// Requests a second that one client may send, by API key, else by IP address; more get 429 [default: no limit]
    #[arg(long, env = "FER_RATE_LIMIT", value_name = "N", value_parser = rate)]
    pub(crate) rate_limit: Option<f64>,
    /// Requests that a client may send at once after a pause [default: --rate-limit rounded up]
    #[arg(long, env = "FER_RATE_BURST", value_name = "N")]
    pub(crate) rate_burst: Option<NonZeroU32>,
    /// Proxies in front whose X-Forwarded-For is believed: with 1 the client's address is the last one in it; with 0
    /// the header is ignored
    #[arg(long, env = "FER_TRUSTED_PROXIES", value_name = "N", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=16))]
    pub(crate) trusted_proxies: u8,
    /// Origins whose pages may ask (CORS), or * for all [default: none]
    #[arg(long, env = "FER_CORS_ORIGINS", value_name = "ORIGIN,…", value_delimiter = ',', value_parser = origin)]
    pub(crate) cors_origins: Vec<HeaderValue>,
    /// Certificate for TLS, PEM, with those that lead to its root behind it; --listen then speaks https only [default:
    /// none, http]
    #[arg(long, env = "FER_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, PEM [default: none]
    #[arg(long, env = "FER_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Second address for /metrics and /admin, which then leave the first; probes answer on both; never TLS [default:
    /// none, /metrics and /admin are on --listen]
    #[arg(long, env = "FER_ADMIN_LISTEN", value_name = "ADDR", value_parser = address)]
    pub(crate) admin_listen: Option<SocketAddr>,
}

impl AccessArgs {
    /// Checks flags against each other.
    pub(super) fn check(&self, listen: SocketAddr) -> Result<(), String> {
        if self.rate_burst.is_some() && self.rate_limit.is_none() {
            return Err("--rate-burst needs --rate-limit".to_owned());
        }
        if self.tls_cert.is_some() != self.tls_key.is_some() {
            return Err("--tls-cert and --tls-key must be given together".to_owned());
        }
        if self.cors_origins.len() > 1 && self.cors_origins.iter().any(|o| o == "*") {
            return Err("--cors-origins: * stands for all origins and must be alone".to_owned());
        }
        match self.admin_listen {
            Some(admin) if admin == listen && listen.port() != 0 => {
                Err(format!("--admin-listen and --listen are both {listen}"))
            }
            _ => Ok(()),
        }
    }

    /// Requests that a client may send at once; by default the rate rounded up.
    pub(crate) fn burst(&self) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a rate is at most a million
        self.rate_burst.map_or_else(
            || self.rate_limit.unwrap_or(1.0).ceil().max(1.0) as u32,
            NonZeroU32::get,
        )
    }
}
