//! The face detector beside the crate `rustface`, and how a face has to be cut out.
//!
//! ```text
//! cargo bench --bench faces -- [PHOTO…]             time and faces of each photo; without one, the crate's own
//! cargo bench --bench faces -- --margins FILE.csv   where FER2013's frames lie, and which margin agrees best
//! ```
//!
//! Times are processor time of one thread, median of nine, so that a busy machine counts as little as it can.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use fer_engine::{Classifier, ModelFolder, TorchScript, emotion::Probabilities};
use fer_image::{
    Face, Limits, LumaImage, PIXELS, SIDE, decode_luma,
    faces::{Detector, FaceBox, Options, Seeta},
};
use fer_train::data::{self, Dataset};
use image::{GrayImage, ImageFormat, imageops};

#[path = "../tests/support/rustface.rs"]
mod rustface_package;

const REPEATS: usize = 9;
/// The longest side at which `rustface` looks.
const NAIVE: u32 = 640;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.split_first() {
        Some((first, rest)) if first == "--margins" => {
            margins(Path::new(
                rest.first().expect_or_exit("--margins needs a CSV file"),
            ));
        }
        Some(_) => times(&args.iter().map(PathBuf::from).collect::<Vec<_>>()),
        None => times(&[rustface_package::photo()]),
    }
}

trait OrExit<T> {
    fn expect_or_exit(self, why: &str) -> T;
}

impl<T> OrExit<T> for Option<T> {
    fn expect_or_exit(self, why: &str) -> T {
        self.unwrap_or_else(|| {
            println!("{why}");
            std::process::exit(2)
        })
    }
}

// ── time ─────────────────────────────────────────────────────────────────────────────────────────────────

/// Processor time of this thread so far.
fn on_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// What `work` gives, and the median of its times in milliseconds.
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

fn times(files: &[PathBuf]) {
    let model = rustface_package::folder().join("model/seeta_fd_frontal_v1.0.bin");
    let mut theirs = rustface::create_detector(model.to_str().unwrap()).unwrap();
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

// ── margin ───────────────────────────────────────────────────────────────────────────────────────────────

/// How much a training picture is enlarged before the detector looks at it, and how far its border goes on.
const ENLARGED: u32 = 144;
const BORDER: u32 = 48;
const MARGINS: [f64; 11] = [0.8, 0.9, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5];

/// The picture enlarged, with its outermost pixels going on around it.
fn framed(face: &[u8; PIXELS]) -> LumaImage {
    let small = GrayImage::from_raw(SIDE as u32, SIDE as u32, face.to_vec()).unwrap();
    let large = imageops::resize(&small, ENLARGED, ENLARGED, imageops::FilterType::CatmullRom);
    let whole = ENLARGED + 2 * BORDER;
    let inside = |v: u32| v.clamp(BORDER, BORDER + ENLARGED - 1) - BORDER;
    let picture = GrayImage::from_fn(whole, whole, |x, y| *large.get_pixel(inside(x), inside(y)));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    decode_luma(png.get_ref(), &Limits::default()).unwrap()
}

/// The face as it would be cut out if the margin were another.
fn with_margin(found: &FaceBox, margin: f64, picture: &LumaImage) -> Face {
    let side = (f64::from(found.side) * margin / FaceBox::MARGIN)
        .round()
        .max(1.0);
    let shift = ((f64::from(found.side) - side) / 2.0).round() as i64;
    let other = FaceBox {
        x: found.x + shift,
        y: found.y + shift,
        side: side as u32,
        ..*found
    };
    other.crop(picture).unwrap()
}

fn margins(file: &Path) {
    let rows = Dataset::load(file, None, data::Options::default()).unwrap();
    let folder = ModelFolder::open(Path::new("model")).unwrap();
    let mut network = TorchScript::load(&folder, tch::Device::Cpu).unwrap();
    let seeta = Seeta::new().unwrap();
    let mut found = Vec::new();
    // The rows stand in no order.
    let asked = rows.len().min(1500);
    for i in 0..asked {
        let picture = framed(rows.face(i));
        let options = Options {
            max_faces: 1,
            ..Options::default()
        };
        if let Some(face) = seeta.detect(&picture, &options).unwrap().first() {
            found.push((i, *face, picture));
        }
    }
    println!("{} of {asked} faces found", found.len());
    let middle = |f: &dyn Fn(&FaceBox) -> f64| {
        let mut values: Vec<f64> = found.iter().map(|(_, face, _)| f(face)).collect();
        values.sort_by(f64::total_cmp);
        [0.1, 0.25, 0.5, 0.75, 0.9]
            .map(|q| format!("{:6.2}", values[(q * (values.len() - 1) as f64) as usize]))
            .join("")
    };
    let centre = f64::from(ENLARGED) / 2.0 + f64::from(BORDER);
    let side = |f: &FaceBox| f64::from(f.side);
    println!("                                    10 %  25 %  50 %  75 %  90 %");
    println!(
        "frame width / box width           {}",
        middle(&|f| f64::from(ENLARGED) / side(f))
    );
    println!(
        "frame right of box, in box widths {}",
        middle(&|f| (centre - f.x as f64) / side(f) - 0.5)
    );
    println!(
        "frame below box, in box widths    {}",
        middle(&|f| (centre - f.y as f64) / side(f) - 0.5)
    );

    let mut judge = |faces: &[Face]| -> Vec<Probabilities> {
        let batches = faces
            .chunks(32)
            .flat_map(|batch| network.classify(batch).unwrap());
        batches
            .map(|logits| Probabilities::from_logits(&logits).unwrap())
            .collect()
    };
    let whole: Vec<Face> = found.iter().map(|(i, ..)| Face(*rows.face(*i))).collect();
    let whole = judge(&whole);
    let share = |n: usize| 100.0 * n as f64 / found.len() as f64;
    let right = |answers: &[Probabilities]| {
        let labels = found.iter().map(|(i, ..)| rows.label(*i));
        share(
            answers
                .iter()
                .zip(labels)
                .filter(|(p, label)| p.top().0 == *label)
                .count(),
        )
    };
    println!("\nmargin  total variation  same label  right label");
    println!("whole frame                            {:6.1} %", right(&whole));
    for margin in MARGINS {
        let crops: Vec<Face> = found
            .iter()
            .map(|(_, face, picture)| with_margin(face, margin, picture))
            .collect();
        let answers = judge(&crops);
        let pairs = || answers.iter().zip(&whole);
        let apart = |a: &Probabilities, b: &Probabilities| {
            let terms = a
                .values()
                .iter()
                .zip(b.values())
                .map(|(a, b)| f64::from((a - b).abs()));
            terms.sum::<f64>() / 2.0
        };
        let variation = pairs().map(|(a, b)| apart(a, b)).sum::<f64>() / found.len() as f64;
        let same = share(pairs().filter(|(a, b)| a.top().0 == b.top().0).count());
        println!(
            "{margin:6.2} {variation:16.3} {same:9.1} % {:10.1} %",
            right(&answers)
        );
    }
}
