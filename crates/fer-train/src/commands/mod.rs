//! The subcommands of `fer-train`, except `eval`.

mod export;
mod fit;
mod predict;
mod stages;

pub(crate) use export::run_export;
pub(crate) use fit::run_fit;
pub(crate) use predict::run_predict;
