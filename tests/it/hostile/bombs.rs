//! Bodies made to cost more than they weigh.

use crate::support::pictures::{
    self, Format, Layout, PNG_SIGNATURE, png, png_chunk, riff_chunks, webp, zlib,
};

/// What is sent and what may come back.
pub(super) struct Bomb {
    pub(super) name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// The status wanted.
    pub(super) status: u16,
}

/// Side of a picture that just fits the limit under which these are sent: 1,000,000 pixels.
const SIDE: u32 = 1000;
/// What a stream swells to that says nothing of it.
const SWELLS: usize = 256 << 20;

fn bomb(name: &'static str, content_type: &'static str, status: u16, body: Vec<u8>) -> Bomb {
    Bomb {
        name,
        content_type,
        body,
        status,
    }
}

/// Every one of them.
pub(super) fn all() -> Vec<Bomb> {
    let mut all = vec![
        bomb("png, 16-bit RGBA at the limit", "image/png", 200, {
            let row = vec![0; 1 + 8 * SIDE as usize];
            png((SIDE, SIDE), 16, 6, &[], &zlib(&row, SIDE as usize))
        }),
        bomb("png, claims 60,000 × 60,000", "image/png", 422, {
            png((60_000, 60_000), 16, 6, &[], &zlib(&[0], 1))
        }),
        bomb("png, 8 × 8 with 256 MiB behind it", "image/png", 200, {
            png((8, 8), 8, 0, &[], &swollen())
        }),
        bomb("png, comment of 256 MiB", "image/png", 200, {
            let text = [b"a\0\0".as_slice(), &swollen()].concat();
            png((8, 8), 8, 0, &[(*b"zTXt", &text)], &zlib(&[0; 9], 8))
        }),
        bomb("png, colour profile of 256 MiB", "image/png", 200, {
            let profile = [b"a\0\0".as_slice(), &swollen()].concat();
            png((8, 8), 8, 0, &[(*b"iCCP", &profile)], &zlib(&[0; 9], 8))
        }),
        bomb("png, EXIF of 15 MB", "image/png", 200, {
            png((8, 8), 8, 0, &[(*b"eXIf", &exif(15_000_000))], &zlib(&[0; 9], 8))
        }),
        bomb("apng, 10,000 frames", "image/png", 200, apng(10_000)),
        bomb("jpeg, claims 65,500 × 65,500", "image/jpeg", 422, jpeg(65_500, 1)),
        bomb(
            "jpeg, 1,000 scans of a million pixels",
            "image/jpeg",
            422,
            jpeg(SIDE as u16, 1000),
        ),
        bomb(
            "jpeg, 300 EXIF segments of 64 kB",
            "image/jpeg",
            200,
            jpeg_with_exif(300),
        ),
        bomb(
            "gif, canvas of 65,535 × 65,535",
            "image/gif",
            422,
            gif(0xFFFF, 0xFFFF, 1),
        ),
        bomb("gif, 10,000 frames", "image/gif", 200, gif(48, 48, 10_000)),
        bomb(
            "gif, at the limit",
            "image/gif",
            200,
            gif(SIDE as u16, SIDE as u16, 1),
        ),
        bomb(
            "webp, claims 16,383 × 16,383",
            "image/webp",
            422,
            webp(&[(*b"VP8L", &vp8l(16_383))]),
        ),
        bomb("webp, 10,000 frames", "image/webp", 200, animated_webp(10_000)),
        bomb(
            "webp, 700,000 frames in one another",
            "image/webp",
            422,
            nested_webp(700_000),
        ),
        bomb("webp, EXIF of 15 MB", "image/webp", 200, {
            let canvas = [&[0x08, 0, 0, 0][..], &[47, 0, 0, 47, 0, 0]].concat();
            let exif = exif(15_000_000);
            webp(&[(*b"VP8X", &canvas), (*b"VP8L", &still()), (*b"EXIF", &exif)])
        }),
        bomb(
            "bmp, claims 60,000 × 60,000",
            "image/bmp",
            422,
            bmp(60_000, 60_000, &[0, 1]),
        ),
        bomb("bmp, run lengths at the limit", "image/bmp", 200, {
            bmp(SIDE as i32, SIDE as i32, &[0, 1])
        }),
        bomb(
            "tiff, claims 65,535 × 65,535",
            "image/tiff",
            422,
            tiff(65_535, 65_535, 1, &[0]),
        ),
        bomb(
            "tiff, strip that swells to 256 MiB",
            "image/tiff",
            200,
            tiff(48, 48, 8, &swollen()),
        ),
        bomb("tiff, at the limit", "image/tiff", 200, {
            tiff(SIDE, SIDE, 8, &zlib(&vec![0; SIDE as usize], SIDE as usize))
        }),
        bomb(
            "tiff, tag of 4,294,967,295 values",
            "image/tiff",
            422,
            tiff_long_tag(),
        ),
        bomb(
            "tiff, directory that follows itself",
            "image/tiff",
            422,
            tiff_loop(),
        ),
        bomb(
            "pnm, claims 4,294,967,295 × 4,294,967,295",
            "image/x-portable-anymap",
            422,
            b"P6 4294967295 4294967295 255 ".to_vec(),
        ),
        bomb("pnm, 1.5 MB of blanks", "image/x-portable-anymap", 422, {
            [b"P3 ".as_slice(), &vec![b' '; 1_500_000]].concat()
        }),
        bomb("pnm, text at the limit", "image/x-portable-anymap", 200, {
            let head = format!("P2 {SIDE} {SIDE} 255\n");
            [head.as_bytes(), &b"0 ".repeat((SIDE * SIDE) as usize)].concat()
        }),
    ];
    all.extend(polyglots());
    all.extend(envelopes());
    all
}

/// A good picture that is something else, too.
fn polyglots() -> [Bomb; 3] {
    let gray = pictures::face(48, 48, 0.0);
    let picture = |format| pictures::encode(format, Layout::Gray, 48, 48, &gray);
    [
        bomb("png that ends as a ZIP archive", "image/png", 200, {
            let end = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
            [picture(Format::Png), b"PK\x03\x04".to_vec(), end].concat()
        }),
        bomb("jpeg that is a PDF", "image/jpeg", 200, {
            let mut jpeg = picture(Format::Jpeg);
            jpeg.splice(2..2, *b"\xFF\xFE\x00\x0C%PDF-1.7\n\n");
            jpeg
        }),
        bomb("gif with a page behind it, sent as one", "image/gif", 200, {
            [picture(Format::Gif), b"<script>alert(1)</script>".to_vec()].concat()
        }),
    ]
}

/// Forms and JSON that are mostly structure.
fn envelopes() -> [Bomb; 7] {
    const FORM: &str = "multipart/form-data; boundary=B";
    let part = |name: &str| {
        format!("--B\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nP5 1 1 255 x\r\n")
    };
    [
        bomb("form of 10,000 pictures", FORM, 413, {
            (part("image").repeat(10_000) + "--B--\r\n").into_bytes()
        }),
        bomb("form of 10,000 other parts and a picture", FORM, 200, {
            (part("x").repeat(10_000) + &part("image") + "--B--\r\n").into_bytes()
        }),
        bomb("form of 1,800,000 empty parts", FORM, 400, {
            b"--B\r\n\r\n\r\n".repeat(1_800_000)
        }),
        bomb("form in a form in a form, 1,000 deep", FORM, 400, {
            let open: String = (0..1000)
                .map(|n| format!("--B{n}\r\ncontent-disposition: form-data; name=\"image\"\r\ncontent-type: multipart/mixed; boundary=B{}\r\n\r\n", n + 1))
                .collect();
            let open = open.replacen("--B0\r", "--B\r", 1);
            (open + "\r\n--B--\r\n").into_bytes()
        }),
        bomb("form with 15 MB of headers", FORM, 400, {
            let line = format!("x-{}: y\r\n", "z".repeat(1000));
            format!("--B\r\n{}\r\n--B--\r\n", line.repeat(15_000)).into_bytes()
        }),
        bomb("json, 5,000,000 empty pictures", "application/json", 413, {
            format!(r#"{{"images":[{}""]}}"#, r#""","#.repeat(5_000_000)).into_bytes()
        }),
        bomb("json, 10,000,000 brackets", "application/json", 400, {
            [br#"{"images":"#.as_slice(), &vec![b'['; 10_000_000]].concat()
        }),
    ]
}

fn swollen() -> Vec<u8> {
    zlib(&[0; 1 << 16], SWELLS >> 16)
}

fn apng(frames: u32) -> Vec<u8> {
    let control = |n: u32| {
        let mut control = n.to_be_bytes().to_vec();
        for value in [8_u32, 8, 0, 0] {
            control.extend(value.to_be_bytes());
        }
        control.extend([0, 1, 0, 10, 0, 0]);
        png_chunk(*b"fcTL", &control)
    };
    let data = zlib(&[0; 9], 8);
    let mut file = [PNG_SIGNATURE, &pictures::png_header((8, 8), 8, 0)].concat();
    file.extend(png_chunk(*b"acTL", &[frames.to_be_bytes(), [0; 4]].concat()));
    file.extend(control(0));
    file.extend(png_chunk(*b"IDAT", &data));
    for frame in 1..frames {
        file.extend(control(2 * frame - 1));
        file.extend(png_chunk(
            *b"fdAT",
            &[&(2 * frame).to_be_bytes(), &data[..]].concat(),
        ));
    }
    file.extend(png_chunk(*b"IEND", &[]));
    file
}

/// An EXIF block of that length: an orientation, then nothing of use.
fn exif(length: usize) -> Vec<u8> {
    let mut block = pictures::exif(1);
    block.resize(length, 0x41);
    block
}

/// A progressive gray JPEG with that many DC scans, each of which may go over the whole picture.
fn jpeg(side: u16, scans: usize) -> Vec<u8> {
    let mut file = vec![0xFF, 0xD8];
    let segment = |marker: u8, content: &[u8]| {
        let mut segment = vec![0xFF, marker];
        segment.extend((content.len() as u16 + 2).to_be_bytes());
        segment.extend(content);
        segment
    };
    file.extend(segment(0xDB, &[&[0][..], &[1; 64]].concat()));
    let size = side.to_be_bytes();
    file.extend(segment(
        0xC2,
        &[&[8][..], &size, &size, &[1, 1, 0x11, 0]].concat(),
    ));
    // One code of one bit: a difference of 0 bits.
    file.extend(segment(
        0xC4,
        &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ));
    let blocks = usize::from(side).div_ceil(8).pow(2);
    let bits = vec![
        0;
        if scans > 1 {
            blocks.div_ceil(8).min(8000)
        } else {
            1
        }
    ];
    for _ in 0..scans {
        file.extend(segment(0xDA, &[1, 1, 0, 0, 0, 0]));
        file.extend(&bits);
    }
    file.extend([0xFF, 0xD9]);
    file
}

fn jpeg_with_exif(segments: usize) -> Vec<u8> {
    let mut file = pictures::encode(Format::Jpeg, Layout::Gray, 48, 48, &pictures::face(48, 48, 0.0));
    let content = [b"Exif\0\0".as_slice(), &exif(65_000)].concat();
    let segment = [
        &[0xFF, 0xE1][..],
        &(content.len() as u16 + 2).to_be_bytes(),
        &content,
    ]
    .concat();
    file.splice(2..2, segment.repeat(segments));
    file
}

/// Frames of one colour in the fewest codes LZW has.
fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let pixels = vec![0; usize::from(width.min(1000)) * usize::from(height.min(1000))];
    let packed = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 2)
        .encode(&pixels)
        .unwrap();
    let mut frame = [b",\0\0\0\0".as_slice(), &size, &[0, 2]].concat();
    for block in packed.chunks(255) {
        frame.push(block.len() as u8);
        frame.extend(block);
    }
    frame.push(0);
    let mut file = [b"GIF89a".as_slice(), &size, &[0x80, 0, 0], &[0; 6]].concat();
    for _ in 0..frames {
        file.extend(&frame);
    }
    file.push(b';');
    file
}

/// The head of a lossless bitstream of that side.
fn vp8l(side: u32) -> Vec<u8> {
    let bits = (side - 1) | (side - 1) << 14;
    [&[0x2F][..], &bits.to_le_bytes(), &[0; 64]].concat()
}

/// The lossless bitstream of a 48×48 still.
fn still() -> Vec<u8> {
    let file = pictures::encode(Format::WebP, Layout::Rgb, 48, 48, &pictures::face(48, 48, 0.0));
    assert_eq!(file[12..16], *b"VP8L");
    let length = u32::from_le_bytes(file[16..20].try_into().unwrap()) as usize;
    file[20..20 + length].to_vec()
}

fn animated_webp(frames: usize) -> Vec<u8> {
    let head = [0, 0, 0, 0, 0, 0, 47, 0, 0, 47, 0, 0, 100, 0, 0, 0];
    let frame = [&head[..], &riff_chunks(&[(*b"VP8L", &still())])].concat();
    let mut chunks: Vec<([u8; 4], &[u8])> = vec![
        (*b"VP8X", &[0x02, 0, 0, 0, 47, 0, 0, 47, 0, 0]),
        (*b"ANIM", &[0; 6]),
    ];
    chunks.extend(std::iter::repeat_n(
        (*b"ANMF", &frame[..]),
        frames.min(18_000_000 / 1500),
    ));
    webp(&chunks)
}

/// Frames of nothing but a frame.
fn nested_webp(levels: u32) -> Vec<u8> {
    let chunks = (0..levels).rev().flat_map(|level| {
        let length = (16 + 24 * level).to_le_bytes();
        [b"ANMF".as_slice(), &length, &[0; 16]].concat()
    });
    let length = (4 + 24 * levels).to_le_bytes();
    [b"RIFF".as_slice(), &length, b"WEBP"]
        .concat()
        .into_iter()
        .chain(chunks)
        .collect()
}

/// 8 bits a pixel, run lengths.
fn bmp(width: i32, height: i32, data: &[u8]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    file.extend([0; 8]);
    file.extend(1078_u32.to_le_bytes());
    file.extend(40_u32.to_le_bytes());
    file.extend(width.to_le_bytes());
    file.extend(height.to_le_bytes());
    file.extend([1, 0, 8, 0, 1, 0, 0, 0]);
    file.extend([0; 12]);
    file.extend([0, 1, 0, 0, 0, 0, 0, 0]);
    file.extend([0; 1024]);
    file.extend(data);
    file
}

/// One strip of 8-bit gray in that compression (1 none, 8 deflate).
fn tiff(width: u32, height: u32, compression: u16, strip: &[u8]) -> Vec<u8> {
    let tags: [(u16, &[u16]); 4] = [(258, &[8]), (259, &[compression]), (262, &[1]), (277, &[1])];
    pictures::tiff(width, height, &tags, strip)
}

/// Strip offsets that are said to be 4,294,967,295.
fn tiff_long_tag() -> Vec<u8> {
    let mut file = tiff(48, 48, 1, &[0; 48 * 48]);
    let count = 10 + 5 * 12 + 4;
    file[count..count + 4].copy_from_slice(&[0xFF; 4]);
    file
}

fn tiff_loop() -> Vec<u8> {
    // No strip at all, and the next directory is this one.
    let mut file = b"II*\0\x08\0\0\0\x01\0\x00\x01\x04\0\x01\0\0\0\x30\0\0\0".to_vec();
    file.extend(8_u32.to_le_bytes());
    file
}
