//! `--engine` and `--precision`.

use std::{fmt, str::FromStr};

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

macro_rules! text_of_value_enum {
    ($($type:ty),*) => {$(
        impl FromStr for $type {
            type Err = String;

            fn from_str(s: &str) -> Result<Self, Self::Err> {
                <Self as ValueEnum>::from_str(s, false)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.to_possible_value().map_or(Ok(()), |v| f.write_str(v.get_name()))
            }
        }
    )*};
}
text_of_value_enum!(EngineRequest, PrecisionRequest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for e in EngineRequest::value_variants() {
            assert_eq!(e.to_string().parse(), Ok(*e));
        }
        for p in PrecisionRequest::value_variants() {
            assert_eq!(p.to_string().parse(), Ok(*p));
        }
        assert_eq!("torchscript".parse(), Ok(EngineRequest::TorchScript));
        assert!("fp16".parse::<PrecisionRequest>().is_err());
    }
}
