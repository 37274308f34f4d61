//! Sharpness-aware steps (Foret et al. 2021, arXiv 2010.01412): the gradient is taken not at the weights but a small way
//! uphill of them, so that the run ends where the loss is low all around, and not in a ravine that some wrong label has dug.
//!
//! Uphill is the direction of the gradient of a part of the batch: the paper finds fewer rows better than more, and a
//! quarter of them costs a quarter of a step where all would double it.

use tch::{Kind, TchError, Tensor};

use super::{network::Network, recipe::Recipe, targets::cross_entropy};
use fer_image::PIXELS;

/// One row of so many shows the way uphill.
const PART: usize = 4;

/// A network that stands uphill of its weights.
#[derive(Debug)]
pub struct Uphill {
    /// With the weights themselves.
    before: Network,
}

impl Uphill {
    /// Goes uphill on the first rows of a batch, by the recipe's `sharpness`: scaled pixels (2,304 a face), targets `[N, 7]`, weights
    /// of the rows `[N]`. The batch must be in random order. Batch norm's running statistics stay as they are.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn of_batch(
        network: &Network,
        (pixels, targets, weights): (&[f32], &Tensor, &Tensor),
        kind: Kind,
        recipe: &Recipe,
    ) -> Result<Self, TchError> {
        let rows = pixels.len() / PIXELS;
        // Batch norm needs two.
        let part = rows.div_ceil(PART).max(2).min(rows);
        let few = |t: &Tensor| t.f_narrow(0, 0, i64::try_from(part).unwrap_or(i64::MAX));
        let pixels = pixels.iter().take(part * PIXELS).copied().collect();
        let pass = network.forward_training(pixels, kind, &recipe.dropout, false)?;
        pass.backward(&cross_entropy(&pass.logits, &few(targets)?, &few(weights)?)?)?;
        Self::go(network, recipe.sharpness)
    }

    /// Moves all parameters by `radius` in all (Euclidean) along their gradients, which are then cleared.
    ///
    /// # Errors
    /// What libtorch says.
    fn go(network: &Network, radius: f64) -> Result<Self, TchError> {
        let before = network.snapshot()?;
        let _no_grad = tch::no_grad_guard();
        let mut squares = 0.0;
        for p in network.parameters() {
            let grad = p.tensor.f_grad()?;
            if grad.defined() {
                squares += grad.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
            }
        }
        // A gradient of zero shows no way.
        let factor = radius / (squares.sqrt() + 1e-12);
        for p in network.parameters() {
            let mut grad = p.tensor.f_grad()?;
            if grad.defined() {
                let _ = p.tensor.shallow_clone().f_add_(&grad.f_mul_scalar(factor)?)?;
                let _ = grad.f_zero_()?;
            }
        }
        Ok(Self { before })
    }

    /// Puts the weights back, bit for bit; gradients stay.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn back(self, network: &Network) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (p, before) in network.parameters().iter().zip(self.before.parameters()) {
            p.tensor.shallow_clone().f_copy_(&before.tensor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Named;
    use tch::Device;

    fn same((a, b): (&Named, &Named)) -> bool {
        a.tensor.equal(&b.tensor)
    }

    #[test]
    fn the_way_is_as_long_as_asked_along_the_gradient_and_back_is_exact() {
        let network = Network::new(Device::Cpu).unwrap();
        // Only the output layer's bias has a gradient, of length 5.
        let bias = &network.parameters().last().unwrap().tensor;
        let slope = Tensor::from_slice(&[3f32, 0.0, 0.0, 0.0, 0.0, 0.0, 4.0]);
        (bias * slope).sum(Kind::Float).backward();
        let before = network.snapshot().unwrap();
        let uphill = Uphill::go(&network, 0.5).unwrap();
        for (i, (m, b)) in network.parameters().iter().zip(before.parameters()).enumerate() {
            let way = Vec::<f32>::try_from((&m.tensor - &b.tensor).flatten(0, -1)).unwrap();
            if i + 1 < before.parameters().len() {
                assert!(way.iter().all(|x| *x == 0.0), "parameter {i}");
            } else {
                let wanted = [0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4];
                assert!(
                    way.iter().zip(wanted).all(|(x, w)| (x - w).abs() < 1e-6),
                    "{way:?}"
                );
            }
        }
        assert!(bias.grad().abs().sum(Kind::Float).double_value(&[]) == 0.0);
        uphill.back(&network).unwrap();
        assert!(network.tensors().zip(before.tensors()).all(same));
    }

    #[test]
    fn a_quarter_of_a_batch_shows_the_way_and_leaves_statistics_alone() {
        tch::manual_seed(3);
        let network = Network::new(Device::Cpu).unwrap();
        let pixels: Vec<f32> = (0..8 * PIXELS).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
        let targets = Tensor::eye(7, (Kind::Float, Device::Cpu))
            .index_select(0, &Tensor::from_slice(&[0i64, 1, 2, 3, 4, 5, 6, 0]));
        let weights = Tensor::ones([8], (Kind::Float, Device::Cpu));
        let recipe = Recipe {
            sharpness: 0.25,
            ..Recipe::single()
        };
        let before = network.snapshot().unwrap();
        let batch = (pixels.as_slice(), &targets, &weights);
        let uphill = Uphill::of_batch(&network, batch, Kind::Float, &recipe).unwrap();
        let squares: f64 = network
            .parameters()
            .iter()
            .zip(before.parameters())
            .map(|(a, b)| {
                (&a.tensor - &b.tensor)
                    .square()
                    .sum(Kind::Double)
                    .double_value(&[])
            })
            .sum();
        assert!((squares.sqrt() - 0.25).abs() < 1e-4, "{}", squares.sqrt());
        uphill.back(&network).unwrap();
        assert!(network.tensors().zip(before.tensors()).all(same));

        // The step's own pass does track them.
        let pass = network.forward_training(pixels, Kind::Float, &recipe.dropout, true);
        drop(pass.unwrap());
        assert!(!network.buffers().iter().zip(before.buffers()).any(same));
    }
}
