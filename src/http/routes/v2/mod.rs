//! The Open Inference Protocol, version 2, as the clients of KServe and Triton speak it.
//!
//! One input, `image`: `BYTES` `[N]` (image files), or `UINT8` or `FP32` `[N,1,48,48]` (gray values 0–255). One output,
//! `probabilities`: `FP32` `[N,7]`, in label order. Images are handled as on `/predict`; gray values are rounded to the
//! bytes of a decoded image, so there is one preprocessing. A fault of one image fails the whole request, since a tensor
//! has no place for it.

pub(crate) mod describe;
pub(crate) mod infer;
pub(crate) mod request;
pub(crate) mod tensor;

use std::collections::HashMap;

use axum::extract::Path;
use fer_engine::Manifest;

use crate::http::problem::Problem;

const INPUT: &str = "image";
const OUTPUT: &str = "probabilities";

/// The variables of a path under `/v2/models/{name}`.
type Names = Path<HashMap<String, String>>;

/// Checks the name and, where the path gives one, the version of the model.
fn check_names(manifest: &Manifest, names: &HashMap<String, String>) -> Result<(), Problem> {
    let is = |key: &str, value: &str| names.get(key).is_none_or(|asked| asked == value);
    if is("name", &manifest.name) && is("version", &manifest.version) {
        Ok(())
    } else {
        Err(Problem::unknown_model(&manifest.name, &manifest.version))
    }
}

/// Whether errors on that path carry `error`, the key that clients of the protocol read.
pub(crate) fn is_under(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}
