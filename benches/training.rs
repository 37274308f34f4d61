//! One training step (forward, backward, optimiser, average) in images per second, side by side: libtorch's operators
//! in f32 and the layout tensors have by default, which is what most would write, and what `fer-train fit` does.
//! Then what share of our step the three wide convolutions are. `cargo bench --bench training`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use fer_engine::network::{BATCH_NORM_EPSILON, Kernel, LAYERS};
use fer_train::{
    Dropout, Method, Network, Optimiser, OptimiserStep, Recipe, TrainingPrecision, average, channels_last,
    cpu_has_bf16, cross_entropy,
};
use tch::{Device, Kind, Tensor};

const BATCH: usize = 128;
const REPEATS: usize = 5;

#[derive(Clone, Copy)]
enum Variant {
    /// libtorch's operators in the published order: convolution, batch norm, ReLU, pooling, dropout.
    Stock,
    Ours(TrainingPrecision),
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    tch::set_num_threads(threads);
    // The published dropout makes libtorch draw a number for every value; the default recipe drops little.
    let published = Dropout([0.2, 0.2, 0.2, 0.25, 0.5, 0.5]);
    let recipe = Recipe::default().dropout;
    let mut variants = vec![
        ("libtorch, f32, contiguous", Variant::Stock, recipe),
        ("fit, f32", Variant::Ours(TrainingPrecision::F32), recipe),
    ];
    if cpu_has_bf16() {
        variants.push(("fit, bf16", Variant::Ours(TrainingPrecision::Bf16), recipe));
        variants.push((
            "fit, bf16, published dropout",
            Variant::Ours(TrainingPrecision::Bf16),
            published,
        ));
    } else {
        println!("skipped: bf16 (this processor does not compute it)");
    }
    // In turns, so that a busy machine is busy for all of them.
    let mut times = vec![Vec::new(); variants.len()];
    let mut convolutions = Vec::new();
    let mut runs: Vec<_> = variants
        .iter()
        .map(|(_, variant, dropout)| Run::new(*variant, *dropout))
        .collect();
    let kind = TrainingPrecision::detect(Device::Cpu).kind();
    for repeat in 0..=REPEATS {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            let seconds = run.step();
            if repeat > 0 {
                times.push(seconds);
            }
        }
        let seconds = wide_convolutions(kind);
        if repeat > 0 {
            convolutions.push(seconds);
        }
    }
    println!("training step, batch {BATCH}, {threads} threads, median of {REPEATS}");
    println!("| variant | images/s | against the first |\n| --- | --- | --- |");
    let median = |t: &mut Vec<f64>| {
        t.sort_by(f64::total_cmp);
        t[t.len() / 2]
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    for ((name, ..), seconds) in variants.iter().zip(&medians) {
        println!(
            "| {name} | {:.0} | {:.2} × |",
            BATCH as f64 / seconds,
            medians[0] / seconds
        );
    }
    println!(
        "The three wide convolutions, forward and backward in {kind:?}: {:.0} % of the step of `fit`.",
        100.0 * median(&mut convolutions) / medians[medians.len().min(3) - 1]
    );
}

struct Run {
    network: Network,
    average: Network,
    optimiser: Optimiser,
    pixels: Vec<f32>,
    targets: Tensor,
    weights: Tensor,
    variant: Variant,
    dropout: Dropout,
}

impl Run {
    fn new(variant: Variant, dropout: Dropout) -> Self {
        tch::manual_seed(1);
        let network = Network::new(Device::Cpu).unwrap();
        let pixels: Vec<f32> = (0..BATCH * 2304)
            .map(|i| ((i * 7919) % 255) as f32 / 128.0 - 1.0)
            .collect();
        if matches!(variant, Variant::Stock) {
            let _no_grad = tch::no_grad_guard();
            for p in network.parameters() {
                p.tensor.shallow_clone().set_data(&p.tensor.contiguous());
            }
        }
        let labels: Vec<i64> = (0..BATCH as i64).map(|i| i % 7).collect();
        Self {
            average: network.snapshot().unwrap(),
            optimiser: Optimiser::new(&network, Method::Sgd).unwrap(),
            network,
            pixels,
            targets: Tensor::from_slice(&labels).one_hot(7).to_kind(Kind::Float),
            weights: Tensor::ones([BATCH as i64], (Kind::Float, Device::Cpu)),
            variant,
            dropout,
        }
    }

    fn step(&mut self) -> f64 {
        let pixels = self.pixels.clone();
        let start = Instant::now();
        match self.variant {
            Variant::Stock => {
                let logits = self.stock(&Tensor::from_slice(&pixels).view([-1, 1, 48, 48]));
                cross_entropy(&logits, &self.targets, &self.weights)
                    .unwrap()
                    .backward();
            }
            Variant::Ours(precision) => {
                let pass = self
                    .network
                    .forward_training(pixels, precision.kind(), &self.dropout)
                    .unwrap();
                let loss = cross_entropy(&pass.logits, &self.targets, &self.weights).unwrap();
                pass.backward(&loss).unwrap();
            }
        }
        let numbers = OptimiserStep {
            rate: 0.01,
            momentum: 0.9,
            weight_decay: 5e-4,
            done: 1000,
        };
        self.optimiser.step(&self.network, numbers).unwrap();
        self.network.keep_scales_positive().unwrap();
        average(&self.average, &self.network, 0.998, 1000).unwrap();
        start.elapsed().as_secs_f64()
    }

    fn stock(&self, input: &Tensor) -> Tensor {
        let named = |layer: &str, what: &str| {
            let name = format!("{layer}.{what}");
            let found = self.network.tensors().find(|n| n.name == name);
            found.unwrap().tensor.shallow_clone()
        };
        let mut x = input.shallow_clone();
        for (layer, rate) in LAYERS.iter().zip(self.dropout.0.iter().chain([&0.0])) {
            let (weight, bias) = (named(layer.name, "weight"), named(layer.name, "bias"));
            let conv = matches!(layer.kernel, Kernel::Conv { .. });
            x = match layer.kernel {
                Kernel::Conv { padding, .. } => {
                    x.conv2d(&weight, Some(&bias), [1, 1], [padding as i64; 2], [1, 1], 1)
                }
                Kernel::Dense => x.flatten(1, -1).linear(&weight, Some(&bias)),
            };
            if layer.batch_norm {
                let of = |what| Some(named(layer.name, what));
                x = x.batch_norm(
                    of("bn.weight"),
                    of("bn.bias"),
                    of("bn.running_mean"),
                    of("bn.running_var"),
                    true,
                    0.1,
                    BATCH_NORM_EPSILON,
                    true,
                );
                x = x.relu();
            }
            if conv {
                x = x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            }
            if *rate > 0.0 {
                x = x.dropout(*rate, true);
            }
        }
        x
    }
}

/// Seconds that the second to fourth convolution take for a batch, forward and backward, and nothing else.
fn wide_convolutions(kind: Kind) -> f64 {
    let mut total = 0.0;
    for (layer, side) in LAYERS[1..4].iter().zip([24, 12, 6]) {
        let Kernel::Conv { padding, .. } = layer.kernel else {
            continue;
        };
        let random = |shape: &[i64]| {
            let x = Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_kind(kind);
            channels_last(&x).unwrap()
        };
        let x = random(&[BATCH as i64, layer.inputs as i64, side, side]).set_requires_grad(true);
        let w = random(&layer.weight_shape().iter().map(|n| *n as i64).collect::<Vec<_>>())
            .set_requires_grad(true);
        let out = x.conv2d(&w, None::<Tensor>, [1, 1], [padding as i64; 2], [1, 1], 1);
        let grad = random(&out.size());
        let start = Instant::now();
        let out = x.conv2d(&w, None::<Tensor>, [1, 1], [padding as i64; 2], [1, 1], 1);
        let forward = start.elapsed().as_secs_f64();
        let loss = (&out * &grad).sum(Kind::Float);
        let start = Instant::now();
        let _ = Tensor::run_backward(&[loss], &[&x, &w], false, false);
        total += forward + start.elapsed().as_secs_f64();
    }
    total
}
