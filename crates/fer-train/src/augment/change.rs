//! Changes to a face: augmentation draws them at random, the robustness report measures what each costs.

use std::fmt;

use image::{ExtendedColorType, GrayImage, codecs::jpeg::JpegEncoder, imageops};

use fer_image::{Face, Limits, LumaImage, PIXELS, SIDE, decode};

#[allow(clippy::cast_precision_loss)]
pub(super) const CENTRE: f32 = (SIDE as f32 - 1.0) / 2.0;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    /// Pixels to the right and downwards; the border's pixels are repeated.
    Shift(i64, i64),
    /// Degrees clockwise about the centre, bilinear; the border's pixels are repeated.
    Rotation(f32),
    /// Gaussian blur; its standard deviation in pixels.
    Blur(f32),
    /// Encoded as JPEG of that quality and decoded as an upload is.
    Jpeg(u8),
    /// Added to every pixel, share of the full range.
    Brightness(f32),
    /// Factor on the distance from mid-gray.
    Contrast(f32),
    /// Resized to a square of that side and back to 48.
    Resize(u32),
}

impl Change {
    /// The changed face. An encoder or decoder may fail in theory; no face is known on which one does.
    pub(crate) fn apply(self, face: &Face) -> Result<Face, String> {
        match self {
            Self::Shift(x, y) => LumaImage::from(face).square(-x, -y, SIDE as u32),
            Self::Rotation(degrees) => Ok(rotated(face, degrees.to_radians())),
            Self::Blur(deviation) => {
                let image = GrayImage::from_raw(SIDE as u32, SIDE as u32, face.0.to_vec())
                    .ok_or("a face is not 48×48 pixels")?;
                Face::from_gray(imageops::blur(&image, deviation).as_raw())
                    .ok_or_else(|| "blurring changed the size".to_owned())
            }
            Self::Jpeg(quality) => {
                let (mut bytes, side) = (Vec::new(), SIDE as u32);
                JpegEncoder::new_with_quality(&mut bytes, quality)
                    .encode(&face.0, side, side, ExtendedColorType::L8)
                    .map_err(|e| e.to_string())?;
                decode(&bytes, &Limits::default()).map_err(|e| e.to_string())
            }
            Self::Brightness(share) => Ok(each(face, |p| p + 255.0 * share)),
            Self::Contrast(factor) => Ok(each(face, |p| (p - 127.5) * factor + 127.5)),
            Self::Resize(side) => LumaImage::from(face).resized(side, side)?.whole(),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shift(x, 0) if *x < 0 => write!(f, "shift {} px left", -x),
            Self::Shift(x, 0) => write!(f, "shift {x} px right"),
            Self::Shift(0, y) if *y < 0 => write!(f, "shift {} px up", -y),
            Self::Shift(0, y) => write!(f, "shift {y} px down"),
            Self::Shift(x, y) => write!(f, "shift {x}, {y} px"),
            Self::Rotation(d) => write!(f, "rotation {d:+}°"),
            Self::Blur(s) => write!(f, "blur, sigma {s} px"),
            Self::Jpeg(q) => write!(f, "JPEG quality {q}"),
            Self::Brightness(s) => write!(f, "brightness {:+} %", (s * 100.0).round()),
            Self::Contrast(c) => write!(f, "contrast ×{c}"),
            Self::Resize(side) => write!(f, "resized {SIDE}→{side}→{SIDE}"),
        }
    }
}

/// Applies a function to every pixel; rounds and clamps to 0–255.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn each(face: &Face, change: impl Fn(f32) -> f32) -> Face {
    Face(
        face.0
            .map(|p| change(f32::from(p)).round().clamp(0.0, 255.0) as u8),
    )
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn rotated(face: &Face, angle: f32) -> Face {
    let (sin, cos) = angle.sin_cos();
    let source = face.0.map(f32::from);
    Face(std::array::from_fn(|i| {
        let (dx, dy) = ((i % SIDE) as f32 - CENTRE, (i / SIDE) as f32 - CENTRE);
        // Back to where the pixel comes from. With y downwards, a positive angle turns clockwise.
        let (x, y) = (cos * dx + sin * dy + CENTRE, cos * dy - sin * dx + CENTRE);
        bilinear(&source, x, y).round() as u8
    }))
}

/// The face's value between its pixels; beyond the border the border's pixels are repeated.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(super) fn bilinear(face: &[f32; PIXELS], x: f32, y: f32) -> f32 {
    let last = (SIDE - 1) as f32;
    let (x, y) = (x.clamp(0.0, last), y.clamp(0.0, last));
    let (x0, y0) = (x as usize, y as usize);
    let (x1, y1) = ((x0 + 1).min(SIDE - 1), (y0 + 1).min(SIDE - 1));
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let at = |x: usize, y: usize| face[y * SIDE + x];
    let top = at(x0, y0) + fx * (at(x1, y0) - at(x0, y0));
    let bottom = at(x0, y1) + fx * (at(x1, y1) - at(x0, y1));
    top + fy * (bottom - top)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fer_engine::drawn_faces;

    fn at(face: &Face, x: usize, y: usize) -> u8 {
        face.0[y * SIDE + x]
    }

    /// Black but for one white pixel.
    fn dot(x: usize, y: usize) -> Face {
        let mut face = Face([0; PIXELS]);
        face.0[y * SIDE + x] = 255;
        face
    }

    fn mean_difference(a: &Face, b: &Face) -> f64 {
        let sum: u32 = a.0.iter().zip(&b.0).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        f64::from(sum) / PIXELS as f64
    }

    #[test]
    fn shifts_go_where_their_name_says() {
        for (shift, x, y, name) in [
            ((-2, 0), 8, 20, "left"),
            ((2, 0), 12, 20, "right"),
            ((0, -2), 10, 18, "up"),
            ((0, 2), 10, 22, "down"),
        ] {
            let change = Change::Shift(shift.0, shift.1);
            let moved = change.apply(&dot(10, 20)).unwrap();
            assert_eq!(moved, dot(x, y), "{name}");
            assert_eq!(change.to_string(), format!("shift 2 px {name}"));
        }
    }

    #[test]
    fn a_quarter_turn_moves_pixels_exactly_and_clockwise() {
        // From the right edge's middle to the bottom's.
        let turned = Change::Rotation(90.0).apply(&dot(47, 24)).unwrap();
        assert!(at(&turned, 23, 47) >= 254, "{}", at(&turned, 23, 47));
        for face in drawn_faces(3) {
            let back = Change::Rotation(-90.0)
                .apply(&Change::Rotation(90.0).apply(&face).unwrap())
                .unwrap();
            assert!(mean_difference(&face, &back) < 0.1);
            assert_eq!(Change::Rotation(0.0).apply(&face).unwrap(), face);
        }
    }

    #[test]
    fn light_is_moved_and_cut_off() {
        let face = Face(std::array::from_fn(|i| [0, 100, 200, 255][i % 4]));
        let first = |c: Change| c.apply(&face).unwrap().0[..4].to_vec();
        assert_eq!(first(Change::Brightness(0.2)), [51, 151, 251, 255]);
        assert_eq!(first(Change::Brightness(-0.2)), [0, 49, 149, 204]);
        assert_eq!(first(Change::Contrast(0.7)), [38, 108, 178, 217]);
        assert_eq!(first(Change::Contrast(1.3)), [0, 92, 222, 255]);
    }

    #[test]
    fn blur_spreads_a_dot_as_a_gaussian_and_keeps_its_light() {
        let blurred = Change::Blur(1.0).apply(&dot(24, 24)).unwrap();
        // 255 / 2π at the centre, times e^−½ a pixel away.
        assert!((i32::from(at(&blurred, 24, 24)) - 41).abs() <= 2);
        assert!((i32::from(at(&blurred, 25, 24)) - 25).abs() <= 2);
        let sum: u32 = blurred.0.iter().map(|p| u32::from(*p)).sum();
        assert!((240..=270).contains(&sum), "{sum}");
    }
}
