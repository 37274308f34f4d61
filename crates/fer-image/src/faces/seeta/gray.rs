//! Gray pixels: scaling them down, cropping a window.

use std::collections::BTreeMap;

/// Side of the window that every classifier looks at, in pixels.
pub(in crate::faces) const WINDOW: usize = 40;

/// Gray values (0–255), row by row.
#[derive(Clone, Copy)]
pub(in crate::faces) struct Gray<'a> {
    pixels: &'a [u8],
    pub(super) width: usize,
    pub(super) height: usize,
}

impl<'a> Gray<'a> {
    /// `pixels` holds `width × height` values; bounds checks would catch missing ones.
    pub(in crate::faces) fn new(pixels: &'a [u8], width: usize, height: usize) -> Self {
        debug_assert_eq!(pixels.len(), width * height);
        Self {
            pixels,
            width,
            height,
        }
    }

    #[inline(always)]
    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// Samples the image at `width × height` points, bilinearly: not antialiased, which is what the
    /// model was trained on.
    #[inline(always)]
    pub(super) fn shrink(&self, width: usize, height: usize, target: &mut Vec<u8>) {
        target.clear();
        if (width, height) == (self.width, self.height) {
            target.extend_from_slice(self.pixels);
            return;
        }
        target.resize(width * height, 0);
        let columns = sample_positions(self.width, width);
        let mut line = vec![0; self.width + 1];
        let rows = sample_positions(self.height, height);
        // First between two rows for all columns, then between columns: both loops run over neighbouring memory.
        for (target, (y, weight)) in target.chunks_exact_mut(width).zip(rows) {
            let below = self.row((y + 1).min(self.height - 1));
            for ((line, &a), &b) in line.iter_mut().zip(self.row(y)).zip(below) {
                *line = between(a, b, weight);
            }
            sample(&mut line, &columns, target);
        }
    }

    /// The square at (`x`, `y`), which may reach over the border into black, sampled bilinearly.
    #[inline(always)]
    pub(super) fn crop(
        &self,
        x: i32,
        y: i32,
        side: i32,
        samples: &mut Samples,
        window: &mut [[u8; WINDOW]; WINDOW],
    ) {
        let side = usize::try_from(side).unwrap_or(1).max(1);
        let positions = samples
            .positions
            .entry(side)
            .or_insert_with(|| sample_positions(side, WINDOW));
        let line = &mut samples.line;
        line.clear();
        line.resize(side + 1, 0);
        // Columns of the square left of the image, which stay black, and the columns inside it.
        let black = usize::try_from(-i64::from(x)).unwrap_or(0).min(side);
        let start = usize::try_from(x).unwrap_or(0).min(self.width);
        let count = (side - black).min(self.width - start);
        let inside = |row: usize| {
            let row = usize::try_from(i64::from(y) + row as i64).ok()?;
            (row < self.height).then(|| &self.row(row)[start..start + count])
        };
        for (target, &(row, weight)) in window.iter_mut().zip(&*positions) {
            let line_inside = &mut line[black..black + count];
            // A row outside the image is black, so only the other row's share remains.
            match (inside(row), inside((row + 1).min(side - 1))) {
                (None, None) => line_inside.fill(0),
                (Some(above), Some(below)) => {
                    for ((line, &a), &b) in line_inside.iter_mut().zip(above).zip(below) {
                        *line = between(a, b, weight);
                    }
                }
                (Some(only), None) => fade(line_inside, only, ONE - weight),
                (None, Some(only)) => fade(line_inside, only, weight),
            }
            sample(line, positions, target);
        }
    }

    /// Whether the window at (`x`, `y`) has any contrast: a standard deviation above 10 gray values.
    pub(super) fn has_contrast(&self, x: usize, y: usize) -> bool {
        let (mut sum, mut squares) = (0u32, 0u32);
        for row in y..y + WINDOW {
            for &p in &self.row(row)[x..x + WINDOW] {
                sum += u32::from(p);
                squares += u32::from(p) * u32::from(p);
            }
        }
        let area = (WINDOW * WINDOW) as f64;
        let mean = f64::from(sum) / area;
        f64::from(squares) / area - mean * mean > 100.0
    }
}

/// What cropping windows reuses.
#[derive(Default)]
pub(super) struct Samples {
    /// Positions of the window's samples in a square of that side; few sides occur.
    positions: BTreeMap<usize, Vec<(usize, u16)>>,
    line: Vec<u16>,
}

/// Weights are fractions of this.
const ONE: u16 = 256;

/// `row`'s share next to a black row.
#[inline(always)]
fn fade(line: &mut [u16], row: &[u8], weight: u16) {
    for (line, &p) in line.iter_mut().zip(row) {
        *line = u16::from(p) * weight;
    }
}

/// `a` and a share of `b`, times [`ONE`].
#[inline(always)]
fn between(a: u8, b: u8, weight: u16) -> u16 {
    u16::from(a) * (ONE - weight) + u16::from(b) * weight
}

/// The same between two values that are times [`ONE`] already; a gray value.
#[inline(always)]
fn across(a: u16, b: u16, weight: u16) -> u8 {
    ((u32::from(a) * u32::from(ONE - weight) + u32::from(b) * u32::from(weight)) >> 16) as u8
}

/// Samples a line of [`between`]'s values; its last entry is filled here with the one before, so that every
/// sample has a right neighbour.
#[inline(always)]
fn sample(line: &mut [u16], positions: &[(usize, u16)], target: &mut [u8]) {
    if let [.., last, extra] = line {
        *extra = *last;
    }
    for (target, &(column, weight)) in target.iter_mut().zip(positions) {
        if let [left, right, ..] = line[column..] {
            *target = across(left, right, weight);
        }
    }
}

/// The position of each of `to` samples among `from` pixels: the pixel before it, and the share of the next.
fn sample_positions(from: usize, to: usize) -> Vec<(usize, u16)> {
    let step = from as f64 / to as f64;
    (0..to)
        .map(|i| {
            let at = step * i as f64;
            let before = (at as usize).min(from.saturating_sub(2));
            let next = (at - before as f64).min(1.0);
            (before, (next * f64::from(ONE)).round() as u16)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_a_slope() {
        let pixels: Vec<u8> = (0..100 * 50).map(|i| (2 * (i % 100)) as u8).collect();
        let mut small = Vec::new();
        Gray::new(&pixels, 100, 50).shrink(80, 40, &mut small);
        assert_eq!(small.len(), 80 * 40);
        for (i, &p) in small.iter().enumerate() {
            assert_eq!(p, (2.5 * (i % 80) as f32) as u8);
        }
    }

    #[test]
    fn what_lies_outside_is_black() {
        let pixels = [200; 60 * 50];
        let gray = Gray::new(&pixels, 60, 50);
        let mut window = [[9; WINDOW]; WINDOW];
        let mut samples = Samples::default();
        for (x, y, side) in [
            (-10, -20, 40),
            (40, 30, 40),
            (-5, -5, 80),
            (-400, 0, 40),
            (60, 0, 40),
            (0, 900, 7),
            (5, 5, 1),
        ] {
            gray.crop(x, y, side, &mut samples, &mut window);
            for (row, line) in window.iter().enumerate() {
                for (column, &p) in line.iter().enumerate() {
                    let at = |start: i32, i: usize| f64::from(start) + i as f64 * f64::from(side) / 40.0;
                    let (px, py) = (at(x, column), at(y, row));
                    if px >= 0.0 && py >= 0.0 && px <= 59.0 && py <= 49.0 {
                        assert_eq!(p, 200, "{x} {y} {side} at {column},{row}");
                    } else if px <= -1.0 || py <= -1.0 || px >= 60.0 || py >= 50.0 {
                        assert_eq!(p, 0, "{x} {y} {side} at {column},{row}");
                    }
                }
            }
        }
    }

    #[test]
    fn contrast_is_the_standard_deviation() {
        let flat = [128; WINDOW * WINDOW];
        assert!(!Gray::new(&flat, WINDOW, WINDOW).has_contrast(0, 0));
        for (swing, want) in [(9, false), (11, true)] {
            let board: Vec<u8> = (0..WINDOW * WINDOW)
                .map(|i| if i % 2 == 0 { 128 + swing } else { 128 - swing })
                .collect();
            assert_eq!(Gray::new(&board, WINDOW, WINDOW).has_contrast(0, 0), want);
        }
    }
}
