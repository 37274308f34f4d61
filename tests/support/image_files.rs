//! Image files for the tests of several crates: by the `image` crate's encoders, or byte by byte where those do not
//! write them. The parent module has `Format` in scope.
#![allow(dead_code)] // each test program uses some of it

use std::io::Write;

use flate2::{Compression, Crc, write::ZlibEncoder};
use image::{
    ExtendedColorType, ImageEncoder,
    codecs::{
        bmp::BmpEncoder, gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, pnm::PnmEncoder,
        tiff::TiffEncoder, webp::WebPEncoder,
    },
};

use super::Format;

/// Written by the `image` crate's encoder: JPEG at quality 95, WebP lossless.
pub(crate) fn encode_with_exif(
    format: Format,
    color: ExtendedColorType,
    width: usize,
    height: usize,
    pixels: &[u8],
    exif: Option<Vec<u8>>,
) -> Vec<u8> {
    fn write<E: ImageEncoder>(
        mut encoder: E,
        exif: Option<Vec<u8>>,
        picture: (&[u8], usize, usize, ExtendedColorType),
    ) {
        if let Some(exif) = exif {
            encoder
                .set_exif_metadata(exif)
                .expect("an encoder that takes EXIF");
        }
        let (pixels, width, height, color) = picture;
        encoder
            .write_image(pixels, width as u32, height as u32, color)
            .expect("written to memory");
    }
    let mut out = std::io::Cursor::new(Vec::new());
    let picture = (pixels, width, height, color);
    match format {
        Format::Jpeg => write(JpegEncoder::new_with_quality(&mut out, 95), exif, picture),
        Format::Png => write(PngEncoder::new(&mut out), exif, picture),
        Format::WebP => write(WebPEncoder::new_lossless(&mut out), exif, picture),
        Format::Bmp => write(BmpEncoder::new(out.get_mut()), exif, picture),
        Format::Tiff => write(TiffEncoder::new(&mut out), exif, picture),
        Format::Pnm => write(PnmEncoder::new(&mut out), exif, picture),
        Format::Gif => GifEncoder::new(&mut out)
            .encode(pixels, width as u32, height as u32, color)
            .expect("written to memory"),
    }
    out.into_inner()
}

/// An EXIF block (a little-endian TIFF directory) that holds nothing but the orientation.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0".to_vec();
    block.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    block.extend([0; 4]);
    block
}

/// A minimal little-endian TIFF of one uncompressed strip. `tags` are (tag, SHORT values) beside the
/// sizes and the strip's place.
pub(crate) fn tiff(width: u32, height: u32, tags: &[(u16, &[u16])], strip: &[u8]) -> Vec<u8> {
    let mut entries: Vec<(u16, u16, Vec<u8>)> = vec![
        (256, 4, width.to_le_bytes().to_vec()),
        (257, 4, height.to_le_bytes().to_vec()),
        (278, 4, height.to_le_bytes().to_vec()),
        (279, 4, (strip.len() as u32).to_le_bytes().to_vec()),
    ];
    for (tag, values) in tags {
        entries.push((*tag, 3, values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    }
    let directory_end = 8 + 2 + 12 * (entries.len() + 1) + 4;
    let long: usize = entries
        .iter()
        .map(|(_, _, bytes)| if bytes.len() > 4 { bytes.len() } else { 0 })
        .sum();
    entries.push((273, 4, ((directory_end + long) as u32).to_le_bytes().to_vec()));
    entries.sort_by_key(|(tag, ..)| *tag);

    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    let mut after = Vec::new();
    for (tag, kind, bytes) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend((bytes.len() as u32 / if kind == 3 { 2 } else { 4 }).to_le_bytes());
        if bytes.len() > 4 {
            file.extend(((directory_end + after.len()) as u32).to_le_bytes());
            after.extend(bytes);
        } else {
            file.extend(bytes.iter().copied().chain([0; 4]).take(4));
        }
    }
    file.extend([0; 4]);
    file.extend(after);
    file.extend(strip);
    file
}

/// `times` copies of `piece`, compressed as PNG and TIFF have them.
pub(crate) fn zlib(piece: &[u8], times: usize) -> Vec<u8> {
    let mut out = ZlibEncoder::new(Vec::new(), Compression::new(1));
    for _ in 0..times {
        out.write_all(piece).unwrap();
    }
    out.finish().unwrap()
}

/// The first bytes of every PNG.
pub(crate) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// One PNG chunk with its checksum.
pub(crate) fn png_chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(&name);
    crc.update(content);
    let length = (content.len() as u32).to_be_bytes();
    [&length, &name[..], content, &crc.sum().to_be_bytes()].concat()
}

/// The header chunk of a PNG.
pub(crate) fn png_header(size: (u32, u32), depth: u8, color: u8) -> Vec<u8> {
    let (width, height) = (size.0.to_be_bytes(), size.1.to_be_bytes());
    png_chunk(
        *b"IHDR",
        &[&width[..], &height, &[depth, color, 0, 0, 0]].concat(),
    )
}

/// A PNG of the given header fields, chunks before the data, and data (rows that begin with their filter byte, as
/// [`zlib`] compresses them).
pub(crate) fn png(
    size: (u32, u32),
    depth: u8,
    color: u8,
    extra: &[([u8; 4], &[u8])],
    data: &[u8],
) -> Vec<u8> {
    let mut file = [PNG_SIGNATURE, &png_header(size, depth, color)].concat();
    for (name, content) in extra {
        file.extend(png_chunk(*name, content));
    }
    file.extend(png_chunk(*b"IDAT", data));
    file.extend(png_chunk(*b"IEND", &[]));
    file
}

/// RIFF container around WebP chunks.
pub(crate) fn webp(chunks: &[([u8; 4], &[u8])]) -> Vec<u8> {
    let body = riff_chunks(chunks);
    [
        b"RIFF",
        &(body.len() as u32 + 4).to_le_bytes()[..],
        b"WEBP",
        &body,
    ]
    .concat()
}

pub(crate) fn riff_chunks(chunks: &[([u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in chunks {
        body.extend(name);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(*content);
        body.extend(&[0][..content.len() % 2]);
    }
    body
}

/// A JPEG in which every channel is one flat value. `channels` are (name, sampling byte such as 0x11,
/// value); `adobe` is the transform byte of an Adobe segment; a progressive one has a DC scan only.
pub(crate) fn flat_jpeg(
    width: u16,
    height: u16,
    channels: &[(u8, u8, u8)],
    adobe: Option<u8>,
    progressive: bool,
) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    let mut segment = |marker: u8, content: &[u8]| {
        file.extend([0xFF, marker]);
        file.extend((content.len() as u16 + 2).to_be_bytes());
        file.extend(content);
    };
    if let Some(transform) = adobe {
        segment(
            0xEE,
            &[b"Adobe".as_slice(), &[0, 100, 0, 0, 0, 0, transform]].concat(),
        );
    }
    // A quantiser of 8 undoes the transform's factor: a DC coefficient is the mean less 128.
    segment(0xDB, &[&[0][..], &[8; 64]].concat());
    let count = channels.len() as u8;
    let mut frame = [&[8][..], &height.to_be_bytes(), &width.to_be_bytes(), &[count]].concat();
    let mut scan = vec![count];
    for &(name, sampling, _) in channels {
        frame.extend([name, sampling, 0]);
        scan.extend([name, 0x00]);
    }
    scan.extend([0, if progressive { 0 } else { 63 }, 0]);
    segment(if progressive { 0xC2 } else { 0xC0 }, &frame);
    // DC: the twelve categories all have four-bit codes. AC: end-of-block is the one-bit code 0.
    segment(
        0xC4,
        &[
            &[0x00, 0, 0, 0, 12],
            &[0; 12][..],
            &std::array::from_fn::<u8, 12, _>(|i| i as u8),
        ]
        .concat(),
    );
    segment(0xC4, &[&[0x10, 1], &[0; 15][..], &[0]].concat());
    segment(0xDA, &scan);

    let widest = channels.iter().map(|c| c.1 >> 4).max().unwrap_or(1);
    let tallest = channels.iter().map(|c| c.1 & 15).max().unwrap_or(1);
    let units = usize::from(width).div_ceil(8 * usize::from(widest))
        * usize::from(height).div_ceil(8 * usize::from(tallest));
    let mut bits = Vec::new();
    for unit in 0..units {
        for &(_, sampling, value) in channels {
            for block in 0..(sampling >> 4) * (sampling & 15) {
                let dc = if unit == 0 && block == 0 {
                    i32::from(value) - 128
                } else {
                    0
                };
                let size = 32 - dc.unsigned_abs().leading_zeros();
                let coded = if dc < 0 { dc - 1 } else { dc };
                bits.extend((0..4).rev().map(|i| size >> i & 1 == 1));
                bits.extend((0..size).rev().map(|i| coded >> i & 1 == 1));
                if !progressive {
                    bits.push(false);
                }
            }
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
