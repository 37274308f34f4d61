//! Deterministic drawn faces for checking and timing engines without a data set.

use fer_image::{Face, PIXELS, SIDE};

/// Simple drawn faces: an oval with eyes, brows and a mouth of varying size, place, curve and light, over a
/// shaded ground with fine grain. The same `n` always gives the same faces.
#[must_use]
pub fn drawn_faces(n: usize) -> Vec<Face> {
    (0..n).map(draw).collect()
}

fn draw(index: usize) -> Face {
    let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ (index as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    let mut between = |low: f32, high: f32| low + (high - low) * random.unit();
    let (centre_x, centre_y) = (between(21.0, 27.0), between(21.0, 27.0));
    let (width, height) = (between(14.0, 21.0), between(17.0, 23.0));
    let (skin, ground, dark) = (between(110.0, 220.0), between(20.0, 200.0), between(10.0, 70.0));
    let (slope_x, slope_y) = (between(-1.5, 1.5), between(-1.0, 1.0));
    let (eye_gap, eye_y, eye) = (between(6.0, 9.0), between(-7.0, -3.0), between(1.0, 3.2));
    let (brow_y, brow_tilt) = (between(-5.0, -2.5), between(-0.5, 0.5));
    let (mouth_y, mouth_width, mouth_open, curve) = (
        between(7.0, 12.0),
        between(3.0, 8.0),
        between(0.7, 4.0),
        between(-0.08, 0.08),
    );
    let grain = between(0.0, 14.0);
    let mut pixels = [0; PIXELS];
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = ((i % SIDE) as f32 - centre_x, (i / SIDE) as f32 - centre_y);
        let inside = (x / width).powi(2) + (y / height).powi(2) < 1.0;
        let mut value = if inside { skin } else { ground } + slope_x * x + slope_y * y;
        let side = x.abs() - eye_gap;
        let is_eye = side.powi(2) + (y - eye_y).powi(2) < eye.powi(2);
        let is_brow = side.abs() < 4.0 && (y - eye_y - brow_y - brow_tilt * side).abs() < 0.9;
        let mouth = (x / mouth_width).powi(2) + ((y - mouth_y + curve * x * x) / mouth_open).powi(2) < 1.0;
        if inside && (is_eye || is_brow || mouth) {
            value = dark;
        }
        value += grain * (random.unit() - 0.5);
        *pixel = value.clamp(0.0, 255.0) as u8;
    }
    Face(pixels)
}

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    /// The next number, 0 to 1.
    fn unit(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u32 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_every_time_and_none_like_another() {
        let faces = drawn_faces(8);
        assert_eq!(faces, drawn_faces(8));
        for (i, a) in faces.iter().enumerate() {
            assert!(a.0.iter().max() > a.0.iter().min());
            assert!(faces[i + 1..].iter().all(|b| a != b));
        }
    }
}
