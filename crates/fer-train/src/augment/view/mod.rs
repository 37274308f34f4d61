//! One face → one random view of it, as the scaled values the network takes.
//!
//! Everything is drawn from the generator passed in, so that a view depends only on the run's seed, the epoch and the
//! batch, never on what ran before. That makes resuming exact.

use rand::{Rng, RngExt};

use super::change::{CENTRE, Change, bilinear};
use crate::recipe::Augmentation;
use fer_engine::InputSpec;
use fer_image::{Face, PIXELS, SIDE};

/// The face itself, scaled: what evaluation and serving see.
pub fn plain(face: &[u8; PIXELS], input: &InputSpec, out: &mut [f32]) {
    let (factor, offset) = affine(input);
    for (o, p) in out.iter_mut().zip(face) {
        *o = f32::from(*p) * factor + offset;
    }
}

/// Writes a random view of the face or of its mirror image, scaled, into `out`, which has [`PIXELS`] values.
pub(crate) fn view(
    face: &[u8; PIXELS],
    mirror: bool,
    how: &Augmentation,
    input: &InputSpec,
    rng: &mut impl Rng,
    out: &mut [f32],
) -> Result<(), String> {
    let (factor, offset) = affine(input);
    let map = Map::draw(mirror, how, rng);
    let contrast = 1.0 + around_zero(rng, how.contrast);
    let brightness = 255.0 * around_zero(rng, how.brightness);
    let source = degraded(face, how, rng)?.0.map(f32::from);
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
    Ok(())
}

/// The face as a worse camera or file would have it, each change with its own probability.
fn degraded(face: &[u8; PIXELS], how: &Augmentation, rng: &mut impl Rng) -> Result<Face, String> {
    let mut face = Face(*face);
    if rng.random::<f64>() < how.low_resolution {
        face = Change::Resize(rng.random_range(20..=40)).apply(&face)?;
    }
    if rng.random::<f64>() < how.blur {
        face = Change::Blur(0.5 + 0.8 * rng.random::<f32>()).apply(&face)?;
    }
    if rng.random::<f64>() < how.jpeg {
        face = Change::Jpeg(rng.random_range(20..=70)).apply(&face)?;
    }
    Ok(face)
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

    #[allow(clippy::cast_precision_loss)]
    fn sample(&self, face: &[f32; PIXELS], x: usize, y: usize) -> f32 {
        let (dx, dy) = (x as f32 - CENTRE, y as f32 - CENTRE);
        let x = self.m[0] * dx + self.m[1] * dy + CENTRE + self.shift[0];
        let y = self.m[2] * dx + self.m[3] * dy + CENTRE + self.shift[1];
        bilinear(face, x, y)
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
mod tests;
