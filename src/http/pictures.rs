//! What the routes that take pictures share: reading the request, and answering each picture so that what
//! is wrong with one is said in its place.

use std::{future::Future, sync::Arc, time::Instant};

use axum::{
    Extension, Json,
    extract::{Query, Request},
    http::{HeaderMap, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    body,
    input::{self, Kind, Picture, Pictures},
    problem::Problem,
    request_id::RequestId,
    timing::Timing,
    types::{Many, ModelRef, One},
};
use crate::{app::App, image::Limits, metrics::Rejected, model::Model};

/// Forms and JSON up to that many bytes are taken apart where they are: that takes less time than a change of
/// threads.
const INLINE: usize = 16 << 10;

/// Why a picture has no answer.
pub(super) enum Fault {
    /// It is the picture's fault: among several, an entry of its own.
    Picture(Problem),
    /// It is not: the whole request fails and can be sent again.
    Request(Problem),
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Picture(problem) | Fault::Request(problem) => problem,
        }
    }
}

/// Reads a request's pictures and answers them until the deadline at most: one with what `classify` says of it, several with a
/// list of that name.
pub(super) async fn answer<T, F>(
    app: &Arc<App>,
    request: Request,
    id: &RequestId,
    name: &'static str,
    classify: impl Fn(Arc<App>, Arc<Model>, Picture, Instant) -> F + Send + Sync,
) -> Result<Response, Problem>
where
    T: Serialize + Send + Sync + 'static,
    F: Future<Output = Result<(T, Timing), Fault>> + Send + 'static,
{
    let kind = Kind::of(request.headers())?;
    with_body(app, request, |model, headers, bytes, deadline| async move {
        let (max, size) = (app.config.max_images.get(), bytes.len());
        let pictures = match kind {
            Kind::Raw => Pictures::One(Picture::Raw(bytes)),
            Kind::Multipart => {
                parsed(app, size, deadline, move || {
                    input::parse_multipart(&headers, bytes, max)
                })
                .await?
            }
            Kind::Json => parsed(app, size, deadline, move || input::parse_json(&bytes, max)).await?,
        };
        let classify = |picture| classify(Arc::clone(app), Arc::clone(&model), picture, deadline);
        let model = ModelRef::from(&model.manifest);
        match pictures {
            Pictures::One(picture) => {
                let (answer, timing) = classify(picture).await?;
                Ok((Extension(timing), Json(One { answer, model })).into_response())
            }
            Pictures::Many(pictures) => {
                let (answers, timing) = each(pictures, classify).await?;
                let answer = Json(Many {
                    name,
                    answers: &answers,
                    request_id: id.as_str(),
                    model,
                });
                Ok((Extension(timing), answer).into_response())
            }
        }
    })
    .await
}

/// Takes a form or JSON of that many bytes apart, where that may take its time.
pub(super) async fn parsed<T: Send + 'static>(
    app: &App,
    size: usize,
    deadline: Instant,
    parse: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if size <= INLINE {
        return parse();
    }
    app.decoder
        .run(size, deadline, parse)
        .await
        .map_err(|e| Problem::internal(e.0))?
}

/// The model that is to work; counts the refusal if there is none.
///
/// # Errors
/// [`Problem::not_ready`].
pub(super) fn model(app: &App) -> Result<Arc<Model>, Problem> {
    Ok(app
        .ready_model()
        .inspect_err(|_| app.metrics.reject(Rejected::NotReady))?)
}

/// Reads the request's body and runs `work` on it until the deadline at most. The room that the body takes in
/// memory is held until the answer is ready.
pub(super) async fn with_body<F>(
    app: &Arc<App>,
    request: Request,
    work: impl FnOnce(Arc<Model>, HeaderMap, Bytes, Instant) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Result<Response, Problem>>,
{
    let model = model(app)?;
    let (parts, body) = request.into_parts();
    let held = body::read(app, body).await?;
    if held.bytes.is_empty() {
        return Err(Problem::empty_body());
    }
    let deadline = Instant::now() + app.config.request_timeout;
    let work = work(model, parts.headers, held.bytes.clone(), deadline);
    tokio::time::timeout_at(deadline.into(), work)
        .await
        .unwrap_or_else(|_| Err(Problem::deadline_exceeded()))
}

/// Answers several pictures (or faces) at the same time; the answers stand in the order of the pictures.
pub(super) async fn each<I, T, F>(
    pictures: Vec<I>,
    work: impl Fn(I) -> F,
) -> Result<(Vec<Result<T, Problem>>, Timing), Problem>
where
    T: Send + 'static,
    F: Future<Output = Result<(T, Timing), Fault>> + Send + 'static,
{
    let images = pictures.len();
    // Dropping the set, on an error or a deadline, ends what is still under way.
    let mut tasks = JoinSet::new();
    for (n, picture) in pictures.into_iter().enumerate() {
        let answer = work(picture);
        tasks.spawn(async move { (n, answer.await) });
    }
    let mut answers = Vec::with_capacity(images);
    let mut timing = Timing::default();
    while let Some(done) = tasks.join_next().await {
        let (n, result) = done.map_err(|e| Problem::internal(e.to_string()))?;
        match result {
            Ok((answer, t)) => {
                timing = timing.max(t);
                answers.push((n, Ok(answer)));
            }
            Err(Fault::Picture(problem)) => answers.push((n, Err(problem))),
            Err(Fault::Request(problem)) => return Err(problem),
        }
    }
    answers.sort_unstable_by_key(|(n, _)| *n);
    let answers = answers.into_iter().map(|(_, answer)| answer).collect();
    Ok((answers, Timing { images, ..timing }))
}

/// Refuses a `Content-Encoding`: bodies are read as they are.
pub(super) fn no_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let encoded = |v: &HeaderValue| !v.as_bytes().eq_ignore_ascii_case(b"identity");
    if headers.get_all(header::CONTENT_ENCODING).iter().any(encoded) {
        return Err(Problem::unsupported_encoding());
    }
    Ok(())
}

/// What a picture may be.
pub(super) fn limits(app: &App) -> Limits {
    Limits {
        max_pixels: app.config.max_pixels,
        ..Limits::default()
    }
}

/// The query string's parameters.
pub(super) fn query(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .map_err(|e| Problem::bad_request("the query string cannot be read").inside(e.to_string()))
}
