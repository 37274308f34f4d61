//! Differences between views and their faces.

use serde::{Deserialize, Serialize};

/// The largest differences between a view and its face; each value is drawn for every view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augmentation {
    /// Share of the views that are mirrored. At 0.5 a face and its mirror image take turns from epoch to epoch, so that
    /// both are seen equally often (Jordan 2024, arXiv 2404.00498).
    pub flip: f64,
    /// Rotation, uniform in ± this, degrees.
    pub rotation: f64,
    /// Size, uniform in 1 ± this.
    pub scale: f64,
    /// Shift in x and in y, uniform in ± this, fraction of the side.
    pub shift: f64,
    /// Added to all pixels, uniform in ± this, fraction of the full range.
    pub brightness: f64,
    /// Factor on the distance from mid-gray, uniform in 1 ± this.
    pub contrast: f64,
    /// Probability that a rectangle of 2–15 % of the area is replaced by noise (Zhong et al. 2017).
    pub erase: f64,
    /// Probability that the face is first reduced to 20–40 pixels a side and enlarged again.
    pub low_resolution: f64,
    /// Probability that it is then blurred, with a deviation of 0.5–1.3 pixels.
    pub blur: f64,
    /// Probability that it is then written as JPEG of quality 20–70 and read again.
    pub jpeg: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self {
            flip: 0.5,
            rotation: 8.0,
            scale: 0.08,
            shift: 0.06,
            brightness: 0.08,
            contrast: 0.15,
            erase: 0.15,
            low_resolution: 0.25,
            blur: 0.1,
            jpeg: 0.15,
        }
    }
}

impl Augmentation {
    pub(crate) const NONE: Self = Self {
        flip: 0.0,
        rotation: 0.0,
        scale: 0.0,
        shift: 0.0,
        brightness: 0.0,
        contrast: 0.0,
        erase: 0.0,
        low_resolution: 0.0,
        blur: 0.0,
        jpeg: 0.0,
    };
}
