//! SGD with Nesterov momentum, Adam, and averaged weights. Own code because tch gives no access to the momentum of
//! libtorch's optimiser, without which a run cannot be resumed exactly.

use tch::{TchError, Tensor};

use crate::{
    network::{self, Named, Network},
    recipe::Method,
};

/// Adam's decay of the squared gradients, and the term added to their root: Keras' defaults.
const ADAM_DECAY: f64 = 0.999;
const ADAM_EPSILON: f64 = 1e-7;

/// An optimiser's state for every parameter of a network.
#[derive(Debug)]
pub struct Optimiser {
    pub(crate) momentum: Vec<Named>,
    /// Averaged squared gradients; Adam only, else empty.
    pub(crate) squares: Vec<Named>,
}

#[derive(Debug, Clone, Copy)]
pub struct OptimiserStep {
    pub rate: f64,
    /// Momentum (Adam: β₁), 0–1.
    pub momentum: f64,
    /// Decay of weights, not of biases and batch norm.
    pub weight_decay: f64,
    /// Steps before this one.
    pub done: u64,
}

impl Optimiser {
    pub fn new(network: &Network, method: Method) -> Result<Self, TchError> {
        let zeros = || network::map(network.parameters(), |p| p.f_detach()?.f_zeros_like());
        Ok(Self {
            momentum: zeros()?,
            squares: match method {
                Method::Sgd => Vec::new(),
                Method::Adam => zeros()?,
            },
        })
    }

    /// One step along the gradients, which are then cleared.
    ///
    /// SGD: `v ← µv + (g + λw)`, `w ← w − η(g + λw + µv)` (Sutskever et al. 2013, as PyTorch writes it). Adam:
    /// Kingma and Ba 2015, the decay as part of the gradient.
    pub fn step(&mut self, network: &Network, step: OptimiserStep) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (i, (p, v)) in network.parameters().iter().zip(&mut self.momentum).enumerate() {
            let mut grad = p.tensor.f_grad()?;
            if !grad.defined() {
                continue;
            }
            if decays(&p.name) && step.weight_decay > 0.0 {
                let _ = grad.f_add_(&p.tensor.f_mul_scalar(step.weight_decay)?)?;
            }
            match self.squares.get_mut(i) {
                Some(squares) => adam(&p.tensor, &mut grad, &mut v.tensor, &mut squares.tensor, step)?,
                None => nesterov(&p.tensor, &mut grad, &mut v.tensor, step)?,
            }
            let _ = grad.f_zero_()?;
        }
        Ok(())
    }
}

fn nesterov(weight: &Tensor, grad: &mut Tensor, v: &mut Tensor, step: OptimiserStep) -> Result<(), TchError> {
    let _ = v.f_mul_scalar_(step.momentum)?.f_add_(grad)?;
    let _ = grad.f_add_(&v.f_mul_scalar(step.momentum)?)?;
    // A second handle on the same storage: tch's in-place operations take `&mut`.
    let _ = weight.shallow_clone().f_sub_(&grad.f_mul_scalar_(step.rate)?)?;
    Ok(())
}

fn adam(
    weight: &Tensor,
    grad: &mut Tensor,
    v: &mut Tensor,
    squares: &mut Tensor,
    step: OptimiserStep,
) -> Result<(), TchError> {
    #[allow(clippy::cast_precision_loss)]
    let t = step.done as f64 + 1.0;
    let _ = v.f_lerp_(grad, 1.0 - step.momentum)?;
    let _ = squares.f_lerp_(&grad.f_square()?, 1.0 - ADAM_DECAY)?;
    let root = squares
        .f_div_scalar(1.0 - ADAM_DECAY.powf(t))?
        .f_sqrt()?
        .f_add_scalar(ADAM_EPSILON)?;
    let rate = step.rate / (1.0 - step.momentum.powf(t));
    let _ = weight
        .shallow_clone()
        .f_sub_(&v.f_mul_scalar(rate)?.f_div(&root)?)?;
    Ok(())
}

/// Weights decay; biases and batch norm's scale and shift do not.
fn decays(name: &str) -> bool {
    name.ends_with(".weight") && !name.contains(".bn.")
}

/// Moves every tensor of `average` towards `network`: `a ← d·a + (1 − d)·w`, with a smaller `d` at the start
/// so that the random first weights are soon forgotten.
pub fn average(average: &Network, network: &Network, decay: f64, step: u64) -> Result<(), TchError> {
    let _no_grad = tch::no_grad_guard();
    #[allow(clippy::cast_precision_loss)]
    let decay = decay.min((1.0 + step as f64) / (10.0 + step as f64));
    for (a, n) in average.tensors().zip(network.tensors()) {
        let _ = a.tensor.shallow_clone().f_lerp_(&n.tensor, 1.0 - decay)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// The formula by hand on one weight of the output layer: constant gradient, two steps.
    #[test]
    fn two_steps_by_hand() {
        let net = Network::new(Device::Cpu).unwrap();
        let mut sgd = Optimiser::new(&net, Method::Sgd).unwrap();
        let output = net
            .parameters()
            .iter()
            .position(|p| p.name == "output.weight")
            .unwrap();
        let read = || net.parameters()[output].tensor.double_value(&[0, 0]);
        let mut w = read();
        let mut v = 0.0;
        for _ in 0..2 {
            for p in net.parameters() {
                (p.tensor.sum(Kind::Float) * 0.5).backward();
            }
            sgd.step(
                &net,
                OptimiserStep {
                    rate: 0.1,
                    momentum: 0.9,
                    weight_decay: 0.01,
                    done: 0,
                },
            )
            .unwrap();
            let g = 0.5 + 0.01 * w;
            v = 0.9 * v + g;
            w -= 0.1 * (g + 0.9 * v);
            assert!((read() - w).abs() < 1e-6, "{} {w}", read());
        }
    }

    /// Adam by hand, constant gradient, two steps.
    #[test]
    fn two_steps_of_adam_by_hand() {
        let net = Network::new(Device::Cpu).unwrap();
        let mut adam = Optimiser::new(&net, Method::Adam).unwrap();
        let read = || net.parameters()[0].tensor.double_value(&[0, 0, 0, 0]);
        let (mut w, mut v, mut s) = (read(), 0.0, 0.0);
        for done in 0..2 {
            for p in net.parameters() {
                (p.tensor.sum(Kind::Float) * 0.5).backward();
            }
            let step = OptimiserStep {
                rate: 0.01,
                momentum: 0.9,
                weight_decay: 0.0,
                done,
            };
            adam.step(&net, step).unwrap();
            let t = done as f64 + 1.0;
            v = 0.9 * v + 0.1 * 0.5;
            s = 0.999 * s + 0.001 * 0.25;
            let (v, s): (f64, f64) = (v / (1.0 - 0.9f64.powf(t)), s / (1.0 - 0.999f64.powf(t)));
            w -= 0.01 * v / (s.sqrt() + 1e-7);
            assert!((read() - w).abs() < 1e-6, "{} {w}", read());
        }
    }

    #[test]
    fn what_decays() {
        let net = Network::new(Device::Cpu).unwrap();
        let names: Vec<_> = net
            .parameters()
            .iter()
            .filter(|p| decays(&p.name))
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(
            names,
            ["conv1", "conv2", "conv3", "conv4", "dense1", "dense2", "output"].map(|l| format!("{l}.weight"))
        );
    }

    #[test]
    fn the_average_moves_by_its_share() {
        let (a, b) = (
            Network::new(Device::Cpu).unwrap(),
            Network::new(Device::Cpu).unwrap(),
        );
        let at = |n: &Network| n.parameters()[0].tensor.double_value(&[0, 0, 0, 0]);
        let want = 0.75 * at(&a) + 0.25 * at(&b);
        average(&a, &b, 0.75, 1_000_000).unwrap();
        assert!((at(&a) - want).abs() < 1e-6);
    }
}
