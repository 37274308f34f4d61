//! Image → face → probabilities.

use std::time::Duration;

use fer_image::{
    Face,
    helper::{Outcome, Work},
};

use super::{ClassifyError, EncodedImage, PoolError, Session, error::DecodingError};
use crate::batcher::{BatcherError, Classified};

/// The answer for a whole image.
#[derive(Debug)]
pub(crate) struct ClassifiedImage {
    pub(crate) face: Classified,
    /// Time spent on decoding.
    pub(crate) decode: Duration,
}

impl Session {
    /// Classifies a whole image.
    ///
    /// The thread that waits for the decoder also puts the face into the batcher's queue: going back through an async thread
    /// in between cost 17 % of the throughput.
    pub(crate) async fn classify(&self, image: EncodedImage) -> Result<ClassifiedImage, ClassifyError> {
        let session = self.clone();
        let submit = move |outcome| match outcome {
            Outcome::Face { face, decode, .. } => {
                let pending = session.model.batcher.submit(*face, session.deadline)?;
                Ok::<_, ClassifyError>((pending, decode))
            }
            Outcome::Found { .. } | Outcome::Heavy(_) => {
                let text = "a decoder answered another question".to_owned();
                Err(DecodingError::from(PoolError(text)).into())
            }
        };
        let decoders = &self.pipeline.decoders;
        let (pending, decode) = decoders.run(self, image, Work::Face, submit).await??;
        let face = pending.answer().await?;
        Ok(ClassifiedImage { face, decode })
    }

    /// Classifies faces that are decoded already, in order. The error of one face is that of all. Dropping the future cancels
    /// them.
    pub(crate) async fn classify_faces(
        &self,
        faces: impl IntoIterator<Item = Face>,
    ) -> Result<Vec<Classified>, BatcherError> {
        let submit = |face| self.model.batcher.submit(face, self.deadline);
        let submitted: Vec<_> = faces.into_iter().map(submit).collect::<Result<_, _>>()?;
        let mut answers = Vec::with_capacity(submitted.len());
        for pending in submitted {
            answers.push(pending.answer().await?);
        }
        Ok(answers)
    }

    /// Classifies one face that is decoded already.
    pub(crate) async fn classify_face(&self, face: Face) -> Result<Classified, BatcherError> {
        self.model.batcher.submit(face, self.deadline)?.answer().await
    }
}
