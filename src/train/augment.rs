//! One face → one random view of it, as the scaled values the network takes.
//!
//! Everything is drawn from the generator handed in, so that a view depends on the run's seed, the epoch
//! and the batch only, never on what ran before: that is what makes resuming exact.

use rand::{Rng, RngExt};

use super::recipe::Augmentation;
use crate::{
    engine::InputSpec,
    image::{PIXELS, SIDE},
};

/// The face itself, scaled: what evaluation and serving see.
pub fn plain(face: &[u8; PIXELS], input: &InputSpec, out: &mut [f32]) {
    let (factor, offset) = affine(input);
    for (o, p) in out.iter_mut().zip(face) {
        *o = f32::from(*p) * factor + offset;
    }
}

/// A random view of the face or of its mirror image, scaled. `out` has [`PIXELS`] values.
pub fn view(
    face: &[u8; PIXELS],
    mirror: bool,
    how: &Augmentation,
    input: &InputSpec,
    rng: &mut impl Rng,
    out: &mut [f32],
) {
    let (factor, offset) = affine(input);
    let map = Map::draw(mirror, how, rng);
    let contrast = 1.0 + around_zero(rng, how.contrast);
    let brightness = 255.0 * around_zero(rng, how.brightness);
    let mut source = [0f32; PIXELS];
    for (s, p) in source.iter_mut().zip(face) {
        *s = f32::from(*p);
    }
    if rng.random::<f64>() < how.blur {
        blur(&mut source, 0.5 + 0.8 * rng.random::<f32>());
    }
    for (y, row) in out.chunks_exact_mut(SIDE).enumerate() {
        for (x, o) in row.iter_mut().enumerate() {
            let gray = map.sample(&source, x, y);
            let gray = ((gray - 127.5) * contrast + 127.5 + brightness).clamp(0.0, 255.0);
            *o = gray * factor + offset;
        }
    }
    if rng.random::<f64>() < how.erase {
        erase(rng, factor, offset, out);
    }
}

/// Gaussian blur of that deviation (pixels, at most 1.5), five taps each way; beyond the edge the edge is repeated.
fn blur(picture: &mut [f32; PIXELS], deviation: f32) {
    let tap = |d: f32| (-0.5 * (d / deviation).powi(2)).exp();
    let (near, far) = (tap(1.0), tap(2.0));
    let all = 1.0 + 2.0 * (near + far);
    let mix = |line: &[f32; SIDE], i: usize| {
        let at = |d: usize, back: bool| {
            line[if back {
                i.saturating_sub(d)
            } else {
                (i + d).min(SIDE - 1)
            }]
        };
        (line[i] + near * (at(1, true) + at(1, false)) + far * (at(2, true) + at(2, false))) / all
    };
    for row in picture.chunks_exact_mut(SIDE) {
        let line: [f32; SIDE] = std::array::from_fn(|x| row[x]);
        for (x, o) in row.iter_mut().enumerate() {
            *o = mix(&line, x);
        }
    }
    for x in 0..SIDE {
        let line: [f32; SIDE] = std::array::from_fn(|y| picture[y * SIDE + x]);
        for y in 0..SIDE {
            picture[y * SIDE + x] = mix(&line, y);
        }
    }
}

#[allow(clippy::cast_possible_truncation)]
fn affine(input: &InputSpec) -> (f32, f32) {
    let (factor, offset) = input.affine();
    (factor as f32, offset as f32)
}

/// Uniform in ± `amount`.
#[allow(clippy::cast_possible_truncation)]
fn around_zero(rng: &mut impl Rng, amount: f64) -> f32 {
    (rng.random::<f32>() * 2.0 - 1.0) * amount as f32
}

/// Where a pixel of the view comes from: `source = m · (pixel − centre) + centre + shift`.
struct Map {
    m: [f32; 4],
    shift: [f32; 2],
}

/// Centre of a face between its pixels' centres.
#[allow(clippy::cast_precision_loss)]
const CENTRE: f32 = (SIDE as f32 - 1.0) / 2.0;

impl Map {
    #[allow(clippy::cast_precision_loss)]
    fn draw(mirror: bool, how: &Augmentation, rng: &mut impl Rng) -> Self {
        let mirror = if mirror { -1.0 } else { 1.0 };
        let angle = around_zero(rng, how.rotation).to_radians();
        let size = 1.0 / (1.0 + around_zero(rng, how.scale));
        let (sin, cos) = (angle.sin() * size, angle.cos() * size);
        let side = SIDE as f32;
        Self {
            m: [cos * mirror, -sin, sin * mirror, cos],
            shift: [
                around_zero(rng, how.shift) * side,
                around_zero(rng, how.shift) * side,
            ],
        }
    }

    /// Bilinear; beyond the edge the edge is repeated.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss
    )]
    fn sample(&self, face: &[f32; PIXELS], x: usize, y: usize) -> f32 {
        let (dx, dy) = (x as f32 - CENTRE, y as f32 - CENTRE);
        let last = (SIDE - 1) as f32;
        let sx = (self.m[0] * dx + self.m[1] * dy + CENTRE + self.shift[0]).clamp(0.0, last);
        let sy = (self.m[2] * dx + self.m[3] * dy + CENTRE + self.shift[1]).clamp(0.0, last);
        let (x0, y0) = (sx as usize, sy as usize);
        let (x1, y1) = ((x0 + 1).min(SIDE - 1), (y0 + 1).min(SIDE - 1));
        let (fx, fy) = (sx - x0 as f32, sy - y0 as f32);
        let at = |x: usize, y: usize| face[y * SIDE + x];
        let top = at(x0, y0) + fx * (at(x1, y0) - at(x0, y0));
        let bottom = at(x0, y1) + fx * (at(x1, y1) - at(x0, y1));
        top + fy * (bottom - top)
    }
}

/// Uniform noise over the full range in a rectangle of 2–15 % of the area, sides at most 1:3.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn erase(rng: &mut impl Rng, factor: f32, offset: f32, out: &mut [f32]) {
    let area = (0.02 + 0.13 * rng.random::<f32>()) * PIXELS as f32;
    let aspect = 3f32.powf(around_zero(rng, 1.0));
    let width = ((area * aspect).sqrt() as usize).clamp(1, SIDE);
    let height = ((area / aspect).sqrt() as usize).clamp(1, SIDE);
    let (left, top) = (
        rng.random_range(0..=SIDE - width),
        rng.random_range(0..=SIDE - height),
    );
    for row in out.chunks_exact_mut(SIDE).skip(top).take(height) {
        for o in &mut row[left..left + width] {
            *o = rng.random::<f32>() * 255.0 * factor + offset;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn drawn() -> [u8; PIXELS] {
        std::array::from_fn(|i| ((i % SIDE) * 3 + (i / SIDE) * 2) as u8)
    }

    fn input() -> InputSpec {
        InputSpec {
            width: SIDE,
            height: SIDE,
            channels: 1,
            scale: 1.0,
            mean: 0.0,
            std: 1.0,
        }
    }

    const NONE: Augmentation = Augmentation::NONE;

    fn see(how: &Augmentation, seed: u64) -> Vec<f32> {
        see_side(false, how, seed)
    }

    fn see_side(mirror: bool, how: &Augmentation, seed: u64) -> Vec<f32> {
        let mut out = vec![0.0; PIXELS];
        view(
            &drawn(),
            mirror,
            how,
            &input(),
            &mut Xoshiro256PlusPlus::seed_from_u64(seed),
            &mut out,
        );
        out
    }

    fn same(a: &[f32], b: &[f32]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3)
    }

    #[test]
    fn nothing_asked_gives_the_face_itself() {
        let mut out = vec![0.0; PIXELS];
        plain(&drawn(), &input(), &mut out);
        assert!(same(&see(&NONE, 1), &out));
    }

    #[test]
    fn a_flip_mirrors_each_row() {
        let mirrored: Vec<f32> = drawn()
            .chunks(SIDE)
            .flat_map(|r| r.iter().rev().map(|p| f32::from(*p)))
            .collect();
        assert!(same(&see_side(true, &NONE, 1), &mirrored));
    }

    #[test]
    fn a_view_depends_on_the_seed_alone() {
        let how = Augmentation::default();
        assert_eq!(see(&how, 7), see(&how, 7));
        assert_ne!(see(&how, 7), see(&how, 8));
    }

    #[test]
    fn values_stay_in_range_however_strong() {
        let how = Augmentation {
            flip: 0.5,
            rotation: 180.0,
            scale: 0.9,
            shift: 1.0,
            brightness: 1.0,
            contrast: 1.0,
            erase: 1.0,
            blur: 1.0,
        };
        for seed in 0..200 {
            assert!(see(&how, seed).iter().all(|v| (0.0..=255.0).contains(v)));
        }
    }

    #[test]
    fn blurring_keeps_the_mean_and_takes_detail_away() {
        let mut checks: [f32; PIXELS] = std::array::from_fn(|i| {
            if (i + i / SIDE).is_multiple_of(2) {
                0.0
            } else {
                200.0
            }
        });
        blur(&mut checks, 1.0);
        let inside = &checks[10 * SIDE..38 * SIDE];
        let mean = inside.iter().sum::<f32>() / inside.len() as f32;
        assert!((mean - 100.0).abs() < 1.0, "{mean}");
        assert!(
            inside
                .chunks(SIDE)
                .all(|row| row[4..44].iter().all(|v| (v - 100.0).abs() < 15.0))
        );
    }

    #[test]
    fn erasing_changes_two_to_fifteen_per_cent() {
        for seed in 0..100 {
            let plain: Vec<f32> = drawn().map(f32::from).to_vec();
            let erased = see(&Augmentation { erase: 1.0, ..NONE }, seed);
            let changed = erased
                .iter()
                .zip(&plain)
                .filter(|(a, b)| (**a - **b).abs() > 1e-3)
                .count();
            assert!((20..=PIXELS * 16 / 100).contains(&changed), "{changed}");
        }
    }
}
