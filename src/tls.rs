//! TLS on the main port: rustls with a certificate and key from files, which are read again on reload.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Why certificate and key cannot be used. The message is complete and holds nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{flag} {path}: cannot be read: {source}")]
    Read {
        /// Which flag names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{flag} {path}: {reason}")]
    Content {
        /// Which flag names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// They do not go together, or rustls does not take them.
    #[error("--tls-cert and --tls-key: {0}")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    /// What may be said over HTTP: as the message, without the folder.
    #[must_use]
    pub fn public(&self) -> String {
        match self {
            Self::Read { flag, .. } => format!("the file of {flag} cannot be read"),
            Self::Content { flag, reason, .. } => format!("the file of {flag} {reason}"),
            Self::Rustls(rustls::Error::InconsistentKeys(_)) => {
                "the key of --tls-key is not that of the certificate in --tls-cert".to_owned()
            }
            Self::Rustls(_) => {
                "certificate and key cannot be used; the server's log has the cause".to_owned()
            }
        }
    }
}

/// Certificate and key in force.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads both files (PEM; the certificate first, then those that lead to its root).
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used.
    pub fn new(cert: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let config = ArcSwap::from(read(&cert, &key)?);
        Ok(Self { cert, key, config })
    }

    /// Reads both files again. Connections that are open stay as they are.
    ///
    /// # Errors
    /// [`TlsError`]; what was in force then stays.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.config.store(read(&self.cert, &self.key)?);
        Ok(())
    }

    /// What takes the next connection.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let bytes = |flag, path: &Path| {
        fs::read(path).map_err(|source| TlsError::Read {
            flag,
            path: path.to_owned(),
            source,
        })
    };
    let content = |flag, path: &Path, reason| TlsError::Content {
        flag,
        path: path.to_owned(),
        reason,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes("--tls-cert", cert)?)
        .collect::<Result<_, _>>()
        .map_err(|_| content("--tls-cert", cert, "is not PEM"))?;
    if chain.is_empty() {
        return Err(content(
            "--tls-cert",
            cert,
            "holds no certificate (BEGIN CERTIFICATE)",
        ));
    }
    let private = PrivateKeyDer::from_pem_slice(&bytes("--tls-key", key)?).map_err(|_| {
        content(
            "--tls-key",
            key,
            "holds no private key (BEGIN PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY)",
        )
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
