//! For tests: an untrained model.

use std::path::Path;

use tch::Device;

use super::{
    export::{Identity, export},
    network::Network,
    recipe::Recipe,
    run::{State, Sums},
};
use fer_engine::{ModelFolder, folder::Rows};

/// A model folder with random weights.
pub(crate) fn random_folder(path: &Path, seed: i64) -> ModelFolder {
    tch::manual_seed(seed);
    let network = Network::new(Device::Cpu).unwrap();
    let state = State {
        recipe: Recipe::default(),
        precision: "f32".to_owned(),
        rows: Rows {
            train: 1,
            valid: 1,
            sha256: String::new(),
        },
        epoch: 1,
        step: 0,
        sums: Sums::default(),
        best: None,
        started_from: None,
        teachers: None,
    };
    export(
        &network,
        &state,
        &Identity {
            name: "m".to_owned(),
            version: "1".to_owned(),
        },
        path,
    )
    .unwrap();
    ModelFolder::open(path).unwrap()
}
