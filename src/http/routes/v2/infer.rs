//! `POST /v2/models/{name}[/versions/{version}]/infer`.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use fer_engine::{
    Manifest,
    emotion::{CLASSES, Probabilities},
};
use fer_image::Face;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Names, OUTPUT, check_names,
    request::{self, Infer, JSON_LENGTH},
    tensor::Input,
};
use crate::{
    app::App,
    http::{
        job::{self, Job},
        parse,
        problem::{Failure, Problem},
        timing::Timing,
    },
    pipeline::{EncodedImage, Session},
};

/// Every problem of `/predict`, and 404 for another model.
pub(crate) async fn infer(
    State(app): State<Arc<App>>,
    Path(names): Names,
    request: Request,
) -> Result<Response, Problem> {
    parse::no_encoding(request.headers())?;
    let json = request::json_length(request.headers())?;
    let model = job::ready_model(&app)?;
    check_names(&model.manifest, &names)?;
    let job = Job::with_model(&app, Arc::clone(&model), request);
    let job = job.await.map_err(explain_empty_body)?;
    let Infer { id, input, binary } = job
        .parse(move |body, max| request::parse(&body, json, max))
        .await?;
    let (rows, timing) = match input {
        Input::Images(images) => {
            let (answers, timing) = job.answer_each(images, classify).await?;
            (all_or_first_problem(answers)?, timing)
        }
        Input::Faces(faces) => classify_faces(&job, faces).await?,
    };
    let (headers, body) = answer(&model.manifest, id.as_deref(), &rows, binary)?;
    job.respond(timing, headers, body)
}

fn explain_empty_body(mut problem: Problem) -> Problem {
    if problem.code == "empty_body" {
        problem.detail = "send an inference request of the Open Inference Protocol".into();
    }
    problem
}

async fn classify(session: Session, image: EncodedImage) -> Result<(Probabilities, Timing), Failure> {
    let done = session.classify(image).await?;
    let timing = Timing::of_image(done.decode, None, &[done.face]);
    Ok((done.face.probabilities, timing))
}

async fn classify_faces(job: &Job, faces: Vec<Face>) -> Result<(Vec<Probabilities>, Timing), Problem> {
    let classified = job.session.classify_faces(faces).await?;
    let mut timing = Timing::of_image(Duration::ZERO, None, &classified);
    timing.images = classified.len();
    Ok((classified.iter().map(|face| face.probabilities).collect(), timing))
}

/// The rows of the output tensor. It has no place for the problem of one image, which names its element instead.
fn all_or_first_problem(answers: Vec<Result<Probabilities, Problem>>) -> Result<Vec<Probabilities>, Problem> {
    let several = answers.len() > 1;
    let number = |(n, answer): (usize, Result<Probabilities, Problem>)| {
        answer.map_err(|mut problem| {
            if several {
                problem.detail = format!("element {n}: {}", problem.detail).into();
            }
            problem
        })
    };
    answers.into_iter().enumerate().map(number).collect()
}

/// The answer in JSON; with `binary` the values follow it as bytes.
fn answer(
    model: &Manifest,
    id: Option<&str>,
    rows: &[Probabilities],
    binary: bool,
) -> Result<(HeaderMap, Vec<u8>), Problem> {
    let values = rows.iter().flat_map(|row| *row.values());
    let mut output = Output {
        name: OUTPUT,
        datatype: "FP32",
        shape: [rows.len(), CLASSES],
        parameters: None,
        data: None,
    };
    let mut tail = Vec::new();
    if binary {
        tail = values.flat_map(f32::to_le_bytes).collect();
        output.parameters = Some(json!({"binary_data_size": tail.len()}));
    } else {
        output.data = Some(values.collect());
    }
    let head = Answer {
        model_name: &model.name,
        model_version: &model.version,
        id,
        outputs: [output],
    };
    let mut body = serde_json::to_vec(&head).map_err(|e| Problem::internal(e.to_string()))?;
    let mut headers = HeaderMap::new();
    let media = if binary {
        headers.insert(JSON_LENGTH, HeaderValue::from(body.len()));
        "application/octet-stream"
    } else {
        "application/json"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    body.append(&mut tail);
    Ok((headers, body))
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: [Output; 1],
}

#[derive(Serialize)]
struct Output {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<f32>>,
}
