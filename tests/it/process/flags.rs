//! `--help`, bad values, and starts that must fail.

use super::{output, stderr, stdout};
use crate::support::model;

/// The README's table of flags: flag without dashes, variable, default, what it does.
fn table() -> Vec<[&'static str; 4]> {
    let readme = include_str!("../../../README.md");
    readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `--"))
        .map(|row| {
            let cells: Vec<_> = row.trim_end_matches(" |").splitn(4, " | ").collect();
            let [flag, variable, default, what] = cells[..] else {
                panic!("not four cells: {row}")
            };
            [
                flag.trim_end_matches('`'),
                variable.trim_matches('`'),
                default,
                what,
            ]
        })
        .collect()
}

#[tokio::test]
async fn help_and_readme_name_every_flag_with_its_variable_and_default() {
    let rows = table();
    for args in [&["--help"][..], &["run", "--help"]] {
        let output = output(args, &[]).await;
        assert_eq!(output.status.code(), Some(0));
        let text = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        for [flag, variable, default, what] in &rows {
            assert_eq!(
                *variable,
                format!("FER_{}", flag.to_uppercase().replace('-', "_"))
            );
            let about = text
                .split_once(&format!(" --{flag} <"))
                .unwrap_or_else(|| panic!("--{flag} is not in {text}"))
                .1;
            // Up to the flag behind it: its own variable is the first that is named.
            let (about, behind) = about.split_once("[env: ").unwrap();
            assert!(behind.starts_with(&format!("{variable}=]")), "--{flag}: {behind}");
            let behind = behind.split_once(']').unwrap().1;
            let behind = behind.split(" --").next().unwrap();
            let what = what.replace('`', "");
            assert!(
                about.contains(&what),
                "--{flag} is\n{what}\nin the README and in --help\n{about}"
            );
            let shown = format!("[default: {default}]");
            assert!(
                about.contains(&shown) || behind.contains(&shown),
                "--{flag}: {shown} is not in {about} … {behind}"
            );
        }
        let shown = text.matches("[env: FER_").count();
        assert_eq!(
            shown,
            rows.len(),
            "a flag is missing in the README's table:\n{text}"
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
