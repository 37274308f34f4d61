//! `fer-train export`.

use std::path::{Path, PathBuf};

use super::stages;
use crate::{
    cli::ExportArgs,
    data::{Usage, load_set},
    error::TrainError,
    export::{Finished, int8, write_folder},
    run::load_average,
};

pub(crate) fn run_export(args: &ExportArgs) -> Result<u8, TrainError> {
    // Rows are read before the export: a bad CSV is reported before anything is written.
    args.machine.apply()?;
    let load = |path: &Option<PathBuf>, usage| {
        let path = path.as_deref();
        path.map(|p| load_set(p, usage, args.rows.skip_bad_rows))
            .transpose()
    };
    let data = load(&args.data, Usage::PublicTest)?;
    let train = load(&args.int8_data, Usage::Training)?;
    if let (Some(data), Some(train)) = (&data, &train) {
        int8::check(train, data)?;
    }
    let (network, state) = load_average(&args.checkpoint)?;
    let records = stages::records(args.checkpoint.parent().unwrap_or(Path::new("")), &state.recipe)?;
    let finished = Finished {
        network: &network,
        state: &state,
        records: &records,
    };
    write_folder(
        &finished,
        &args.identity,
        data.as_ref(),
        train.as_ref(),
        &args.out,
    )?;
    Ok(0)
}
