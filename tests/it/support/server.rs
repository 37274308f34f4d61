//! The real server on a loopback port, started through the library.

use std::{net::SocketAddr, path::Path, time::Duration};

use fer_serve::{
    config::{Command, Config},
    server::{self, Control},
};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{Answer, Raw, raw};

/// How often a state that must come is asked for, and how many times at most: 30 s in all.
const POLL: Duration = Duration::from_millis(10);
const POLLS: usize = 3000;

/// A server and its client. Dropping it drops its task and with it the server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    client: Client,
    control: mpsc::Sender<Control>,
    task: JoinHandle<Result<(), String>>,
}

impl Server {
    /// Starts a server with that model folder and further flags, and waits until it is ready.
    pub(crate) async fn start(model: &Path, flags: &[&str]) -> Self {
        let server = Self::start_unready(model, flags).await;
        server.until("/readyz", |a| a.status == 200).await;
        server
    }

    /// Starts a server and does not wait until it is ready.
    pub(crate) async fn start_unready(model: &Path, flags: &[&str]) -> Self {
        let (begin, begun) = oneshot::channel();
        let _ = begin.send(());
        Self::start_loading_after(model, flags, begun).await
    }

    /// Starts a server that loads its model once `begun` has come.
    pub(crate) async fn start_loading_after(
        model: &Path,
        flags: &[&str],
        begun: oneshot::Receiver<()>,
    ) -> Self {
        let model = model.to_str().unwrap();
        // Few threads: many servers run side by side here.
        let args = [
            "fer-serve",
            "--model",
            model,
            "--device",
            "cpu",
            "--workers",
            "1",
            "--decode-threads",
            "1",
        ];
        let command = Config::parse_from(args.iter().chain(flags)).unwrap();
        let Command::Run(config) = command else {
            panic!("{command:?}")
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (control, asked) = mpsc::channel(8);
        let load_after = async move { drop(begun.await) };
        let run = server::run(listener, *config, asked, load_after);
        let task = tokio::spawn(async move { run.await.map_err(|e| e.to_string()) });
        let client = Client::builder().no_proxy().build().unwrap();
        Self {
            address,
            client,
            control,
            task,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    /// Sends a request and reads the answer, which must be one that `openapi.yaml` documents.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let (method, path, answer) = self.exchange(request).await;
        Answer::checked(&method, &path, answer.status, answer.headers, answer.body)
    }

    /// As [`Server::send`], without the check: for headers that only some configurations add.
    pub(crate) async fn send_raw(&self, request: RequestBuilder) -> Answer {
        self.exchange(request).await.2
    }

    async fn exchange(&self, request: RequestBuilder) -> (Method, String, Answer) {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self
            .client
            .execute(request)
            .await
            .unwrap_or_else(|e| panic!("{method} {path}: {e:?}"));
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let answer = Answer {
            status,
            headers,
            body,
        };
        (method, path, answer)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST /predict` with a body of that type.
    pub(crate) async fn predict(&self, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self
            .request(Method::POST, "/predict")
            .header("content-type", content_type)
            .body(body);
        self.send(request).await
    }

    pub(crate) async fn predict_json(&self, body: &Value) -> Answer {
        self.predict("application/json", body.to_string()).await
    }

    pub(crate) async fn predict_form(&self, form: reqwest::multipart::Form) -> Answer {
        self.send(self.request(Method::POST, "/predict").multipart(form))
            .await
    }

    /// Begins a `POST /predict` with a body of `length` bytes. When this returns, the server has let the
    /// request in and waits for the body, of which nothing has been sent yet.
    pub(crate) async fn predict_begun(&self, length: usize) -> Raw {
        let mut raw = Raw::connect(self.address).await;
        let headers = [
            ("content-length", &*length.to_string()),
            ("expect", "100-continue"),
        ];
        raw.send(raw::head(&Method::POST, "/predict", &headers)).await;
        raw.continued().await;
        raw
    }

    /// Asks again and again until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..POLLS {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(
                !self.task.is_finished(),
                "the server ended while {path} was asked for"
            );
            tokio::time::sleep(POLL).await;
        }
        panic!("{path} never answered as wanted");
    }

    /// Asks the server to stop (as SIGTERM would) or to load its model folder again (as SIGHUP would).
    pub(crate) async fn control(&self, what: Control) {
        self.control.send(what).await.unwrap();
    }

    /// Reads one metric: name and labels exactly as they stand in the text.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        let answer = self.get("/metrics").await;
        metric(answer.text(), series)
    }

    /// What `run` returned, once it has.
    pub(crate) async fn ended(self) -> Result<(), String> {
        self.task.await.unwrap()
    }
}

/// One metric out of `/metrics`: name and labels exactly as they stand there.
#[track_caller]
pub(crate) fn metric(text: &str, series: &str) -> f64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value
        .unwrap_or_else(|| panic!("{series} is not in\n{text}"))
        .parse()
        .unwrap()
}
