//! The Open Inference Protocol, version 2, as KServe's and Triton's clients speak it.
//!
//! | part | what |
//! | --- | --- |
//! | [`describe`] | metadata, health, configuration |
//! | [`request`] | the body of `infer` → pictures or gray tensors |
//! | [`tensor`] | the values of one input tensor |
//! | [`infer`] | `POST …/infer` |
//!
//! One input, `image`: `BYTES` `[N]` (picture files), or `UINT8` or `FP32` `[N,1,48,48]` (gray values 0–255). One output,
//! `probabilities`: `FP32` `[N,7]`, in label order. Pictures take the way of `/predict`; gray values are rounded to the
//! bytes that a decoded picture is, so there is one preprocessing. A fault of one picture fails the whole
//! request, since a tensor has no room for it.

pub mod describe;
pub mod infer;
pub mod request;
pub mod tensor;

/// Name of the input tensor.
pub const INPUT: &str = "image";
/// Name of the output tensor.
pub const OUTPUT: &str = "probabilities";

/// Whether errors on that path carry `error`, the key that clients of the protocol read.
#[must_use]
pub fn is_under(path: &str) -> bool {
    path == "/v2" || path.starts_with("/v2/")
}
