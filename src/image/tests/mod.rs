use super::*;

#[test]
fn a_gray_png_is_its_pixels() {
    let face = Face(std::array::from_fn(|i| (i * 7 % 256) as u8));
    assert_eq!(decode(&face.to_png(), &Limits::default()).unwrap().0, face.0);
}
