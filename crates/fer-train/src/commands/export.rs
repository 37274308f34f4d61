//! `fer-train export`.

use std::path::{Path, PathBuf};

use super::stages;
use crate::{
    cli::ExportArgs,
    data::{Usage, load_set},
    error::TrainError,
    folder::write_folder,
    quantise,
    run::load_average,
};

/// Writes the model folder of a checkpoint.
pub(crate) fn run_export(args: &ExportArgs) -> Result<u8, TrainError> {
    // Rows are read before the export: a bad CSV is reported before anything is written.
    args.machine.apply()?;
    let load =
        |path: Option<PathBuf>, usage| path.map(|p| load_set(&p, usage, args.rows.options())).transpose();
    let data = load(args.data.clone(), Usage::PublicTest)?;
    let train = load(args.int8_data(), Usage::Training)?;
    if let (Some(data), Some(train)) = (&data, &train) {
        quantise::check(train, data)?;
    }
    let (network, state) = load_average(&args.checkpoint)?;
    let records = stages::records(args.checkpoint.parent().unwrap_or(Path::new("")), &state.recipe)?;
    write_folder(
        &network,
        &state,
        &args.identity.identity(),
        data.as_ref(),
        train.as_ref(),
        &records,
        &args.out,
    )?;
    Ok(0)
}
