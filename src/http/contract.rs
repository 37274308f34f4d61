//! `GET /openapi.yaml`: the contract, as it lies in the repository. `GET /openapi.json`: the same as JSON, which is what
//! the page `/docs` and many tools read.

use std::{io, sync::Arc};

use axum::{extract::State, http::header, response::IntoResponse};
use bytes::Bytes;
use serde_yaml_ng::Value;

use super::App;

/// The contract this program was built with.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The contract (media type of RFC 9512).
pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], OPENAPI)
}

/// The contract as JSON, its keys in the order they have there.
///
/// # Errors
/// If [`OPENAPI`] is not YAML, or has a key twice.
pub fn as_json() -> io::Result<Bytes> {
    let value: Value = serde_yaml_ng::from_str(OPENAPI).map_err(io::Error::other)?;
    Ok(serde_json::to_vec(&value)?.into())
}

/// The contract as JSON.
pub async fn openapi_json(State(app): State<Arc<App>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "application/json")],
        app.contract_json.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_says_what_the_yaml_says() {
        let json: serde_json::Value = serde_json::from_slice(&as_json().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_yaml_ng::from_str::<serde_json::Value>(OPENAPI).unwrap()
        );
        let text = String::from_utf8(as_json().unwrap().to_vec()).unwrap();
        assert!(
            text.starts_with("{\"openapi\":\"3.1.0\",\"info\""),
            "the order is lost"
        );
    }
}
