//! The views of one step's rows.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::view;
use crate::{data::Dataset, error::TrainError, recipe::Recipe};
use fer_image::PIXELS;

#[derive(Debug)]
pub(crate) struct Batch {
    /// 2,304 a row.
    pub(crate) pixels: Vec<f32>,
    /// 0–6 a row.
    pub(crate) labels: Vec<i64>,
}

impl Batch {
    /// Draws a view of every row. All randomness follows from `seed`, except mirroring, which follows from the recipe's seed,
    /// the row and the epoch. `mixup` is the share of the views into which another is mixed.
    pub(crate) fn draw(
        train: &Dataset,
        rows: &[usize],
        recipe: &Recipe,
        epoch: u32,
        seed: i64,
        mixup: f64,
    ) -> Result<Self, TrainError> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed.cast_unsigned());
        let mut pixels = vec![0f32; rows.len() * PIXELS];
        let mut labels = Vec::with_capacity(rows.len());
        for (row, out) in rows.iter().zip(pixels.chunks_exact_mut(PIXELS)) {
            let mirror = mirrored(recipe, epoch, *row, &mut rng);
            let (how, input) = (&recipe.augmentation, &recipe.input);
            view(&train.faces[*row], mirror, how, input, &mut rng, out).map_err(TrainError::Draw)?;
            labels.push(i64::from(train.labels[*row] as u8));
        }
        if mixup > 0.0 {
            mix(&mut pixels, mixup, &mut rng);
        }
        Ok(Self { pixels, labels })
    }
}

/// Mixes into a share of the views the one half a batch further on. Its weight is uniform in 0–0.5, so that each view
/// keeps the larger part.
fn mix(pixels: &mut [f32], share: f64, rng: &mut impl Rng) {
    let before = pixels.to_vec();
    let rows = before.len() / PIXELS;
    for (i, view) in pixels.chunks_exact_mut(PIXELS).enumerate() {
        if rng.random::<f64>() >= share {
            continue;
        }
        let weight = 0.5 * rng.random::<f32>();
        let other = (i + rows / 2) % rows;
        for (x, y) in view.iter_mut().zip(&before[other * PIXELS..]) {
            *x += weight * (y - *x);
        }
    }
}

fn mirrored(recipe: &Recipe, epoch: u32, row: usize, rng: &mut impl Rng) -> bool {
    if (recipe.augmentation.flip - 0.5).abs() < f64::EPSILON {
        (seed_for(recipe.seed, 0, row + 1) ^ i64::from(epoch)) & 1 == 1
    } else {
        rng.random::<f64>() < recipe.augmentation.flip
    }
}

/// A seed for one step of one epoch (step 0 is the epoch's order; epoch 0 the first weights): SplitMix64's
/// finaliser over the three, so that neighbours share nothing.
pub(crate) fn seed_for(seed: u64, epoch: u32, step: usize) -> i64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(u64::from(epoch) << 32)
        .wrapping_add(step as u64)
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_view_stays_mostly_itself_and_the_others_wholly() {
        let mut pixels: Vec<f32> = (0..8u8).flat_map(|i| vec![f32::from(i); PIXELS]).collect();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        mix(&mut pixels, 0.5, &mut rng);
        let mut mixed = 0;
        for (i, view) in pixels.chunks_exact(PIXELS).enumerate() {
            let (own, other) = (i as f32, ((i + 4) % 8) as f32);
            assert!(view.iter().all(|x| (x - view[0]).abs() < 1e-6));
            let weight = (view[0] - own) / (other - own);
            assert!((0.0..=0.5).contains(&weight), "{i}: {weight}");
            mixed += u32::from(weight > 0.0);
        }
        assert!((1..8).contains(&mixed), "{mixed}");
    }
}
