//! Several faces that belong together.

use std::time::Instant;

use super::{Batcher, Classified, ClassifyError};
use crate::image::Face;

impl Batcher {
    /// Queues all the faces, one behind the other, and waits for all their answers, until the deadline at
    /// most; the answers stand in the order of the faces. Dropping the future takes them out again.
    ///
    /// # Errors
    /// See [`ClassifyError`]; one face's error is that of all.
    pub async fn classify_all(
        &self,
        faces: impl IntoIterator<Item = Face>,
        deadline: Instant,
    ) -> Result<Vec<Classified>, ClassifyError> {
        let submitted: Result<Vec<_>, _> = faces
            .into_iter()
            .map(|face| self.submit(face, deadline))
            .collect();
        let mut answers = Vec::new();
        for pending in submitted? {
            answers.push(pending.answer().await?);
        }
        Ok(answers)
    }
}
