//! Turns an image upright, according to its EXIF orientation.

use image::metadata::Orientation;

use super::LumaImage;

/// Side of the squares in which pixels are moved: source and target rows of one stay in the first-level cache.
const TILE: usize = 32;

/// The image as it is meant to be seen.
pub(crate) fn upright(image: LumaImage, orientation: Orientation) -> LumaImage {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let (w, h) = (image.width as isize, image.height as isize);
    // The source pixel of target (x, y) is at start + x·right + y·down.
    let (start, right, down) = match orientation {
        Orientation::NoTransforms => return image,
        Orientation::FlipHorizontal => (w - 1, -1, w),
        Orientation::Rotate180 => (w * h - 1, -1, -w),
        Orientation::FlipVertical => (w * (h - 1), 1, -w),
        Rotate90FlipH => (0, w, 1),
        Rotate90 => (w * (h - 1), -w, 1),
        Rotate270FlipH => (w * h - 1, -w, -1),
        Rotate270 => (w - 1, w, -1),
    };
    let (width, height) = if swaps_sides(orientation) {
        (image.height, image.width)
    } else {
        (image.width, image.height)
    };
    let (to_width, to_height) = (width as usize, height as usize);
    let mut pixels = vec![0; image.pixels.len()];
    for top in (0..to_height).step_by(TILE) {
        for left in (0..to_width).step_by(TILE) {
            for y in top..to_height.min(top + TILE) {
                let row = &mut pixels[y * to_width..(y + 1) * to_width];
                for (x, pixel) in row.iter_mut().enumerate().take(left + TILE).skip(left) {
                    let from = start + x.cast_signed() * right + y.cast_signed() * down;
                    *pixel = image.pixels[from.cast_unsigned()];
                }
            }
        }
    }
    LumaImage::new(width, height, pixels)
}

/// Whether turning exchanges width and height.
pub(crate) fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90FlipH | Rotate90 | Rotate270FlipH | Rotate270)
}
