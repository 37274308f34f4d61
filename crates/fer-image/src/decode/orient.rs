//! Turns an image upright, according to its EXIF orientation.

use image::metadata::Orientation;

use super::LumaImage;

/// Side of the squares in which pixels are moved: source and target rows of one stay in the first-level cache.
const TILE: usize = 32;

/// The image as it is meant to be seen.
pub(crate) fn upright(image: LumaImage, orientation: Orientation) -> LumaImage {
    let (width, height) = (image.width as usize, image.height as usize);
    let (w, h) = (width.cast_signed(), height.cast_signed());
    // The source pixel of target (x, y) is at start + x·right + y·down.
    let (start, right, down) = match orientation {
        Orientation::NoTransforms => return image,
        Orientation::FlipHorizontal => (w - 1, -1, w),
        Orientation::Rotate180 => (w * h - 1, -1, -w),
        Orientation::FlipVertical => (w * (h - 1), 1, -w),
        Orientation::Rotate90FlipH => (0, w, 1),
        Orientation::Rotate90 => (w * (h - 1), -w, 1),
        Orientation::Rotate270FlipH => (w * h - 1, -w, -1),
        Orientation::Rotate270 => (w - 1, w, -1),
    };
    let (to_width, to_height) = if swaps_sides(orientation) {
        (height, width)
    } else {
        (width, height)
    };
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
    let (width, height) = if swaps_sides(orientation) {
        (image.height, image.width)
    } else {
        (image.width, image.height)
    };
    LumaImage::new(width, height, pixels)
}

fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90FlipH
            | Orientation::Rotate90
            | Orientation::Rotate270FlipH
            | Orientation::Rotate270
    )
}

/// The orientation in a PNG's `eXIf` chunk, which may also follow the pixels: the decoder reads only one before them.
pub(super) fn of_png(bytes: &[u8]) -> Orientation {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((&[l0, l1, l2, l3, name @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let Some(content) = after.get(..length) else { break };
        if name == *b"eXIf" {
            return Orientation::from_exif_chunk(content).unwrap_or(Orientation::NoTransforms);
        }
        // A checksum of four bytes follows.
        rest = after.get(length + 4..).unwrap_or_default();
    }
    Orientation::NoTransforms
}
