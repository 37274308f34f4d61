use super::*;

fn manifest() -> Manifest {
    let class =
        |recall: f64| serde_json::json!({"precision": 0.5, "recall": recall, "f1": 0.5, "support": 10});
    let mut per_class = serde_json::Map::new();
    let mut confusion = vec![vec![0; 7]; 7];
    for e in Emotion::ALL {
        let right = if e == Emotion::Fear { 3 } else { 9 };
        per_class.insert(e.name().to_owned(), class(f64::from(right) / 10.0));
        confusion[e.index()][e.index()] = right;
        confusion[e.index()][(e.index() + 2) % 7] = 10 - right;
    }
    serde_json::from_value(serde_json::json!({
        "name": "mine", "version": "7", "labels": Emotion::ALL,
        "input": {"width": 48, "height": 48, "channels": 1, "scale": 1.0, "mean": 0.0, "std": 1.0},
        "files": {},
        "calibration": {"temperature": 1.25, "rows": 500, "log_loss": {"before": 1.1, "after": 1.0},
            "ece": {"before": 0.09, "after": 0.011}, "ece_two_halves": 0.013},
        "training": {"recipe": {"epochs": 40}, "seed": 3, "precision": "bf16", "rows": {"train": 900, "valid": 500, "sha256": "cd34"}, "repeated_faces": 40,
            "best": {"epoch": 38, "accuracy": 0.7}, "seconds": 7200, "epochs_trained": 40,
            "started_from": {"name": "other 2", "sha256": "ab12"}},
        "scores": {"accuracy": 0.7, "macro_f1": 0.65, "log_loss": 1.0, "ece": 0.011, "rows": 500, "repeated_faces": 40,
            "unseen": {"accuracy": 0.68, "macro_f1": 0.63, "log_loss": 1.1, "ece": 0.02, "rows": 460},
            "per_class": per_class, "confusion": confusion},
        "robustness": {"rows": 500, "plain": 0.7, "worst": 2.5,
            "cases": [{"change": "blur, sigma 1 px", "accuracy": 0.675, "loss": 2.5}]},
    }))
    .unwrap()
}

#[test]
fn the_card_says_all_that_the_manifest_knows() {
    let card = model_card(&manifest());
    for word in [
        "# mine 7",
        "seed 3, forward and backward pass in bf16",
        "epoch 38 of 40 was kept, with 0.7000",
        "120 minutes",
        "the weights of other 2 (SHA-256 `ab12`)",
        "accuracy 0.7000, macro-F1 0.6500",
        "500 rows to choose the epoch by (40 of them have the same face as a training row)",
        "40 of them have the same face as a training row; on the other 460: accuracy 0.6800",
        "| fear | 0.5000 | 0.3000 |",
        "temperature 1.2500",
        "0.0900 without it and 0.0110 with it",
        "the error is 0.0130",
        "| blur, sigma 1 px | 0.6750 | -2.5 |",
        "Least found: fear, 30 %",
        "70 % of the pictures of fear are called sad",
        "Art. 5(1)(f)",
    ] {
        assert!(card.contains(word), "{word}\n{card}");
    }
}

#[test]
fn rows_are_called_new_only_where_it_is_known() {
    let mut m = manifest();
    let mut set = |count| {
        m.training.known_mut().unwrap().repeated_faces = count;
        let report = m.scores.known_mut().unwrap();
        (report.repeated_faces, report.unseen) = (count, None);
        model_card(&m)
    };
    assert!(set(Some(0)).contains("None of them has the same face"));
    let card = set(None);
    assert!(
        card.contains("was not looked at") && !card.contains("of them ha"),
        "{card}"
    );
}

#[test]
fn weights_are_called_averaged_only_where_they_are() {
    let mut m = manifest();
    assert!(model_card(&m).contains("averaged over the run"));
    m.training.known_mut().unwrap().recipe["average_decay"] = 0.0.into();
    assert!(!model_card(&m).contains("averaged"));
}

/// Written again with `FER_WRITE_DOCS=1`.
#[test]
fn the_shipped_card_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../model");
    let text = std::fs::read(folder.join("model.json")).unwrap();
    let card = model_card(&Manifest::parse(&text).unwrap());
    let path = folder.join("README.md");
    if std::env::var_os("FER_WRITE_DOCS").is_some() {
        std::fs::write(&path, &card).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), card);
}

#[test]
fn what_is_not_known_is_not_made_up() {
    let mut m = manifest();
    m.temperature_fit = None;
    m.training = Section::default();
    m.scores = Section::default();
    m.robustness = Section::default();
    let card = model_card(&m);
    assert!(card.contains("Not measured") && card.contains("Not calibrated"));
    for word in ["Robustness", "minutes", "Least found", "started from"] {
        assert!(!card.contains(word), "{word}");
    }
}

#[test]
fn a_card_of_ones_own_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("README.md");
    write(&manifest(), dir.path()).unwrap();
    let mut changed = manifest();
    changed.version = "8".to_owned();
    write(&changed, dir.path()).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("# mine 8"));
    std::fs::write(&path, "# My own\n").unwrap();
    write(&changed, dir.path()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# My own\n");
}
