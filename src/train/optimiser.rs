//! SGD with Nesterov momentum, and averaged weights. Own code because libtorch's optimiser, as tch wraps
//! it, does not give up its momentum, without which a run cannot be resumed exactly.

use tch::TchError;

use super::network::{Named, Network};

/// Momentum for every parameter of a network.
#[derive(Debug)]
pub struct Sgd {
    momentum: Vec<Named>,
}

/// The numbers of one step.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Learning rate.
    pub rate: f64,
    /// Momentum, 0–1.
    pub momentum: f64,
    /// Decay of weights, not of biases and batch norm.
    pub weight_decay: f64,
}

impl Sgd {
    /// Zero momentum.
    ///
    /// # Errors
    /// What libtorch says.
    pub fn new(network: &Network) -> Result<Self, TchError> {
        let momentum = network
            .parameters()
            .iter()
            .map(|p| Ok(Named { name: p.name.clone(), tensor: p.tensor.f_detach()?.f_zeros_like()? }))
            .collect::<Result<_, TchError>>()?;
        Ok(Self { momentum })
    }

    /// The momentum by parameter.
    #[must_use]
    pub fn state(&self) -> &[Named] {
        &self.momentum
    }

    /// One step along the gradients, which are then cleared: `v ← µv + (g + λw)`, `w ← w − η(g + λw + µv)`
    /// (Sutskever et al. 2013, as PyTorch writes it).
    ///
    /// # Errors
    /// What libtorch says.
    pub fn step(&mut self, network: &Network, step: Step) -> Result<(), TchError> {
        let _no_grad = tch::no_grad_guard();
        for (p, v) in network.parameters().iter().zip(&mut self.momentum) {
            let mut grad = p.tensor.f_grad()?;
            if !grad.defined() {
                continue;
            }
            if decays(&p.name) {
                let _ = grad.f_add_(&p.tensor.f_mul_scalar(step.weight_decay)?)?;
            }
            let _ = v.tensor.f_mul_scalar_(step.momentum)?.f_add_(&grad)?;
            let _ = grad.f_add_(&v.tensor.f_mul_scalar(step.momentum)?)?;
            // A second handle on the same storage: tch's in-place operations want `&mut`.
            let mut weight = p.tensor.shallow_clone();
            let _ = weight.f_sub_(&grad.f_mul_scalar_(step.rate)?)?;
            let _ = grad.f_zero_()?;
        }
        Ok(())
    }
}

/// Weights decay; biases and batch norm's scale and shift do not.
fn decays(name: &str) -> bool {
    name.ends_with(".weight") && !name.contains(".bn.")
}

/// Moves every tensor of `average` towards `network`: `a ← d·a + (1 − d)·w`, with a smaller `d` at the start
/// so that the random first weights are soon forgotten.
///
/// # Errors
/// What libtorch says.
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
        let mut sgd = Sgd::new(&net).unwrap();
        let output = net.parameters().iter().position(|p| p.name == "output.weight").unwrap();
        let read = || net.parameters()[output].tensor.double_value(&[0, 0]);
        let mut w = read();
        let mut v = 0.0;
        for _ in 0..2 {
            for p in net.parameters() {
                (p.tensor.sum(Kind::Float) * 0.5).backward();
            }
            sgd.step(&net, Step { rate: 0.1, momentum: 0.9, weight_decay: 0.01 }).unwrap();
            let g = 0.5 + 0.01 * w;
            v = 0.9 * v + g;
            w -= 0.1 * (g + 0.9 * v);
            assert!((read() - w).abs() < 1e-6, "{} {w}", read());
        }
    }

    #[test]
    fn what_decays() {
        let net = Network::new(Device::Cpu).unwrap();
        let names: Vec<_> = net.parameters().iter().filter(|p| decays(&p.name)).map(|p| p.name.as_str()).collect();
        assert_eq!(
            names,
            ["conv1", "conv2", "conv3", "conv4", "dense1", "dense2", "output"].map(|l| format!("{l}.weight"))
        );
    }

    #[test]
    fn the_average_moves_by_its_share() {
        let (a, b) = (Network::new(Device::Cpu).unwrap(), Network::new(Device::Cpu).unwrap());
        let at = |n: &Network| n.parameters()[0].tensor.double_value(&[0, 0, 0, 0]);
        let want = 0.75 * at(&a) + 0.25 * at(&b);
        average(&a, &b, 0.75, 1_000_000).unwrap();
        assert!((at(&a) - want).abs() < 1e-6);
    }
}
