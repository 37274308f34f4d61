//! Precisions and instruction sets.

/// The type in which weights and activations are stored; sums are always 32 bits wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Precision {
    /// 32-bit float.
    F32 = 0,
    /// bfloat16.
    Bf16 = 1,
    /// Weights as signed bytes with a scale per output channel, activations as unsigned bytes with a scale per
    /// layer. The first and the last layer are computed in float.
    Int8 = 2,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// As it is written in flags, logs and `/model`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Size of an element.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::Int8 => 1,
        }
    }
}

/// The instructions an engine computes with, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Isa {
    /// What every processor of the architecture has; f32 only.
    Portable = 0,
    /// AVX2 with FMA; f32 only.
    Avx2 = 1,
    /// AVX-512, with its BF16 or VNNI extension for those precisions.
    Avx512 = 2,
    /// Tile registers (AMX-BF16, AMX-INT8).
    Amx = 3,
}

impl Isa {
    /// Every instruction set, fastest first.
    pub const ALL: [Self; 4] = [Self::Amx, Self::Avx512, Self::Avx2, Self::Portable];

    /// As it is written in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        }
    }
}
