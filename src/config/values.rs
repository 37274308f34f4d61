//! Parsers of flags: counts, times, sizes, filters. Each error says what is expected.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use axum::http::{HeaderValue, Uri};

pub(super) fn count(
    max: usize,
) -> impl Fn(&str) -> Result<NonZeroUsize, String> + Clone + Send + Sync + 'static {
    move |s| {
        s.parse::<NonZeroUsize>()
            .ok()
            .filter(|n| n.get() <= max)
            .ok_or_else(|| format!("a whole number from 1 to {max} is wanted"))
    }
}

pub(super) fn pixels() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=1_000_000_000)
}

/// `250ms`, `5s`, `1m 30s`; at most a day, so that no sum with it overflows.
pub(super) fn duration(s: &str) -> Result<Duration, String> {
    let d = humantime::parse_duration(s).map_err(|e| format!("{e}; write it as 250ms, 5s or 1m"))?;
    if d > Duration::from_secs(86_400) {
        Err("at most 1day is wanted".to_owned())
    } else {
        Ok(d)
    }
}

pub(super) fn positive(s: &str) -> Result<Duration, String> {
    match duration(s)? {
        Duration::ZERO => Err("a time above 0 is wanted".to_owned()),
        d => Ok(d),
    }
}

/// Bytes with an optional unit: `4096`, `20M` (10⁶), `20Mi` or `20MiB` (2²⁰); 1 byte to 1 TiB.
pub(super) fn size(s: &str) -> Result<u64, String> {
    let wanted = || "a size such as 4096, 512k, 20Mi or 1G is wanted, at most 1Ti".to_owned();
    let digits = s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (number, unit) = s.split_at(digits);
    let factor: u64 = match unit.trim().trim_end_matches(['b', 'B']) {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" => 1_000_000_000,
        "ki" | "Ki" => 1 << 10,
        "mi" | "Mi" => 1 << 20,
        "gi" | "Gi" => 1 << 30,
        "ti" | "Ti" => 1 << 40,
        _ => return Err(wanted()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .filter(|n| (1..=1 << 40).contains(n))
        .ok_or_else(wanted)
}

pub(super) fn address(s: &str) -> Result<SocketAddr, String> {
    s.parse()
        .map_err(|_| "an address and port such as 127.0.0.1:9090 is wanted".to_owned())
}

/// `http://host[:port][/path]`.
pub(super) fn collector(s: &str) -> Result<String, String> {
    s.parse::<Uri>()
        .ok()
        .filter(|u| {
            u.scheme_str() == Some("http") && u.host().is_some_and(|h| !h.is_empty()) && u.query().is_none()
        })
        .map(|_| s.to_owned())
        .ok_or_else(|| {
            "a collector's address such as http://127.0.0.1:4318 is wanted (http, not https)".to_owned()
        })
}

/// Requests a second: above 0, fractions too.
pub(super) fn rate(s: &str) -> Result<f64, String> {
    s.parse::<f64>()
        .ok()
        .filter(|r| (0.001..=1e6).contains(r))
        .ok_or_else(|| "a number of requests a second from 0.001 to 1000000 is wanted".to_owned())
}

/// `scheme://host[:port]` as browsers write it in `Origin`, or `*`.
pub(super) fn origin(s: &str) -> Result<HeaderValue, String> {
    let wanted = || {
        "an origin such as https://example.org (scheme, host, port if unusual, nothing more) or * is wanted"
            .to_owned()
    };
    let s = s.trim();
    let plain = s.parse::<Uri>().is_ok_and(|uri| {
        let named = uri.scheme_str().zip(uri.authority());
        // What browsers send has no path, not even `/`, and no capitals.
        named.is_some_and(|(scheme, host)| {
            s == format!("{scheme}://{host}").to_lowercase() && !host.as_str().contains('@')
        })
    });
    if s != "*" && !plain {
        return Err(wanted());
    }
    HeaderValue::from_str(s).map_err(|_| wanted())
}

pub(super) fn log_filter(s: &str) -> Result<String, String> {
    tracing_subscriber::EnvFilter::try_new(s)
        .map(|_| s.to_owned())
        .map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in [
            "*",
            "https://example.org",
            "http://localhost:3000",
            "http://[::1]:8080",
        ] {
            assert_eq!(origin(good).unwrap(), good);
        }
        for bad in [
            "",
            "example.org",
            "https://example.org/",
            "https://Example.org",
            "https://a@b",
            "https://a b",
            "**",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_finite_and_above_zero() {
        assert_eq!(rate("0.5"), Ok(0.5));
        for bad in ["0", "-1", "NaN", "inf", "1e9", "many"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1", 1),
            ("4096", 4096),
            ("20M", 20_000_000),
            ("20Mi", 20 << 20),
            ("20MiB", 20 << 20),
            ("1 G", 1_000_000_000),
            ("512k", 512_000),
            ("7KB", 7000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "-1", "1.5M", "18446744073709551615Gi", "2Ti", "0"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
