//! Training: stopping, resuming, repeating, failing.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::support::{fer_train, labelled_csv, small_fit, stderr, succeed};

pub(super) const LAST: &str = "last.safetensors";

/// Waits until the run in `out` has a checkpoint, which with --checkpoint-seconds 0 is after its first step.
pub(super) fn wait_for_checkpoint(child: &mut Child, out: &Path) {
    let limit = Instant::now() + Duration::from_secs(120);
    while !out.join(LAST).exists() {
        assert!(
            child.try_wait().unwrap().is_none(),
            "the run ended before its first checkpoint"
        );
        assert!(Instant::now() < limit, "no checkpoint after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(super) fn spawn(command: &mut Command) -> Child {
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn metrics(out: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The three ways through the same run: undisturbed, killed, interrupted.
#[test]
fn a_resumed_run_ends_in_the_same_bytes_as_one_that_was_never_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    succeed(&mut small_fit(dir.path(), "whole"));

    let mut child = spawn(&mut small_fit(dir.path(), "killed"));
    wait_for_checkpoint(&mut child, &path("killed"));
    child.kill().unwrap();
    child.wait().unwrap();
    succeed(small_fit(dir.path(), "killed").arg("--resume"));

    let mut child = spawn(&mut small_fit(dir.path(), "interrupted"));
    wait_for_checkpoint(&mut child, &path("interrupted"));
    succeed(Command::new("kill").arg("-INT").arg(child.id().to_string()));
    let stopped = child.wait_with_output().unwrap();
    // Had it finished before the signal came, this test would show nothing.
    assert_eq!(stopped.status.code(), Some(130), "{}", stderr(&stopped));
    assert!(
        stderr(&stopped).contains("--resume goes on"),
        "{}",
        stderr(&stopped)
    );
    succeed(small_fit(dir.path(), "interrupted").arg("--resume"));

    let whole = fs::read(path("whole").join(LAST)).unwrap();
    for other in ["killed", "interrupted"] {
        assert!(
            fs::read(path(other).join(LAST)).unwrap() == whole,
            "{other}: other weights, momentum or state"
        );
        let epochs: Vec<_> = metrics(&path(other)).iter().map(|m| m["epoch"].clone()).collect();
        assert_eq!(epochs, [1, 2], "{other}");
        for (a, b) in metrics(&path(other)).iter().zip(metrics(&path("whole"))) {
            assert_eq!(
                (&a["train_loss"], &a["valid_log_loss"]),
                (&b["train_loss"], &b["valid_log_loss"]),
                "{other}"
            );
        }
    }

    // What a finished run leaves behind.
    for file in [
        "best.safetensors",
        "metrics.jsonl",
        "model/model.pt",
        "model/model.json",
        "model/README.md",
    ] {
        assert!(path("whole").join(file).is_file(), "{file}");
    }
    let events: Vec<_> = fs::read_dir(path("whole").join("tensorboard")).unwrap().collect();
    assert_eq!(events.len(), 1);
}

#[test]
fn another_seed_gives_other_weights() {
    let dir = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        succeed(small_fit(dir.path(), seed).args(["--seed", seed, "--epochs", "1"]));
    }
    let read = |seed: &str| fs::read(dir.path().join(seed).join("model/model.safetensors")).unwrap();
    assert!(read("1") != read("2"));
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_with_another_recipe_or_other_rows() {
    let dir = tempfile::tempdir().unwrap();
    // A variable that switches a flag off is not that flag given: this one only says that the recipe is not quick.
    succeed(
        small_fit(dir.path(), "run")
            .args(["--epochs", "1"])
            .env("FER_QUICK", "false"),
    );
    let refused = |command: &mut Command, word: &str| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    };
    refused(small_fit(dir.path(), "run").args(["--epochs", "1"]), "--resume");
    refused(
        small_fit(dir.path(), "run").args(["--resume", "--seed", "9", "--epochs", "1"]),
        "another recipe",
    );
    refused(small_fit(dir.path(), "none").arg("--resume"), "no checkpoint");
    refused(
        small_fit(dir.path(), "none").args(["--model-name", ""]),
        "--model-name",
    );
    // Before the training, and not when the folder is written after it.
    refused(
        small_fit(dir.path(), "none").args(["--model-name", &"x".repeat(129)]),
        "1 to 128 printable characters",
    );
    refused(
        small_fit(dir.path(), "none").env("FER_MODEL_VERSION", ""),
        "--model-version",
    );
    fs::write(dir.path().join("train.csv"), labelled_csv(16, 77)).unwrap();
    refused(
        small_fit(dir.path(), "run").args(["--resume", "--epochs", "1"]),
        "other rows",
    );
    let last = dir.path().join("run").join(LAST);
    let half = fs::read(&last).unwrap();
    fs::write(&last, &half[..half.len() / 2]).unwrap();
    refused(
        small_fit(dir.path(), "run").args(["--resume", "--epochs", "1"]),
        "cut short",
    );
}

/// A disk that fills up while a checkpoint is written, played by a limit on the size of files.
#[test]
#[cfg(unix)]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = spawn(&mut small_fit(dir.path(), "run"));
    wait_for_checkpoint(&mut child, &dir.path().join("run"));
    child.kill().unwrap();
    child.wait().unwrap();
    let last = dir.path().join("run").join(LAST);
    let before = fs::read(&last).unwrap();

    let resumed = small_fit(dir.path(), "run");
    let output = Command::new("sh")
        // 20,000 blocks of 512 bytes: less than a checkpoint. With the signal ignored the write itself fails.
        .args(["-c", "trap '' XFSZ; ulimit -f 20000; exec \"$@\"", "sh"])
        .arg(resumed.get_program())
        .args(resumed.get_args())
        .arg("--resume")
        .envs(resumed.get_envs().filter_map(|(k, v)| v.map(|v| (k, v))))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains(LAST),
        "the message names the file: {}",
        stderr(&output)
    );
    assert!(fs::read(&last).unwrap() == before);
    let left: Vec<_> = fs::read_dir(dir.path().join("run"))
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    assert!(
        !left.iter().any(|f| f.to_string_lossy().ends_with(".part")),
        "{left:?}"
    );
    succeed(small_fit(dir.path(), "run").arg("--resume"));
}

#[test]
fn validation_rows_are_taken_from_the_file_itself_where_none_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain.csv");
    fs::write(&plain, labelled_csv(70, 5)).unwrap();
    let with_usage = dir.path().join("fer2013.csv");
    let text: String = labelled_csv(30, 5)
        .lines()
        .enumerate()
        .map(|(i, line)| match i {
            0 => format!("{line},Usage\n"),
            1..=16 => format!("{line},Training\n"),
            17..=24 => format!("{line},PublicTest\n"),
            _ => format!("{line},PrivateTest\n"),
        })
        .collect();
    fs::write(&with_usage, text).unwrap();
    for (file, train, valid) in [(plain, 63, 7), (with_usage, 16, 8)] {
        let out = dir.path().join(format!("out-{train}"));
        let output = succeed(
            fer_train()
                .args([
                    "fit",
                    "--epochs",
                    "1",
                    "--batch-size",
                    "16",
                    "--precision",
                    "f32",
                    "--train",
                ])
                .arg(file)
                .arg("--out")
                .arg(out),
        );
        let text = stderr(&output);
        assert!(text.contains(&format!("training rows   {train:>6}:")), "{text}");
        assert!(text.contains(&format!("validation rows {valid:>6}:")), "{text}");
    }
}

/// The state is written as an earlier version wrote it: with options that were removed since.
#[test]
fn a_checkpoint_with_a_removed_option_is_refused_by_its_name_unless_it_is_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    succeed(small_fit(dir.path(), "run").args(["--epochs", "1"]));
    let checkpoint = path("run").join(LAST);
    let bytes = fs::read(&checkpoint).unwrap();
    let tensors = 8 + length_of(&bytes);
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..tensors]).unwrap();
    let with_sharpness = |sharpness: f64| {
        let mut header = header.clone();
        let state = header["__metadata__"]["fer-train"].as_str().unwrap();
        let mut state: serde_json::Value = serde_json::from_str(state).unwrap();
        state["recipe"]["sharpness"] = sharpness.into();
        header["__metadata__"]["fer-train"] = state.to_string().into();
        let header = header.to_string();
        let length = (header.len() as u64).to_le_bytes();
        [&length[..], header.as_bytes(), &bytes[tensors..]].concat()
    };
    let export = || {
        let mut command = fer_train();
        command.args(["export", "--checkpoint"]).arg(&checkpoint);
        command.arg("--out").arg(path("out")).output().unwrap()
    };
    fs::write(&checkpoint, with_sharpness(0.1)).unwrap();
    let refused = export();
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let message = "sharpness is 0.1, but this option was removed";
    assert!(stderr(&refused).contains(message), "{}", stderr(&refused));
    fs::write(&checkpoint, with_sharpness(0.0)).unwrap();
    assert!(export().status.success());
    succeed(small_fit(dir.path(), "run").args(["--epochs", "1", "--resume"]));
}

/// Of the header of a safetensors file.
fn length_of(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
}
