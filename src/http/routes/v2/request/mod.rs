//! The body of `infer`: JSON, or JSON and after it the tensor's bytes (the binary tensor data extension).

use std::borrow::Cow;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    INPUT, OUTPUT,
    tensor::{Datatype, Input, from_bytes, from_json},
};
use crate::{
    http::{
        parse::{First, Text, json_object},
        problem::Problem,
    },
    pipeline::EncodedImage,
};

/// The header with the number of bytes of the body that are JSON.
pub(crate) const JSON_LENGTH: &str = "inference-header-content-length";

/// Most bytes of `id` and of a tensor's name.
const NAME_MAX: usize = 256;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Infer {
    /// Returned in the answer.
    pub(crate) id: Option<String>,
    pub(crate) input: Input,
    /// Whether the answer's tensor follows its JSON as bytes.
    pub(crate) binary: bool,
}

/// Lists keep one element more than a request may have, and strings borrow: what a body takes in memory stays near its size.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    inputs: First<InputTensor<'a>, 2>,
    #[serde(borrow, default)]
    outputs: First<OutputTensor<'a>, 2>,
    parameters: Option<RequestParameters>,
}

#[derive(Deserialize)]
struct InputTensor<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    datatype: Text<'a>,
    shape: First<i64, 5>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    parameters: Option<InputParameters<'a>>,
}

/// Other parameters are ignored, as the protocol requires.
#[derive(Default, Deserialize)]
struct InputParameters<'a> {
    binary_data_size: Option<usize>,
    #[serde(borrow)]
    content_type: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct OutputTensor<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    parameters: Option<OutputParameters>,
}

#[derive(Deserialize)]
struct OutputParameters {
    binary_data: Option<bool>,
    classification: Option<u64>,
}

#[derive(Deserialize)]
struct RequestParameters {
    binary_data_output: Option<bool>,
}

/// The number in [`JSON_LENGTH`], if the header is there; 400 if it is not a number.
pub(crate) fn json_length(headers: &HeaderMap) -> Result<Option<usize>, Problem> {
    let Some(value) = headers.get(JSON_LENGTH) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(|v| v.parse().ok())
        .map(Some)
        .ok_or_else(|| Problem::bad_request("Inference-Header-Content-Length must be a number of bytes"))
}

/// Parses a body of which the first `json` bytes are JSON; without that number all of it is. `Some(0)`: all of it is one
/// image. 400 if it is not what the protocol describes or does not fit this model, 413 for more than `max` images. Takes time
/// in proportion to the body's length: a large one is not for an async thread.
pub(crate) fn parse(body: &Bytes, json: Option<usize>, max: usize) -> Result<Infer, Problem> {
    if json == Some(0) {
        return Ok(Infer {
            id: None,
            input: Input::Images(vec![EncodedImage::Raw(body.clone())]),
            binary: true,
        });
    }
    let length = json.unwrap_or(body.len());
    if length > body.len() {
        return Err(Problem::bad_request(
            "Inference-Header-Content-Length is more than the body has",
        ));
    }
    let (head, tail) = (body.slice(..length), body.slice(length..));
    let asked: Body<'_> = json_object(&head, "an inference request of the Open Inference Protocol")?;
    if let Some(reason) = asked.id.as_ref().and_then(|id| too_long("id", id)) {
        return Err(Problem::bad_request(reason));
    }
    let [tensor] = &asked.inputs.kept[..] else {
        return refused(format!(
            "there are {} inputs; this model takes one, {INPUT:?}",
            asked.inputs.total
        ));
    };
    if let Some(reason) = too_long("name", &tensor.name) {
        return refused(format!("the input's {reason}"));
    }
    if tensor.name.0 != INPUT {
        let name = &tensor.name.0;
        return refused(format!("there is no input {name:?}; this model takes {INPUT:?}"));
    }
    let binary = binary_output(&asked)?;
    let datatype = Datatype::named(shortened(&tensor.datatype.0))?;
    if tensor.shape.total > tensor.shape.kept.len() {
        let dimensions = tensor.shape.total;
        return refused(format!(
            "the shape has {dimensions} dimensions; it must have one for BYTES, and else four"
        ));
    }
    let n = datatype.count(&tensor.shape.kept, max)?;
    let parameters = tensor.parameters.as_ref();
    let content_type = parameters.and_then(|p| p.content_type.as_ref().map(|t| &*t.0));
    if let Some(other) = content_type
        && other != "base64"
        && datatype == Datatype::Bytes
    {
        let other = shortened(other);
        return refused(format!(
            "content_type is {other:?}; the only one supported is base64"
        ));
    }
    let input = match (parameters.and_then(|p| p.binary_data_size), tensor.data) {
        (Some(size), None) if size == tail.len() => {
            from_bytes(tail, datatype, n, content_type == Some("base64"))?
        }
        (None, Some(data)) if tail.is_empty() => from_json(data, &head, datatype, n)?,
        (Some(size), None) => {
            let follow = tail.len();
            return refused(format!(
                "binary_data_size is {size}; {follow} bytes follow the JSON"
            ));
        }
        (None, Some(_)) => {
            return refused("bytes follow the JSON, but the input has `data` and no `binary_data_size`");
        }
        (Some(_), Some(_)) => return refused("the input has both `data` and `binary_data_size`"),
        (None, None) => return refused("the input has neither `data` nor `binary_data_size`"),
    };
    Ok(Infer {
        id: asked.id.map(|id| id.0.into_owned()),
        input,
        binary,
    })
}

/// Whether the output is binary: as its own parameter says, else as the parameter of the whole request does.
fn binary_output(asked: &Body<'_>) -> Result<bool, Problem> {
    let of_all = asked
        .parameters
        .as_ref()
        .and_then(|p| p.binary_data_output)
        .unwrap_or(false);
    match &asked.outputs.kept[..] {
        [] => Ok(of_all),
        [output] if output.name.0 == OUTPUT => {
            let parameters = output.parameters.as_ref();
            if parameters.and_then(|p| p.classification).is_some_and(|k| k > 0) {
                return refused(
                    "the classification extension is not supported; `probabilities` holds all seven",
                );
            }
            Ok(parameters.and_then(|p| p.binary_data).unwrap_or(of_all))
        }
        [output] => match (too_long("name", &output.name), &output.name.0) {
            (Some(reason), _) => refused(format!("the output's {reason}")),
            (None, name) => refused(format!("there is no output {name:?}; this model has {OUTPUT:?}")),
        },
        _ => refused(format!(
            "{} outputs are asked for; this model has one, {OUTPUT:?}",
            asked.outputs.total
        )),
    }
}

fn refused<T>(detail: impl Into<Cow<'static, str>>) -> Result<T, Problem> {
    Err(Problem::bad_tensor(detail))
}

/// What is wrong with the length of a string that the answer, or a message, repeats.
fn too_long(what: &str, text: &Text<'_>) -> Option<String> {
    let bytes = text.0.len();
    (bytes > NAME_MAX).then(|| format!("`{what}` has {bytes} bytes; it must have at most {NAME_MAX}"))
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests;
