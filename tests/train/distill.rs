//! Teachers, and the student that is distilled from them.

use std::{fs, process::Command};

use super::{
    fit::{LAST, spawn, wait_for_checkpoint},
    support::{fer_train, small_fit, stderr, succeed},
};

#[test]
fn teachers_are_runs_of_their_own_and_each_stage_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = |teachers: u32| {
        let path = dir.path().join(format!("{teachers}.json"));
        fs::write(
            &path,
            format!(r#"{{"distillation": {{"teachers": {teachers}}}}}"#),
        )
        .unwrap();
        path
    };
    let run = |out: &str, teachers: u32| {
        let mut command = small_fit(dir.path(), out);
        command.args(["--epochs", "1", "--recipe"]).arg(recipe(teachers));
        command
    };
    let path = |name: &str| dir.path().join(name);
    let last = |name: &str| fs::read(path(name).join(LAST)).unwrap();
    succeed(&mut run("whole", 2));
    for (out, stage) in [("second", "second/teacher-2"), ("student", "student")] {
        let mut child = spawn(&mut run(out, 2));
        wait_for_checkpoint(&mut child, &path(stage));
        child.kill().unwrap();
        child.wait().unwrap();
        let resumed = succeed(run(out, 2).arg("--resume"));
        assert!(
            stderr(&resumed).contains("finished before"),
            "{}",
            stderr(&resumed)
        );
        assert!(last(out) == last("whole"), "{out}");
    }

    // Killed between model.json and the card, a teacher is not finished: its folder is written again, whole.
    let folder = path("student/teacher-2/model");
    let before = fs::read(folder.join("model.int8.json")).unwrap();
    for file in ["model.int8.json", "README.md"] {
        fs::remove_file(folder.join(file)).unwrap();
    }
    let resumed = succeed(run("student", 2).arg("--resume"));
    assert_eq!(stderr(&resumed).matches("finished before").count(), 1);
    assert!(fs::read(folder.join("model.int8.json")).unwrap() == before);
    assert!(folder.join("README.md").is_file());

    // A teacher is the run whose recipe its model.json has, the first the run without teachers; the student is none of them.
    succeed(&mut run("alone", 0));
    assert!(last("alone") == last("whole/teacher-1"));
    for which in ["1", "2"] {
        let recipe = path(&format!("whole/teacher-{which}/model/model.json"));
        let out = format!("alone-{which}");
        let mut command = small_fit(dir.path(), &out);
        succeed(command.args(["--epochs", "1", "--recipe"]).arg(recipe));
        assert!(last(&out) == last(&format!("whole/teacher-{which}")));
    }
    let manifest = fs::read(path("whole/teacher-2/model/model.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["training"]["recipe"]["seed"], 2);
    assert!(last("whole/teacher-1") != last("whole/teacher-2"));
    assert!(last("whole") != last("whole/teacher-1"));
    let manifest = fs::read(path("whole/model/model.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let training = &manifest["training"];
    assert_eq!(training["teachers"].as_array().unwrap().len(), 2);
    assert_eq!(training["started_from"], training["teachers"][0]);
    assert_eq!(training["epochs_trained"], 3);
    // Also where the network is exported again.
    let exported = path("exported");
    succeed(
        fer_train()
            .arg("export")
            .arg("--checkpoint")
            .arg(path("whole/best.safetensors"))
            .arg("--out")
            .arg(&exported),
    );
    let again: serde_json::Value =
        serde_json::from_slice(&fs::read(exported.join("model.json")).unwrap()).unwrap();
    assert_eq!(
        (
            &again["training"]["epochs_trained"],
            &again["training"]["seconds"]
        ),
        (&training["epochs_trained"], &training["seconds"])
    );

    // The same teachers serve a student with other settings.
    for which in ["teacher-1", "teacher-2"] {
        fs::create_dir_all(path("other").join(which)).unwrap();
        fs::rename(path("whole").join(which), path("other").join(which)).unwrap();
    }
    let other = r#"{"distillation": {"teachers": 2, "mixup": 0.0}}"#;
    fs::write(path("other.json"), other).unwrap();
    let mut student = small_fit(dir.path(), "other");
    student
        .args(["--epochs", "1", "--resume", "--recipe"])
        .arg(path("other.json"));
    assert_eq!(
        stderr(&succeed(&mut student)).matches("finished before").count(),
        2
    );
    assert!(last("other") != last("whole"));
    for which in ["teacher-1", "teacher-2"] {
        fs::rename(path("other").join(which), path("whole").join(which)).unwrap();
    }

    let refused = |command: &mut Command, word: &str| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    };
    refused(
        run("whole", 2).args(["--resume", "--seed", "7"]),
        "another recipe",
    );
    refused(&mut run("whole", 2), "--resume");
    // Also where only the last stage's folder holds a run, and before any teacher is trained.
    fs::create_dir_all(path("taken")).unwrap();
    fs::copy(path("alone").join(LAST), path("taken").join(LAST)).unwrap();
    refused(&mut run("taken", 2), "holds a run already");
    assert!(!path("taken/teacher-1").exists());
    let init = path("whole/model/model.safetensors");
    refused(
        run("init", 2).arg("--init").arg(init),
        "--init starts one network",
    );
}
