//! Checkpoint → model folder.

use clap::Args;
use fer_engine::folder::check_name;

pub(crate) mod card;
mod folder;
pub(crate) mod int8;

pub(crate) use folder::{Finished, note_time, write_folder};

#[cfg(test)]
pub(crate) use folder::export;

#[derive(Debug, Clone, Args)]
pub(crate) struct Identity {
    /// Name written into model.json
    #[arg(long, env = "FER_MODEL_NAME", default_value = "fer2013", value_name = "NAME", value_parser = name)]
    pub(crate) model_name: String,
    /// Version written into model.json
    #[arg(long, env = "FER_MODEL_VERSION", default_value = "1", value_name = "VERSION", value_parser = name)]
    pub(crate) model_version: String,
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}
