//! https: HTTP/1.1 and HTTP/2, slow handshakes, new certificates.

use std::{net::SocketAddr, path::Path, sync::Arc};

use fer_serve::server::Control;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::{
    process::{output, stderr},
    support::{Answer, Raw, Server, model, pictures, raw},
};

/// A folder with a model, a certificate for `localhost` and its key.
struct Site {
    folder: TempDir,
    trusted: Vec<CertificateDer<'static>>,
}

impl Site {
    fn new() -> Self {
        let mut site = Self {
            folder: model::tiny(),
            trusted: Vec::new(),
        };
        site.renew();
        site
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a new certificate and key, which the client trusts beside the old ones.
    fn renew(&mut self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        self.trusted.push(made.cert.der().clone());
        made.cert.der().clone()
    }

    async fn unready(&self, more: &[&str]) -> Server {
        let (cert, key) = (self.path("cert.pem"), self.path("key.pem"));
        let flags = [&["--tls-cert", &cert, "--tls-key", &key], more].concat();
        Server::start_unready(self.folder.path(), &flags).await
    }

    /// A server that is ready, as seen over TLS.
    async fn start(&self, more: &[&str]) -> Server {
        let server = self.unready(more).await;
        while self.get(server.address, "/readyz").await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        server
    }

    async fn connect(&self, address: SocketAddr, protocol: &str) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for certificate in &self.trusted {
            roots.add(certificate.clone()).unwrap();
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        stream
    }

    async fn get(&self, address: SocketAddr, path: &str) -> Answer {
        let mut raw = Raw::over(self.connect(address, "http/1.1").await);
        raw.send(raw::head(&Method::GET, path, &[])).await;
        raw.answer(&Method::GET, path).await
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self, address: SocketAddr) -> CertificateDer<'static> {
        let stream = self.connect(address, "http/1.1").await;
        stream.get_ref().1.peer_certificates().unwrap()[0]
            .clone()
            .into_owned()
    }
}

#[tokio::test]
async fn https_is_spoken_in_http1_and_http2() {
    let site = Site::new();
    let server = site.start(&[]).await;
    let png = pictures::face_png(0.3);
    let mut raw = Raw::over(site.connect(server.address, "http/1.1").await);
    let mut first = None;
    for _ in 0..2 {
        let length = png.len().to_string();
        raw.send(raw::head(
            &Method::POST,
            "/predict",
            &[("content-length", &length)],
        ))
        .await;
        raw.send(&png).await;
        first = Some(raw.answer(&Method::POST, "/predict").await.ok());
    }

    let stream = TokioIo::new(site.connect(server.address, "h2").await);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::post("https://localhost/predict")
        .body(Full::<bytes::Bytes>::from(png))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    let answer = Answer::checked(&Method::POST, "/predict", parts.status, parts.headers, body);
    assert_eq!(Some(answer.ok()), first);
}

#[tokio::test]
async fn plain_http_and_silence_get_nothing_and_are_let_go() {
    let site = Site::new();
    let server = site.unready(&["--header-timeout", "50ms"]).await;
    let mut silent = Raw::connect(server.address).await;
    assert!(silent.closed().await, "the handshake has a deadline");
    let mut plain = Raw::connect(server.address).await;
    plain.send(raw::head(&Method::GET, "/livez", &[])).await;
    plain.ended().await;
    let mut late = Raw::over(site.connect(server.address, "http/1.1").await);
    assert!(late.closed().await, "so has the head behind it");
}

#[tokio::test]
async fn a_reload_takes_a_new_certificate_over_and_refuses_a_bad_one() {
    const KEY: &str = "some-key-0123456789";
    let mut site = Site::new();
    std::fs::write(site.path("keys"), KEY).unwrap();
    let keys = site.path("keys");
    let server = site.start(&["--api-keys", &keys]).await;
    let old = site.trusted[0].clone();
    assert_eq!(site.shown(server.address).await, old);
    let mut open = Raw::over(site.connect(server.address, "http/1.1").await);

    let reload = async |site: &Site| {
        let mut raw = Raw::over(site.connect(server.address, "http/1.1").await);
        let bearer = format!("Bearer {KEY}");
        raw.send(raw::head(
            &Method::POST,
            "/admin/reload",
            &[("authorization", &bearer)],
        ))
        .await;
        raw.answer(&Method::POST, "/admin/reload").await
    };
    let new = site.renew();
    reload(&site).await.ok();
    assert_eq!(site.shown(server.address).await, new);
    // Who is connected stays so.
    open.send(raw::head(&Method::GET, "/livez", &[])).await;
    assert_eq!(open.answer(&Method::GET, "/livez").await.status, 200);

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, content, words) in [
        (
            "key.pem",
            other.signing_key.serialize_pem(),
            "not that of the certificate",
        ),
        ("cert.pem", String::new(), "no certificate"),
        ("key.pem", "-----BEGIN NOTHING-----".to_owned(), "no private key"),
    ] {
        let before = std::fs::read(site.path(name)).unwrap();
        std::fs::write(site.path(name), content).unwrap();
        let body = reload(&site).await.problem(422, "reload_refused");
        let detail = body["detail"].as_str().unwrap();
        assert!(
            detail.contains(words) && detail.contains("the old one stays"),
            "{detail}"
        );
        assert_eq!(site.shown(server.address).await, new);
        std::fs::write(site.path(name), before).unwrap();
    }
    reload(&site).await.ok();
}

#[tokio::test]
async fn a_start_with_a_bad_certificate_fails_and_says_why() {
    let site = Site::new();
    std::fs::write(site.path("empty.pem"), "").unwrap();
    model::replace_by_fifo(Path::new(&site.path("fifo.pem")));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(site.path("other.pem"), other.signing_key.serialize_pem()).unwrap();
    let refusal = async |cert: &str, key: &str| {
        let (cert, key) = (site.path(cert), site.path(key));
        let flags = ["--tls-cert", &cert, "--tls-key", &key];
        let server = Server::start_unready(Path::new(&site.path("")), &flags).await;
        server.ended().await.unwrap_err()
    };
    for (cert, key, words) in [
        (
            "fifo.pem",
            "key.pem",
            &["--tls-cert", "fifo.pem", "is not a regular file"][..],
        ),
        (
            "none.pem",
            "key.pem",
            &["--tls-cert", "none.pem", "cannot be read"][..],
        ),
        (
            "empty.pem",
            "key.pem",
            &["--tls-cert", "empty.pem", "BEGIN CERTIFICATE"],
        ),
        (
            "cert.pem",
            "empty.pem",
            &["--tls-key", "empty.pem", "BEGIN PRIVATE KEY"],
        ),
        ("cert.pem", "other.pem", &["--tls-cert", "--tls-key"]),
    ] {
        let message = refusal(cert, key).await;
        for word in words {
            assert!(message.contains(word), "{word} is not in {message}");
        }
    }
}

#[tokio::test]
async fn healthcheck_asks_over_tls() {
    let site = Site::new();
    let server = site.start(&[]).await;
    let url = format!("https://127.0.0.1:{}", server.address.port());
    for args in [
        &["healthcheck", &url][..],
        &["healthcheck", &format!("{url}/livez")],
    ] {
        let done = output(args, &[]).await;
        assert_eq!((done.status.code(), stderr(&done)), (Some(0), ""), "{args:?}");
    }
    let listen = format!("0.0.0.0:{}", server.address.port());
    let cert = site.path("cert.pem");
    let env = [("FER_LISTEN", &*listen), ("FER_TLS_CERT", &cert)];
    let own = output(&["healthcheck"], &env).await;
    assert_eq!((own.status.code(), stderr(&own)), (Some(0), ""));
    let plain = output(&["healthcheck", &url.replace("https", "http")], &[]).await;
    assert_eq!(plain.status.code(), Some(1));
    server.control(Control::Stop).await;
    assert_eq!(server.ended().await, Ok(()));
}
