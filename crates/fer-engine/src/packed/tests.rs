use std::thread;

use fer_image::Face;
use tch::Device;

use super::*;
use crate::{
    drawn_faces,
    emotion::Probabilities,
    network::{Folded, FoldedNetwork},
    select::tolerance,
    testing::{INPUT, random_weights},
    torchscript::{FoldedModule, to_input, to_logits},
};

fn network() -> FoldedNetwork {
    FoldedNetwork {
        layers: random_weights(11).1.iter().map(Folded::from).collect(),
        input: INPUT,
    }
}

/// The same network by libtorch, in float.
fn reference(faces: &[Face]) -> Vec<Logits> {
    let _no_grad = tch::no_grad_guard();
    let input = to_input(faces, &INPUT, Device::Cpu).unwrap();
    let module = FoldedModule::new(&network().layers).unwrap();
    to_logits(&module.forward(&input).unwrap(), faces.len()).unwrap()
}

fn furthest(a: &[Logits], b: &[Logits]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.as_flattened()
        .iter()
        .zip(b.as_flattened())
        .fold(0.0, |m, (x, y)| f32::max(m, (x - y).abs()))
}

fn furthest_probability(a: &[Logits], b: &[Logits]) -> f32 {
    let p = |l: &[Logits]| {
        l.iter()
            .map(|l| *Probabilities::from_logits(l).unwrap().values())
            .collect::<Vec<_>>()
    };
    furthest(&p(a), &p(b))
}

/// Every pair of instruction set and precision that this machine has.
fn engines(network: &FoldedNetwork, ranges: &Ranges) -> Vec<Packed> {
    let mut all = Vec::new();
    for precision in Precision::ALL {
        for isa in Isa::ALL {
            if Kernels::get(isa, precision).is_some() {
                all.push(Packed::with_isa(network, precision, Some(ranges), isa).unwrap());
            }
        }
    }
    assert!(all.iter().any(|e| e.precision() == Precision::F32));
    all
}

fn ranges(network: &FoldedNetwork) -> Ranges {
    calibrate(network, "none", &drawn_faces(24))
        .unwrap()
        .ranges()
        .unwrap()
}

#[test]
fn agrees_with_libtorch_in_every_precision_on_every_instruction_set() {
    let network = network();
    // Other faces than those calibrated on.
    let faces = drawn_faces(56).split_off(24);
    let wanted = reference(&faces);
    for mut engine in engines(&network, &ranges(&network)) {
        let got = engine.classify(&faces).unwrap();
        let what = format!("{} {}", engine.precision().name(), engine.isa().name());
        let off = furthest(&got, &wanted);
        let scale = wanted.as_flattened().iter().fold(0f32, |m, x| m.max(x.abs()));
        println!(
            "{what}: {off} of {scale}, probabilities {}",
            furthest_probability(&got, &wanted)
        );
        // Of the largest logit. bf16 keeps 8 bits of each activation, int8 8 bits of each layer's range.
        let bound = match engine.precision() {
            Precision::F32 => 1e-4 / scale.max(1.0),
            Precision::Bf16 => 0.01,
            Precision::Int8 => 0.06,
        };
        assert!(
            off <= bound * scale,
            "{what}: a logit is off by {off}; the largest is {scale}"
        );
        assert!(
            furthest_probability(&got, &wanted) <= tolerance(engine.precision()),
            "{what}"
        );
        // Not better than the precision can be, either: the test would not notice a fall back to float.
        if engine.precision() != Precision::F32 {
            assert!(off > 1e-4, "{what}: off by {off} only");
        }
    }
}

#[test]
fn every_batch_size_gives_the_answers_of_single_faces() {
    let network = network();
    let faces = drawn_faces(70);
    for mut engine in engines(&network, &ranges(&network)) {
        if matches!(engine.isa(), Isa::Portable | Isa::Avx2)
            && Isa::best(engine.precision()) != Some(engine.isa())
        {
            continue; // slow, and the code of AVX-512 with another width
        }
        let single: Vec<Logits> = faces
            .iter()
            .map(|f| engine.classify(std::slice::from_ref(f)).unwrap()[0])
            .collect();
        // The best instructions are what serves; the others share all but the innermost loop.
        let all = if Isa::best(engine.precision()) == Some(engine.isa()) {
            33
        } else {
            17
        };
        for n in (1..=all).chain([70]) {
            let got = engine.classify(&faces[..n]).unwrap();
            assert_eq!(
                got,
                single[..n],
                "{} {} at {n}",
                engine.precision().name(),
                engine.isa().name()
            );
        }
    }
}

#[test]
fn no_faces_no_answers() {
    for mut engine in engines(&network(), &[1.0; 5]) {
        assert!(engine.classify(&[]).unwrap().is_empty());
    }
}

#[test]
fn extreme_pictures_stay_finite() {
    let network = network();
    let faces = [0u8, 255].map(|v| Face([v; fer_image::PIXELS]));
    for mut engine in engines(&network, &ranges(&network)) {
        assert!(
            engine
                .classify(&faces)
                .unwrap()
                .as_flattened()
                .iter()
                .all(|x| x.is_finite())
        );
    }
}

#[test]
fn two_threads_at_once() {
    let network = network();
    let faces = drawn_faces(40);
    for mut engine in engines(&network, &ranges(&network)) {
        if Isa::best(engine.precision()) != Some(engine.isa()) {
            continue;
        }
        let wanted = engine.classify(&faces).unwrap();
        let mut twins = [engine.twin(), engine.twin()];
        thread::scope(|s| {
            for twin in &mut twins {
                let (faces, wanted) = (&faces, &wanted);
                s.spawn(move || {
                    for n in [40, 1, 7, 40] {
                        assert_eq!(twin.classify(&faces[..n]).unwrap(), wanted[..n]);
                    }
                });
            }
        });
    }
}

#[test]
fn what_cannot_be_had_is_an_error() {
    let network = network();
    let message = |r: Result<Packed, EngineError>| r.unwrap_err().to_string();
    // Tiles hold no floats, on any machine.
    let amx = message(Packed::with_isa(&network, Precision::F32, None, Isa::Amx));
    assert!(amx.contains("cannot compute f32 with amx"), "{amx}");
    if let Some(isa) = Isa::best(Precision::Int8) {
        let bare = message(Packed::with_isa(&network, Precision::Int8, None, isa));
        assert!(bare.contains("range"), "{bare}");
    }
    let mut broken = network.clone();
    broken.layers[3].weight.truncate(5);
    assert!(message(Packed::new(&broken, Precision::F32, None)).contains("layer 4"));
}

#[test]
fn an_offset_outside_its_buffer_is_refused() {
    let network = network();
    let layers = pack::Layers::pack(&network.layers, Precision::F32, None).unwrap();
    let geometry = Geometry::new(4, 2);
    let isa = Isa::best(Precision::F32).unwrap();
    let kernels = Kernels::get(isa, Precision::F32).unwrap();
    let full = Bytes::zeroed(geometry.input2);
    let mut out = Bytes::zeroed(geometry.input3);
    let narrow = kernels.gemm(
        &geometry.conv2,
        ROWS2,
        &full,
        &layers.conv2,
        Precision::Int8,
        out.as_mut_slice(),
    );
    assert_eq!(narrow, Err("output element"));
    let mut run = |input: &Bytes, rows, weights, short: usize| {
        let out = out.as_mut_slice();
        let end = out.len() - short;
        kernels.gemm(
            &geometry.conv2,
            rows,
            input,
            weights,
            Precision::F32,
            &mut out[..end],
        )
    };
    assert_eq!(run(&full, ROWS2, &layers.conv2, 0), Ok(()));
    assert_eq!(
        run(&Bytes::zeroed(geometry.input2 / 2), ROWS2, &layers.conv2, 0),
        Err("input")
    );
    let border = geometry.input3 / 14;
    assert_eq!(run(&full, ROWS2, &layers.conv2, 2 * border), Err("output"));
    assert_eq!(run(&full, ROWS2 + 16, &layers.conv2, 0), Err("table length"));
    assert_eq!(run(&full, ROWS2, &layers.conv3, 0), Err("table length"));
    assert_eq!(run(&full, 0, &layers.conv2, 0), Err("rows"));
    assert_eq!(run(&full, 17, &layers.conv2, 0), Err("rows"));
}

#[test]
fn calibration_finds_the_range_of_the_activations() {
    let network = network();
    let faces = drawn_faces(12);
    let one = calibrate(&network, "abc", &faces).unwrap();
    assert_eq!(
        (one.faces, one.weights_sha256.as_str(), one.cost),
        (12, "abc", None)
    );
    // Twice the first layer's weights and biases are twice its output, and only the scales notice.
    let mut double = network.clone();
    let first = &mut double.layers[0];
    for x in first.weight.iter_mut().chain(&mut first.bias) {
        *x *= 2.0;
    }
    let two = calibrate(&double, "abc", &faces).unwrap();
    let ratio = two.ranges().unwrap()[0] / one.ranges().unwrap()[0];
    assert!((ratio - 2.0).abs() < 0.05, "{ratio}");
    assert!(calibrate(&network, "abc", &[]).is_err());
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<QuantRanges>(&text).unwrap(), one);
}

#[test]
fn a_calibration_without_a_range_is_refused() {
    let mut calibration = calibrate(&network(), "abc", &drawn_faces(2)).unwrap();
    calibration.largest.insert("conv3".to_owned(), -1.0);
    assert!(calibration.ranges().unwrap_err().contains("conv3"));
    calibration.largest.remove("conv3");
    assert!(calibration.ranges().unwrap_err().contains("conv3"));
}
