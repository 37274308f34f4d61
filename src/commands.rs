//! The commands that do not serve: `predict`, `bench` and `healthcheck`.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    batcher::panic_text,
    config::{BenchArgs, HealthcheckArgs, PredictArgs},
    emotion::Probabilities,
    engine::{Classifier, ModelFolder},
    http::{
        problem::Problem,
        types::{Entry, ModelRef, Prediction, Scores},
    },
    image::{self, Face, Limits},
    model,
};

/// Pictures that go through the network together.
const BATCH: usize = 32;
/// How long a health check may take in all.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// `fer-serve predict FILE…`: one line of JSON for each file, in order: what `/predict` would answer, or
/// `{"error": problem}`, which also goes to standard error with the file's name.
///
/// Exit code 0 if every file has an answer, else 1.
#[must_use]
pub fn predict(args: &PredictArgs) -> ExitCode {
    let mut out = io::stdout().lock();
    match predict_files(args, &mut out).and_then(|all| out.flush().map(|()| all).map_err(|e| e.to_string())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn predict_files(args: &PredictArgs, out: &mut impl Write) -> Result<bool, String> {
    let (manifest, mut engine) = model::single(&args.model).map_err(|e| e.to_string())?;
    let limits = Limits {
        max_pixels: args.max_pixels,
        ..Limits::default()
    };
    let mut all = true;
    for files in args.files.chunks(BATCH) {
        let read: Vec<_> = files.iter().map(|file| read_face(file, &limits)).collect();
        let faces: Vec<_> = read.iter().filter_map(|r| r.as_ref().ok()).cloned().collect();
        let mut answers = classify(&mut *engine, &faces)?.into_iter();
        for (file, face) in files.iter().zip(read) {
            let answer = face.and_then(|_| {
                answers
                    .next()
                    .ok_or_else(|| (Problem::internal("an answer is missing"), String::new()))
            });
            match answer {
                Ok(probabilities) => {
                    let scores = Scores::from(probabilities);
                    line(
                        out,
                        &Prediction {
                            scores,
                            crop: None,
                            model: ModelRef::from(&manifest),
                        },
                    )?;
                }
                Err((problem, why)) => {
                    all = false;
                    complain(&format!("{}: {why}", file.display()));
                    line(
                        out,
                        &Entry::Error {
                            error: problem.body(None),
                        },
                    )?;
                }
            }
        }
    }
    Ok(all)
}

/// The face, or the problem a server would answer and the reason a person at the terminal may see.
fn read_face(file: &Path, limits: &Limits) -> Result<Face, (Problem, String)> {
    let bytes = fs::read(file).map_err(|e| {
        (
            Problem::bad_request("the file cannot be read"),
            format!("cannot be read: {e}"),
        )
    })?;
    image::decode(&bytes, limits).map_err(|e| {
        let why = e
            .detail()
            .map_or_else(|| e.to_string(), |inside| format!("{e} ({inside})"));
        (Problem::from(&e), why)
    })
}

fn classify(engine: &mut dyn Classifier, faces: &[Face]) -> Result<Vec<Probabilities>, String> {
    let logits = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.classify(faces)))
        .map_err(|panic| panic_text(&*panic))?
        .map_err(|e| e.to_string())?;
    logits
        .iter()
        .map(Probabilities::from_logits)
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())
}

fn line(out: &mut impl Write, value: &impl Serialize) -> Result<(), String> {
    let text = serde_json::to_string(value).map_err(|e| e.to_string())?;
    writeln!(out, "{text}").map_err(|e| format!("cannot write the answer: {e}"))
}

fn complain(text: &str) {
    // If standard error is closed there is nobody to tell; the exit code still does.
    let _ = writeln!(io::stderr(), "fer-serve: {text}");
}

/// `fer-serve bench`: images per second of every engine that this machine and the folder allow.
#[must_use]
pub fn bench(args: &BenchArgs) -> ExitCode {
    let options = crate::bench::Options {
        batches: args.batches.iter().map(|n| n.get()).collect(),
        workers: args.workers.iter().map(|n| n.get()).collect(),
        repeats: args.repeats.get(),
        duration: Duration::from_millis(args.duration_ms.get() as u64),
    };
    let report = ModelFolder::open(&args.model).and_then(|folder| crate::bench::run(&folder, &options));
    let text = match report {
        Ok(report) if args.json => serde_json::to_string(&report).map_err(|e| e.to_string()),
        Ok(report) => Ok(report.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let printed = text.and_then(|text| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text.trim_end()).map_err(|e| e.to_string())
    });
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// `fer-serve healthcheck [URL]`: exit code 0 if the server is ready, 1 if not, within 2 s.
#[must_use]
pub fn healthcheck(args: &HealthcheckArgs) -> ExitCode {
    let target = match &args.url {
        Some(url) => parse_url(url),
        None => Ok((local(args.listen).to_string(), "/readyz".to_owned())),
    };
    match target.and_then(|(host, path)| ask(&host, &path).map_err(|e| format!("http://{host}{path}: {e}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Where a server that listens on `address` can be reached from its own machine.
fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// `http://host[:port][/path]` → host with port, and path (`/readyz` if there is none).
fn parse_url(url: &str) -> Result<(String, String), String> {
    let wanted = || format!("'{url}' is not an address of the form http://host:port/path");
    let rest = url.strip_prefix("http://").ok_or_else(wanted)?;
    let (host, path) = rest.find('/').map_or((rest, ""), |i| rest.split_at(i));
    if host.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(wanted());
    }
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, p)| !p.contains(']') && p.parse::<u16>().is_ok());
    let host = if has_port {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let path = if matches!(path, "" | "/") { "/readyz" } else { path };
    Ok((host, path.to_owned()))
}

fn ask(host: &str, path: &str) -> Result<(), String> {
    let deadline = Instant::now() + HEALTH_TIMEOUT;
    let left = || {
        deadline
            .checked_duration_since(Instant::now())
            .filter(|d| !d.is_zero())
            .ok_or_else(|| "no answer within 2 s".to_owned())
    };
    let text = |e: io::Error| match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer within 2 s".to_owned(),
        _ => e.to_string(),
    };
    let mut error = "the host has no address".to_owned();
    let mut stream = None;
    for address in host.to_socket_addrs().map_err(text)? {
        match TcpStream::connect_timeout(&address, left()?) {
            Ok(s) => {
                stream = Some(s);
                break;
            }
            Err(e) => error = text(e),
        }
    }
    let mut stream = stream.ok_or(error)?;
    stream.set_write_timeout(Some(left()?)).map_err(text)?;
    stream.set_read_timeout(Some(left()?)).map_err(text)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fer-serve-healthcheck\r\nConnection: close\r\n\r\n")
        .map_err(text)?;
    let mut status = String::new();
    // A status line is short; who sends more is not this server.
    io::Read::take(BufReader::new(stream), 256)
        .read_line(&mut status)
        .map_err(text)?;
    check_status(&status)
}

fn check_status(line: &str) -> Result<(), String> {
    let code = line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .unwrap_or_default()
        .trim();
    match code {
        "200" => Ok(()),
        "" => Err("the answer is not HTTP".to_owned()),
        code => Err(format!("not ready: status {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, host, path) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/readyz"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080", "/readyz"),
            ("http://fer/livez", "fer:80", "/livez"),
            ("http://[::1]:9/x", "[::1]:9", "/x"),
            ("http://[::1]", "[::1]:80", "/readyz"),
        ] {
            assert_eq!(parse_url(url), Ok((host.to_owned(), path.to_owned())), "{url}");
        }
        for url in [
            "",
            "127.0.0.1:8080",
            "https://x",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a/\r\nX: y",
        ] {
            assert!(parse_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_200_is_ready() {
        assert_eq!(check_status("HTTP/1.1 200 OK\r\n"), Ok(()));
        for line in [
            "HTTP/1.1 503 Service Unavailable\r\n",
            "HTTP/1.1 2000 x",
            "HTTP/1.1",
            "SSH-2.0-x 200",
            "",
        ] {
            assert!(check_status(line).is_err(), "{line}");
        }
    }

    #[test]
    fn an_unspecified_address_is_asked_on_loopback() {
        let ask = |s: &str| local(s.parse().unwrap()).to_string();
        assert_eq!(ask("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(ask("[::]:8080"), "[::1]:8080");
        assert_eq!(ask("10.1.2.3:80"), "10.1.2.3:80");
    }
}
