//! Pictures for the tests: drawn here, the same in every run, and written in every format the server reads.

use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        bmp::BmpEncoder, gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, pnm::PnmEncoder,
        tiff::TiffEncoder, webp::WebPEncoder,
    },
};

/// Width and height of what the model sees.
pub(crate) const SIDE: usize = 48;

/// Formats an encoder is at hand for; WebP is lossless, JPEG has quality 95.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    Pnm,
}

impl Format {
    pub(crate) const ALL: [Format; 7] = [
        Format::Jpeg,
        Format::Png,
        Format::WebP,
        Format::Gif,
        Format::Bmp,
        Format::Tiff,
        Format::Pnm,
    ];

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::WebP => "image/webp",
            Format::Gif => "image/gif",
            Format::Bmp => "image/bmp",
            Format::Tiff => "image/tiff",
            Format::Pnm => "image/x-portable-anymap",
        }
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
    let (w, h) = (width as u32, height as u32);
    let mut out = std::io::Cursor::new(Vec::new());
    let written = match format {
        Format::Jpeg => JpegEncoder::new_with_quality(&mut out, 95).write_image(&pixels, w, h, color),
        Format::Png => PngEncoder::new(&mut out).write_image(&pixels, w, h, color),
        Format::WebP => WebPEncoder::new_lossless(&mut out).write_image(&pixels, w, h, color),
        Format::Gif => GifEncoder::new(&mut out).encode(&pixels, w, h, color),
        Format::Bmp => BmpEncoder::new(out.get_mut()).write_image(&pixels, w, h, color),
        Format::Tiff => TiffEncoder::new(&mut out).write_image(&pixels, w, h, color),
        Format::Pnm => PnmEncoder::new(&mut out).write_image(&pixels, w, h, color),
    };
    written.unwrap();
    out.into_inner()
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
    let mut content = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    content.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
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
    let mut file = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, content: &[u8]| {
        file.extend([0xFF, marker]);
        file.extend((content.len() as u16 + 2).to_be_bytes());
        file.extend(content);
    };
    segment(0xEE, b"Adobe\0\x64\0\0\0\0\0");
    // A quantiser of 8 undoes the transform's factor: a DC coefficient is the mean less 128.
    segment(0xDB, &[&[0][..], &[8; 64]].concat());
    let side = SIDE as u8;
    segment(
        0xC0,
        &[
            8, 0, side, 0, side, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0,
        ],
    );
    // DC: twelve categories with four-bit codes. AC: end-of-block is the one-bit code 0.
    segment(
        0xC4,
        &[
            0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
        ],
    );
    segment(0xC4, &[0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    segment(0xDA, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]);
    let mut bits = Vec::new();
    for block in 0..36 {
        for ink in inks {
            let dc = if block == 0 { i32::from(ink) - 128 } else { 0 };
            let size = 32 - dc.unsigned_abs().leading_zeros();
            let coded = if dc < 0 { dc - 1 } else { dc };
            bits.extend((0..4).rev().map(|i| size >> i & 1 == 1));
            bits.extend((0..size).rev().map(|i| coded >> i & 1 == 1));
            bits.push(false);
        }
    }
    for eight in bits.chunks(8) {
        let byte = (0..8).fold(0, |byte, i| byte << 1 | u8::from(*eight.get(i).unwrap_or(&true)));
        file.push(byte);
        if byte == 0xFF {
            file.push(0);
        }
    }
    file.extend([0xFF, 0xD9]);
    file
}

/// The first bytes of a PNG that claims to be `width × height`: signature and header chunk, nothing more.
pub(crate) fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let crc = header.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    });
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    file.extend(header);
    file.extend((!crc).to_be_bytes());
    file
}
