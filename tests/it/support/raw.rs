//! HTTP/1.1 by hand, for what a well-behaved client would not send.

use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::Answer;

/// One connection.
pub(crate) struct Raw<S = TcpStream> {
    stream: S,
    /// Bytes read beyond the last answer.
    rest: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// Sends bytes as they are. That the server may have closed its side is no failure: its answer counts.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Reads one answer to a request with that method and path, as checked as any other.
    pub(crate) async fn answer(&mut self, method: &Method, path: &str) -> Answer {
        let Answer {
            status,
            headers,
            body,
        } = self.read_answer(method).await;
        Answer::checked(method, path, status, headers, body)
    }

    /// Reads one answer, which `openapi.yaml` need not have for the path; its status and its body.
    pub(crate) async fn unchecked(&mut self) -> (u16, String) {
        let answer = self.read_answer(&Method::GET).await;
        (answer.status.as_u16(), answer.text().to_owned())
    }

    async fn read_answer(&mut self, method: &Method) -> Answer {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            assert!(
                self.read().await,
                "the connection ended before an answer: {:?}",
                self.rest
            );
        };
        let head = String::from_utf8(self.rest[..end].to_vec()).unwrap();
        self.rest.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let status = StatusCode::from_bytes(status.as_bytes()).unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value.trim()).unwrap(),
            );
        }
        let length = headers
            .get("content-length")
            .map_or(0, |v| v.to_str().unwrap().parse().unwrap());
        let length = if method == Method::HEAD { 0 } else { length };
        while self.rest.len() < length {
            assert!(
                self.read().await,
                "the connection ended within the body of {status}"
            );
        }
        Answer {
            status,
            headers,
            body: self.rest.drain(..length).collect(),
        }
    }

    /// Waits for `100 Continue`: the server has let the request in and begins to read its body.
    pub(crate) async fn continued(&mut self) {
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        while self.rest.len() < CONTINUE.len() && self.read().await {}
        assert!(
            self.rest.starts_with(CONTINUE),
            "{}",
            String::from_utf8_lossy(&self.rest)
        );
        self.rest.drain(..CONTINUE.len());
    }

    /// Reads to the end of the connection and gives the head of what came.
    pub(crate) async fn head_only(mut self) -> String {
        while self.read().await {}
        let end = self.rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        String::from_utf8(self.rest[..end].to_vec()).unwrap()
    }

    /// Waits for the end of the connection, whatever comes before it.
    pub(crate) async fn ended(&mut self) {
        while self.read().await {}
    }

    /// Whether the server has closed the connection, without a further byte.
    pub(crate) async fn closed(&mut self) -> bool {
        self.rest.is_empty() && !self.read().await
    }

    /// Reads some bytes; false at the end.
    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).await.unwrap_or(0);
        self.rest.extend(&buffer[..count]);
        count > 0
    }
}

/// A request's head with these header lines.
pub(crate) fn head(method: &Method, path: &str, headers: &[(&str, &str)]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "\r\n"
}
