//! The interface of every engine.

use fer_image::Face;

use crate::{EngineError, Precision, emotion::CLASSES};

/// The network's raw output for one face, in the order of [`Emotion::ALL`](crate::emotion::Emotion::ALL).
pub type Logits = [f32; CLASSES];

/// Runs the network. One instance belongs to one OS thread for its whole life: libtorch keeps
/// thread-local state (gradient mode, memory caches, thread counts).
pub trait Classifier {
    /// Seven logits for each face, in the order given. An empty slice gives an empty answer.
    ///
    /// # Errors
    /// [`EngineError::Torch`] if libtorch fails, [`EngineError::Shape`] if the module's output is not `[N,7]`.
    fn classify(&mut self, faces: &[Face]) -> Result<Vec<Logits>, EngineError>;

    /// The engine's description for `/model`, the log and `fer_model_info`.
    fn info(&self) -> EngineInfo;
}

/// What an engine is, as shown in `/model`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EngineInfo {
    /// `torchscript` or `packed`.
    pub engine: &'static str,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// `cpu` or `cuda:N`.
    pub device: String,
}

impl EngineInfo {
    /// The packed engine's precision; `None` if it is another engine.
    pub(crate) fn packed(&self) -> Option<Precision> {
        let precision = || Precision::ALL.into_iter().find(|p| p.name() == self.precision);
        (self.engine == "packed").then(precision)?
    }
}
