//! The network's input.

/// Width and height of a face in pixels.
pub const SIDE: usize = 48;
/// Pixels of a face.
pub const PIXELS: usize = SIDE * SIDE;

/// What the network sees: 48×48 gray pixels (BT.601 luma, 0–255) in row-major order.
#[derive(Clone, PartialEq, Eq)]
pub struct Face(pub [u8; PIXELS]);

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Face({SIDE}×{SIDE})")
    }
}

impl Face {
    /// The face of 2,304 gray values in row-major order; `None` if there are more or fewer.
    #[must_use]
    pub fn from_gray(pixels: &[u8]) -> Option<Self> {
        pixels.try_into().ok().map(Self)
    }
}
