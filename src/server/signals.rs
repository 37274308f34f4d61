//! Signals, as what they ask of the server.

use std::io;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

/// What the operator asks of a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Drain and end; a second time, skip the delay.
    Stop,
    /// Load the model folder, the API keys and the certificate again.
    Reload,
}

/// SIGTERM and SIGINT as [`Control::Stop`], SIGHUP as [`Control::Reload`].
pub(super) fn signals() -> io::Result<mpsc::Receiver<Control>> {
    let (sender, control) = mpsc::channel(8);
    for (kind, what) in [
        (SignalKind::terminate(), Control::Stop),
        (SignalKind::interrupt(), Control::Stop),
        (SignalKind::hangup(), Control::Reload),
    ] {
        let mut signals = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A full channel contains the same request already, or a Stop that comes first.
                let _ = sender.try_send(what);
            }
        });
    }
    Ok(control)
}

/// Waits for a [`Control::Stop`]; for ever if all senders are gone, so that a drain keeps its delay. Sets `reload` if a
/// reload was requested in the meantime.
pub(super) async fn stop(control: &mut mpsc::Receiver<Control>, reload: &mut bool) {
    loop {
        match control.recv().await {
            Some(Control::Stop) => return,
            Some(Control::Reload) => *reload = true,
            None => std::future::pending().await,
        }
    }
}
