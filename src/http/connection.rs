//! A connection's first bytes under a deadline.
//!
//! hyper-util reads up to 24 bytes to tell HTTP/2 from HTTP/1 before any of hyper's own timeouts runs, so a
//! client that connects and says nothing would hold its connection for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Length of HTTP/2's preface: after that many bytes hyper's timeouts are in charge.
const PREFACE: usize = 24;

/// A stream that fails unless its first 24 bytes come in time. A whole HTTP/1 request may be shorter; its
/// connection then has the rest of the time to send another.
#[derive(Debug)]
pub struct FirstBytes<S> {
    stream: S,
    read: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    /// Gives the stream that much time, from now.
    pub fn new(stream: S, time: Duration) -> Self {
        Self {
            stream,
            read: 0,
            deadline: Some(Box::pin(tokio::time::sleep(time))),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(deadline) = &mut self.deadline {
            if poll.is_pending() && deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.read += buf.filled().len() - before;
            if self.read >= PREFACE {
                self.deadline = None;
            }
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_a_timeout() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = FirstBytes::new(server, Duration::from_secs(5));
        client.write_all(b"PRI * HTTP/2").await.unwrap();
        let error = server.read_exact(&mut [0; 24]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_preface_there_is_no_deadline() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut server = FirstBytes::new(server, Duration::from_secs(5));
        client.write_all(&[1; 24]).await.unwrap();
        server.read_exact(&mut [0; 24]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        client.write_all(&[2]).await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), 2);
    }
}
