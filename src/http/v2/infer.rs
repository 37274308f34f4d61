//! `POST /v2/models/{name}[/versions/{version}]/infer`.

use std::{collections::HashMap, sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    OUTPUT,
    describe::{self, Names},
    request::{self, Infer, JSON_LENGTH},
    tensor::Input,
};
use crate::{
    app::App,
    emotion::{CLASSES, Probabilities},
    http::{input::Picture, pictures, predict, problem::Problem, timing::Timing},
    image::Face,
    model::Model,
};

/// The handler.
///
/// # Errors
/// 400, 408, 413, 415 and 422 as for `/predict`, 404 for another model, 500, 503, 504.
pub async fn infer(
    State(app): State<Arc<App>>,
    Path(names): Names,
    request: Request,
) -> Result<Response, Problem> {
    pictures::no_encoding(request.headers())?;
    let json = request::json_length(request.headers())?;
    pictures::model(&app)?;
    check(&app, &names)?;
    pictures::with_body(&app, request, |model, _, bytes, deadline| {
        let app = Arc::clone(&app);
        async move {
            let max = app.config.max_images.get();
            let size = bytes.len();
            let parse = move || request::parse(&bytes, json, max);
            let asked = pictures::parsed(&app, size, deadline, parse).await?;
            answer(&app, &model, asked, deadline).await
        }
    })
    .await
    .map_err(|mut problem| {
        if problem.code == "empty_body" {
            problem.detail = "send an inference request of the Open Inference Protocol".into();
        }
        problem
    })
}

fn check(app: &App, names: &HashMap<String, String>) -> Result<(), Problem> {
    describe::named(app, names).map(drop)
}

async fn answer(
    app: &Arc<App>,
    model: &Arc<Model>,
    asked: Infer,
    deadline: Instant,
) -> Result<Response, Problem> {
    let Infer { id, input, binary } = asked;
    let (answers, timing) = match input {
        Input::Pictures(pictures) => {
            let work = |picture: Picture| {
                let (app, model) = (Arc::clone(app), Arc::clone(model));
                async move { predict::whole(&app, &model, picture, deadline).await }
            };
            pictures::each(pictures, work).await?
        }
        Input::Faces(faces) => {
            let work = |face: Face| {
                let model = Arc::clone(model);
                async move { predict::infer(&model, face, Timing::default(), deadline).await }
            };
            pictures::each(faces, work).await?
        }
    };
    let many = answers.len() > 1;
    let mut rows: Vec<Probabilities> = Vec::with_capacity(answers.len());
    for (n, answer) in answers.into_iter().enumerate() {
        rows.push(answer.map_err(|mut problem| {
            if many {
                problem.detail = format!("element {n}: {}", problem.detail).into();
            }
            problem
        })?);
    }
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
        model_name: &model.manifest.name,
        model_version: &model.manifest.version,
        id,
        outputs: [output],
    };
    let mut body = serde_json::to_vec(&head).map_err(|e| Problem::internal(e.to_string()))?;
    let timing = Extension(timing);
    if !binary {
        let media = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        return Ok((timing, media, body).into_response());
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (
            HeaderName::from_static(JSON_LENGTH),
            HeaderValue::from(body.len()),
        ),
    ];
    body.append(&mut tail);
    Ok((timing, headers, body).into_response())
}

#[derive(Serialize)]
struct Answer<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
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
