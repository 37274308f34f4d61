//! Images per second of one training step (forward, backward, optimiser, average), side by side: f32 in the
//! layout tensors have by default, and what `fer-train fit` does. `cargo bench --bench training`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Instant;

use fer_serve::train::{
    fit::{Precision, cpu_has_bf16},
    network::{Network, channels_last, cross_entropy, to_batch},
    optimiser::{Sgd, Step, average},
    recipe::Recipe,
};
use tch::{Device, Tensor};

const BATCH: usize = 128;
const REPEATS: usize = 5;

struct Variant {
    name: &'static str,
    precision: Precision,
    channels_last: bool,
}

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    tch::set_num_threads(threads);
    let mut variants = vec![
        Variant { name: "f32, contiguous", precision: Precision::F32, channels_last: false },
        Variant { name: "f32, channels-last", precision: Precision::F32, channels_last: true },
    ];
    if cpu_has_bf16() {
        variants.push(Variant { name: "bf16, channels-last", precision: Precision::Bf16, channels_last: true });
    } else {
        println!("skipped: bf16 (this processor does not compute it)");
    }
    // In turns, so that a busy machine is busy for all of them.
    let mut times = vec![Vec::new(); variants.len()];
    let mut runs: Vec<_> = variants.iter().map(Run::new).collect();
    for repeat in 0..=REPEATS {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            let seconds = run.step();
            if repeat > 0 {
                times.push(seconds);
            }
        }
    }
    println!("training step, batch {BATCH}, {threads} threads, median of {REPEATS}");
    println!("| variant | images/s | against the first |\n| --- | --- | --- |");
    let median = |t: &mut Vec<f64>| {
        t.sort_by(f64::total_cmp);
        t[t.len() / 2]
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    for (variant, seconds) in variants.iter().zip(&medians) {
        println!("| {} | {:.0} | {:.2} × |", variant.name, BATCH as f64 / seconds, medians[0] / seconds);
    }
}

struct Run {
    network: Network,
    average: Network,
    sgd: Sgd,
    input: Tensor,
    labels: Tensor,
    precision: Precision,
    recipe: Recipe,
}

impl Run {
    fn new(variant: &Variant) -> Self {
        tch::manual_seed(1);
        let network = Network::new(Device::Cpu).unwrap();
        let pixels: Vec<f32> = (0..BATCH * 2304).map(|i| ((i * 7919) % 255) as f32 / 128.0 - 1.0).collect();
        let mut input = to_batch(&pixels, Device::Cpu).unwrap();
        if !variant.channels_last {
            input = Tensor::from_slice(&pixels).view([-1, 1, 48, 48]);
            let _no_grad = tch::no_grad_guard();
            for p in network.parameters() {
                p.tensor.shallow_clone().set_data(&p.tensor.contiguous());
            }
        } else {
            assert_eq!(channels_last(&input).unwrap().stride(), input.stride());
        }
        let labels: Vec<i64> = (0..BATCH as i64).map(|i| i % 7).collect();
        Self {
            average: network.snapshot().unwrap(),
            sgd: Sgd::new(&network).unwrap(),
            network,
            input,
            labels: Tensor::from_slice(&labels),
            precision: variant.precision,
            recipe: Recipe::default(),
        }
    }

    fn step(&mut self) -> f64 {
        let start = Instant::now();
        let dropout = Some(&self.recipe.dropout);
        let logits = self.network.forward(&self.input, self.precision.kind(), dropout).unwrap();
        cross_entropy(&logits, &self.labels, 0.1).unwrap().backward();
        self.sgd.step(&self.network, Step { rate: 0.01, momentum: 0.9, weight_decay: 5e-4 }).unwrap();
        average(&self.average, &self.network, 0.998, 1000).unwrap();
        start.elapsed().as_secs_f64()
    }
}
