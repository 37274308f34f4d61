use super::*;
use fer_engine::drawn_faces;
use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

fn drawn() -> [u8; PIXELS] {
    std::array::from_fn(|i| ((i % SIDE) * 3 + (i / SIDE) * 2) as u8)
}

fn input() -> InputSpec {
    InputSpec {
        width: SIDE,
        height: SIDE,
        channels: 1,
        scale: 1.0,
        mean: 0.0,
        std: 1.0,
    }
}

const NONE: Augmentation = Augmentation::NONE;

fn see(how: &Augmentation, seed: u64) -> Vec<f32> {
    see_side(false, how, seed)
}

fn see_side(mirror: bool, how: &Augmentation, seed: u64) -> Vec<f32> {
    let mut out = vec![0.0; PIXELS];
    view(
        &drawn(),
        mirror,
        how,
        &input(),
        &mut Xoshiro256PlusPlus::seed_from_u64(seed),
        &mut out,
    )
    .unwrap();
    out
}

fn same(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3)
}

#[test]
fn nothing_asked_gives_the_face_itself() {
    let mut out = vec![0.0; PIXELS];
    plain(&drawn(), &input(), &mut out);
    assert!(same(&see(&NONE, 1), &out));
}

#[test]
fn a_view_is_of_low_resolution_as_often_as_asked() {
    let how = Augmentation {
        low_resolution: 0.3,
        ..NONE
    };
    let face = &drawn_faces(1)[0].0;
    let mut whole = vec![0.0; PIXELS];
    plain(face, &input(), &mut whole);
    let changed = (0..200).filter(|seed| {
        let mut out = vec![0.0; PIXELS];
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(*seed);
        view(face, false, &how, &input(), &mut rng, &mut out).unwrap();
        !same(&out, &whole)
    });
    let changed = changed.count();
    assert!((40..=80).contains(&changed), "{changed}");
}

#[test]
fn a_flip_mirrors_each_row() {
    let mirrored: Vec<f32> = drawn()
        .chunks(SIDE)
        .flat_map(|r| r.iter().rev().map(|p| f32::from(*p)))
        .collect();
    assert!(same(&see_side(true, &NONE, 1), &mirrored));
}

#[test]
fn a_view_depends_on_the_seed_alone() {
    let how = Augmentation::default();
    assert_eq!(see(&how, 7), see(&how, 7));
    assert_ne!(see(&how, 7), see(&how, 8));
}

#[test]
fn values_stay_in_range_however_strong() {
    let how = Augmentation {
        flip: 0.5,
        rotation: 180.0,
        scale: 0.9,
        shift: 1.0,
        brightness: 1.0,
        contrast: 1.0,
        erase: 1.0,
        low_resolution: 1.0,
        blur: 1.0,
        jpeg: 1.0,
    };
    for seed in 0..200 {
        assert!(see(&how, seed).iter().all(|v| (0.0..=255.0).contains(v)));
    }
}

#[test]
fn worse_images_are_near_the_face_but_not_the_face() {
    for how in [
        Augmentation {
            low_resolution: 1.0,
            ..NONE
        },
        Augmentation { blur: 1.0, ..NONE },
        Augmentation { jpeg: 1.0, ..NONE },
    ] {
        let face = &drawn_faces(1)[0];
        for seed in 0..20 {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            let worse = degraded(&face.0, &how, &mut rng).unwrap();
            let difference: u32 = face
                .0
                .iter()
                .zip(&worse.0)
                .map(|(a, b)| u32::from(a.abs_diff(*b)))
                .sum();
            let mean = f64::from(difference) / PIXELS as f64;
            assert!(mean > 0.05 && mean < 40.0, "{how:?}: {mean}");
        }
    }
}

#[test]
fn erasing_changes_two_to_fifteen_per_cent() {
    for seed in 0..100 {
        let plain: Vec<f32> = drawn().map(f32::from).to_vec();
        let erased = see(&Augmentation { erase: 1.0, ..NONE }, seed);
        let changed = erased
            .iter()
            .zip(&plain)
            .filter(|(a, b)| (**a - **b).abs() > 1e-3)
            .count();
        assert!((20..=PIXELS * 16 / 100).contains(&changed), "{changed}");
    }
}
