//! `fer-serve` as a process: flags, signals, exit codes, and the commands that do not serve.

mod commands;
mod flags;
mod log;
mod ports;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use reqwest::{Client, Method};
use serde_json::Value;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::support::{Answer, Raw, model, pictures, raw};

/// The program, with nothing of the tests' environment: rpath alone must find libtorch.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fer-serve"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// Runs it to its end, on a thread of its own: a server in this process may have to answer it meanwhile.
pub(crate) async fn output(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = program();
    command.args(args).envs(env.iter().copied());
    spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// A serving process whose log is read as JSON. Killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    log: mpsc::UnboundedReceiver<String>,
    /// What was read of the log so far.
    lines: Vec<String>,
    pub(crate) address: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it on a free port and waits until its log says that it is ready.
    pub(crate) async fn start(model: &Path, flags: &[&str]) -> Self {
        Self::started(program(), model, flags).await
    }

    /// The same under what a shell does first, such as `ulimit -n 64`.
    pub(crate) async fn start_under(first: &str, model: &Path, flags: &[&str]) -> Self {
        let program = program();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{first}; exec \"$0\" \"$@\"")])
            .arg(program.get_program())
            .env_clear()
            .stdin(Stdio::null());
        Self::started(shell, model, flags).await
    }

    async fn started(mut program: Command, model: &Path, flags: &[&str]) -> Self {
        let mut child = program
            .args([
                "run",
                "--listen",
                "127.0.0.1:0",
                "--log-format",
                "json",
                "--workers",
                "1",
                "--model",
            ])
            .arg(model)
            .args(flags)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (line, log) = mpsc::unbounded_channel();
        // Reads on whatever the test does, so that the process never waits for room to write.
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|l| line.send(l)));
        let mut process = Self {
            child,
            log,
            lines: Vec::new(),
            address: ([127, 0, 0, 1], 0).into(),
        };
        let listening = process.logged("listening").await;
        process.address = listening["address"].as_str().unwrap().parse().unwrap();
        process.logged("ready").await;
        process
    }

    /// Reads the log until the line of the request with that id.
    pub(crate) async fn logged_request(&mut self, id: &str) -> Value {
        loop {
            let event = self.logged("request").await;
            if event["request_id"] == id {
                return event;
            }
        }
    }

    /// Reads the log until a line with that message.
    pub(crate) async fn logged(&mut self, message: &str) -> Value {
        loop {
            let line = self.log.recv().await;
            let line = line.unwrap_or_else(|| panic!("the log ended before {message:?}"));
            self.lines.push(line.clone());
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(
                event["timestamp"].is_string() && event["level"].is_string(),
                "{event}"
            );
            if event["message"] == message {
                return event;
            }
        }
    }

    /// The line with that message among those read already.
    fn seen(&self, message: &str) -> Value {
        let mut events = self
            .lines
            .iter()
            .map(|l| serde_json::from_str::<Value>(l).unwrap());
        events
            .find(|e| e["message"] == message)
            .unwrap_or_else(|| panic!("no {message:?} in {:#?}", self.lines))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let client = Client::builder().no_proxy().build().unwrap();
        let response = client
            .get(format!("http://{}{path}", self.address))
            .send()
            .await
            .unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer::checked(
            &Method::GET,
            path,
            status,
            headers,
            response.bytes().await.unwrap().to_vec(),
        )
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -s $0 $1", name, &pid])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        // The log ends when the process does.
        while self.log.recv().await.is_some() {}
        self.child.wait().unwrap().code()
    }
}

#[tokio::test]
async fn sigterm_ends_it_cleanly_while_a_request_in_flight_is_finished() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &["--drain-delay", "1h"]).await;
    let png = pictures::face_png(0.0);
    let mut begun = Raw::connect(process.address).await;
    let headers = [
        ("content-length", &*png.len().to_string()),
        ("expect", "100-continue"),
        ("x-request-id", "last"),
    ];
    begun.send(raw::head(&Method::POST, "/predict", &headers)).await;
    begun.continued().await;

    process.signal("TERM");
    process.logged("draining; a second signal skips the delay").await;
    process.get("/readyz").await.problem(503, "draining");
    process.signal("TERM");
    while tokio::net::TcpStream::connect(process.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    begun.send(&png).await;
    begun.answer(&Method::POST, "/predict").await.ok();
    let event = process.logged_request("last").await;
    assert_eq!(
        (&event["status"], &event["route"]),
        (&200.into(), &"/predict".into())
    );
    assert_eq!(process.exit_code().await, Some(0));
}

/// The load is left where it is, inside libtorch: the process ends around it.
#[tokio::test]
async fn an_end_in_the_middle_of_a_reload_is_clean() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("model");
    let process = Process::start(&shipped, &["--drain-delay", "0s"]).await;
    process.signal("HUP");
    tokio::time::sleep(Duration::from_millis(50)).await;
    process.signal("TERM");
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn sigint_ends_it_and_sighup_reloads() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &["--drain-delay", "0s"]).await;
    model::write_manifest(model.path(), |m| m["version"] = "8".into());
    process.signal("HUP");
    while process.get("/model").await.ok()["version"] != "8" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process.signal("INT");
    process.logged("ended").await;
    assert_eq!(process.exit_code().await, Some(0));
}

#[tokio::test]
async fn the_log_has_what_the_client_may_not_see() {
    let model = model::tiny();
    let mut process = Process::start(model.path(), &["--drain-delay", "0s"]).await;
    let mut gray = [9; 48 * 48];
    gray[..2].copy_from_slice(&[255, 0]);
    let png = pictures::gray_png(&gray);
    let mut raw = Raw::connect(process.address).await;
    let headers = [
        ("content-length", &*png.len().to_string()),
        ("x-request-id", "find-me"),
    ];
    raw.send(raw::head(&Method::POST, "/predict", &headers)).await;
    raw.send(&png).await;
    raw.answer(&Method::POST, "/predict")
        .await
        .problem(500, "internal");
    let event = process.logged_request("find-me").await;
    assert_eq!(event["level"], "ERROR");
    let error = event["error"].as_str().unwrap();
    assert!(
        error.contains("index"),
        "libtorch's own words are wanted: {error}"
    );
}
