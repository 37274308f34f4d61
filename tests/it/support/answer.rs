//! An answer of the server, whichever client asked.

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::contract;

/// Status, headers and the whole body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Takes an answer in, and fails if it is not one that `openapi.yaml` documents for the request.
    pub(crate) fn checked(
        method: &Method,
        path: &str,
        status: StatusCode,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Self {
        let answer = Self {
            status,
            headers,
            body,
        };
        contract::check(method, path, &answer);
        answer
    }

    /// A header that must be there, once, as text.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let first = values
            .next()
            .unwrap_or_else(|| panic!("no {name} header in {self:?}"));
        assert!(values.next().is_none(), "more than one {name} header in {self:?}");
        first.to_str().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// Checks that this is that problem; gives its body.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["code"].as_str()),
            (status, Some(code)),
            "{body}"
        );
        body
    }
}
