//! Image → the faces in it.

use std::time::{Duration, Instant};

use fer_image::{
    Face,
    faces::{Options, Rect},
};

use super::{DetectError, EncodedImage, Pipeline, Session};

/// A face that was found.
#[derive(Debug)]
pub(crate) struct DetectedFace {
    /// In pixels of the upright image.
    pub(crate) rect: Rect,
    pub(crate) score: f32,
    /// Framed as the training images are.
    pub(crate) face: Face,
}

/// An image that was searched for faces.
#[derive(Debug)]
pub(crate) struct Detection {
    /// In pixels, upright.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Largest first.
    pub(crate) faces: Vec<DetectedFace>,
    /// The whole image as a face, if that was asked for and no face was found.
    whole: Option<Face>,
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
    ) -> Result<Detection, DetectError> {
        self.search(image, options, false).await
    }

    pub(crate) async fn detect_largest(&self, image: EncodedImage) -> Result<LargestFace, DetectError> {
        let options = Options {
            max_faces: 1,
            ..Options::default()
        };
        let Detection {
            faces,
            whole,
            decode,
            detect,
            ..
        } = self.search(image, options, true).await?;
        let largest = faces.into_iter().next();
        let (face, rect) = largest
            .map(|found| (found.face, Some(found.rect)))
            .or(whole.map(|face| (face, None)))
            .ok_or_else(|| DetectError::Detector("neither a face nor the whole image".to_owned()))?;
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
    ) -> Result<Detection, DetectError> {
        let (pipeline, size) = (self.pipeline.clone(), image.size());
        let search = move || pipeline.search(&image, &options, or_whole);
        self.pipeline.detect.run(size, self.deadline, search).await?
    }
}

impl Pipeline {
    /// Decodes and searches an image. Computes for long: runs on the detect pool.
    fn search(
        &self,
        image: &EncodedImage,
        options: &Options,
        or_whole: bool,
    ) -> Result<Detection, DetectError> {
        let (luma, decode) = self.decode(|limits| image.decode_luma(limits));
        let luma = luma?;

        let began = Instant::now();
        let boxes = self
            .detector
            .detect(&luma, options)
            .map_err(DetectError::Detector)?;
        let mut faces = Vec::with_capacity(boxes.len());
        for found in boxes {
            if let Some(rect) = found.within(luma.width(), luma.height()) {
                let face = found.crop(&luma).map_err(DetectError::Detector)?;
                let score = found.score;
                faces.push(DetectedFace { rect, score, face });
            }
        }
        let whole = if or_whole && faces.is_empty() {
            Some(luma.whole().map_err(DetectError::Detector)?)
        } else {
            None
        };
        let detect = began.elapsed();
        self.metrics.detected(faces.len(), detect.as_secs_f64());
        Ok(Detection {
            width: luma.width(),
            height: luma.height(),
            faces,
            whole,
            decode,
            detect,
        })
    }
}
