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
