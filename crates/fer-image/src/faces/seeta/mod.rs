//! The SeetaFace frontal detector: a cascade of classifiers over a sliding window, cheapest first.
//!
//! Shuzhe Wu, Meina Kan, Zhenliang He, Shiguang Shan, Xilin Chen: "Funnel-structured cascade for
//! multi-view face detection with alignment awareness", Neurocomputing 221 (2017). It reads the model file
//! of the `rustface` crate (`assets/README.md` has its origin and licence) and finds what that crate finds
//! (tested in `faces/tests.rs`), in bounds-checked code and several times as fast.
//!
//! ```text
//! image → pyramid → 40×40 windows → LAB features: three boosted cascades → SURF: two small networks → one large → merge
//! ```
//!
//! - [`model`]: reads the file
//! - [`gray`]: gray pixels: levels of the pyramid, crops of windows
//! - [`lab_features`]: locally assembled binary features; reject nearly all windows after some ten table look-ups each
//! - [`surf`]: gradient histograms and networks that score a window and move its box
//! - [`merge`]: windows that show one face become one box

mod gray;
mod lab_features;
mod merge;
mod model;
mod surf;

use lab_features::LabMap;

pub(super) use gray::{Gray, WINDOW};
pub(super) use merge::Window;
pub(super) use model::{Cascade, MODEL};

/// Pixels between neighbouring windows of a pyramid level.
const STEP: usize = 4;
/// Each level of the pyramid is this much smaller than the one before.
const SHRINK: f32 = 0.8;
/// The most windows of each boosted cascade that are examined further, best first: limits the time
/// that an image of face-like texture can take. Photos of thirty faces have fewer than a third of it.
const CANDIDATES: usize = 4096;
/// Windows of one classifier that overlap more than this (intersection over union) are one candidate.
const SAME_CANDIDATE: f32 = 0.8;
/// Accepted windows that overlap more than this are one face.
const SAME_FACE: f32 = 0.3;

impl Cascade {
    /// The faces at least [`WINDOW`] pixels wide, best first. Boxes may reach over the border. The score
    /// of a face is the sum of the probabilities (each 0.5–1) that the last network gave the windows merged into it.
    pub(super) fn detect(&self, image: Gray<'_>) -> Vec<Window> {
        let arch = pulp::Arch::new();
        // The cascades look for faces of one size, so the image shrinks step by step until it is smaller than a window.
        let mut candidates: [Vec<Window>; 3] = Default::default();
        let mut scale = 1.0;
        let mut level = Vec::new();
        loop {
            let [width, height] = [image.width, image.height].map(|n| (n as f32 * scale) as usize);
            if width < WINDOW || height < WINDOW {
                break;
            }
            let map = arch.dispatch(Level {
                image,
                width,
                height,
                pixels: &mut level,
            });
            self.scan(Gray::new(&level, width, height), &map, scale, &mut candidates);
            scale *= SHRINK;
        }
        let mut windows = Vec::new();
        for found in &mut candidates {
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            windows.extend(found.iter().take(CANDIDATES));
        }
        let (mut scratch, mut samples) = (surf::Scratch::default(), gray::Samples::default());
        let mut refine = |stage: usize, windows: &[Window]| -> Vec<Window> {
            let Some(network) = self.networks.get(stage) else {
                return Vec::new();
            };
            let judge = |window: &Window| {
                let (samples, scratch) = (&mut samples, &mut scratch);
                let [score, right, down, grow] = arch.dispatch(Judge {
                    image,
                    window,
                    network,
                    samples,
                    scratch,
                });
                (score > network.threshold).then(|| window.moved(score, right, down, grow))
            };
            windows.iter().filter_map(judge).collect()
        };
        // Merging between the networks saves the larger ones most of their windows.
        windows = refine(0, &windows);
        windows = merge::overlapping(&mut windows, SAME_CANDIDATE);
        windows = refine(1, &windows);
        windows = refine(2, &windows);
        merge::averaged(&mut windows, SAME_FACE)
    }

    /// Adds what each of the three boosted cascades accepts on one level, in coordinates of the whole image.
    fn scan(&self, level: Gray<'_>, map: &LabMap, scale: f32, candidates: &mut [Vec<Window>; 3]) {
        let side = (WINDOW as f32 / scale + 0.5) as i32;
        for (boosted, candidates) in self.boosted.iter().zip(candidates) {
            let offsets = boosted.offsets(map);
            let mut found = Vec::new();
            for y in (0..=level.height - WINDOW).step_by(STEP) {
                for x in (0..=level.width - WINDOW).step_by(STEP) {
                    if let Some(score) = boosted.score(map, &offsets, x, y)
                        && level.has_contrast(x, y)
                    {
                        found.push(Window {
                            x: (x as f32 / scale + 0.5) as i32,
                            y: (y as f32 / scale + 0.5) as i32,
                            side,
                            score,
                        });
                    }
                }
            }
            // Merging compares all pairs: a texture on which every detector window fires must not take minutes.
            if found.len() > CANDIDATES {
                found.select_nth_unstable_by(CANDIDATES, |a, b| b.score.total_cmp(&a.score));
                found.truncate(CANDIDATES);
            }
            // Windows of other levels are too large or too small to overlap that much.
            candidates.extend(merge::overlapping(&mut found, SAME_CANDIDATE));
        }
    }
}

/// Makes a level of the pyramid and its features.
///
/// `pulp` compiles what is inlined into this and [`Judge`] (`#[inline(always)]`, and no closure that an iterator's
/// `fold` would call) for AVX2 as well, and runs that where the processor has it. The order of additions does not
/// change, so the faces and their scores are the same.
struct Level<'a> {
    image: Gray<'a>,
    width: usize,
    height: usize,
    pixels: &'a mut Vec<u8>,
}

impl pulp::WithSimd for Level<'_> {
    type Output = LabMap;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> LabMap {
        self.image.shrink(self.width, self.height, self.pixels);
        LabMap::new(Gray::new(self.pixels, self.width, self.height))
    }
}

/// Crops a window and runs a network on it; returns the output of [`surf::Network::run`].
struct Judge<'a> {
    image: Gray<'a>,
    window: &'a Window,
    network: &'a surf::Network,
    samples: &'a mut gray::Samples,
    scratch: &'a mut surf::Scratch,
}

impl pulp::WithSimd for Judge<'_> {
    type Output = [f32; 4];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [f32; 4] {
        let Window { x, y, side, .. } = *self.window;
        self.image
            .crop(x, y, side, self.samples, &mut self.scratch.window);
        self.network.run(self.scratch)
    }
}
