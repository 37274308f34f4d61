//! Changes to a face.

use std::fmt;

use image::{ExtendedColorType, GrayImage, codecs::jpeg::JpegEncoder, imageops};

use fer_image::{Face, Limits, LumaImage, PIXELS, SIDE, decode};

/// A change to a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Moved by that many pixels to the right and downwards; the border's pixels are continued.
    Shift(i64, i64),
    /// Turned clockwise about its centre by that many degrees, bilinear; the border's pixels are continued.
    Rotation(f32),
    /// Gaussian blur of that deviation in pixels.
    Blur(f32),
    /// Written as JPEG of that quality and read again as an upload is.
    Jpeg(u8),
    /// That share of the full range added to every pixel.
    Brightness(f32),
    /// The distance from mid-gray times that.
    Contrast(f32),
    /// Resized to a square of that side and back to 48.
    Resize(u32),
}

impl Change {
    /// Everything that is measured, in the order shown.
    pub const ALL: [Self; 14] = [
        Self::Shift(-2, 0),
        Self::Shift(2, 0),
        Self::Shift(0, -2),
        Self::Shift(0, 2),
        Self::Rotation(-10.0),
        Self::Rotation(10.0),
        Self::Blur(1.0),
        Self::Jpeg(30),
        Self::Brightness(-0.2),
        Self::Brightness(0.2),
        Self::Contrast(0.7),
        Self::Contrast(1.3),
        Self::Resize(24),
        Self::Resize(96),
    ];

    /// The changed face.
    ///
    /// # Errors
    /// A sentence, if an encoder or decoder fails; none is known to.
    pub fn apply(self, face: &Face) -> Result<Face, String> {
        match self {
            Self::Shift(x, y) => LumaImage::from(face).square(-x, -y, SIDE as u32),
            Self::Rotation(degrees) => Ok(rotated(face, degrees.to_radians())),
            Self::Blur(deviation) => {
                let picture = GrayImage::from_raw(SIDE as u32, SIDE as u32, face.0.to_vec())
                    .ok_or("a face is not 48×48 pixels")?;
                Face::from_gray(imageops::blur(&picture, deviation).as_raw())
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

/// Every pixel by a function, rounded and cut off at 0 and 255.
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
    let (centre, last) = ((SIDE as f32 - 1.0) / 2.0, SIDE as f32 - 1.0);
    let mut pixels = [0; PIXELS];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (dx, dy) = ((i % SIDE) as f32 - centre, (i / SIDE) as f32 - centre);
        // Back to where the pixel comes from. With y downwards, a positive angle turns clockwise.
        let x = (cos * dx + sin * dy + centre).clamp(0.0, last);
        let y = (cos * dy - sin * dx + centre).clamp(0.0, last);
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(SIDE - 1), (y0 + 1).min(SIDE - 1));
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let at = |x: usize, y: usize| f32::from(face.0[y * SIDE + x]);
        let top = at(x0, y0) + fx * (at(x1, y0) - at(x0, y0));
        let bottom = at(x0, y1) + fx * (at(x1, y1) - at(x0, y1));
        *pixel = (top + fy * (bottom - top)).round() as u8;
    }
    Face(pixels)
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

    #[test]
    fn every_change_changes_a_face_a_little() {
        for face in drawn_faces(4) {
            for change in Change::ALL {
                let changed = change.apply(&face).unwrap();
                let difference = mean_difference(&face, &changed);
                assert!(difference > 0.05 && difference < 60.0, "{change}: {difference}");
            }
        }
        let names: std::collections::BTreeSet<_> = Change::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Change::ALL.len());
    }
}
