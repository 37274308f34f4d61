//! Locally assembled binary features and boosted cascades over them.

use super::gray::Gray;

/// Side of the nine squares whose sums are compared.
const RECT: usize = 3;
/// Look-ups between two thresholds at which a window can be rejected.
const GROUP: usize = 10;

/// For each pixel, which of the eight 3×3 squares around the middle one of a 9×9 patch are no brighter than it.
pub(super) struct LabMap {
    values: Vec<u8>,
    width: usize,
}

impl LabMap {
    /// The features of an image of at least 9×9 pixels.
    #[inline(always)]
    pub(super) fn new(gray: Gray<'_>) -> Self {
        let (width, height) = (gray.width, gray.height);
        let sums = square_sums(gray);
        let mut values = vec![0; width * height];
        // Slices of equal length, so that the compiler drops the bounds checks and compares many pixels at once.
        let count = width + 1 - 3 * RECT;
        let thirds = |y: usize| {
            let row = &sums[y * width..][..width];
            [&row[..count], &row[RECT..][..count], &row[2 * RECT..][..count]]
        };
        for y in 0..=height - 3 * RECT {
            let [t0, t1, t2] = thirds(y);
            let [m0, m1, m2] = thirds(y + RECT);
            let [b0, b1, b2] = thirds(y + 2 * RECT);
            let target = &mut values[y * width..][..count];
            for x in 0..count {
                let c = m1[x];
                target[x] = bit(c, t0[x], 0x80)
                    | bit(c, t1[x], 0x40)
                    | bit(c, t2[x], 0x20)
                    | bit(c, m0[x], 0x10)
                    | bit(c, m2[x], 0x08)
                    | bit(c, b0[x], 0x04)
                    | bit(c, b1[x], 0x02)
                    | bit(c, b2[x], 0x01);
            }
        }
        Self { values, width }
    }
}

#[inline(always)]
fn bit(middle: u16, other: u16, bit: u8) -> u8 {
    if middle >= other { bit } else { 0 }
}

/// The sum of the 3×3 square that starts at each pixel; meaningless for the last two rows and columns.
#[inline(always)]
fn square_sums(gray: Gray<'_>) -> Vec<u16> {
    let (width, height) = (gray.width, gray.height);
    let mut sums = vec![0u16; width * height];
    let mut line = vec![0u16; width];
    for y in 0..=height - RECT {
        let (a, b, c) = (gray.row(y), gray.row(y + 1), gray.row(y + 2));
        for (((line, &a), &b), &c) in line.iter_mut().zip(a).zip(b).zip(c) {
            *line = u16::from(a) + u16::from(b) + u16::from(c);
        }
        let target = &mut sums[y * width..][..width];
        for (((target, &a), &b), &c) in target.iter_mut().zip(&line).zip(&line[1..]).zip(&line[2..]) {
            *target = a + b + c;
        }
    }
    sums
}

/// A boosted cascade of look-ups: each adds its table's value for one feature; after every ten the sum must reach a threshold.
pub(super) struct Boosted {
    /// Column and row of each feature in the window.
    pub(super) positions: Vec<(usize, usize)>,
    /// The score of each of the 256 values of a feature.
    pub(super) tables: Vec<[f32; 256]>,
    /// The least sum after each feature; only every tenth is used.
    pub(super) thresholds: Vec<f32>,
}

impl Boosted {
    /// The positions as offsets into `map`.
    pub(super) fn offsets(&self, map: &LabMap) -> Vec<usize> {
        self.positions.iter().map(|&(x, y)| y * map.width + x).collect()
    }

    /// The score of the window at (`x`, `y`), with the [`offsets`](Self::offsets) for `map`; `None` if it is rejected.
    pub(super) fn score(&self, map: &LabMap, offsets: &[usize], x: usize, y: usize) -> Option<f32> {
        let window = &map.values[y * map.width + x..];
        let mut score = 0.0;
        let groups = offsets.chunks(GROUP).zip(self.tables.chunks(GROUP));
        for ((offsets, tables), thresholds) in groups.zip(self.thresholds.chunks(GROUP)) {
            for (&offset, table) in offsets.iter().zip(tables) {
                score += table[usize::from(window[offset])];
            }
            if thresholds.last().is_some_and(|&least| score < least) {
                return None;
            }
        }
        Some(score)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_tells_which_neighbours_are_no_brighter() {
        // Nine flat squares; the middle one is 100.
        let shades = [[90, 110, 100], [110, 100, 90], [101, 99, 100]];
        let pixels: Vec<u8> = (0..81).map(|i| shades[i / 27][i % 9 / 3]).collect();
        let map = LabMap::new(Gray::new(&pixels, 9, 9));
        // no brighter: top left, top right, right, bottom, bottom right
        assert_eq!(map.values[0], 0x80 | 0x20 | 0x08 | 0x02 | 0x01);
    }

    #[test]
    fn a_window_is_rejected_at_the_first_threshold_it_misses() {
        let pixels = [50; 40 * 40];
        let map = LabMap::new(Gray::new(&pixels, 40, 40));
        // A flat image has the value 255 everywhere.
        let mut table = [0.0; 256];
        table[255] = 0.5;
        let boosted = |least: f32| Boosted {
            positions: vec![(31, 31); 20],
            tables: vec![table; 20],
            thresholds: vec![least; 20],
        };
        let score = |boosted: Boosted| boosted.score(&map, &boosted.offsets(&map), 0, 0);
        assert_eq!(score(boosted(5.0)), Some(10.0));
        assert_eq!(score(boosted(5.1)), None);
    }
}
