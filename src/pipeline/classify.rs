//! Image → face → probabilities.

use std::time::{Duration, Instant};

use fer_image::{Face, Limits};

use super::{ClassifyError, EncodedImage, Pipeline, Session};
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
    /// The thread that decodes it also puts its face into the batcher's queue: going back through an async thread in
    /// between cost 17 % of the throughput.
    pub(crate) async fn classify(&self, image: EncodedImage) -> Result<ClassifiedImage, ClassifyError> {
        let (session, size) = (self.clone(), image.size());
        let decode_and_submit = move || {
            let (face, decode) = session.pipeline.decode(|limits| image.decode(limits));
            let pending = session.model.batcher.submit(face?, session.deadline)?;
            Ok::<_, ClassifyError>((pending, decode))
        };
        let (pending, decode) = self.run_on_decode_pool(size, decode_and_submit).await??;
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

impl Pipeline {
    /// Decodes within the limits, measures the time and observes it.
    pub(super) fn decode<T>(&self, decode: impl FnOnce(&Limits) -> T) -> (T, Duration) {
        let began = Instant::now();
        let decoded = decode(&self.limits);
        let took = began.elapsed();
        self.metrics.decode.observe(took.as_secs_f64());
        (decoded, took)
    }
}
