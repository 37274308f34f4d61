//! A request with images, from its headers to its answer: what `/predict`, `/faces` and `/v2` have in common.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::Request,
    http::{HeaderValue, header},
    response::{IntoResponse, IntoResponseParts, Response},
};
use bytes::Bytes;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    body::{self, read::Held},
    parse::{self, BodyFormat, Images},
    problem::{Failure, Problem},
    request_id::RequestId,
    timing::Timing,
    types::{Many, ModelRef, One},
};
use crate::{
    app::App,
    loaded_model::LoadedModel,
    observability::metrics::{Metrics, Rejected},
    pipeline::{EncodedImage, Session},
};

/// Forms and JSON up to that number of bytes are parsed on the async thread: that takes less time than a change of threads.
const PARSE_INLINE: usize = 16 << 10;

/// What was found out about one image, or about each of several.
pub(super) enum Answers<T> {
    One(T, Timing),
    Many(Vec<Result<T, Problem>>, Timing),
}

/// The model that answers now; counts the refusal if there is none.
pub(super) fn ready_model(app: &App) -> Result<Arc<LoadedModel>, Problem> {
    app.pipeline.ready_model().ok_or_else(|| {
        app.metrics.reject(Rejected::NotReady);
        Problem::not_ready()
    })
}

/// A request whose body has arrived.
pub(super) struct Job {
    id: Option<RequestId>,
    content_type: Option<HeaderValue>,
    /// Holds its share of the memory for bodies until the answer is ready, and the answer its own until it is written.
    body: Held,
    max_images: usize,
    metrics: Arc<Metrics>,
    pub(super) session: Session,
}

impl Job {
    /// Takes the current model and reads the body.
    pub(super) async fn begin(app: &App, request: Request) -> Result<Self, Problem> {
        let model = ready_model(app)?;
        Self::with_model(app, model, request).await
    }

    /// Reads the body. The time for the answer runs from its arrival.
    pub(super) async fn with_model(
        app: &App,
        model: Arc<LoadedModel>,
        mut request: Request,
    ) -> Result<Self, Problem> {
        let id = request.extensions_mut().remove();
        let content_type = request.headers_mut().remove(header::CONTENT_TYPE);
        let body = body::read(app, request.into_body()).await?;
        if body.bytes.is_empty() {
            return Err(Problem::empty_body());
        }
        let deadline = Instant::now() + app.config.request_timeout;
        Ok(Self {
            id,
            content_type,
            body,
            max_images: app.config.max_images.get(),
            metrics: Arc::clone(&app.metrics),
            session: Session::new(Arc::clone(&app.pipeline), model, deadline),
        })
    }

    /// The images of the body: 400 if it is not of that format or holds none, 413 if it holds more than `--max-images`.
    pub(super) async fn images(&self, format: BodyFormat) -> Result<Images, Problem> {
        match format {
            BodyFormat::Raw => Ok(Images::One(EncodedImage::Raw(self.body.bytes.clone()))),
            BodyFormat::Multipart => {
                let content_type = self.content_type.clone();
                self.parse(|body, max| parse::multipart(content_type, body, max))
                    .await
            }
            BodyFormat::Json => self.parse(|body, max| parse::json(&body, max)).await,
        }
    }

    /// Parses the body, a large one on the decode pool. `parse` is also given `--max-images`.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        parse: impl FnOnce(Bytes, usize) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (body, max) = (self.body.bytes.clone(), self.max_images);
        let size = body.len();
        if size <= PARSE_INLINE {
            return parse(body, max);
        }
        let parsed = self.session.compute(size, move || parse(body, max));
        self.until_deadline(async { parsed.await? }).await
    }

    pub(super) async fn answer<T, F>(
        &self,
        images: Images,
        answer: impl Fn(Session, EncodedImage) -> F,
    ) -> Result<Answers<T>, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, Timing), Failure>> + Send + 'static,
    {
        match images {
            Images::One(image) => {
                let answer = answer(self.session.clone(), image);
                let (answer, timing) = self.until_deadline(async { Ok(answer.await?) }).await?;
                Ok(Answers::One(answer, timing))
            }
            Images::Many(images) => {
                let (answers, timing) = self.answer_each(images, answer).await?;
                Ok(Answers::Many(answers, timing))
            }
        }
    }

    /// Answers several images at the same time. The answers come in the order of the images; one of an image that cannot be
    /// used is its problem. If the server fails on one image, so does the whole request.
    pub(super) async fn answer_each<T, F>(
        &self,
        images: Vec<EncodedImage>,
        answer: impl Fn(Session, EncodedImage) -> F,
    ) -> Result<(Vec<Result<T, Problem>>, Timing), Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<(T, Timing), Failure>> + Send + 'static,
    {
        // Dropping the set, on an error or at the deadline, cancels the tasks that are left.
        let mut tasks = JoinSet::new();
        let count = images.len();
        for (n, image) in images.into_iter().enumerate() {
            let answer = answer(self.session.clone(), image);
            tasks.spawn(async move { (n, answer.await) });
        }
        let gather = async {
            let mut answers = Vec::with_capacity(count);
            let mut timing = Timing::default();
            while let Some(joined) = tasks.join_next().await {
                let (n, result) = joined.map_err(|e| Problem::internal(e.to_string()))?;
                match result {
                    Ok((answer, t)) => {
                        timing = timing.max(t);
                        answers.push((n, Ok(answer)));
                    }
                    Err(Failure::Image(problem)) => answers.push((n, Err(problem))),
                    Err(Failure::Server(problem)) => return Err(problem),
                }
            }
            answers.sort_unstable_by_key(|(n, _)| *n);
            timing.images = count;
            Ok((answers.into_iter().map(|(_, answer)| answer).collect(), timing))
        };
        self.until_deadline(gather).await
    }

    /// Waits for `work` until the deadline at most; then it is dropped, which cancels its queued jobs.
    async fn until_deadline<T>(&self, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        tokio::time::timeout_at(self.session.deadline.into(), work)
            .await
            .unwrap_or_else(|_| Err(Problem::deadline_exceeded()))
    }

    /// The response: one answer as an object, several as a list of that name.
    pub(super) fn reply<T: Serialize>(
        self,
        list: &'static str,
        answers: Answers<T>,
    ) -> Result<Response, Problem> {
        let model = ModelRef::from(&self.session.model.manifest);
        let (json, timing) = match answers {
            Answers::One(answer, timing) => (serde_json::to_vec(&One { answer, model }), timing),
            Answers::Many(answers, timing) => {
                let list = Many {
                    name: list,
                    answers: &answers,
                    request_id: self.id.as_ref().map_or("", RequestId::as_str),
                    model,
                };
                (serde_json::to_vec(&list), timing)
            }
        };
        let json = json.map_err(|e| Problem::internal(e.to_string()))?;
        let media = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        self.respond(timing, media, json)
    }

    /// The response with this body: 503 if it is longer than the request's and there is no memory for it.
    pub(super) fn respond(
        self,
        timing: Timing,
        headers: impl IntoResponseParts,
        body: Vec<u8>,
    ) -> Result<Response, Problem> {
        let Some(body) = self.body.into_answer(body) else {
            self.metrics.reject(Rejected::Buffers);
            return Err(Problem::overloaded());
        };
        Ok((Extension(timing), headers, body).into_response())
    }
}
