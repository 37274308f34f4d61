//! The targets without libFuzzer: what was drawn for them, what once broke them, and mutations of both, the same
//! in every run. `FER_FUZZ_SEEDS=DIR` writes the drawn files there, where cargo-fuzz starts from.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::*;
use crate::image::{
    PIXELS,
    tests::{hostile, variants},
};

type Files = Vec<Vec<u8>>;

fn target(name: &str) -> Target {
    TARGETS.into_iter().find(|t| t.name == name).unwrap()
}

/// Small good files, and some that are just not.
fn seeds(name: &str) -> Files {
    match name {
        "picture" => pictures(),
        "multipart" => forms(),
        "json" => jsons(),
        "infer" => infers(),
        "csv" => csvs(),
        "manifest" => manifests(),
        _ => unreachable!("{name} has no seeds"),
    }
}

fn pictures() -> Files {
    let samples = hostile::samples().into_iter().map(|(_, file)| file);
    let claims = hostile::claims(900, 800).into_iter().map(|(_, file)| file);
    samples.chain(claims).chain([variants::animated_webp()]).collect()
}

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

fn csvs() -> Files {
    let pixels = |n: usize| {
        (0..n)
            .map(|i| (i % 256).to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let row = pixels(PIXELS);
    [
        format!("emotion,pixels\n3,\"{row}\"\n0,{row}\n"),
        format!("\u{feff}pixels\r\n\"{row}\"\r\n\r\n"),
        format!("emotion,pixels,Usage\n6,{row},PublicTest\n7,{row},Training\n"),
        format!("emotion, Usage, pixels\r0,PrivateTest,\"{row}"),
        format!("emotion,pixels\n-1,{}\nx,\"1 2", pixels(PIXELS + 1)),
        "emotion,pixels\n0,1 2 256\n".to_owned(),
        "emotion,pixels,emotion\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn manifests() -> Files {
    let good = serde_json::json!({
        "name": "m", "version": "1", "labels": crate::emotion::Emotion::ALL,
        "input": {"width": 48, "height": 48, "channels": 1, "scale": 0.00392156862745098, "mean": 0.5, "std": 0.25},
        "files": {"model.pt": {"sha256": "00", "bytes": 3}, "model.safetensors": {"sha256": "", "bytes": 0}},
        "training": {"seed": 7, "recipe": [1, 2.5e-3, null, "x"]}, "scores": {"accuracy": 0.5},
    })
    .to_string();
    [
        good.clone(),
        good.replace("model.safetensors", "../m"),
        good.replace("0.25", "1e-320"),
        good.replace("0.5", "1e308"),
        good.replace("[1,", "[[[[[[[[1]]]]]]],"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// What once broke a target, and the corpus that libFuzzer has boiled down.
fn kept(name: &str) -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/kept").join(name);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |entries| entries.map(|e| e.unwrap().path()).collect(),
    );
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A few changes of the kinds that libFuzzer makes.
fn mutate(files: &[Vec<u8>], random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut file = files[random.random_range(0..files.len())].clone();
    for _ in 0..random.random_range(1..5) {
        let at = random.random_range(0..=file.len());
        let length = random.random_range(0..=(file.len() - at).min(64));
        match random.random_range(0..7) {
            0 => file.truncate(at),
            1 => drop(file.drain(at..at + length)),
            2 => {
                let piece = file[at..at + length].to_vec();
                file.splice(at..at, piece);
            }
            3 => {
                let other = &files[random.random_range(0..files.len())];
                let from = random.random_range(0..=other.len());
                let piece = &other[from..(from + 64).min(other.len())];
                file.splice(at..at + length, piece.iter().copied());
            }
            4 => file.insert(
                at,
                [0, 1, b'0', b'9', b'"', b'-', 0x7F, 0x80, 0xFF][random.random_range(0..9)],
            ),
            _ => {
                if let Some(byte) = file.get_mut(at) {
                    *byte = match random.random_range(0..3) {
                        0 => *byte ^ 1 << random.random_range(0..8),
                        1 => byte.wrapping_add(1),
                        _ => random.next_u32() as u8,
                    };
                }
            }
        }
    }
    file
}

/// Runs the target's files and that many mutations; `FER_FUZZ_MUTATIONS` says another number.
fn run(name: &str, mutations: usize) {
    let asked = std::env::var("FER_FUZZ_MUTATIONS").ok();
    let mutations = asked.map_or(mutations, |n| n.parse().unwrap());
    let drawn = seeds(name);
    if let Some(folder) = std::env::var_os("FER_FUZZ_SEEDS") {
        let folder = Path::new(&folder).join(name);
        fs::create_dir_all(&folder).unwrap();
        for (n, file) in drawn.iter().enumerate() {
            fs::write(folder.join(format!("drawn-{n:02}")), file).unwrap();
        }
    }
    let files: Files = drawn.into_iter().chain(kept(name)).collect();
    let body = target(name).run;
    let check = |file: &[u8], which: &str| {
        if catch_unwind(|| body(file)).is_err() {
            panic!("{which} breaks `{name}`: {}", file.escape_ascii());
        }
    };
    for (n, file) in files.iter().enumerate() {
        check(file, &format!("file {n}"));
    }
    // Another number of mutations is another run.
    let mut random = Xoshiro256PlusPlus::seed_from_u64(8 + mutations as u64);
    for n in 0..mutations {
        check(&mutate(&files, &mut random), &format!("mutation {n}"));
    }
}

#[test]
fn pictures_of_any_bytes() {
    run("picture", 10_000);
}

#[test]
fn forms_of_any_bytes() {
    run("multipart", 10_000);
}

#[test]
fn json_of_any_bytes() {
    run("json", 10_000);
}

#[test]
fn inference_requests_of_any_bytes() {
    run("infer", 5_000);
}

#[test]
fn csv_of_any_bytes() {
    run("csv", 1_000);
}

#[test]
fn manifests_of_any_bytes() {
    run("manifest", 10_000);
}

/// Otherwise the mutations would only ever meet the first check.
#[test]
fn the_first_seed_of_each_target_is_good() {
    let first = |name: &str| seeds(name).swap_remove(0);
    assert!(image::decode(&first("picture"), &LIMITS).is_ok());
    assert!(parse::json(&Bytes::from(first("json")), 1).is_ok());
    assert!(request::parse(&Bytes::from(first("infer")), None, 1).is_ok());
    assert!(Manifest::parse(&first("manifest")).is_ok());
    let rows = Reader::from_read("d.csv", Cursor::new(first("csv")), data::Options::default()).unwrap();
    assert_eq!(rows.map(Result::unwrap).count(), 2);
    let form = first("multipart");
    let (kind, body) = form.split_at(form.iter().position(|b| *b == b'\n').unwrap() + 1);
    let kind = HeaderValue::from_bytes(kind.trim_ascii()).unwrap();
    let parsed = parse::multipart(Some(kind), Bytes::copy_from_slice(body), 1);
    assert!(matches!(parsed, Ok(Images::One(_))), "{parsed:?}");
}

/// `fuzz/` has a binary for each target and no other.
#[test]
fn cargo_fuzz_knows_every_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files: Vec<String> = fs::read_dir(folder.join("fuzz_targets"))
        .unwrap()
        .map(|e| {
            e.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let mut names = TARGETS.map(|t| t.name.to_owned());
    names.sort();
    assert_eq!(files, names);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for name in names {
        assert!(
            manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")),
            "{name}"
        );
    }
}
