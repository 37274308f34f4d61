//! `POST /predict`: one picture or many → seven probabilities each.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::{Request, State},
    http::Uri,
    response::Response,
};

use super::{
    faces,
    input::Picture,
    pictures::{self, Fault},
    problem::Problem,
    request_id::RequestId,
    timing::Timing,
    types::{Prediction, Scores},
};
use crate::{
    app::App, batcher::Pending, decode::PoolError, emotion::Probabilities, faces::Options, image::Face,
    model::Model,
};

/// What of a picture is classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    /// The largest face, or the whole picture if there is none.
    Face,
}

impl Part {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let mut part = Self::Whole;
        for (name, value) in pictures::query(uri)? {
            part = match (name.as_str(), value.as_str()) {
                ("crop", "face") => Self::Face,
                ("crop", "none") => Self::Whole,
                ("crop", _) => {
                    return Err(Problem::bad_request(format!(
                        "`crop` must be `face` (the largest face) or `none` (the whole picture); got {value:?}"
                    )));
                }
                _ => {
                    return Err(Problem::bad_request(format!(
                        "there is no query parameter {name:?}; there is `crop`"
                    )));
                }
            };
        }
        Ok(part)
    }
}

/// The handler.
///
/// # Errors
/// Every [`Problem`] that the module's table in [`super::problem`] gives for its statuses.
pub async fn predict(
    State(app): State<Arc<App>>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Problem> {
    let part = Part::of(request.uri())?;
    let classify = move |app: Arc<App>, model: Arc<Model>, picture, deadline| async move {
        classify(&app, &model, picture, part, deadline).await
    };
    pictures::answer(&app, request, &id, "predictions", classify).await
}

/// One picture through decoding, queue and network.
async fn classify(
    app: &App,
    model: &Arc<Model>,
    picture: Picture,
    part: Part,
    deadline: Instant,
) -> Result<(Prediction, Timing), Fault> {
    let (face, crop, timing) = match part {
        Part::Whole => {
            let (probabilities, timing) = whole(app, model, picture, deadline).await?;
            let scores = Scores::from(probabilities);
            return Ok((Prediction { scores, crop: None }, timing));
        }
        Part::Face => {
            let options = Options {
                max_faces: 1,
                ..Options::default()
            };
            let looked = faces::look(app, picture, options, deadline, true).await?;
            let timing = looked.timing;
            let (face, crop) = looked.face_or_whole()?;
            (face, Some(crop), timing)
        }
    };
    let (probabilities, timing) = infer(model, face, timing, deadline).await?;
    let scores = Scores::from(probabilities);
    Ok((Prediction { scores, crop }, timing))
}

/// A whole picture through decoding, queue and network. The thread that decoded it puts its face into the queue: a way back
/// through the async threads would only take time.
pub(super) async fn whole(
    app: &App,
    model: &Arc<Model>,
    picture: Picture,
    deadline: Instant,
) -> Result<(Probabilities, Timing), Fault> {
    let limits = pictures::limits(app);
    let (metrics, model, size) = (Arc::clone(&app.metrics), Arc::clone(model), picture.size());
    let work = move || {
        let began = Instant::now();
        let face = picture.decode(&limits);
        let decode = began.elapsed();
        metrics.decode.observe(decode.as_secs_f64());
        let pending = model.batcher.submit(face.map_err(Fault::Picture)?, deadline);
        Ok((pending.map_err(|e| Fault::Request(e.into()))?, decode))
    };
    let internal = |e: PoolError| Fault::Request(Problem::internal(e.0));
    let (pending, decode) = app.decoder.run(size, deadline, work).await.map_err(internal)??;
    let timing = Timing {
        decode,
        ..Timing::default()
    };
    answer(pending, timing).await
}

/// A face through queue and network; `timing` is what it took so far.
pub(super) async fn infer(
    model: &Model,
    face: Face,
    timing: Timing,
    deadline: Instant,
) -> Result<(Probabilities, Timing), Fault> {
    let pending = model.batcher.submit(face, deadline);
    answer(pending.map_err(|e| Fault::Request(e.into()))?, timing).await
}

/// The answer to a face in the queue; `timing` is what it took before.
async fn answer(pending: Pending, timing: Timing) -> Result<(Probabilities, Timing), Fault> {
    let done = pending.answer().await.map_err(|e| Fault::Request(e.into()))?;
    let timing = Timing {
        queue: done.queue,
        infer: done.infer,
        batch: done.batch,
        images: 1,
        ..timing
    };
    Ok((done.probabilities, timing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crop_is_read_from_the_query() {
        let part = |query: &str| Part::of(&format!("/predict{query}").parse().unwrap());
        for (query, want) in [
            ("", Part::Whole),
            ("?", Part::Whole),
            ("?crop=none", Part::Whole),
            ("?crop=face", Part::Face),
        ] {
            assert_eq!(part(query).unwrap(), want, "{query}");
        }
        for (query, word) in [("?crop=eyes", "eyes"), ("?crop", "crop"), ("?corp=face", "corp")] {
            let problem = part(query).unwrap_err();
            assert_eq!(problem.code, "bad_request");
            assert!(problem.detail.contains(word), "{}", problem.detail);
        }
    }
}
