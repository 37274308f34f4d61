//! The processes that decode: equal answers, their limits, their confinement, their end.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use fer_image::{
    Limits,
    faces::Options,
    helper::{Bounds, Decoder, Ended, Failure, Grant, Helpers, Outcome, Task, Work},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    process::Process,
    support::{Server, model, pictures},
};

const FIND: Work = Work::Find {
    options: Options {
        max_faces: 64,
        min_face: None,
        score: 3.0,
    },
    or_whole: true,
};

fn bounds() -> Bounds {
    Bounds {
        limits: Limits::default(),
        grant: Grant {
            memory: 1 << 30,
            ..Grant::ALL
        },
        processor: Duration::from_secs(600),
        deadline: Instant::now() + Duration::from_secs(600),
    }
}

fn confined() -> Decoder {
    Decoder::start(Helpers::Confined, 2 << 30, 0).unwrap()
}

/// A process whose address space is not larger than a small image needs, whatever is granted.
fn narrow() -> Decoder {
    Decoder::start(Helpers::Confined, 0, 0).unwrap()
}

fn run(decoder: &mut Decoder, work: &Work, file: &[u8], bounds: &Bounds) -> Result<Outcome, Failure> {
    let task = Task { work, file, bounds };
    let mut done = decoder.run(&[task]);
    assert_eq!(done.len(), 1);
    done.remove(0).result
}

/// What can be compared of an outcome.
fn seen(result: Result<Outcome, Failure>) -> String {
    match result {
        Ok(Outcome::Face { face, needs, .. }) => format!("{:?} {needs:?}", face.0),
        Ok(Outcome::Found { found, needs, .. }) => {
            let faces = found.faces.iter().map(|f| (f.rect, f.score, f.face.0));
            format!("{:?} {needs:?}", faces.collect::<Vec<_>>())
        }
        Ok(Outcome::Heavy(needs)) => format!("{needs:?}"),
        Err(Failure::Image(error)) => format!("{error} ({:?})", error.detail()),
        Err(failure) => panic!("{failure}"),
    }
}

/// A file that decodes to many pixels from few bytes.
fn large_png(side: usize) -> Vec<u8> {
    let pixels = vec![90; side * side];
    pictures::encode(pictures::Format::Png, pictures::Layout::Gray, side, side, &pixels)
}

/// The children that the calling thread has started and that still run.
fn children() -> Vec<i32> {
    let list = fs::read_to_string("/proc/thread-self/children").unwrap();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn a_process_answers_what_this_process_answers() {
    let (mut apart, mut here) = (confined(), Decoder::start(Helpers::InProcess, 0, 0).unwrap());
    let photo = crate::faces::few();
    let small = Grant {
        pixels: 1000,
        ..bounds().grant
    };
    for (work, file, grant) in [
        (Work::Face, &*pictures::face_png(0.3), bounds().grant),
        (Work::Face, photo, bounds().grant),
        (FIND, photo, bounds().grant),
        (Work::Face, photo, small),
        (FIND, &photo[..photo.len() / 2], bounds().grant),
        (Work::Face, b"", bounds().grant),
        (Work::Face, b"%PDF-1.4", bounds().grant),
        (Work::Face, &pictures::claimed_png(60_000, 60_000), bounds().grant),
    ] {
        let bounds = Bounds { grant, ..bounds() };
        let [apart, here] = [&mut apart, &mut here].map(|d| seen(run(d, &work, file, &bounds)));
        assert_eq!(apart, here, "{work:?}");
    }
}

#[test]
fn tasks_that_come_together_are_answered_each() {
    let bounds = bounds();
    let files: Vec<Vec<u8>> = (0..8u8)
        .map(|n| match n {
            3 => large_png(6000),
            5 => b"P5 2 2 255 ".to_vec(),
            _ => [&b"P5 1 1 255 "[..], &[n]].concat(),
        })
        .collect();
    let tasks: Vec<_> = files
        .iter()
        .map(|file| Task {
            work: &Work::Face,
            file,
            bounds: &bounds,
        })
        .collect();
    let answers: Vec<_> = narrow()
        .run(&tasks)
        .into_iter()
        .map(|done| match done.result {
            Ok(Outcome::Face { face, .. }) => format!("{}", face.0[0]),
            Err(Failure::Ended(ended)) => ended.label().to_owned(),
            Err(Failure::Image(_)) => "image".to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answers, ["0", "1", "2", "memory", "4", "image", "6", "7"]);
}

#[test]
fn an_image_that_passes_a_limit_ends_its_process_and_the_next_finds_another() {
    let photo = large_png(6000);
    let face = pictures::face_png(0.1);
    let past = Bounds {
        deadline: Instant::now(),
        ..bounds()
    };
    let short = Bounds {
        processor: Duration::from_millis(1),
        ..bounds()
    };
    for (mut decoder, bounds, ended) in [
        (confined(), short, Ended::Time),
        (confined(), past, Ended::Deadline),
        (narrow(), bounds(), Ended::Memory),
    ] {
        let before = children();
        match run(&mut decoder, &Work::Face, &photo, &bounds) {
            Err(Failure::Ended(reason)) => assert_eq!(reason, ended),
            other => panic!("{ended:?} is wanted: {other:?}"),
        }
        assert_ne!(children(), before, "{ended:?}");
        let next = run(&mut decoder, &Work::Face, &face, &self::bounds());
        assert!(matches!(next, Ok(Outcome::Face { .. })), "{next:?}");
    }
}

#[test]
fn a_process_that_somebody_ends_is_replaced_and_its_image_decoded() {
    let mut decoder = confined();
    let face = pictures::face_png(0.1);
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let [child] = children()[..] else {
            panic!("one process was started")
        };
        kill(child, signal);
        // Its socket may still be open.
        while children().contains(&child)
            && fs::read_to_string(format!("/proc/{child}/stat"))
                .unwrap()
                .contains(") R ")
        {
            std::thread::yield_now();
        }
        let answer = run(&mut decoder, &Work::Face, &face, &bounds());
        assert!(
            matches!(answer, Ok(Outcome::Face { .. })),
            "{signal:?}: {answer:?}"
        );
    }
    drop(decoder);
    assert!(children().is_empty(), "a decoder leaves no process behind");
}

#[test]
fn a_process_has_given_up_what_it_does_not_need() {
    let _decoder = confined();
    let [child] = children()[..] else {
        panic!("one process was started")
    };
    let read =
        |file: &str| fs::read_to_string(Path::new("/proc").join(child.to_string()).join(file)).unwrap();
    let status = read("status");
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "Threads:\t1"] {
        assert!(status.contains(line), "{line} is not in {status}");
    }
    let limits = read("limits");
    for name in [
        "Max core file size",
        "Max file size",
        "Max open files",
        "Max processes",
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let values: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, ["0", "0"], "{line}");
    }
    assert!(read("environ").is_empty() || !read("environ").contains("PATH="));
}

#[tokio::test]
async fn a_server_loses_no_request_when_its_decoders_are_killed() {
    let model = model::tiny();
    let process = Process::start(model.path(), &[]).await;
    let url = format!("http://{}/predict", process.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for n in 0..20 {
        let threads = fs::read_dir(format!("/proc/{}/task", process.child.id())).unwrap();
        let mut killed = 0;
        for thread in threads.flatten() {
            let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in list.split_whitespace() {
                kill(child.parse().unwrap(), Signal::KILL);
                killed += 1;
            }
        }
        assert!(killed > 0, "decoders are processes of the server");
        let answer = client
            .post(&url)
            .body(pictures::face_png(0.1))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "round {n}");
    }
}

#[tokio::test]
async fn decoders_in_this_process_answer_too() {
    let model = model::tiny();
    let mut answers = Vec::new();
    for place in ["confined", "in-process"] {
        let server = Server::start(model.path(), &["--decoders", place]).await;
        let answer = server.predict("image/png", pictures::face_png(0.3)).await;
        answers.push(answer.ok());
    }
    assert_eq!(answers[0], answers[1]);
}
