//! The SeetaFace frontal detector: a funnel of ever dearer classifiers over a sliding window.
//!
//! Shuzhe Wu, Meina Kan, Zhenliang He, Shiguang Shan, Xilin Chen: "Funnel-structured cascade for
//! multi-view face detection with alignment awareness", Neurocomputing 221 (2017). It reads the model file
//! that the `rustface` crate carries (BSD 2-Clause, © 2016 VIPL group, Institute of Computing
//! Technology, Chinese Academy of Sciences) and finds what that crate finds (`tests/faces.rs` holds
//! it to that), in bounds-checked code and several times as fast.
//!
//! ```text
//! picture → pyramid → 40×40 windows → lab: three boosted cascades → surf: two small networks → one large → merge
//! ```
//!
//! - [`model`]: reads the file
//! - [`plane`]: gray pixels: halving the pyramid, cutting a window out
//! - [`lab`]: locally assembled binary features; turns nearly all windows away for some ten table look-ups each
//! - [`surf`]: gradient histograms and networks that score a window and move its box
//! - [`merge`]: windows that show one face become one box

mod lab;
mod merge;
mod model;
mod plane;
mod surf;

pub(super) use merge::Window;
pub(super) use model::Cascade;
pub(super) use plane::Plane;

/// Side of the window that every classifier looks at, in pixels.
pub(super) const WINDOW: usize = 40;
/// Pixels between neighbouring windows of a pyramid level.
const STEP: usize = 4;
/// Each level of the pyramid is this much smaller than the one before.
const SHRINK: f32 = 0.8;
/// Of each boosted cascade, the most windows that are looked at any further, best first: a bound on the time
/// that a picture made of face-like texture can take. Photos of thirty faces have fewer than a third of it.
const CANDIDATES: usize = 4096;
/// Windows of one classifier that overlap more than this (intersection over union) are one candidate.
const SAME_CANDIDATE: f32 = 0.8;
/// Accepted windows that overlap more than this are one face.
const SAME_FACE: f32 = 0.3;

impl Cascade {
    /// The faces at least [`WINDOW`] pixels wide, best first. Boxes may reach over the border. The score
    /// of a face is the sum of the probabilities (each 0.5–1) that the last network gave the windows merged into it.
    pub(super) fn detect(&self, picture: Plane<'_>) -> Vec<Window> {
        let arch = pulp::Arch::new();
        let mut candidates: [Vec<Window>; 3] = Default::default();
        let mut scale = 1.0;
        let mut level = Vec::new();
        loop {
            let (width, height) = (picture.width_at(scale), picture.height_at(scale));
            if width < WINDOW || height < WINDOW {
                break;
            }
            let map = arch.dispatch(Level {
                picture,
                width,
                height,
                pixels: &mut level,
            });
            self.scan(Plane::new(&level, width, height), &map, scale, &mut candidates);
            scale *= SHRINK;
        }
        let mut windows = Vec::new();
        for found in &mut candidates {
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            windows.extend(found.iter().take(CANDIDATES));
        }
        let (mut scratch, mut grids) = (surf::Scratch::default(), plane::Grids::default());
        let mut refine = |stage: usize, windows: &[Window]| -> Vec<Window> {
            let Some(network) = self.networks.get(stage) else {
                return Vec::new();
            };
            let look = |window: &Window| {
                let (grids, scratch) = (&mut grids, &mut scratch);
                let [score, right, down, grow] = arch.dispatch(Look {
                    picture,
                    window,
                    network,
                    grids,
                    scratch,
                });
                (score > network.threshold).then(|| window.moved(score, right, down, grow))
            };
            windows.iter().filter_map(look).collect()
        };
        windows = refine(0, &windows);
        windows = merge::overlapping(&mut windows, SAME_CANDIDATE);
        windows = refine(1, &windows);
        windows = refine(2, &windows);
        merge::averaged(&mut windows, SAME_FACE)
    }

    /// Adds what each of the three boosted cascades accepts on one level, in coordinates of the whole picture.
    fn scan(&self, level: Plane<'_>, map: &lab::Map, scale: f32, candidates: &mut [Vec<Window>; 3]) {
        let side = (WINDOW as f32 / scale + 0.5) as i32;
        for (boosted, candidates) in self.boosted.iter().zip(candidates) {
            let prepared = boosted.on(map);
            let mut found = Vec::new();
            for y in (0..=level.height - WINDOW).step_by(STEP) {
                for x in (0..=level.width - WINDOW).step_by(STEP) {
                    if let Some(score) = prepared.score(map, x, y)
                        && level.deviates(x, y)
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
            // Merging compares each with each: a texture of which every window passes must not take minutes.
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
/// This and [`Look`] are given to `pulp`, which compiles what is inlined into them (`#[inline(always)]`, and no
/// closure that an iterator's `fold` would call) for AVX2 as well and runs that where the processor has it.
/// Nothing is added in another order, so the faces and their scores are the same.
struct Level<'a> {
    picture: Plane<'a>,
    width: usize,
    height: usize,
    pixels: &'a mut Vec<u8>,
}

impl pulp::WithSimd for Level<'_> {
    type Output = lab::Map;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> lab::Map {
        self.picture.shrink(self.width, self.height, self.pixels);
        lab::Map::new(Plane::new(self.pixels, self.width, self.height))
    }
}

/// Cuts a window out and lets a network judge it; what [`surf::Network::run`] returns.
struct Look<'a> {
    picture: Plane<'a>,
    window: &'a Window,
    network: &'a surf::Network,
    grids: &'a mut plane::Grids,
    scratch: &'a mut surf::Scratch,
}

impl pulp::WithSimd for Look<'_> {
    type Output = [f32; 4];

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> [f32; 4] {
        let Window { x, y, side, .. } = *self.window;
        self.picture.cut(x, y, side, self.grids, &mut self.scratch.window);
        self.network.run(self.scratch)
    }
}
