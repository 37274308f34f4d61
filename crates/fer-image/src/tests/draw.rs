//! Images for the tests: drawn here, and written by `tests/support/image_files.rs`.

use image::ExtendedColorType;

use crate::Format;

#[path = "../../../../tests/support/image_files.rs"]
mod image_files;

pub(crate) use image_files::*;

/// A face-like drawing with smooth shading, dark features and some texture: `width × height` gray bytes.
pub(crate) fn face(width: usize, height: usize) -> Vec<u8> {
    let spot = |x: f64, y: f64, cx: f64, cy: f64, rx: f64, ry: f64| {
        let d = ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2);
        (-d).exp()
    };
    let pixel = |i: usize| {
        let x = ((i % width) as f64 + 0.5) / width as f64;
        let y = ((i / width) as f64 + 0.5) / height as f64;
        let skin = 60.0 + 120.0 * spot(x, y, 0.5, 0.5, 0.42, 0.5) + 30.0 * x;
        let eyes = spot(x, y, 0.33, 0.4, 0.08, 0.05) + spot(x, y, 0.68, 0.42, 0.08, 0.05);
        let mouth = spot(x, y, 0.52, 0.75, 0.2, 0.05);
        let texture = 6.0 * (37.0 * x).sin() * (29.0 * y).cos();
        (skin - 110.0 * eyes - 80.0 * mouth + texture).clamp(0.0, 255.0) as u8
    };
    (0..width * height).map(pixel).collect()
}

pub(crate) fn to_rgb(gray: &[u8]) -> Vec<u8> {
    gray.iter().flat_map(|&v| [v; 3]).collect()
}

pub(crate) fn to_rgba(gray: &[u8], alpha: u8) -> Vec<u8> {
    gray.iter().flat_map(|&v| [v, v, v, alpha]).collect()
}

/// As [`encode_with_exif`] without EXIF.
pub(crate) fn encode(
    format: Format,
    color: ExtendedColorType,
    width: usize,
    height: usize,
    pixels: &[u8],
) -> Vec<u8> {
    encode_with_exif(format, color, width, height, pixels, None)
}
