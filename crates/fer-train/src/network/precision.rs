//! The number format of a training step.

use tch::{Device, Kind};

/// The number format of the forward and backward pass; weights and optimiser are always float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingPrecision {
    F32,
    Bf16,
}

impl TrainingPrecision {
    /// bf16 on a GPU and where the processor computes it, else f32.
    pub fn detect(device: Device) -> Self {
        if device.is_cuda() || cpu_has_bf16() {
            Self::Bf16
        } else {
            Self::F32
        }
    }

    /// Name in checkpoints, `model.json` and messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    pub const fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// Whether the processor has instructions for bfloat16 (AVX512-BF16); without them bf16 is emulated and slow.
pub fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("bf16");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}
