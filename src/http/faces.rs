//! `POST /faces`: a photo → every face in it: where, how sure, seven probabilities.
//!
//! Takes what `/predict` takes. A photo is decoded and searched in one go on the detection threads, so that
//! photos, however many, hold up neither the decoding threads nor the engines that `/predict` needs. Its
//! faces enter the batcher together.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension,
    extract::{Request, State},
    http::Uri,
    response::Response,
};
use serde::Serialize;

use super::{
    input::Picture,
    pictures::{self, Fault},
    problem::Problem,
    request_id::RequestId,
    timing::Timing,
    types::{Crop, Scores},
};
use crate::{
    app::App,
    faces::{Options, Rect},
    image::Face,
    model::Model,
};

/// One face: `box`, `score`, `emotion`, `confidence`, `probabilities`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct FaceAnswer {
    /// Where it is, in pixels of the upright picture.
    #[serde(rename = "box")]
    pub rect: Rect,
    /// How sure the detector is.
    pub score: f32,
    /// What the network says.
    #[serde(flatten)]
    pub scores: Scores,
}

/// One photo: `width`, `height`, `faces`.
#[derive(Debug, Clone, Serialize)]
pub struct Photo {
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Largest first; empty if there is none.
    pub faces: Vec<FaceAnswer>,
}

/// The handler.
///
/// # Errors
/// As [`super::predict::predict`].
pub async fn faces(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let options = options(request.uri(), app.config.max_faces.get())?;
    let classify = move |app: Arc<App>, model: Arc<Model>, picture, deadline| async move {
        classify(&app, &model, picture, options, deadline).await
    };
    pictures::answer(&app, request, &id, "photos", classify).await
}

/// One photo through detection, queue and network.
async fn classify(
    app: &App,
    model: &Model,
    picture: Picture,
    options: Options,
    deadline: Instant,
) -> Result<(Photo, Timing), Fault> {
    let looked = look(app, picture, options, deadline, false).await?;
    let crops = looked.faces.iter().map(|found| found.crop.clone());
    let answers = model
        .batcher
        .classify_all(crops, deadline)
        .await
        .map_err(|e| Fault::Request(e.into()))?;
    let mut timing = Timing {
        images: 1,
        ..looked.timing
    };
    for done in &answers {
        timing.queue = timing.queue.max(done.queue);
        timing.infer = timing.infer.max(done.infer);
        timing.batch = timing.batch.max(done.batch);
    }
    let faces = looked.faces.iter().zip(answers).map(|(found, done)| FaceAnswer {
        rect: found.rect,
        score: found.score,
        scores: Scores::from(done.probabilities),
    });
    let photo = Photo {
        width: looked.width,
        height: looked.height,
        faces: faces.collect(),
    };
    Ok((photo, timing))
}

/// A face that was found.
pub(super) struct Found {
    rect: Rect,
    score: f32,
    crop: Face,
}

/// A photo that was searched.
pub(super) struct Looked {
    width: u32,
    height: u32,
    faces: Vec<Found>,
    /// The whole picture, where it was asked for in case there is no face.
    whole: Option<Face>,
    /// Decoding and detection.
    pub(super) timing: Timing,
}

impl Looked {
    /// The largest face, or the whole picture.
    pub(super) fn face_or_whole(self) -> Result<(Face, Crop), Fault> {
        if let Some(found) = self.faces.into_iter().next() {
            return Ok((found.crop, Crop::face(found.rect)));
        }
        self.whole
            .map(|face| (face, Crop::picture()))
            .ok_or_else(|| Fault::Request(Problem::internal("neither a face nor the whole picture")))
    }
}

/// Decodes a photo and finds its faces, on the detection threads.
pub(super) async fn look(
    app: &App,
    picture: Picture,
    options: Options,
    deadline: Instant,
    or_whole: bool,
) -> Result<Looked, Fault> {
    let limits = pictures::limits(app);
    let (metrics, detector) = (Arc::clone(&app.metrics), Arc::clone(&app.detector));
    let internal = |text: String| Fault::Request(Problem::internal(text));
    let size = picture.size();
    let work = move || {
        let began = Instant::now();
        let picture = picture.decode_luma(&limits);
        let decode = began.elapsed();
        metrics.decode.observe(decode.as_secs_f64());
        let picture = picture.map_err(Fault::Picture)?;

        let began = Instant::now();
        let boxes = detector.detect(&picture, &options).map_err(internal)?;
        let mut faces = Vec::with_capacity(boxes.len());
        for face in boxes {
            if let Some(rect) = face.within(picture.width(), picture.height()) {
                let crop = face.crop(&picture).map_err(internal)?;
                let score = face.score;
                faces.push(Found { rect, score, crop });
            }
        }
        let whole = if or_whole && faces.is_empty() {
            Some(picture.whole().map_err(internal)?)
        } else {
            None
        };
        let detect: Duration = began.elapsed();
        metrics.detected(faces.len(), detect.as_secs_f64());
        Ok(Looked {
            width: picture.width(),
            height: picture.height(),
            faces,
            whole,
            timing: Timing {
                decode,
                detect: Some(detect),
                ..Timing::default()
            },
        })
    };
    app.detection
        .run(size, deadline, work)
        .await
        .map_err(|e| internal(e.0))?
}

/// What the query string asks for.
fn options(uri: &Uri, most: usize) -> Result<Options, Problem> {
    let mut options = Options {
        max_faces: most,
        ..Options::default()
    };
    for (name, value) in pictures::query(uri)? {
        let wanted = |what: String| Problem::bad_request(format!("`{name}` must be {what}; got {value:?}"));
        match name.as_str() {
            "max_faces" => {
                let n = value.parse().ok().filter(|n| (1..=most).contains(n));
                options.max_faces = n.ok_or_else(|| wanted(format!("a whole number from 1 to {most}")))?;
            }
            "min_face" => {
                let n = value.parse().ok().filter(|n| Options::MIN_FACE.contains(n));
                let (least, most) = (Options::MIN_FACE.start(), Options::MIN_FACE.end());
                let range = || wanted(format!("a whole number of pixels from {least} to {most}"));
                options.min_face = Some(n.ok_or_else(range)?);
            }
            "score" => {
                let n = value.parse().ok().filter(|n| Options::SCORE.contains(n));
                let (least, most) = (Options::SCORE.start(), Options::SCORE.end());
                options.score = n.ok_or_else(|| wanted(format!("a number from {least} to {most}")))?;
            }
            _ => {
                return Err(Problem::bad_request(format!(
                    "there is no query parameter {name:?}; there are `max_faces`, `min_face` and `score`"
                )));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Options, Problem> {
        options(&format!("/faces{query}").parse().unwrap(), 64)
    }

    #[test]
    fn the_query_changes_the_defaults() {
        let default = Options {
            max_faces: 64,
            ..Options::default()
        };
        assert_eq!(parse("").unwrap(), default);
        let all = parse("?max_faces=3&min_face=20&score=4.5").unwrap();
        assert_eq!((all.max_faces, all.min_face, all.score), (3, Some(20), 4.5));
    }

    #[test]
    fn a_bad_value_is_named_with_its_range() {
        for (query, words) in [
            ("?max_faces=0", ["`max_faces`", "1 to 64"]),
            ("?max_faces=65", ["`max_faces`", "1 to 64"]),
            ("?max_faces=-1", ["`max_faces`", "\"-1\""]),
            ("?min_face=19", ["`min_face`", "20 to 10000"]),
            ("?min_face=x", ["`min_face`", "\"x\""]),
            ("?score=0.5", ["`score`", "1 to 100"]),
            ("?score=NaN", ["`score`", "\"NaN\""]),
            ("?score=", ["`score`", "\"\""]),
            ("?maxfaces=1", ["maxfaces", "`max_faces`"]),
        ] {
            let problem = parse(query).unwrap_err();
            assert_eq!((problem.status.as_u16(), problem.code), (400, "bad_request"));
            for word in words {
                assert!(problem.detail.contains(word), "{query}: {}", problem.detail);
            }
        }
    }
}
