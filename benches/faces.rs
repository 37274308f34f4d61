//! The face detector and the crate `rustface`: time, and the faces that each finds.
//!
//! ```text
//! cargo bench --bench faces -- [PHOTO…]   without a photo, the crate's own
//! ```
//!
//! Times are processor time of one thread, median of nine, so that a busy machine counts as little as it can.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{fs, path::PathBuf, time::Duration};

use fer_image::{
    Limits, decode_luma,
    faces::{Options, Seeta},
};

#[path = "../tests/support/rustface.rs"]
mod rustface_package;

const REPEATS: usize = 9;
/// The longest side at which `rustface` searches.
const NAIVE: u32 = 640;

fn main() {
    let photos = std::env::args().skip(1).filter(|a| a != "--bench");
    let mut photos: Vec<PathBuf> = photos.map(PathBuf::from).collect();
    if photos.is_empty() {
        photos.push(rustface_package::photo());
    }
    compare(&photos);
}

/// Processor time of this thread so far.
fn on_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// The result of `work`, and the median of its times in milliseconds.
fn timed<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let mut result = work();
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let began = on_cpu();
            result = work();
            1000.0 * (on_cpu() - began).as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (result, times[REPEATS / 2])
}

/// x, y and side of a square in pixels of the photo.
type Square = [f64; 3];

fn overlap(a: Square, b: Square) -> f64 {
    let shared = |i: usize| ((a[i] + a[2]).min(b[i] + b[2]) - a[i].max(b[i])).max(0.0);
    let both = shared(0) * shared(1);
    both / (a[2] * a[2] + b[2] * b[2] - both)
}

fn compare(files: &[PathBuf]) {
    const MODEL: &[u8] = include_bytes!("../assets/seeta_fd_frontal_v1.0.bin");
    let mut theirs = rustface::create_detector_with_model(rustface::read_model(MODEL).unwrap());
    let seeta = Seeta::new().unwrap();
    println!(
        "{:28} {:>11}  decoding  rustface at {NAIVE}      ours             lost  more",
        "photo", "pixels"
    );
    for file in files {
        let bytes = fs::read(file).unwrap();
        let (picture, decoding) = timed(|| decode_luma(&bytes, &Limits::default()).unwrap());
        let scale = f64::from(NAIVE) / f64::from(picture.width().max(picture.height()));
        let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let small = picture
            .resized(side(picture.width()), side(picture.height()))
            .unwrap();
        let data = rustface::ImageData::new(small.pixels(), small.width(), small.height());
        let (naive, naive_ms) = timed(|| theirs.detect(&data));
        let naive: Vec<Square> = naive
            .iter()
            .map(|f| [f.bbox().x(), f.bbox().y(), f.bbox().width() as i32].map(|v| f64::from(v) / scale))
            .collect();
        let (ours, ours_ms) = timed(|| seeta.detect(&picture, &Options::default()).unwrap());
        let ours: Vec<Square> = ours
            .iter()
            .map(|f| [f.x as f64, f.y as f64, f64::from(f.side)])
            .collect();
        let without = |a: &[Square], b: &[Square]| {
            a.iter()
                .filter(|a| b.iter().all(|b| overlap(**a, *b) < 0.4))
                .count()
        };
        println!(
            "{:28} {:>11} {decoding:6.1} ms {:4} in {naive_ms:6.1} ms {:4} in {ours_ms:6.1} ms {:8} {:5}",
            file.file_name().unwrap_or_default().to_string_lossy(),
            format!("{}×{}", picture.width(), picture.height()),
            naive.len(),
            ours.len(),
            without(&naive, &ours),
            without(&ours, &naive),
        );
    }
}
