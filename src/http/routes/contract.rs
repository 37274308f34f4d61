//! `GET /openapi.yaml`: the contract, as in the repository. `GET /openapi.json`: the same as JSON (build.rs converts it),
//! which the page `/docs` and many tools read.

use axum::{http::header, response::IntoResponse};

const YAML: &str = include_str!("../../../openapi.yaml");
/// With the keys in the order of the YAML.
const JSON: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// The media type is that of RFC 9512.
pub(crate) async fn yaml() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], YAML)
}

pub(crate) async fn json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], JSON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_says_what_the_yaml_says() {
        let json: serde_json::Value = serde_json::from_str(JSON).unwrap();
        assert_eq!(json, serde_yaml_ng::from_str::<serde_json::Value>(YAML).unwrap());
        assert!(
            JSON.starts_with("{\"openapi\":\"3.1.0\",\"info\""),
            "the order is lost"
        );
    }
}
