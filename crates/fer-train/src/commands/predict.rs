//! `fer-train predict`.

use crate::{
    cli::PredictArgs,
    data::write_predictions,
    error::TrainError,
    output::say,
    score::{BATCH, classify},
};
use fer_engine::ModelFolder;

pub(crate) fn run_predict(args: &PredictArgs) -> Result<u8, TrainError> {
    let device = args.machine.apply()?;
    let mut engine = args
        .engine
        .choose(&ModelFolder::open(&args.model)?, device)?
        .engine()?;
    let rows = write_predictions(&args.data, &args.out, BATCH, |faces| {
        classify(&mut *engine, faces)
    })?;
    say(&format!("{rows} rows written to {}", args.out.display()));
    Ok(0)
}
