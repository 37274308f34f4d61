//! A writer of JPEGs of every sampling, order of scans and restart interval, sequential and progressive. It quantises by 1,
//! so that decoding gives back the planes but for rounding.

use std::f64::consts::PI;

/// How a JPEG is written. Numbers of channels count from 0.
#[derive(Clone, Debug)]
pub(crate) struct Layout<'a> {
    /// Horizontal and vertical sampling factor of each channel.
    pub(crate) sampling: &'a [(usize, usize)],
    pub(crate) scans: &'a [Scan<'a>],
    pub(crate) progressive: bool,
    /// In units (MCUs) of the scan; 0 for none.
    pub(crate) restart: usize,
    /// Whether the file has its Huffman tables.
    pub(crate) tables: bool,
}

/// One scan: its channels, the coefficients `first..=last`, and for a progressive file's DC the bit position before and
/// after it (Ah, Al).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) channels: &'a [usize],
    pub(crate) band: (usize, usize),
    pub(crate) bits: (u8, u8),
}

impl<'a> Scan<'a> {
    /// A scan of a sequential file.
    pub(crate) const fn all(channels: &'a [usize]) -> Self {
        let (band, bits) = ((0, 63), (0, 0));
        Self { channels, band, bits }
    }
}

/// An image's channels as blocks of coefficients in zigzag order.
pub(crate) struct Coefficients {
    width: usize,
    height: usize,
    /// Largest sampling factors.
    most: (usize, usize),
    channels: Vec<Channel>,
}

/// A channel's sampling, blocks in a row of its padded plane, and the blocks.
type Channel = ((usize, usize), usize, Vec<[i32; 64]>);

/// Where the k-th coefficient of a block is, row by row (T.81, figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

impl Coefficients {
    /// Of an image whose channel `c` has `value(c, x, y)` at pixel (x, y). A coarser channel has the mean of its pixels.
    pub(crate) fn new(
        (width, height): (usize, usize),
        sampling: &[(usize, usize)],
        value: impl Fn(usize, usize, usize) -> f64,
    ) -> Self {
        let most = (
            sampling.iter().map(|s| s.0).max().unwrap(),
            sampling.iter().map(|s| s.1).max().unwrap(),
        );
        let units = (width.div_ceil(8 * most.0), height.div_ceil(8 * most.1));
        let channel = |(c, &(h, v)): (usize, &(usize, usize))| {
            let across = units.0 * h;
            // A sample covers this many pixels, maybe a fraction; the border's pixels are continued.
            let (wide, high) = (most.0 as f64 / h as f64, most.1 as f64 / v as f64);
            let pixels = |at: usize, size: f64, end: usize| {
                let from = (at as f64 * size) as usize;
                (from..((at as f64 * size + size).ceil() as usize).max(from + 1)).map(move |p| p.min(end - 1))
            };
            let sample = |x: usize, y: usize| {
                let rows = pixels(y, high, height);
                let all: Vec<f64> = rows
                    .flat_map(|y| pixels(x, wide, width).map(move |x| (x, y)))
                    .map(|(x, y)| value(c, x, y))
                    .collect();
                all.iter().sum::<f64>() / all.len() as f64 - 128.0
            };
            let blocks = (0..across * units.1 * v)
                .map(|i| {
                    let (left, top) = (8 * (i % across), 8 * (i / across));
                    transformed(std::array::from_fn(|k| sample(left + k % 8, top + k / 8)))
                })
                .collect();
            ((h, v), across, blocks)
        };
        Self {
            width,
            height,
            most,
            channels: sampling.iter().enumerate().map(channel).collect(),
        }
    }

    /// The file. `before` follows the start marker.
    pub(crate) fn file(&self, layout: &Layout<'_>, before: &[u8]) -> Vec<u8> {
        let mut file = [&[0xFF, 0xD8][..], before].concat();
        segment(&mut file, 0xDB, &[&[0][..], &[1; 64]].concat());
        let size = [self.height as u16, self.width as u16]
            .map(u16::to_be_bytes)
            .concat();
        let mut frame = [&[8], &size[..], &[layout.sampling.len() as u8]].concat();
        for (c, &(h, v)) in layout.sampling.iter().enumerate() {
            frame.extend([c as u8 + 1, (h * 16 + v) as u8, 0]);
        }
        segment(&mut file, if layout.progressive { 0xC2 } else { 0xC0 }, &frame);
        if layout.tables {
            segment(&mut file, 0xC4, &[&[0x00], &DC[..]].concat());
            segment(&mut file, 0xC4, &[&[0x10], &AC[..]].concat());
        }
        if layout.restart > 0 {
            segment(&mut file, 0xDD, &(layout.restart as u16).to_be_bytes());
        }
        for scan in layout.scans {
            let mut head = vec![scan.channels.len() as u8];
            for &c in scan.channels {
                head.extend([c as u8 + 1, 0x00]);
            }
            head.extend([
                scan.band.0 as u8,
                scan.band.1 as u8,
                scan.bits.0 << 4 | scan.bits.1,
            ]);
            segment(&mut file, 0xDA, &head);
            self.scan(&mut file, scan, layout);
        }
        file.extend([0xFF, 0xD9]);
        file
    }

    fn scan(&self, file: &mut Vec<u8>, scan: &Scan<'_>, layout: &Layout<'_>) {
        let mut bits = Bits::default();
        let (mut before, mut restarts) = ([0; 4], 0);
        let units = self.units(scan.channels);
        for (i, unit) in units.iter().enumerate() {
            if layout.restart > 0 && i > 0 && i % layout.restart == 0 {
                bits.flush(file);
                file.extend([0xFF, 0xD0 + restarts % 8]);
                restarts += 1;
                before = [0; 4];
            }
            for &(c, block) in unit {
                bits.block(&self.channels[c].2[block], scan, &mut before[c]);
            }
        }
        bits.flush(file);
    }

    /// The blocks of each unit of a scan, as (channel, block) (T.81, sections A.2.2 and A.2.3).
    fn units(&self, channels: &[usize]) -> Vec<Vec<(usize, usize)>> {
        if let [c] = *channels {
            // Alone, a channel has the blocks that its pixels need, and no padding.
            let ((h, v), across, _) = &self.channels[c];
            let columns = (self.width * h).div_ceil(self.most.0).div_ceil(8);
            let rows = (self.height * v).div_ceil(self.most.1).div_ceil(8);
            return (0..rows * columns)
                .map(|i| vec![(c, i / columns * across + i % columns)])
                .collect();
        }
        let across = self.width.div_ceil(8 * self.most.0);
        let down = self.height.div_ceil(8 * self.most.1);
        let unit = |i: usize| {
            let (x, y) = (i % across, i / across);
            let blocks = channels.iter().flat_map(|&c| {
                let &((h, v), row, _) = &self.channels[c];
                (0..h * v).map(move |k| (c, (y * v + k / h) * row + x * h + k % h))
            });
            blocks.collect()
        };
        (0..across * down).map(unit).collect()
    }
}

fn segment(file: &mut Vec<u8>, marker: u8, content: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend((content.len() as u16 + 2).to_be_bytes());
    file.extend(content);
}

/// The cosine transform, rounded, in zigzag order (T.81, section A.3.3).
fn transformed(samples: [f64; 64]) -> [i32; 64] {
    let cosine = |x: usize, u: usize| {
        let norm = if u == 0 { 0.125_f64.sqrt() } else { 0.5 };
        norm * ((2 * x + 1) as f64 * u as f64 * PI / 16.0).cos()
    };
    let table: [[f64; 8]; 8] = std::array::from_fn(|x| std::array::from_fn(|u| cosine(x, u)));
    let mut rows = [0.0; 64];
    for (i, value) in rows.iter_mut().enumerate() {
        *value = (0..8).map(|x| samples[i / 8 * 8 + x] * table[x][i % 8]).sum();
    }
    std::array::from_fn(|k| {
        let (v, u) = (ZIGZAG[k] / 8, ZIGZAG[k] % 8);
        (0..8).map(|y| rows[8 * y + u] * table[y][v]).sum::<f64>().round() as i32
    })
}

/// The bits of a scan up to a marker.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, value: i32, count: u32) {
        self.0.extend((0..count).rev().map(|i| value >> i & 1 == 1));
    }

    fn symbol(&mut self, table: &[u8], symbol: u8) {
        let (mut code, mut at) = (0, 16);
        for (length, &count) in (1..).zip(&table[..16]) {
            for _ in 0..count {
                if table[at] == symbol {
                    return self.put(code, length);
                }
                code += 1;
                at += 1;
            }
            code <<= 1;
        }
        panic!("no code for {symbol:#x}");
    }

    /// A number in the form of T.81, section F.1.2.1: `run` with its length, then its bits.
    fn number(&mut self, table: &[u8], run: u8, value: i32) {
        let length = 32 - value.unsigned_abs().leading_zeros();
        self.symbol(table, run << 4 | length as u8);
        self.put(if value < 0 { value - 1 } else { value }, length);
    }

    /// A block's part in a scan; `before` is the channel's last DC value.
    fn block(&mut self, block: &[i32; 64], scan: &Scan<'_>, before: &mut i32) {
        let (high, low) = scan.bits;
        let mut first = scan.band.0;
        if first == 0 {
            first = 1;
            let dc = block[0] >> low;
            if high > 0 {
                // A refinement is the next bit alone.
                self.put(dc & 1, 1);
            } else {
                self.number(&DC, 0, dc - *before);
                *before = dc;
            }
        }
        let mut run = 0;
        for &value in block.get(first..=scan.band.1).unwrap_or_default() {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.symbol(&AC, 0xF0);
                run -= 16;
            }
            self.number(&AC, run, value);
            run = 0;
        }
        if run > 0 {
            self.symbol(&AC, 0x00);
        }
    }

    /// Fills the last byte with ones; a byte of ones is followed by a zero byte.
    fn flush(&mut self, file: &mut Vec<u8>) {
        for eight in self.0.chunks(8) {
            let bit = |i: usize| u8::from(*eight.get(i).unwrap_or(&true));
            let byte = (0..8).fold(0, |byte, i| byte << 1 | bit(i));
            file.push(byte);
            if byte == 0xFF {
                file.push(0);
            }
        }
        self.0.clear();
    }
}

/// The standard tables for luminance: the number of codes of each length, then the symbols (T.81, tables K.3 and K.5).
const DC: [u8; 28] = [
    0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
];
const AC: [u8; 178] = [
    0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21,
    0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42,
    0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19,
    0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45,
    0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66,
    0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6,
    0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5,
    0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3,
    0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];
