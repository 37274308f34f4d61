//! Pixels of every layout → 8-bit gray on white.
//!
//! Gray is BT.601 luma, Y = 0.299 R + 0.587 G + 0.114 B, in 16-bit fixed point, rounded once at the
//! end. The weights sum to exactly 2¹⁶, so R = G = B = v gives v. (The `image` crate's own
//! conversion uses BT.709 weights; the training images were made with these.)

use image::ColorType;

use crate::{Face, SIDE};

const RED: u32 = 19_595;
const GREEN: u32 = 38_470;
const BLUE: u32 = 7_471;
const ONE: u64 = 1 << 16;
const _: () = assert!((RED + GREEN + BLUE) as u64 == ONE, "the weights must sum to one");

const MAX8: u64 = u8::MAX as u64;
const MAX16: u64 = u16::MAX as u64;

/// A gray image of any size, upright: what [`decode()`](crate::decode()) squeezes into a [`Face`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LumaImage {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) pixels: Vec<u8>,
}

impl LumaImage {
    pub(crate) fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(pixels.len() as u64, u64::from(width) * u64::from(height));
        Self {
            width,
            height,
            pixels,
        }
    }

    /// Width in pixels, at least 1.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, at least 1.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// BT.601 luma, 0–255, width × height bytes in row-major order.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl From<&Face> for LumaImage {
    fn from(face: &Face) -> Self {
        Self::new(SIDE as u32, SIDE as u32, face.0.to_vec())
    }
}

/// How colours are stored along with a transparency channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    /// As they are (PNG, WebP, GIF, BMP, PAM and most TIFF).
    Straight,
    /// Already multiplied by their opacity (TIFF's associated alpha).
    Premultiplied,
}

/// Reduces `pixels` of layout `color` (16-bit samples in native byte order) to one gray byte each.
/// Transparency is laid on white. `None` for layouts that are not integer samples.
pub(super) fn from_pixels(color: ColorType, pixels: Vec<u8>, kind: Alpha) -> Option<Vec<u8>> {
    let on_white8 = |luma: u32, alpha: u8| on_white(u64::from(luma), u64::from(alpha), MAX8, kind);
    let on_white16 = |luma: u64, alpha: u16| on_white(luma, u64::from(alpha), MAX16, kind);
    Some(match color {
        ColorType::L8 => pixels,
        ColorType::La8 => map(&pixels, |[l, a]| on_white8(u32::from(l) << 16, a)),
        ColorType::Rgb8 => from_rgb8(&pixels),
        ColorType::Rgba8 => map(&pixels, |[r, g, b, a]| on_white8(weigh8(r, g, b), a)),
        ColorType::L16 => map16(&pixels, |[l]| narrow(u64::from(l) * ONE)),
        ColorType::La16 => map16(&pixels, |[l, a]| on_white16(u64::from(l) * ONE, a)),
        ColorType::Rgb16 => map16(&pixels, |[r, g, b]| narrow(weigh16(r, g, b))),
        ColorType::Rgba16 => map16(&pixels, |[r, g, b, a]| on_white16(weigh16(r, g, b), a)),
        _ => return None,
    })
}

/// Interleaved 8-bit R, G, B → gray.
pub(crate) fn from_rgb8(pixels: &[u8]) -> Vec<u8> {
    map(pixels, |[r, g, b]| ((weigh8(r, g, b) + (1 << 15)) >> 16) as u8)
}

/// Each `N` samples → gray.
fn map<T: Copy, const N: usize>(samples: &[T], gray: impl Fn([T; N]) -> u8) -> Vec<u8> {
    samples
        .as_chunks::<N>()
        .0
        .iter()
        .map(|&pixel| gray(pixel))
        .collect()
}

fn map16<const N: usize>(pixels: &[u8], gray: impl Fn([u16; N]) -> u8) -> Vec<u8> {
    let samples = pixels.as_chunks::<2>().0;
    map(samples, |pixel: [[u8; 2]; N]| gray(pixel.map(u16::from_ne_bytes)))
}

/// Luma × 2¹⁶, at most 255 × 2¹⁶.
fn weigh8(r: u8, g: u8, b: u8) -> u32 {
    RED * u32::from(r) + GREEN * u32::from(g) + BLUE * u32::from(b)
}

/// Luma × 2¹⁶, at most 65,535 × 2¹⁶.
fn weigh16(r: u16, g: u16, b: u16) -> u64 {
    u64::from(RED) * u64::from(r) + u64::from(GREEN) * u64::from(g) + u64::from(BLUE) * u64::from(b)
}

/// 16 → 8 bits: 65,535 ↦ 255, so the divisor is 257.
fn narrow(luma: u64) -> u8 {
    divide(luma, 257 * ONE)
}

/// `luma` × 2¹⁶ of samples up to `max`, laid on white with opacity `alpha` of `max`, to 8 bits.
fn on_white(luma: u64, alpha: u64, max: u64, kind: Alpha) -> u8 {
    let white = (max - alpha) * max * ONE;
    let ink = match kind {
        Alpha::Straight => luma * alpha,
        // No colour can be brighter than its opacity; a damaged file's may.
        Alpha::Premultiplied => luma.min(alpha * ONE) * max,
    };
    divide(ink + white, max * (max / MAX8) * ONE)
}

/// Rounded quotient; at most 255 for every caller.
fn divide(value: u64, by: u64) -> u8 {
    ((value + by / 2) / by) as u8
}
