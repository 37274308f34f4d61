//! `fer-serve healthcheck`: probes whether a server is ready, without an async runtime and with little memory.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use axum::http::{Uri, uri::PathAndQuery};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::exit_code;
use crate::config::HealthcheckArgs;

/// Time limit of the whole probe.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// What to probe.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    tls: bool,
    /// With port.
    host: String,
    path: String,
}

impl Target {
    fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.host, self.path)
    }
}

/// `fer-serve healthcheck [URL]`: exit code 0 if the server is ready, 1 if not, within 2 s.
pub(super) fn healthcheck(args: &HealthcheckArgs) -> ExitCode {
    let target = match &args.url {
        Some(url) => parse_url(url),
        None => Ok(Target {
            tls: args.tls_cert.is_some(),
            host: local(args.listen).to_string(),
            path: "/readyz".to_owned(),
        }),
    };
    exit_code(target.and_then(|target| within(HEALTH_TIMEOUT, target)))
}

/// The address at which a server that listens on `address` can be reached from its own machine.
fn local(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// `http[s]://host[:port][/path]`; the path is `/readyz` if there is none.
fn parse_url(url: &str) -> Result<Target, String> {
    let invalid =
        || format!("'{url}' is not an address of the form http://host:port/path or https://host:port/path");
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    let (tls, port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(invalid()),
    };
    let host = match uri.authority().ok_or_else(invalid)? {
        host if host.port_u16().is_some() => host.to_string(),
        host => format!("{host}:{port}"),
    };
    let path = match uri.path_and_query().map_or("/", PathAndQuery::as_str) {
        "/" => "/readyz",
        path => path,
    };
    Ok(Target {
        tls,
        host,
        path: path.to_owned(),
    })
}

/// Probes on a thread of its own and waits for it for at most `time`: the timeouts of a socket restart with every byte,
/// and a name lookup has none.
fn within(time: Duration, target: Target) -> Result<(), String> {
    let url = target.url();
    let (sender, result) = mpsc::channel();
    let thread = thread::Builder::new().spawn(move || sender.send(probe(&target)));
    let answer = match thread {
        Ok(_) => result.recv_timeout(time).unwrap_or_else(|e| match e {
            mpsc::RecvTimeoutError::Timeout => Err(format!("no answer within {} s", time.as_secs_f64())),
            mpsc::RecvTimeoutError::Disconnected => Err("the health check failed".to_owned()),
        }),
        Err(error) => Err(format!("cannot start a thread: {error}")),
    };
    answer.map_err(|e| format!("{url}: {e}"))
}

fn probe(target: &Target) -> Result<(), String> {
    let text = |e: io::Error| e.to_string();
    let stream = TcpStream::connect(&target.host).map_err(text)?;
    let status = if target.tls {
        let client = client(&target.host).map_err(|e| e.to_string())?;
        status_line(StreamOwned::new(client, stream), target)
    } else {
        status_line(stream, target)
    };
    check_status(&status.map_err(text)?)
}

fn status_line(mut stream: impl Read + Write, target: &Target) -> io::Result<String> {
    let Target { host, path, .. } = target;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: fer-serve-healthcheck\r\nConnection: close\r\n\r\n"
    )?;
    stream.flush()?;
    let mut status = String::new();
    // A status line is short; anything longer is not from this server.
    BufReader::new(stream.take(256)).read_line(&mut status)?;
    Ok(status)
}

/// A TLS client that accepts any certificate, as the kubelet's probes do: it sends no secret, and trusts the answer no more
/// than that of any process on the port.
fn client(host: &str) -> Result<ClientConnection, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name)
        .map_err(|_| rustls::Error::General("the host's name cannot be used".to_owned()))?;
    ClientConnection::new(Arc::new(config), name)
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (url, tls, host, path) in [
            ("http://127.0.0.1:8080", false, "127.0.0.1:8080", "/readyz"),
            ("http://127.0.0.1:8080/", false, "127.0.0.1:8080", "/readyz"),
            ("http://fer/livez", false, "fer:80", "/livez"),
            ("http://[::1]:9/x", false, "[::1]:9", "/x"),
            ("http://[::1]", false, "[::1]:80", "/readyz"),
            ("https://fer", true, "fer:443", "/readyz"),
            ("https://[::1]:8443/livez", true, "[::1]:8443", "/livez"),
        ] {
            let target = Target {
                tls,
                host: host.to_owned(),
                path: path.to_owned(),
            };
            assert_eq!(parse_url(url), Ok(target), "{url}");
        }
        for url in [
            "",
            "127.0.0.1:8080",
            "ftp://x",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a/\r\nX: y",
        ] {
            assert!(parse_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn any_host_can_be_asked_over_tls() {
        for host in ["fer:443", "127.0.0.1:8443", "[::1]:8443"] {
            assert!(client(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_slow_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = parse_url(&url).unwrap();
        // A byte a second: waiting for all of it takes minutes.
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            while stream.write_all(b"H").is_ok() {
                thread::sleep(Duration::from_secs(1));
            }
        });
        let refused = within(Duration::from_millis(200), target);
        assert_eq!(refused, Err(format!("{url}/readyz: no answer within 0.2 s")));
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
