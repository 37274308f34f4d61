//! Locally assembled binary features and boosted cascades over them.

use super::Plane;

/// Side of the nine squares whose sums are compared.
const RECT: usize = 3;
/// Look-ups between two chances to turn a window away.
const GROUP: usize = 10;

/// For each pixel, which of the eight 3×3 squares around the middle one of a 9×9 patch are no brighter than it.
pub(super) struct Map {
    values: Vec<u8>,
    width: usize,
}

impl Map {
    /// Of a picture of at least 9×9 pixels.
    #[inline(always)]
    pub(super) fn new(plane: Plane<'_>) -> Self {
        let (width, height) = (plane.width, plane.height);
        let sums = square_sums(plane);
        let row = |y: usize| &sums[y * width..][..width];
        let mut values = vec![0; width * height];
        let count = width + 1 - 3 * RECT;
        for y in 0..=height - 3 * RECT {
            let (top, middle, bottom) = (row(y), row(y + RECT), row(y + 2 * RECT));
            let (t0, t1, t2) = (&top[..count], &top[RECT..][..count], &top[2 * RECT..][..count]);
            let (m0, m1, m2) = (
                &middle[..count],
                &middle[RECT..][..count],
                &middle[2 * RECT..][..count],
            );
            let (b0, b1, b2) = (
                &bottom[..count],
                &bottom[RECT..][..count],
                &bottom[2 * RECT..][..count],
            );
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
fn square_sums(plane: Plane<'_>) -> Vec<u16> {
    let (width, height) = (plane.width, plane.height);
    let mut sums = vec![0u16; width * height];
    let mut line = vec![0u16; width];
    for y in 0..=height - RECT {
        let (a, b, c) = (plane.row(y), plane.row(y + 1), plane.row(y + 2));
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

/// A chain of look-ups: each adds what its table says about one feature; every ten the sum must reach a threshold.
pub(super) struct Boosted {
    /// Where in the window each feature lies.
    pub(super) places: Vec<(usize, usize)>,
    /// What each of the 256 values of a feature says about a face.
    pub(super) tables: Vec<[f32; 256]>,
    /// The least sum after each feature; only every tenth is asked.
    pub(super) thresholds: Vec<f32>,
}

impl Boosted {
    pub(super) fn on(&self, map: &Map) -> Prepared<'_> {
        let offsets: Vec<usize> = self.places.iter().map(|&(x, y)| y * map.width + x).collect();
        Prepared {
            boosted: self,
            offsets,
        }
    }
}

/// A cascade whose places are offsets into one map.
pub(super) struct Prepared<'a> {
    boosted: &'a Boosted,
    offsets: Vec<usize>,
}

impl Prepared<'_> {
    /// The score of the window at (`x`, `y`); `None` if it is turned away.
    pub(super) fn score(&self, map: &Map, x: usize, y: usize) -> Option<f32> {
        let window = &map.values[y * map.width + x..];
        let mut score = 0.0;
        let groups = self.offsets.chunks(GROUP).zip(self.boosted.tables.chunks(GROUP));
        for ((offsets, tables), thresholds) in groups.zip(self.boosted.thresholds.chunks(GROUP)) {
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
    fn a_feature_says_which_neighbours_are_no_brighter() {
        // Nine flat squares; the middle one is 100.
        let shades = [[90, 110, 100], [110, 100, 90], [101, 99, 100]];
        let pixels: Vec<u8> = (0..81).map(|i| shades[i / 27][i % 9 / 3]).collect();
        let map = Map::new(Plane::new(&pixels, 9, 9));
        // no brighter: top left, top right, right, bottom, bottom right
        assert_eq!(map.values[0], 0x80 | 0x20 | 0x08 | 0x02 | 0x01);
    }

    #[test]
    fn a_window_is_turned_away_at_the_first_threshold_it_misses() {
        let pixels = [50; 40 * 40];
        let map = Map::new(Plane::new(&pixels, 40, 40));
        // A flat picture has the value 255 everywhere.
        let mut table = [0.0; 256];
        table[255] = 0.5;
        let boosted = |least: f32| Boosted {
            places: vec![(31, 31); 20],
            tables: vec![table; 20],
            thresholds: vec![least; 20],
        };
        assert_eq!(boosted(5.0).on(&map).score(&map, 0, 0), Some(10.0));
        assert_eq!(boosted(5.1).on(&map).score(&map, 0, 0), None);
    }
}
