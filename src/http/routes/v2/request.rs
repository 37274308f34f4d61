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
    fn strings_that_an_answer_repeats_and_lists_have_a_bound() {
        let image = r#""datatype":"BYTES","shape":[1],"data":["YQ=="]"#;
        let id = |bytes: usize| {
            format!(
                r#"{{"id":"{}","inputs":[{{"name":"image",{image}}}]}}"#,
                "x".repeat(bytes)
            )
        };
        let infer = parse(&Bytes::from(id(256)), None, 64).unwrap();
        assert_eq!(infer.id.map(|id| id.len()), Some(256));
        let ten = |element: &str| [element; 10].join(",");
        let (long, one) = ("ä".repeat(129), format!(r#"{{"name":"image",{image}}}"#));
        for (body, words) in [
            (id(257), "`id` has 257 bytes; it must have at most 256"),
            (id(1 << 20), "`id` has 1048576 bytes"),
            (
                format!(r#"{{"inputs":[{{"name":"{long}",{image}}}]}}"#),
                "the input's `name` has 258 bytes; it must have at most 256",
            ),
            (
                format!(r#"{{"inputs":[{one}],"outputs":[{{"name":"{long}"}}]}}"#),
                "the output's `name` has 258 bytes; it must have at most 256",
            ),
            (format!(r#"{{"inputs":[{}]}}"#, ten(&one)), "there are 10 inputs"),
            (
                format!(
                    r#"{{"inputs":[{one}],"outputs":[{}]}}"#,
                    ten(r#"{"name":"probabilities"}"#)
                ),
                "10 outputs are asked for",
            ),
            (
                format!(
                    r#"{{"inputs":[{{"name":"image","datatype":"BYTES","shape":[{}],"data":[]}}]}}"#,
                    ten("1")
                ),
                "the shape has 10 dimensions",
            ),
            (format!(r#"{{"inputs":[{one}],"outputs":null}}"#), "null"),
        ] {
            let (status, detail) = problem_of(&body, None);
            assert!(
                status == 400 && detail.contains(words),
                "{words}: {status} {detail}"
            );
        }
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
