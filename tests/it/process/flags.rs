//! `--help`, bad values, and starts that must fail.

use super::{output, stderr, stdout};
use crate::support::model;

/// Each flag of the server.
const FLAGS: [&str; 27] = [
    "listen",
    "model",
    "device",
    "engine",
    "precision",
    "threads",
    "workers",
    "decode-threads",
    "detect-threads",
    "max-batch",
    "batch-linger",
    "queue",
    "max-in-flight",
    "max-connections",
    "request-timeout",
    "header-timeout",
    "body-timeout",
    "max-body",
    "max-buffered",
    "max-pixels",
    "max-images",
    "max-faces",
    "drain-delay",
    "drain-timeout",
    "wedge-timeout",
    "log-format",
    "log",
];

#[tokio::test]
async fn help_names_every_flag_with_its_variable_and_default() {
    for args in [&["--help"][..], &["run", "--help"]] {
        let output = output(args, &[]).await;
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        for flag in FLAGS {
            let about = text
                .split_once(&format!(" --{flag} <"))
                .unwrap_or_else(|| panic!("--{flag} in {text}"))
                .1;
            let variable = format!("[env: FER_{}=]", flag.to_uppercase().replace('-', "_"));
            // Its own variable is the first that stands behind it.
            let first = about.find("[env: ").unwrap();
            assert!(about[first..].starts_with(&variable), "{variable} in {about}");
        }
        let shown = text.matches("[env: FER_").count();
        assert_eq!(shown, FLAGS.len(), "a flag is missing in this test:\n{text}");
        assert!(
            text.matches("[default: ").count() >= FLAGS.len(),
            "each has a default: {text}"
        );
    }
    let output = output(&["--version"], &[]).await;
    assert_eq!(
        stdout(&output),
        concat!("fer-serve ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[tokio::test]
async fn a_bad_value_ends_in_exit_code_2_and_names_its_flag() {
    for (flag, value) in [
        ("--listen", "here"),
        ("--device", "gpu"),
        ("--workers", "0"),
        ("--threads", "many"),
        ("--max-batch", "-3"),
        ("--max-body", "20X"),
        ("--request-timeout", "soon"),
        ("--log-format", "xml"),
        ("--log", "fer_serve=loud"),
    ] {
        let by_flag = output(&[&format!("{flag}={value}")], &[]).await;
        let variable = format!("FER_{}", flag[2..].to_uppercase().replace('-', "_"));
        let by_variable = output(&[], &[(&variable, value)]).await;
        for output in [by_flag, by_variable] {
            assert_eq!(output.status.code(), Some(2), "{flag}");
            assert!(stderr(&output).contains(flag), "{}", stderr(&output));
            assert!(stderr(&output).contains(value), "{}", stderr(&output));
        }
    }
    let unknown = output(&["--liste", "127.0.0.1:0"], &[]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("--listen"),
        "a near name is offered: {}",
        stderr(&unknown)
    );
}

/// What a start that must fail says; it ends with exit code 1.
async fn failed_start(args: &[&str]) -> String {
    let output = output(args, &[("FER_LISTEN", "127.0.0.1:0")]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    stderr(&output).to_owned()
}

#[tokio::test]
async fn a_start_that_cannot_be_says_why() {
    let text = failed_start(&["--model", "/no/such/folder"]).await;
    assert!(
        text.contains("--model") && text.contains("/no/such/folder/model.json"),
        "{text}"
    );

    let folder = model::tiny();
    let path = folder.path().to_str().unwrap();
    let text = failed_start(&["--model", path, "--device", "cuda:7"]).await;
    assert!(
        text.contains("--device cuda:7") && text.contains("--device cpu"),
        "{text}"
    );

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = failed_start(&["--model", path, "--listen", &address]).await;
    assert!(text.contains("--listen") && text.contains(&address), "{text}");

    let weights = folder.path().join("model.pt");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    let text = failed_start(&["--model", path]).await;
    assert!(text.contains("model.pt") && text.contains("SHA-256"), "{text}");
}
