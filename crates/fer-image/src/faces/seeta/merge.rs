//! Windows, and merging those that show the same face.

/// A square that may hold a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::faces) struct Window {
    /// Left edge in pixels; negative where the window reaches over the border.
    pub(in crate::faces) x: i32,
    /// Top edge in pixels.
    pub(in crate::faces) y: i32,
    /// Width and height in pixels.
    pub(in crate::faces) side: i32,
    /// The last classifier's confidence; after merging, the sum over the merged windows.
    pub(in crate::faces) score: f32,
}

impl Window {
    /// The window moved and resized by a network's outputs, each 0–1; 0.5 changes nothing.
    pub(super) fn moved(self, score: f32, right: f32, down: f32, grow: f32) -> Self {
        let old = self.side as f32;
        let side = (2.0 * grow * old + 0.5).floor();
        let shift = |start: i32, by: f32| {
            ((by * 2.0 - 1.0) * old + start as f32 + (old - side) * 0.5 + 0.5).floor() as i32
        };
        Self {
            x: shift(self.x, right),
            y: shift(self.y, down),
            side: (side as i32).max(1),
            score,
        }
    }

    fn area(self) -> f32 {
        self.side as f32 * self.side as f32
    }

    /// Intersection over union, 0–1.
    pub(in crate::faces) fn overlap(self, other: Self) -> f32 {
        let shared = |a: i32, b: i32| (a + self.side).min(b + other.side) - a.max(b);
        let (width, height) = (shared(self.x, other.x), shared(self.y, other.y));
        if width <= 0 || height <= 0 {
            return 0.0;
        }
        let both = width as f32 * height as f32;
        both / (self.area() + other.area() - both)
    }
}

/// Non-maximum suppression: keeps the best window of every cluster that overlaps it by more than `limit`, with the
/// cluster's scores added up; best single window first.
pub(super) fn overlapping(windows: &mut [Window], limit: f32) -> Vec<Window> {
    clusters(
        windows,
        limit,
        |best| best,
        |cluster, other| cluster.score += other.score,
    )
}

/// As [`overlapping`], but a cluster becomes its mean, weighted by score. Which window of a face is best depends on
/// rounding; the mean hardly does.
pub(super) fn averaged(windows: &mut [Window], limit: f32) -> Vec<Window> {
    let clusters = clusters(windows, limit, |best| vec![best], Vec::push);
    clusters.iter().filter_map(|cluster| mean(cluster)).collect()
}

fn mean(cluster: &[Window]) -> Option<Window> {
    let score: f32 = cluster.iter().map(|w| w.score).sum();
    let mean = |of: fn(&Window) -> i32| {
        let weighted = cluster.iter().map(|w| f64::from(w.score) * f64::from(of(w)));
        (weighted.sum::<f64>() / f64::from(score)).round() as i32
    };
    let side = mean(|w| w.side).max(1);
    // The centres are averaged, not the corners: windows of different sizes would pull those to the upper left.
    let start = |twice: i32| (twice - side).div_euclid(2);
    (score > 0.0).then(|| Window {
        x: start(mean(|w| 2 * w.x + w.side)),
        y: start(mean(|w| 2 * w.y + w.side)),
        side,
        score,
    })
}

/// Greedy clustering, best window first: each window that is in no cluster yet starts one, and takes in all later
/// windows that overlap it by more than `limit`. Later windows are compared with the first of a cluster only, so a
/// chain of overlapping windows does not become one face. `start` and `add` decide what is kept of a cluster: a level
/// has thousands of windows, and [`overlapping`] needs no list of them.
fn clusters<T>(
    windows: &mut [Window],
    limit: f32,
    start: impl Fn(Window) -> T,
    add: impl Fn(&mut T, Window),
) -> Vec<T> {
    windows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept = Vec::new();
    let mut merged = vec![false; windows.len()];
    for (first, &best) in windows.iter().enumerate() {
        if merged[first] {
            continue;
        }
        let mut cluster = start(best);
        for (&other, merged) in windows.iter().zip(&mut merged).skip(first + 1) {
            if !*merged && best.overlap(other) > limit {
                *merged = true;
                add(&mut cluster, other);
            }
        }
        kept.push(cluster);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(x: i32, y: i32, side: i32, score: f32) -> Window {
        Window { x, y, side, score }
    }

    #[test]
    fn overlap_is_intersection_over_union() {
        let a = window(0, 0, 10, 1.0);
        assert_eq!(a.overlap(a), 1.0);
        assert_eq!(a.overlap(window(10, 0, 10, 1.0)), 0.0);
        // 50 of 150 pixels.
        assert!((a.overlap(window(5, 0, 10, 1.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert!((a.overlap(window(-5, 0, 10, 1.0)) - 1.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_cluster_becomes_its_best_window_with_all_scores() {
        let mut windows = [
            window(1, 0, 10, 0.6),
            window(0, 0, 10, 0.9),
            window(40, 0, 10, 0.7),
            window(0, 1, 10, 0.5),
        ];
        let kept = overlapping(&mut windows, 0.3);
        assert_eq!(kept.len(), 2);
        assert_eq!((kept[0].x, kept[0].side), (0, 10));
        assert!((kept[0].score - 2.0).abs() < 1e-6);
        assert_eq!(kept[1], window(40, 0, 10, 0.7));
    }

    #[test]
    fn a_cluster_becomes_its_mean() {
        let mut windows = [
            window(0, 0, 10, 0.75),
            window(3, 0, 10, 0.75),
            window(40, 0, 10, 0.7),
            window(0, 2, 14, 0.5),
        ];
        let kept = averaged(&mut windows, 0.3);
        // Sides 10, 10, 14 and centres (5, 5), (8, 5), (7, 9), by 0.75, 0.75 and 0.5.
        assert_eq!((kept[0].x, kept[0].y, kept[0].side), (1, 0, 11));
        assert!((kept[0].score - 2.0).abs() < 1e-6);
        assert_eq!(kept[1], window(40, 0, 10, 0.7));
    }

    #[test]
    fn halves_leave_a_window_where_it_is() {
        let w = window(-3, 7, 41, 0.2);
        assert_eq!(w.moved(0.8, 0.5, 0.5, 0.5), Window { score: 0.8, ..w });
        // Growing keeps the centre.
        assert_eq!(w.moved(0.8, 0.5, 0.5, 1.0), window(-23, -13, 82, 0.8));
    }
}
