//! What the internet and a bad day send, against the real program: others are answered meanwhile.

mod bombs;
mod clients;
mod code;
mod faults;
mod http2;
mod memory;
mod requests;
mod soak;

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Client;
use tokio::task::JoinHandle;

use crate::{process::Process, support::pictures};

/// Good requests, one after the other on new connections, while something bad goes on.
struct Others {
    enough: Arc<AtomicBool>,
    task: JoinHandle<usize>,
}

impl Others {
    fn start(address: SocketAddr) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let task = tokio::spawn(async move {
            let mut answered = 0;
            loop {
                // A connection of its own each time: who is let in counts, too.
                let client = Client::builder().no_proxy().build().unwrap();
                let request = client.post(format!("http://{address}/predict"));
                let answer = request.body(pictures::face_png(0.5)).send().await;
                let answer = answer.unwrap_or_else(|e| panic!("after {answered} answers: {e:?}"));
                assert_eq!(answer.status(), 200, "after {answered} answers");
                answered += 1;
                if told.load(Ordering::Relaxed) {
                    return answered;
                }
            }
        });
        Self { enough, task }
    }

    /// Ends it; every request so far, and one more at least, has been answered.
    async fn all_answered(self) {
        self.enough.store(true, Ordering::Relaxed);
        assert!(self.task.await.unwrap() > 0);
    }
}

/// File descriptors that the process has open.
fn descriptors(process: &Process) -> usize {
    let folder = format!("/proc/{}/fd", process.child.id());
    fs::read_dir(folder).unwrap().count()
}

/// A line of `/proc/PID/status`, in bytes.
fn status(process: &Process, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}
