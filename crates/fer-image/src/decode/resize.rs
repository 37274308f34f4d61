//! The whole image squeezed into 48×48.
//!
//! Convolution with a triangle (bilinear) kernel that widens with the reduction, so every source
//! pixel counts and nothing aliases. It never overshoots (no ringing at edges, as CatmullRom and
//! Lanczos have), has no dependence on where pixel borders fall (as a box has at ratios below about
//! 3), interpolates smoothly when an image is smaller than 48 pixels, and is what Pillow's
//! `BILINEAR` and torchvision's antialiased default compute.

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use super::LumaImage;
use crate::{Face, PIXELS, SIDE};

/// Resizes what `options` says of `image` to `width` × `height` pixels.
fn resize(
    image: &LumaImage,
    options: ResizeOptions,
    width: u32,
    height: u32,
    target: &mut [u8],
) -> Result<(), String> {
    if [image.width, image.height, width, height].contains(&0) {
        return Err("a picture without pixels cannot be resized".to_owned());
    }
    let source = ImageRef::new(image.width, image.height, &image.pixels, PixelType::U8)
        .map_err(|error| error.to_string())?;
    let mut target =
        Image::from_slice_u8(width, height, target, PixelType::U8).map_err(|error| error.to_string())?;
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new()
        .resize(&source, &mut target, &options)
        .map_err(|error| error.to_string())
}

impl LumaImage {
    /// The image at another size, both sides at least 1 pixel.
    ///
    /// # Errors
    /// A sentence, if a side is 0.
    pub fn resized(&self, width: u32, height: u32) -> Result<Self, String> {
        let mut pixels = vec![0; width as usize * height as usize];
        resize(self, ResizeOptions::new(), width, height, &mut pixels)?;
        Ok(Self::new(width, height, pixels))
    }

    /// The whole image squeezed into a face; the aspect ratio is not kept. A 48×48 image passes unchanged.
    ///
    /// # Errors
    /// A sentence; none is known to occur.
    pub fn whole(&self) -> Result<Face, String> {
        if (self.width as usize, self.height as usize) == (SIDE, SIDE)
            && let Some(face) = Face::from_gray(&self.pixels)
        {
            return Ok(face);
        }
        let mut pixels = [0; PIXELS];
        resize(self, ResizeOptions::new(), SIDE as u32, SIDE as u32, &mut pixels)?;
        Ok(Face(pixels))
    }

    /// The square of `side` pixels whose upper left corner is (`x`, `y`), squeezed into a face. Where it
    /// reaches over the border of the image, the pixels of the border are continued.
    ///
    /// # Errors
    /// A sentence, if `side` is 0.
    pub fn square(&self, x: i64, y: i64, side: u32) -> Result<Face, String> {
        self.extended([x, y], [side, side]).whole()
    }

    /// The rectangle at `start` (x, y) of `size` (width, height), all in fractions of pixels, squeezed into a face. Where
    /// it reaches over the border of the image, the pixels of the border are continued.
    ///
    /// # Errors
    /// A sentence, if a side is less than a pixel's fraction that floating point can tell.
    pub(crate) fn part(&self, start: [f64; 2], size: [f64; 2]) -> Result<Face, String> {
        let from = start.map(|v| v.floor() as i64);
        let end = [start[0] + size[0], start[1] + size[1]].map(|v| v.ceil() as i64);
        let whole = [end[0] - from[0], end[1] - from[1]].map(|n| u32::try_from(n).unwrap_or(0));
        let [left, top] = [start[0] - from[0] as f64, start[1] - from[1] as f64];
        let mut pixels = [0; PIXELS];
        resize(
            &self.extended(from, whole),
            ResizeOptions::new().crop(left, top, size[0], size[1]),
            SIDE as u32,
            SIDE as u32,
            &mut pixels,
        )?;
        Ok(Face(pixels))
    }

    /// The rectangle at `x`, `y` of `size`; beyond the border of the image its pixels are continued.
    fn extended(&self, [x, y]: [i64; 2], size: [u32; 2]) -> Self {
        let columns = clamped(x, size[0], self.width);
        let mut pixels = Vec::with_capacity(size[0] as usize * size[1] as usize);
        let width = self.width as usize;
        for row in clamped(y, size[1], self.height) {
            let row = self
                .pixels
                .get(row * width..(row + 1) * width)
                .unwrap_or_default();
            pixels.extend(columns.clone().filter_map(|column| row.get(column)));
        }
        Self::new(size[0], size[1], pixels)
    }
}

/// `count` positions from `start` on, each moved to the nearest one in `0..end`.
fn clamped(start: i64, count: u32, end: u32) -> impl Iterator<Item = usize> + Clone {
    let last = i64::from(end) - 1;
    (0..i64::from(count)).map(move |i| start.saturating_add(i).clamp(0, last.max(0)) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gray = column + 2 × row.
    fn slope(width: u32, height: u32) -> LumaImage {
        let pixels = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x + 2 * y) as u8))
            .collect();
        LumaImage::new(width, height, pixels)
    }

    #[test]
    fn a_square_of_48_pixels_is_cut_out_as_it_is() {
        let face = slope(70, 60).square(10, 5, 48).unwrap();
        for (i, &p) in face.0.iter().enumerate() {
            assert_eq!(usize::from(p), 10 + i % SIDE + 2 * (5 + i / SIDE));
        }
    }

    #[test]
    fn beyond_the_border_its_pixels_go_on() {
        let face = slope(60, 60).square(-10, 30, 48).unwrap();
        for (i, &p) in face.0.iter().enumerate() {
            let (x, y) = ((i % SIDE).saturating_sub(10), (30 + i / SIDE).min(59));
            assert_eq!(usize::from(p), x + 2 * y);
        }
        // Wholly outside there is only the corner.
        let face = slope(60, 60).square(1000, 1000, 480).unwrap();
        assert!(face.0.iter().all(|&p| p == 59 + 2 * 59));
    }

    #[test]
    fn larger_squares_are_squeezed_and_empty_ones_refused() {
        let flat = LumaImage {
            width: 200,
            height: 100,
            pixels: vec![77; 200 * 100],
        };
        assert!(flat.square(0, 0, 100).unwrap().0.iter().all(|&p| p == 77));
        assert!(flat.square(0, 0, 0).is_err());
        assert_eq!(flat.resized(20, 10).unwrap().pixels(), [77; 200]);
        assert!(flat.resized(0, 10).is_err());
    }
}
