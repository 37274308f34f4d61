use std::fs;

use super::{super::*, pixels};
use fer_engine::emotion::{CLASSES, Probabilities};
use fer_image::PIXELS;

/// Names the label that the first pixel says.
fn by_first_pixel(faces: &[Face]) -> Result<Vec<Probabilities>, TrainError> {
    let answer = |face: &Face| {
        let mut logits = [0.0; CLASSES];
        logits[usize::from(face.0[0]) % CLASSES] = 5.0;
        Probabilities::from_logits(&logits).unwrap()
    };
    Ok(faces.iter().map(answer).collect())
}

#[test]
fn predictions_stand_in_the_order_of_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("test.csv"), dir.path().join("predictions.csv"));
    let rest = " 0".repeat(PIXELS - 1);
    for (header, before) in [
        ("pixels", ""),
        ("emotion,pixels", ","),
        ("emotion,pixels", "unknown,"),
    ] {
        for count in [0, 1, 3, 4, 11] {
            let rows: String = (0..count)
                .map(|i| format!("{before}\"{}{rest}\"\n", i * 3 % 7))
                .collect();
            fs::write(&data, format!("{header}\n{rows}")).unwrap();
            let mut batches = Vec::new();
            let written = write_predictions(&data, &out, 4, |faces| {
                batches.push(faces.len());
                by_first_pixel(faces)
            });
            assert_eq!(written.unwrap(), count as u64);
            let wanted: String = (0..count).map(|i| format!("{}\n", i * 3 % 7)).collect();
            assert_eq!(fs::read_to_string(&out).unwrap(), format!("emotion\n{wanted}"));
            assert_eq!(
                batches,
                [vec![4; count / 4], vec![count % 4; usize::from(count % 4 > 0)]].concat()
            );
        }
    }
}

#[test]
fn a_failed_prediction_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("test.csv"), dir.path().join("predictions.csv"));
    fs::write(&data, format!("pixels\n{}\n{}\n1 2\n", pixels(1), pixels(2))).unwrap();
    let run = |out: &Path, classify: fn(&[Face]) -> Result<Vec<Probabilities>, TrainError>| {
        write_predictions(&data, out, 1, classify)
            .unwrap_err()
            .to_string()
    };
    let bad_row = format!("{}: line 4: 2 values; 2304 (48×48) are expected", data.display());
    assert_eq!(run(&out, by_first_pixel), bad_row);
    assert!(!out.exists());
    fs::write(&out, "old").unwrap();
    assert_eq!(run(&out, by_first_pixel), bad_row);
    assert!(run(&out, |_| Ok(Vec::new())).ends_with("0 answers came for 1 row"));
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    assert!(run(&data, by_first_pixel).contains("is the file that is read"));
    assert!(run(dir.path(), by_first_pixel).starts_with("cannot write"));
    let nowhere = dir.path().join("no/out.csv");
    assert!(run(&nowhere, by_first_pixel).starts_with(&format!("cannot write {}", nowhere.display())));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing half-written is left"
    );
}

#[cfg(unix)]
#[test]
fn predictions_follow_links_and_go_to_devices() {
    let dir = tempfile::tempdir().unwrap();
    let (data, link, real) = (
        dir.path().join("t.csv"),
        dir.path().join("link"),
        dir.path().join("real"),
    );
    fs::write(&data, format!("pixels\n{}\n", pixels(0))).unwrap();
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert_eq!(write_predictions(&data, &link, 8, by_first_pixel).unwrap(), 1);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "emotion\n0\n");
    let null = Path::new("/dev/null");
    assert_eq!(write_predictions(&data, null, 8, by_first_pixel).unwrap(), 1);
    assert!(!fs::metadata(null).unwrap().is_file(), "the device is still one");
}
