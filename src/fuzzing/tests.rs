use super::*;

#[path = "../../tests/support/fuzzing.rs"]
mod support;

use support::run;

type Files = Vec<Vec<u8>>;

fn forms() -> Files {
    let part = |name: &str, data: &[u8]| {
        let head = format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\nContent-Type: image/png\r\n\r\n"
        );
        [head.as_bytes(), data, b"\r\n"].concat()
    };
    let form =
        |kind: &str, parts: &[Vec<u8>]| [kind.as_bytes(), b"\n", &parts.concat(), b"--B--\r\n"].concat();
    let plain = "multipart/form-data; boundary=B";
    vec![
        form(plain, &[part("image", b"P5 1 1 255 x")]),
        form(plain, &[part("file", b""), part("image", b"--B"), part("note", b"\r\n--")]),
        form("multipart/form-data; boundary=\"B\"; charset=utf-8", &[part("image", &[0xFF; 40])]),
        form("multipart/mixed; boundary=B", &[part("image", b"x")]),
        form(plain, &vec![part("image", b"x"); 66]),
        form("multipart/form-data; boundary=C", &[part("image", b"x")]),
        b"multipart/form-data; boundary=B\n--B\r\nContent-Disposition: form-data; name*=utf-8''image\r\n\r\nx\r\n--B--"
            .to_vec(),
        b"multipart/form-data; boundary=B\n--B\r\nA: b\r\n\r\n\r\n--B\r\n--B\r\n".to_vec(),
    ]
}

fn jsons() -> Files {
    let texts = [
        r#"{"image":"UDUgMSAxIDI1NSB4"}"#,
        r#"{"image":"data:image/png;base64,UDUgMSAxIDI1NSB4"}"#,
        r#" { "images" : [ "UDUgMSAx\nIDI1NSB4" , "\u0055DUgMSAxIDI1NSB4", "" ] } "#,
        r#"{"image":null,"images":["UDUgMSAxIDI1NSB4"]}"#,
        r#"{"images":[[[[[[[[]]]]]]]]}"#,
        r#"{"image":"\ud83d\ude00"}"#,
        r#"{"imag":1e999}"#,
    ];
    let echo = format!(r#"{{"images":"{}"}}"#, "A".repeat(2000));
    let many = format!(r#"{{"images":[{}""]}}"#, r#""QQ==","#.repeat(80));
    texts
        .map(Vec::from)
        .into_iter()
        .chain([many.into_bytes(), echo.into_bytes()])
        .collect()
}

/// Requests of the Open Inference Protocol, in JSON and with the tensor's bytes behind it.
fn infers() -> Files {
    let json = |datatype: &str, shape: &str, data: &str| {
        let tensor = format!(r#"{{"name":"image","datatype":"{datatype}","shape":{shape},"data":{data}}}"#);
        format!("\n{{\"id\":\"x\",\"inputs\":[{tensor}]}}").into_bytes()
    };
    let binary = |datatype: &str, shape: &str, data: &[u8]| {
        let size = data.len();
        let tensor = format!(
            r#"{{"name":"image","datatype":"{datatype}","shape":{shape},"parameters":{{"binary_data_size":{size}}}}}"#
        );
        let output = r#"[{"name":"probabilities","parameters":{"binary_data":true}}]"#;
        let head = format!(r#"{{"inputs":[{tensor}],"outputs":{output}}}"#);
        [format!("{}\n{head}", head.len()).as_bytes(), data].concat()
    };
    let floats = |value: f32| value.to_le_bytes().repeat(PIXELS);
    let gray = format!("[{}7]", "7,".repeat(PIXELS - 1));
    let element = [&12_u32.to_le_bytes()[..], b"P5 1 1 255 x"].concat();
    vec![
        json("BYTES", "[1]", r#"["UDUgMSAxIDI1NSB4"]"#),
        json("BYTES", "[2,1]", r#"[["UDUgMSAxIDI1NSB4"],["\u0051"]]"#),
        json("UINT8", "[1,1,48,48]", &gray),
        json("FP32", "[1,1,48,48]", &gray.replacen('7', "-1e309", 1)),
        json("UINT8", "[9223372036854775807,1,48,48]", "[[[[[[[[]]]]]]]]"),
        json("BYTES", &format!("[1{}]", ",1".repeat(1000)), "[]"),
        binary("BYTES", "[1]", &element),
        binary("BYTES", "[3]", &element.repeat(3)),
        binary("UINT8", "[2,1,48,48]", &[200; 2 * PIXELS]),
        binary("FP32", "[1,1,48,48]", &floats(254.5)),
        binary("FP32", "[1,1,48,48]", &floats(f32::NAN)),
        binary("BYTES", "[1]", &u32::MAX.to_le_bytes()),
        b"0\nP5 1 1 255 x".to_vec(),
        b"99999999999999999999\n{}".to_vec(),
    ]
}

#[test]
fn forms_of_any_bytes() {
    run("multipart", multipart, forms(), 10_000);
}

#[test]
fn json_of_any_bytes() {
    run("json", json, jsons(), 10_000);
}

#[test]
fn inference_requests_of_any_bytes() {
    run("infer", infer, infers(), 5_000);
}

/// Otherwise the mutations would only ever meet the first check.
#[test]
fn the_first_seed_of_each_target_is_good() {
    assert!(parse::json(&Bytes::from(jsons().swap_remove(0)), 1).is_ok());
    assert!(request::parse(&Bytes::from(infers().swap_remove(0)), None, 1).is_ok());
    let form = forms().swap_remove(0);
    let (kind, body) = form.split_at(form.iter().position(|b| *b == b'\n').unwrap() + 1);
    let kind = HeaderValue::from_bytes(kind.trim_ascii()).unwrap();
    let parsed = parse::multipart(Some(kind), Bytes::copy_from_slice(body), 1);
    assert!(matches!(parsed, Ok(Images::One(_))), "{parsed:?}");
}

/// `fuzz/` names a binary for each file of a target.
#[test]
fn cargo_fuzz_knows_every_target() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.join("fuzz_targets"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files.len(), 7);
    for file in files {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{file}\"")),
            "{file}"
        );
    }
}
