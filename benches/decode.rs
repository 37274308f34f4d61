//! From the bytes of an image to the 48×48 face, compared with the usual way: `image::load_from_memory`, `to_luma8`,
//! `resize`.
//!
//! ```text
//! cargo bench --bench decode -- [FILE…]   without a file, JPEGs drawn here (4:4:4; photos mostly are 4:2:0)
//! ```
//!
//! Processor time of one thread, median of 15 repeats, so that a busy machine counts as little as it can.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{fs, hint::black_box, path::Path, time::Duration};

use fer_image::{Limits, SIDE, decode};
use image::{RgbImage, codecs::jpeg::JpegEncoder, imageops};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const REPEATS: usize = 15;
/// Bytes decoded in each repeat, at least: the kernel accounts processor time in steps of some milliseconds.
const BYTES: usize = 4 << 20;

fn main() {
    let files: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    println!("| picture | bytes | image crate | decode | ratio |\n| --- | ---: | ---: | ---: | ---: |");
    if files.is_empty() {
        for (width, height) in [(48, 48), (640, 480), (1920, 1280), (4000, 3000)] {
            row(&format!("drawn, {width}×{height}"), &drawn(width, height));
        }
    }
    for file in &files {
        let name = Path::new(file).file_name().unwrap().to_string_lossy();
        row(&name, &fs::read(file).unwrap());
    }
}

/// Measures both ways alternately and prints their medians.
fn row(name: &str, bytes: &[u8]) {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    let limits = Limits::default();
    let inner = u32::try_from(BYTES.div_ceil(bytes.len())).unwrap();
    for repeat in 0..=REPEATS {
        let began = on_cpu();
        for _ in 0..inner {
            let picture = image::load_from_memory(bytes).unwrap().to_luma8();
            let side = SIDE as u32;
            black_box(imageops::resize(
                &picture,
                side,
                side,
                imageops::FilterType::Triangle,
            ));
        }
        let between = on_cpu();
        for _ in 0..inner {
            black_box(decode(bytes, &limits).unwrap());
        }
        // The first repeat warms the caches.
        if repeat > 0 {
            theirs.push(between - began);
            ours.push(on_cpu() - between);
        }
    }
    let [theirs, ours] = [theirs, ours].map(|times| median(times) / f64::from(inner));
    let ratio = ours / theirs;
    println!(
        "| {name} | {} | {theirs:.3} ms | {ours:.3} ms | {ratio:.3} |",
        bytes.len()
    );
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    1000.0 * times[times.len() / 2].as_secs_f64()
}

/// Processor time of this thread so far.
fn on_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// A JPEG of colour waves with fine noise.
fn drawn(width: u32, height: u32) -> Vec<u8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let picture = RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (x as f32 / width as f32, y as f32 / height as f32);
        let mut wave = |phase: f32| {
            let smooth = 127.5 + 60.0 * (7.0 * x + phase).sin() + 60.0 * (5.0 * y - phase).cos();
            (smooth + random.random_range(-3.0..3.0)) as u8
        };
        image::Rgb([wave(0.0), wave(1.0), wave(2.0)])
    });
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 75)
        .encode_image(&picture)
        .unwrap();
    bytes
}
