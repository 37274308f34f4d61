//! `--engine` and `--precision`.

use std::fmt;

use clap::ValueEnum;

use super::Precision;

/// `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum EngineRequest {
    /// The fastest that agrees with the TorchScript forward.
    #[default]
    Auto,
    /// libtorch on `model.pt`: any module, any device.
    #[value(name = "torchscript")]
    TorchScript,
    /// Kernels written for this network, on `model.safetensors`; CPU only.
    Packed,
}

/// `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PrecisionRequest {
    /// The fastest that agrees; int8 only if its measured cost in accuracy is within [`super::select::INT8_COST_LIMIT`].
    #[default]
    Auto,
    /// 32-bit float.
    F32,
    /// bfloat16.
    Bf16,
    /// 8-bit integers.
    Int8,
}

impl PrecisionRequest {
    /// Whether an engine of that precision answers the request.
    #[must_use]
    pub const fn allows(self, precision: Precision) -> bool {
        matches!(
            (self, precision),
            (Self::Auto, _)
                | (Self::F32, Precision::F32)
                | (Self::Bf16, Precision::Bf16)
                | (Self::Int8, Precision::Int8)
        )
    }
}

macro_rules! display_of_value_enum {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.to_possible_value().map_or(Ok(()), |v| f.write_str(v.get_name()))
            }
        }
    )*};
}
display_of_value_enum!(EngineRequest, PrecisionRequest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for e in EngineRequest::value_variants() {
            assert_eq!(EngineRequest::from_str(&e.to_string(), false), Ok(*e));
        }
        for p in PrecisionRequest::value_variants() {
            assert_eq!(PrecisionRequest::from_str(&p.to_string(), false), Ok(*p));
        }
        assert_eq!(
            EngineRequest::from_str("torchscript", false),
            Ok(EngineRequest::TorchScript)
        );
        assert!(PrecisionRequest::from_str("fp16", false).is_err());
    }
}
