//! Images for the tests: drawn here, the same in every run, and written in every format the server reads.

use image::ExtendedColorType;

pub(crate) use fer_image::{Format, SIDE};

#[path = "../../support/image_files.rs"]
mod image_files;

pub(crate) use image_files::*;

/// The format's media type.
pub(crate) const fn media_type(format: Format) -> &'static str {
    match format {
        Format::Jpeg => "image/jpeg",
        Format::Png => "image/png",
        Format::WebP => "image/webp",
        Format::Gif => "image/gif",
        Format::Bmp => "image/bmp",
        Format::Tiff => "image/tiff",
        Format::Pnm => "image/x-portable-anymap",
    }
}

/// What a pixel is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Gray,
    Gray16,
    Rgb,
    Rgb16,
    Rgba,
}

/// A drawing of a face, `width × height` gray values: shaded oval, two eyes, a mouth whose bend is `mood`
/// (−1 to 1), and a light background that makes the picture lopsided, so that a turned copy differs.
pub(crate) fn face(width: usize, height: usize, mood: f64) -> Vec<u8> {
    let spot = |x: f64, y: f64, rx: f64, ry: f64| (-((x / rx).powi(2) + (y / ry).powi(2))).exp();
    let mut gray = Vec::with_capacity(width * height);
    for row in 0..height {
        for column in 0..width {
            let x = (column as f64 + 0.5) / width as f64;
            let y = (row as f64 + 0.5) / height as f64;
            let skin = 50.0 + 130.0 * spot(x - 0.5, y - 0.5, 0.4, 0.48) + 40.0 * x;
            let eyes = spot(x - 0.33, y - 0.4, 0.08, 0.05) + spot(x - 0.68, y - 0.4, 0.08, 0.05);
            let bend = mood * 1.5 * ((x - 0.5).powi(2) - 0.02);
            let mouth = spot(x - 0.5, y - 0.76 + bend, 0.2, 0.04);
            gray.push((skin - 110.0 * eyes - 90.0 * mouth).clamp(0.0, 255.0) as u8);
        }
    }
    gray
}

/// A 48×48 drawn face as a gray PNG.
pub(crate) fn face_png(mood: f64) -> Vec<u8> {
    gray_png(&face(SIDE, SIDE, mood))
}

/// 48×48 gray values as a PNG.
pub(crate) fn gray_png(gray: &[u8]) -> Vec<u8> {
    encode(Format::Png, Layout::Gray, SIDE, SIDE, gray)
}

/// A gray picture with every channel of `layout` set to the gray value, opaque, as a file.
///
/// GIF and lossless WebP have no gray layout: they get RGB.
pub(crate) fn encode(format: Format, layout: Layout, width: usize, height: usize, gray: &[u8]) -> Vec<u8> {
    let layout = match (format, layout) {
        (Format::Gif | Format::WebP, Layout::Gray) => Layout::Rgb,
        (_, layout) => layout,
    };
    let wide = |v: u8| (u16::from(v) * 257).to_ne_bytes();
    let (color, pixels): (_, Vec<u8>) = match layout {
        Layout::Gray => (ExtendedColorType::L8, gray.to_vec()),
        Layout::Gray16 => (
            ExtendedColorType::L16,
            gray.iter().flat_map(|&v| wide(v)).collect(),
        ),
        Layout::Rgb => (
            ExtendedColorType::Rgb8,
            gray.iter().flat_map(|&v| [v; 3]).collect(),
        ),
        Layout::Rgb16 => (
            ExtendedColorType::Rgb16,
            gray.iter().flat_map(|&v| [wide(v); 3].concat()).collect(),
        ),
        Layout::Rgba => (
            ExtendedColorType::Rgba8,
            gray.iter().flat_map(|&v| [v, v, v, 255]).collect(),
        ),
    };
    encode_with_exif(format, color, width, height, &pixels, None)
}

/// Gray values as they are stored when the camera was held so that EXIF orientation 6 ("turn by 90°
/// clockwise to see it upright") has to be written.
pub(crate) fn turned_left(width: usize, height: usize, gray: &[u8]) -> Vec<u8> {
    let mut stored = vec![0; gray.len()];
    for row in 0..height {
        for column in 0..width {
            // Stored picture: `height` wide, `width` high.
            stored[(width - 1 - column) * height + row] = gray[row * width + column];
        }
    }
    stored
}

/// The JPEG with an EXIF segment (APP1) that holds nothing but the orientation.
pub(crate) fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let content = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let (start, rest) = jpeg.split_at(2);
    let mut out = start.to_vec();
    out.extend([0xFF, 0xE1]);
    out.extend((content.len() as u16 + 2).to_be_bytes());
    out.extend(content);
    out.extend(rest);
    out
}

/// A 48×48 CMYK JPEG of one colour, inks as Adobe stores them (inverted: 255 is no ink).
pub(crate) fn cmyk_jpeg(inks: [u8; 4]) -> Vec<u8> {
    let [c, m, y, k] = inks;
    let channels = [(1, 0x11, c), (2, 0x11, m), (3, 0x11, y), (4, 0x11, k)];
    flat_jpeg(SIDE as u16, SIDE as u16, &channels, Some(0), false)
}

/// A JPEG whose header says that what follows is coded arithmetically.
pub(crate) fn arithmetic_jpeg() -> Vec<u8> {
    let mut jpeg = encode(Format::Jpeg, Layout::Gray, 48, 48, &face(48, 48, 0.0));
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 1] = 0xC9;
    jpeg
}

/// The first bytes of a gray PNG that claims to be `width × height`: signature and header chunk, nothing more.
pub(crate) fn claimed_png(width: u32, height: u32) -> Vec<u8> {
    [PNG_SIGNATURE, &png_header((width, height), 8, 0)].concat()
}
