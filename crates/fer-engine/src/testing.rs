//! For tests: a network and a model folder with random weights.

use std::path::Path;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    FILE_SAFETENSORS, FILE_TORCHSCRIPT, InputSpec, Manifest, ModelFolder,
    network::{Folded, LayerWeights},
    save_torchscript,
};

pub(crate) const INPUT: InputSpec = InputSpec {
    width: 48,
    height: 48,
    channels: 1,
    scale: 1.0 / 255.0,
    mean: 0.5,
    std: 0.25,
};

/// A tensor's name, shape and bytes.
type Named = (String, Vec<usize>, Vec<u8>);

/// Random weights with batch norm that is not neutral; the same seed always gives the same. libtorch's generator would not:
/// all threads share it.
pub(crate) fn random_weights(seed: u64) -> (Vec<Named>, Vec<LayerWeights>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut named = Vec::new();
    let layers = LayerWeights::collect(|name, shape| {
        // Of weights, He et al.'s deviation; a uniform value's is its half-width divided by the root of three.
        let fan_in: usize = shape.iter().skip(1).product();
        let (middle, half) = match name.split_once('.').unwrap().1 {
            "bn.running_mean" | "bn.bias" | "bias" => (0.0, 0.2),
            "bn.running_var" => (1.0, 0.5),
            "bn.weight" => (1.0, 0.2),
            _ => (0.0, (6.0 / fan_in as f32).sqrt()),
        };
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| middle + half * (2.0 * rng.random::<f32>() - 1.0))
            .collect();
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        named.push((name.to_owned(), shape.to_vec(), bytes));
        Ok::<_, std::convert::Infallible>(values)
    })
    .unwrap();
    (named, layers)
}

/// A model folder with such weights.
pub(crate) fn random_folder(path: &Path, seed: u64) -> ModelFolder {
    let (named, layers) = random_weights(seed);
    let folded: Vec<_> = layers.iter().map(Folded::from).collect();
    save_torchscript(&folded, &path.join(FILE_TORCHSCRIPT)).unwrap();
    let views = named
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(path.join(FILE_SAFETENSORS), bytes).unwrap();
    let mut manifest = Manifest::new("m", "1", INPUT);
    for name in [FILE_TORCHSCRIPT, FILE_SAFETENSORS] {
        manifest.add_file(path, name).unwrap();
    }
    manifest.write(path).unwrap();
    ModelFolder::open(path).unwrap()
}
