//! The subcommands of `fer-train`.

mod eval;
mod export;
mod fit;
mod predict;
mod stages;

pub(crate) use eval::run_eval;
pub(crate) use export::run_export;
pub(crate) use fit::run_fit;
pub(crate) use predict::run_predict;
