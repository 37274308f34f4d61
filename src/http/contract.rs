//! `GET /openapi.yaml`: the contract, as it lies in the repository.

use axum::{http::header, response::IntoResponse};

/// The contract this program was built with.
pub const OPENAPI: &str = include_str!("../../openapi.yaml");

/// The contract (media type of RFC 9512).
pub async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/yaml")], OPENAPI)
}
