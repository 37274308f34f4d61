use std::path::Path;

use super::*;
use crate::{
    FILE_SAFETENSORS, FoldedNetwork, QuantRanges,
    packed::{Cost, FILE_QUANT_RANGES, Isa, calibrate},
    testing::random_folder,
};

fn folder(path: &Path) -> ModelFolder {
    random_folder(path, 3)
}

fn write_calibration(folder: &ModelFolder, change: impl FnOnce(&mut QuantRanges)) {
    let network = FoldedNetwork::load(folder).unwrap();
    let weights = &folder.manifest().files[FILE_SAFETENSORS].sha256;
    let mut calibration = calibrate(&network, weights, &drawn_faces(8)).unwrap();
    change(&mut calibration);
    std::fs::write(
        folder.file(FILE_QUANT_RANGES),
        serde_json::to_vec(&calibration).unwrap(),
    )
    .unwrap();
}

fn cost_of(points: f64) -> Option<Cost> {
    let accuracy_int8 = 0.7 - points / 100.0;
    Some(Cost {
        faces: 1000,
        accuracy_f32: 0.7,
        accuracy_int8,
        agreement: 0.99,
    })
}

fn chosen(
    folder: &ModelFolder,
    engine: EngineRequest,
    precision: PrecisionRequest,
) -> Result<Chosen, EngineError> {
    select(folder, Device::Cpu, engine, precision, None)
}

#[test]
fn on_a_reload_what_serves_goes_on_serving_if_it_agrees() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let (auto, any) = (EngineRequest::Auto, PrecisionRequest::Auto);
    let again = |folder: &ModelFolder, precision, int8| {
        let info = EngineInfo {
            engine: "packed",
            precision,
            device: "cpu".to_owned(),
        };
        select(folder, Device::Cpu, auto, any, Some(&Incumbent { info, int8 })).unwrap()
    };
    let kept = |chosen: &Chosen| {
        assert_eq!((chosen.info().engine, chosen.info().precision), ("packed", "f32"));
        let [trial] = chosen.trials() else {
            panic!("no other is built: {:?}", chosen.trials())
        };
        assert_eq!(trial.images_per_second, [None; 2], "nothing is timed");
    };
    kept(&again(&folder, "f32", false));
    // There is no calibration for int8, so the candidates are timed as at the start.
    let chosen = again(&folder, "int8", true);
    assert_ne!(chosen.info().precision, "int8");
    assert!(chosen.trials().iter().all(|t| t.images_per_second[0].is_some()));

    // Once there is one, what served for the lack of it is no better than the others; what won beside it stays.
    write_calibration(&folder, |c| c.cost = cost_of(0.0));
    let chosen = again(&folder, "f32", false);
    assert!(
        chosen.trials().len() > 1 && chosen.serves().int8,
        "{:?}",
        chosen.trials()
    );
    kept(&again(&folder, "f32", true));
}

/// TorchScript serves where nothing else can, or for once: that must not outlive its reason.
#[test]
fn on_a_reload_torchscript_is_one_among_others() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let (auto, any) = (EngineRequest::Auto, PrecisionRequest::Auto);
    let incumbent = chosen(&folder, EngineRequest::TorchScript, any).unwrap();
    let again = select(&folder, Device::Cpu, auto, any, Some(incumbent.serves())).unwrap();
    assert!(tried(&again, "f32") && again.trials().iter().any(|t| t.engine == "packed"));
    assert_eq!(again.info().engine, "packed", "{:?}", again.trials());
}

fn tried(chosen: &Chosen, precision: &str) -> bool {
    chosen
        .trials()
        .iter()
        .any(|t| t.engine == "packed" && t.precision == precision)
}

#[test]
fn takes_one_that_agrees_and_says_what_it_tried() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let chosen = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Auto).unwrap();
    assert!(tried(&chosen, "f32") && chosen.trials().iter().any(|t| t.engine == "torchscript"));
    assert_eq!(tried(&chosen, "bf16"), Isa::best(Precision::Bf16).is_some());
    assert!(!tried(&chosen, "int8"), "there is no calibration");
    // The winner is the one with the least time, by the numbers it reports itself.
    let best = chosen
        .trials()
        .iter()
        .filter(|t| t.refused.is_none())
        .min_by(|a, b| cost(&a.images_per_second).total_cmp(&cost(&b.images_per_second)))
        .unwrap();
    assert_eq!(
        (best.engine, best.precision),
        (chosen.info().engine, chosen.info().precision)
    );
    // What it builds answers as TorchScript does.
    let faces = drawn_faces(40);
    let mut engine = chosen.engine().unwrap();
    assert_eq!(engine.info(), *chosen.info());
    let got = probabilities(&engine.classify(&faces).unwrap()).unwrap();
    let wanted = TorchScript::load(&folder, Device::Cpu)
        .unwrap()
        .classify(&faces)
        .unwrap();
    for (a, b) in got.iter().zip(probabilities(&wanted).unwrap()) {
        assert!(
            a.values()
                .iter()
                .zip(b.values())
                .all(|(x, y)| (x - y).abs() < tolerance(Precision::Bf16))
        );
    }
}

#[test]
fn who_has_lost_at_batch_1_is_timed_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = TorchScript::load(&folder(dir.path()), Device::Cpu).unwrap();
    let probes = drawn_faces(8);
    let speeds = time(&mut engine, &probes, 0.0).unwrap();
    assert!(speeds[0].is_some() && speeds[1].is_none(), "{speeds:?}");
    assert_eq!(cost(&speeds), f64::INFINITY);
    let speeds = time(&mut engine, &probes, f64::INFINITY).unwrap();
    assert!(
        speeds.iter().all(Option::is_some) && cost(&speeds) < f64::INFINITY,
        "{speeds:?}"
    );
}

#[test]
fn what_is_asked_for_by_name_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    let both = |e, p| {
        let c = chosen(&folder, e, p).unwrap();
        (c.info().engine, c.info().precision)
    };
    assert_eq!(
        both(EngineRequest::TorchScript, PrecisionRequest::Auto),
        ("torchscript", "f32")
    );
    assert_eq!(
        both(EngineRequest::Packed, PrecisionRequest::F32),
        ("packed", "f32")
    );
    assert_eq!(both(EngineRequest::Packed, PrecisionRequest::Auto).0, "packed");
    if Isa::best(Precision::Bf16).is_some() {
        assert_eq!(
            both(EngineRequest::Auto, PrecisionRequest::Bf16),
            ("packed", "bf16")
        );
    }
    let none = chosen(&folder, EngineRequest::TorchScript, PrecisionRequest::Bf16)
        .unwrap_err()
        .to_string();
    assert!(none.contains("--engine torchscript --precision bf16"), "{none}");
    let int8 = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Int8)
        .unwrap_err()
        .to_string();
    assert!(int8.contains(FILE_QUANT_RANGES), "{int8}");
}

#[test]
fn int8_joins_in_by_itself_only_at_a_known_and_small_cost() {
    if Isa::best(Precision::Int8).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    for (cost, joins) in [
        (None, false),
        (cost_of(0.29), true),
        (cost_of(0.31), false),
        (cost_of(-0.1), true),
    ] {
        write_calibration(&folder, |c| c.cost = cost);
        let auto = chosen(&folder, EngineRequest::Packed, PrecisionRequest::Auto).unwrap();
        assert_eq!(tried(&auto, "int8"), joins, "{cost:?}");
    }
    let named = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Int8).unwrap();
    assert_eq!(named.info().precision, "int8");
}

#[test]
fn an_engine_that_does_not_agree_is_refused() {
    if Isa::best(Precision::Int8).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    // Ranges so small that every activation is cut off.
    write_calibration(&folder, |c| {
        c.cost = cost_of(0.0);
        c.largest.values_mut().for_each(|x| *x *= 1e-3);
    });
    let named = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Int8)
        .unwrap_err()
        .to_string();
    assert!(
        named.contains("nothing here can serve") || named.contains("off"),
        "{named}"
    );
    let auto = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Auto).unwrap();
    let int8 = auto.trials().iter().find(|t| t.precision == "int8").unwrap();
    assert!(int8.refused.is_some() && auto.info().precision != "int8");
    // On a reload it is tried first, and no second time.
    let serving = Incumbent {
        info: EngineInfo {
            engine: "packed",
            precision: "int8",
            device: "cpu".to_owned(),
        },
        int8: true,
    };
    let (any, precision) = (EngineRequest::Auto, PrecisionRequest::Auto);
    let auto = select(&folder, Device::Cpu, any, precision, Some(&serving)).unwrap();
    let tried: Vec<_> = auto.trials().iter().map(|t| t.precision).collect();
    assert_eq!(tried[0], "int8");
    assert!(
        !tried[1..].contains(&"int8") && tried.contains(&"f32"),
        "{tried:?}"
    );
    assert!(auto.trials()[0].refused.is_some() && auto.info().precision != "int8");
}

#[test]
fn a_calibration_of_other_weights_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = folder(dir.path());
    write_calibration(&folder, |c| c.weights_sha256 = "0".repeat(64));
    let error = QuantRanges::load(&folder).unwrap_err().to_string();
    assert!(error.contains("other weights"), "{error}");
    std::fs::write(folder.file(FILE_QUANT_RANGES), "{").unwrap();
    assert!(
        QuantRanges::load(&folder)
            .unwrap_err()
            .to_string()
            .contains("not a calibration")
    );
}

#[test]
fn a_folder_without_weights_by_name_runs_on_torchscript() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let path = dir.path().join(crate::FILE_MANIFEST);
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["files"]
        .as_object_mut()
        .unwrap()
        .remove(FILE_SAFETENSORS);
    std::fs::write(&path, manifest.to_string()).unwrap();
    let folder = ModelFolder::open(dir.path()).unwrap();
    let auto = chosen(&folder, EngineRequest::Auto, PrecisionRequest::Auto).unwrap();
    assert_eq!(auto.info().engine, "torchscript");
    let named = chosen(&folder, EngineRequest::Packed, PrecisionRequest::Auto)
        .unwrap_err()
        .to_string();
    assert!(named.contains(FILE_SAFETENSORS), "{named}");
}

/// Writes a temperature into the folder.
fn tempered(folder: &ModelFolder, temperature: f64) -> ModelFolder {
    let path = folder.file(crate::FILE_MANIFEST);
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["calibration"] = serde_json::json!({"temperature": temperature});
    std::fs::write(&path, manifest.to_string()).unwrap();
    ModelFolder::open(path.parent().unwrap()).unwrap()
}

#[test]
fn every_engine_divides_by_the_temperature_once() {
    let dir = tempfile::tempdir().unwrap();
    let plain = folder(dir.path());
    let faces = drawn_faces(9);
    let wanted = TorchScript::load(&plain, Device::Cpu)
        .unwrap()
        .classify(&faces)
        .unwrap();
    let folder = tempered(&plain, 0.4);
    for engine in [EngineRequest::TorchScript, EngineRequest::Packed] {
        let chosen = chosen(&folder, engine, PrecisionRequest::F32).unwrap();
        let got = chosen.engine().unwrap().classify(&faces).unwrap();
        for (g, w) in got.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((g - w / 0.4).abs() < 1e-3, "{engine}: {g} for {w}");
        }
    }
}

#[test]
fn workers_may_share_what_was_chosen() {
    const fn shared<T: Send + Sync>() {}
    shared::<Chosen>();
}
