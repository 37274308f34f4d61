//! Drawn faces, CSV files of them, and the binary.

use std::{
    fmt::Write,
    path::Path,
    process::{Command, Output},
};

use fer_image::{Face, PIXELS, SIDE};

/// A face-like picture: a bright oval with eyes and a mouth whose curve follows the label, noise by the seed.
pub(crate) fn face(label: usize, seed: u64) -> Face {
    let mut noise = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut random = move || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        (noise >> 40) as f32 / 16_777_216.0
    };
    let bend = label as f32 - 3.0;
    let mut pixels = [0u8; PIXELS];
    for (i, p) in pixels.iter_mut().enumerate() {
        let (x, y) = ((i % SIDE) as f32 - 23.5, (i / SIDE) as f32 - 23.5);
        let mut gray = if (x / 18.0).powi(2) + (y / 22.0).powi(2) < 1.0 {
            180.0
        } else {
            60.0
        };
        if (x.abs() - 8.0).powi(2) + (y + 7.0).powi(2) < 9.0 {
            gray = 30.0;
        }
        if x.abs() < 9.0 && (y - 10.0 - bend * (x / 9.0).powi(2)).abs() < 1.6 {
            gray = 40.0;
        }
        *p = (gray + 20.0 * random()) as u8;
    }
    Face(pixels)
}

/// The pixels column of a face.
pub(crate) fn pixels(face: &Face) -> String {
    face.0.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
}

/// `emotion,pixels` with that many rows, labels in turn.
pub(crate) fn labelled_csv(rows: usize, seed: u64) -> String {
    let mut csv = String::from("emotion,pixels\n");
    for i in 0..rows {
        writeln!(csv, "{},\"{}\"", i % 7, pixels(&face(i % 7, seed + i as u64))).unwrap();
    }
    csv
}

/// `fer-train` with one thread and no FER_ variables of the caller's.
pub(crate) fn fer_train() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fer-train"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FER_")) {
        command.env_remove(name);
    }
    command.env("FER_THREADS", "1").env("FER_DEVICE", "cpu");
    command
}

/// A `fit` of one network in a few quick steps: 16 rows in batches of 8, 6 rows to validate, two epochs of two steps.
pub(crate) fn small_fit(dir: &Path, out: &str) -> Command {
    let (train, valid) = (dir.join("train.csv"), dir.join("valid.csv"));
    if !train.exists() {
        std::fs::write(&train, labelled_csv(16, 1)).unwrap();
        std::fs::write(&valid, labelled_csv(6, 1000)).unwrap();
    }
    let mut command = fer_train();
    // As variables, so that a test's flags can differ: a flag wins.
    command
        .env("FER_RECIPE", "single")
        .env("FER_EPOCHS", "2")
        .env("FER_BATCH_SIZE", "8")
        .env("FER_CHECKPOINT_SECONDS", "0");
    command
        .arg("fit")
        .arg("--train")
        .arg(train)
        .arg("--valid")
        .arg(valid)
        .arg("--out")
        .arg(dir.join(out));
    command.args(["--precision", "f32"]);
    command
}

/// What a command wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs it, expects success.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    output
}
