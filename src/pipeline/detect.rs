//! Image → the faces in it.

use std::time::Duration;

use fer_image::{
    Face,
    faces::{Found, Options, Rect},
    helper::{Outcome, Work},
};

use super::{EncodedImage, PoolError, Session, error::DecodingError};

/// An image that was searched for faces.
#[derive(Debug)]
pub(crate) struct Detection {
    pub(crate) found: Box<Found>,
    /// Time spent on decoding.
    pub(crate) decode: Duration,
    /// Time spent on finding the faces and cutting them out.
    pub(crate) detect: Duration,
}

/// The largest face of an image, or the whole image if no face was found.
#[derive(Debug)]
pub(crate) struct LargestFace {
    pub(crate) face: Face,
    /// `None` for the whole image.
    pub(crate) rect: Option<Rect>,
    pub(crate) decode: Duration,
    pub(crate) detect: Duration,
}

impl Session {
    /// Finds the faces of an image.
    pub(crate) async fn detect(
        &self,
        image: EncodedImage,
        options: Options,
    ) -> Result<Detection, DecodingError> {
        self.search(image, options, false).await
    }

    pub(crate) async fn detect_largest(&self, image: EncodedImage) -> Result<LargestFace, DecodingError> {
        let options = Options {
            max_faces: 1,
            ..Options::default()
        };
        let Detection {
            found,
            decode,
            detect,
        } = self.search(image, options, true).await?;
        let largest = found.faces.into_iter().next();
        let (face, rect) = largest
            .map(|found| (found.face, Some(found.rect)))
            .or(found.whole.map(|face| (face, None)))
            .ok_or_else(|| PoolError("neither a face nor the whole image".to_owned()))?;
        Ok(LargestFace {
            face,
            rect,
            decode,
            detect,
        })
    }

    async fn search(
        &self,
        image: EncodedImage,
        options: Options,
        or_whole: bool,
    ) -> Result<Detection, DecodingError> {
        let work = Work::Find { options, or_whole };
        let detection = |outcome| match outcome {
            Outcome::Found {
                found,
                decode,
                detect,
                ..
            } => Ok(Detection {
                found,
                decode,
                detect,
            }),
            Outcome::Face { .. } | Outcome::Heavy(_) => {
                Err(PoolError("a decoder answered another question".to_owned()))
            }
        };
        Ok(self.pipeline.decoders.run(self, image, work, detection).await??)
    }
}
