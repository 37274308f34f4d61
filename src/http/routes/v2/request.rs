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
    http::{parse::json_object, problem::Problem},
    pipeline::EncodedImage,
};

/// The header with the number of bytes of the body that are JSON.
pub(crate) const JSON_LENGTH: &str = "inference-header-content-length";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Infer {
    /// Returned in the answer.
    pub(crate) id: Option<String>,
    pub(crate) input: Input,
    /// Whether the answer's tensor follows its JSON as bytes.
    pub(crate) binary: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    id: Option<String>,
    #[serde(borrow)]
    inputs: Vec<InputTensor<'a>>,
    #[serde(default)]
    outputs: Vec<OutputTensor>,
    parameters: Option<RequestParameters>,
}

#[derive(Deserialize)]
struct InputTensor<'a> {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    parameters: Option<InputParameters>,
}

/// Other parameters are ignored, as the protocol requires.
#[derive(Default, Deserialize)]
struct InputParameters {
    binary_data_size: Option<usize>,
    content_type: Option<String>,
}

#[derive(Deserialize)]
struct OutputTensor {
    name: String,
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
    let [tensor] = &asked.inputs[..] else {
        return refused(format!(
            "there are {} inputs; this model takes one, {INPUT:?}",
            asked.inputs.len()
        ));
    };
    if tensor.name != INPUT {
        let name = shortened(&tensor.name);
        return refused(format!("there is no input {name:?}; this model takes {INPUT:?}"));
    }
    let binary = binary_output(&asked)?;
    let datatype = Datatype::named(shortened(&tensor.datatype))?;
    let n = datatype.count(&tensor.shape, max)?;
    let parameters = tensor.parameters.as_ref();
    let content_type = parameters.and_then(|p| p.content_type.as_deref());
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
        id: asked.id,
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
    match &asked.outputs[..] {
        [] => Ok(of_all),
        [output] if output.name == OUTPUT => {
            let parameters = output.parameters.as_ref();
            if parameters.and_then(|p| p.classification).is_some_and(|k| k > 0) {
                return refused(
                    "the classification extension is not supported; `probabilities` holds all seven",
                );
            }
            Ok(parameters.and_then(|p| p.binary_data).unwrap_or(of_all))
        }
        [output] => {
            let name = shortened(&output.name);
            refused(format!("there is no output {name:?}; this model has {OUTPUT:?}"))
        }
        many => refused(format!(
            "{} outputs are asked for; this model has one, {OUTPUT:?}",
            many.len()
        )),
    }
}

fn refused<T>(detail: impl Into<Cow<'static, str>>) -> Result<T, Problem> {
    Err(Problem::bad_tensor(detail))
}

fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(body: &str, json: Option<usize>) -> (u16, String) {
        let problem = parse(&Bytes::from(body.to_owned()), json, 64).unwrap_err();
        (problem.status.as_u16(), problem.detail.into_owned())
    }

    #[test]
    fn what_is_not_an_inference_request_is_named() {
        let with = |input: &str| format!(r#"{{"inputs":[{input}]}}"#);
        let image = r#""name":"image","datatype":"BYTES","shape":[1]"#;
        for (body, word) in [
            ("{".to_owned(), "EOF"),
            ("[]".to_owned(), "inference request"),
            // serde would accept it in place of the object, field by field.
            (format!(r#"["id",[{{{image},"data":[""]}}]]"#), "JSON object"),
            ("{}".to_owned(), "inputs"),
            (r#"{"inputs":[]}"#.to_owned(), "0 inputs"),
            (
                with(r#"{"name":"pixels","datatype":"BYTES","shape":[1],"data":[""]}"#),
                "pixels",
            ),
            (
                with(r#"{"name":"image","datatype":"FP64","shape":[1],"data":[""]}"#),
                "FP64",
            ),
            (with(&format!("{{{image}}}")), "neither"),
            (
                with(&format!(
                    r#"{{{image},"data":[""],"parameters":{{"binary_data_size":1}}}}"#
                )),
                "both",
            ),
            (
                with(&format!(r#"{{{image},"parameters":{{"binary_data_size":7}}}}"#)),
                "0 bytes follow",
            ),
            (with(&format!(r#"{{{image},"data":["",""]}}"#)), "more than the 1"),
            (
                with(&format!(
                    r#"{{{image},"data":[""],"parameters":{{"content_type":"str"}}}}"#
                )),
                "str",
            ),
            (
                format!(r#"{{"inputs":[{{{image},"data":[""]}}],"outputs":[{{"name":"logits"}}]}}"#),
                "logits",
            ),
            (
                format!(
                    r#"{{"inputs":[{{{image},"data":[""]}}],"outputs":[{{"name":"probabilities","parameters":{{"classification":3}}}}]}}"#
                ),
                "classification",
            ),
        ] {
            let (status, detail) = problem_of(&body, None);
            assert!(
                status == 400 && detail.contains(word),
                "{body}: {status} {detail}"
            );
        }
        assert!(problem_of("{}", Some(3)).1.contains("more than the body"));
        let body = with(&format!(r#"{{{image},"data":["YQ=="]}}"#));
        assert!(
            problem_of(&format!("{body}tail"), Some(body.len()))
                .1
                .contains("bytes follow")
        );
    }

    #[test]
    fn the_answers_form_is_what_the_output_asks_for() {
        let image = r#"{"name":"image","datatype":"BYTES","shape":[1],"data":["YQ=="]}"#;
        for (rest, binary) in [
            ("", false),
            (r#","parameters":{"binary_data_output":true}"#, true),
            (
                r#","outputs":[{"name":"probabilities","parameters":{"binary_data":true}}]"#,
                true,
            ),
            (
                r#","parameters":{"binary_data_output":true},"outputs":[{"name":"probabilities","parameters":{"binary_data":false}}]"#,
                false,
            ),
            (
                r#","parameters":{"binary_data_output":true},"outputs":[{"name":"probabilities"}]"#,
                true,
            ),
        ] {
            let body = format!(r#"{{"id":"7","inputs":[{image}]{rest}}}"#);
            let infer = parse(&Bytes::from(body), None, 64).unwrap();
            assert_eq!((infer.binary, infer.id.as_deref()), (binary, Some("7")), "{rest}");
        }
    }

    #[test]
    fn a_length_of_zero_means_that_all_is_one_image() {
        let infer = parse(&Bytes::from_static(b"GIF89a"), Some(0), 64).unwrap();
        let image = EncodedImage::Raw(Bytes::from_static(b"GIF89a"));
        assert_eq!(infer.input, Input::Images(vec![image]));
        assert!(infer.binary);
    }
}
