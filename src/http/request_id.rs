//! The header `x-request-id`, both ways.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id of a client that is used, in bytes.
const MAX_LEN: usize = 128;

/// The request's id: the client's own if it is 1–128 visible ASCII characters, else a UUID v7.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(REQUEST_ID)
            .filter(|v| (1..=MAX_LEN).contains(&v.len()) && v.as_bytes().iter().all(u8::is_ascii_graphic))
            .map_or_else(
                || {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    let id: &str = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
                    // Hexadecimal digits and hyphens are always a valid header value.
                    Self(HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static("-")))
                },
                |v| Self(v.clone()),
            )
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) const fn header(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_visible_short_request_id_is_echoed() {
        for good in ["a", "6b1f-42", "trace:1/2,3=\"x\"", &"x".repeat(128)] {
            assert_eq!(id(good.as_bytes()), good);
        }
    }

    #[test]
    fn anything_else_gets_an_id_of_its_own() {
        for bad in [
            &b""[..],
            b"a b",
            b"a\tb",
            "ä".as_bytes(),
            "x".repeat(129).as_bytes(),
        ] {
            let made = id(bad);
            assert_eq!(
                uuid::Uuid::parse_str(&made).unwrap().get_version_num(),
                7,
                "{made}"
            );
        }
        assert_ne!(id(b""), id(b""));
    }
}
