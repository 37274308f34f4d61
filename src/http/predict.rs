//! `POST /predict`: one picture or many → seven probabilities each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use tokio::task::JoinSet;

use super::{
    App, body,
    input::{self, Kind, Picture, Pictures},
    observe::{RequestId, Timing},
    problem::Problem,
    types::{Entry, ModelRef, Prediction, Predictions, Scores},
};
use crate::{emotion::Probabilities, image::Limits, metrics::Rejected, model::Model};

/// JSON bodies up to that many bytes are taken apart where they are: that takes less time than a change of
/// threads.
const JSON_INLINE: usize = 16 << 10;

/// Why a picture has no answer.
enum Fault {
    /// It is the picture's fault: among several, an entry of its own.
    Picture(Problem),
    /// It is not: the whole request fails and can be sent again.
    Request(Problem),
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
    let model = app
        .ready_model()
        .inspect_err(|_| app.metrics.reject(Rejected::NotReady))?;
    let (parts, body) = request.into_parts();
    let kind = Kind::of(&parts.headers)?;
    let held = body::read(&app, body).await?;
    if held.bytes.is_empty() {
        return Err(Problem::empty_body());
    }
    let deadline = Instant::now() + app.config.request_timeout;
    let work = async {
        let max = app.config.max_images.get();
        let bytes = held.bytes.clone();
        let pictures = match kind {
            Kind::Raw => Pictures::One(Picture::Raw(bytes)),
            Kind::Multipart => input::parse_multipart(&parts.headers, bytes, max).await?,
            Kind::Json if bytes.len() <= JSON_INLINE => input::parse_json(&bytes, max)?,
            Kind::Json => {
                let parse = app.decoder.run(move || input::parse_json(&bytes, max)).await;
                parse.map_err(|e| Problem::internal(e.0))??
            }
        };
        match pictures {
            Pictures::One(picture) => one(&app, &model, picture, deadline).await,
            Pictures::Many(pictures) => many(&app, &model, pictures, deadline, &id).await,
        }
    };
    tokio::time::timeout_at(deadline.into(), work)
        .await
        .unwrap_or_else(|_| Err(Problem::deadline_exceeded()))
}

async fn one(app: &App, model: &Model, picture: Picture, deadline: Instant) -> Result<Response, Problem> {
    let (probabilities, timing) =
        classify(app, model, picture, deadline)
            .await
            .map_err(|fault| match fault {
                Fault::Picture(problem) | Fault::Request(problem) => problem,
            })?;
    let answer = Json(Prediction {
        scores: Scores::from(probabilities),
        model: ModelRef::from(&model.manifest),
    });
    Ok((Extension(Timing { images: 1, ..timing }), answer).into_response())
}

async fn many(
    app: &Arc<App>,
    model: &Arc<Model>,
    pictures: Vec<Picture>,
    deadline: Instant,
    id: &RequestId,
) -> Result<Response, Problem> {
    let images = pictures.len();
    // Dropping the set, on an error or a deadline, ends what is still under way.
    let mut tasks = JoinSet::new();
    for (n, picture) in pictures.into_iter().enumerate() {
        let (app, model) = (Arc::clone(app), Arc::clone(model));
        tasks.spawn(async move { (n, classify(&app, &model, picture, deadline).await) });
    }
    let mut answers = Vec::with_capacity(images);
    let mut timing = Timing::default();
    while let Some(done) = tasks.join_next().await {
        let (n, result) = done.map_err(|e| Problem::internal(e.to_string()))?;
        match result {
            Ok((probabilities, t)) => {
                timing = timing.max(t);
                answers.push((n, Ok(probabilities)));
            }
            Err(Fault::Picture(problem)) => answers.push((n, Err(problem))),
            Err(Fault::Request(problem)) => return Err(problem),
        }
    }
    answers.sort_unstable_by_key(|(n, _)| *n);
    let predictions = answers
        .iter()
        .map(|(_, answer)| match answer {
            Ok(probabilities) => Entry::Scores(Scores::from(*probabilities)),
            Err(problem) => Entry::Error {
                error: problem.body(Some(id.as_str())),
            },
        })
        .collect();
    let answer = Json(Predictions {
        predictions,
        model: ModelRef::from(&model.manifest),
    });
    Ok((Extension(Timing { images, ..timing }), answer).into_response())
}

/// One picture through decoding, queue and network.
async fn classify(
    app: &App,
    model: &Model,
    picture: Picture,
    deadline: Instant,
) -> Result<(Probabilities, Timing), Fault> {
    let limits = Limits {
        max_pixels: app.config.max_pixels,
        ..Limits::default()
    };
    let metrics = Arc::clone(&app.metrics);
    let decode = move || {
        let began = Instant::now();
        let face = picture.decode(&limits);
        let took = began.elapsed();
        metrics.decode.observe(took.as_secs_f64());
        (face, took)
    };
    let (face, decode): (_, Duration) = app
        .decoder
        .run(decode)
        .await
        .map_err(|e| Fault::Request(Problem::internal(e.0)))?;
    let face = face.map_err(Fault::Picture)?;
    let done = model
        .batcher
        .classify(face, deadline)
        .await
        .map_err(|e| Fault::Request(e.into()))?;
    let timing = Timing {
        decode,
        queue: done.queue,
        infer: done.infer,
        batch: done.batch,
        images: 1,
    };
    Ok((done.probabilities, timing))
}
