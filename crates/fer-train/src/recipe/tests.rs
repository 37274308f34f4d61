use super::*;

#[test]
fn the_rate_rises_then_falls() {
    let r = Recipe::default();
    assert!((r.rate_at(0, 1000) - 0.04 * r.learning_rate).abs() < 1e-12);
    assert!((r.rate_at(200, 1000) - r.learning_rate).abs() < 1e-12);
    assert!(r.rate_at(1000, 1000) < 0.002 * r.learning_rate);
    let rates: Vec<_> = (200..=1000).map(|s| r.rate_at(s, 1000)).collect();
    assert!(rates.windows(2).all(|w| w[1] <= w[0]));
}

#[test]
fn the_share_of_its_own_predictions_grows() {
    let r = Recipe {
        epochs: 11,
        self_distillation: 0.5,
        ..Recipe::default()
    };
    let shares = [1, 2, 6, 11].map(|e| r.own_share(e));
    assert_eq!(shares, [0.0, 0.05, 0.25, 0.5]);
    assert!(
        Recipe {
            epochs: 1,
            ..r.clone()
        }
        .own_share(1)
        .abs()
            < 1e-12
    );
}

#[test]
fn each_stage_has_its_own_seed_and_numbers() {
    let mut r = Recipe {
        seed: 5,
        ..Recipe::default()
    };
    r.distillation.teachers = 0;
    assert_eq!(r.last_stage(), r);
    r.distillation.teachers = 2;
    let teachers = [0, 1].map(|i| r.of_teacher(i));
    let last = r.last_stage();
    assert_eq!([teachers[0].seed, teachers[1].seed, last.seed], [5, 6, 7]);
    assert!(
        teachers
            .iter()
            .all(|t| t.distillation.teachers == 0 && t.epochs == r.epochs)
    );
    assert_eq!(
        (last.epochs, last.dropout),
        (r.distillation.epochs, r.distillation.dropout)
    );
    assert!((last.learning_rate - r.learning_rate * r.distillation.rate_share).abs() < 1e-12);
}

#[test]
fn rare_labels_weigh_more_and_the_mean_row_one() {
    let counts = [100, 10, 100, 200, 100, 100, 90];
    let mut recipe = Recipe {
        balance: 0.5,
        ..Recipe::default()
    };
    let weights = recipe.label_weights(&counts);
    assert!((weights[1] / weights[0] - 10f64.sqrt()).abs() < 1e-9);
    let mean: f64 = weights.iter().zip(counts).map(|(w, n)| w * n as f64).sum::<f64>() / 700.0;
    assert!((mean - 1.0).abs() < 1e-9);
    recipe.balance = 0.0;
    assert!(
        recipe
            .label_weights(&counts)
            .iter()
            .all(|w| (w - 1.0).abs() < 1e-12)
    );
}

#[test]
fn a_file_round_trips_and_wrong_values_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    std::fs::write(&path, serde_json::to_vec(&Recipe::default()).unwrap()).unwrap();
    assert_eq!(Recipe::from_file(&path).unwrap(), Recipe::default());
    let manifest = serde_json::json!({"name": "m", "training": {"recipe": {"epochs": 3}}});
    std::fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(
        Recipe::from_file(&path).unwrap(),
        Recipe {
            epochs: 3,
            ..Recipe::default()
        }
    );
    for (text, word) in [
        (r#"{"epochs":0}"#, "epochs"),
        (r#"{"distillation":{"teachers":11}}"#, "distillation.teachers"),
        (
            r#"{"distillation":{"by_labels":1}}"#,
            "distillation.by_labels is 1, but this option was removed",
        ),
        (
            r#"{"distillation":{"mirror":true}}"#,
            "distillation.mirror is true",
        ),
        (r#"{"sharpness":0.1}"#, "sharpness is 0.1"),
        (r#"{"distillation":{"epochs":0}}"#, "distillation.epochs"),
        (
            r#"{"distillation":{"low_resolution":0.4}}"#,
            "distillation.low_resolution is 0.4",
        ),
        (r#"{"distillation":{"mixup":2}}"#, "distillation.mixup"),
        (r#"{"distillation":{"techers":2}}"#, "techers"),
        (r#"{"dropout":[0,0,0,0,0,1.5]}"#, "dropout"),
        (r#"{"learning_rte":1}"#, "learning_rte"),
        ("{", "recipe"),
        ("[]", "JSON object"),
        (r#"{"augmentation":[]}"#, "augmentation"),
        (r#"{"training":{"recipe":null}}"#, "JSON object"),
        (r#"{"input":{"mea":0}}"#, "mea"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = Recipe::from_file(&path).unwrap_err().to_string();
        assert!(message.contains(word) && message.contains("r.json"), "{message}");
    }
}

#[test]
fn an_input_may_be_given_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    std::fs::write(&path, r#"{"input": {"mean": 0.5}}"#).unwrap();
    let input = Recipe::from_file(&path).unwrap().input;
    let default = Recipe::default().input;
    assert_eq!(input, InputSpec { mean: 0.5, ..default });
}

#[test]
fn the_recipes_of_earlier_runs_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes");
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let recipe = Recipe::from_file(&file).unwrap();
        // What is newer than these runs must be switched off in them.
        assert_eq!(recipe.distillation.teachers, 0, "{file:?}");
        let a = recipe.augmentation;
        assert!(
            [recipe.self_distillation, a.low_resolution, a.jpeg]
                .iter()
                .all(|x| *x == 0.0),
            "{file:?}"
        );
    }
}

#[test]
fn an_earlier_versions_recipe_is_read_where_the_removed_options_are_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.json");
    let mut value = serde_json::to_value(Recipe::default()).unwrap();
    for off in [serde_json::json!(0.0), serde_json::json!(0)] {
        value["sharpness"] = off.clone();
        value["distillation"]["by_labels"] = off;
        value["distillation"]["mirror"] = false.into();
        value["distillation"]["low_resolution"] = serde_json::Value::Null;
        std::fs::write(&path, value.to_string()).unwrap();
        assert_eq!(Recipe::from_file(&path).unwrap(), Recipe::default());
    }
    // The shipped model names none of them.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model/model.json");
    assert_eq!(Recipe::from_file(&shipped).unwrap(), Recipe::default());
}
