//! What to look for.

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Options {
    /// That number of the largest faces is kept, 1–[`Options::MOST_FACES`].
    pub max_faces: usize,
    /// Width in pixels of the smallest face to look for, [`Options::MIN_FACE`]. A small one takes time:
    /// the work grows with 1 / `min_face`², up to a limit. `None` means about a sixteenth of the
    /// image's side, and a second search at a larger scale if there are faces near that size.
    pub min_face: Option<u32>,
    /// The least score, [`Options::SCORE`]: the number of neighbouring positions and sizes in which the face was
    /// found, each weighted by the last network's probability (0.5–1).
    pub score: f32,
}

impl Options {
    /// The most that [`Options::max_faces`] can be.
    pub const MOST_FACES: usize = 256;
    /// The range of [`Options::min_face`] in pixels.
    pub const MIN_FACE: std::ops::RangeInclusive<u32> = 20..=10_000;
    /// The range of [`Options::score`].
    pub const SCORE: std::ops::RangeInclusive<f32> = 1.0..=100.0;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_faces: 64,
            min_face: None,
            score: 3.0,
        }
    }
}
