//! TLS on the main port: rustls with a certificate and key from files, which are read again on reload.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use fer_engine::files::{self, ReadError};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::config::AccessArgs;

/// Longest file that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// Why certificate and key cannot be used. No message contains anything of the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{flag} {path}: {source}")]
    Read {
        flag: &'static str,
        path: PathBuf,
        source: ReadError,
    },
    #[error("{flag} {path}: {reason}")]
    Content {
        flag: &'static str,
        path: PathBuf,
        reason: &'static str,
    },
    /// Certificate and key do not match, or rustls does not accept them.
    #[error("--tls-cert and --tls-key: {0}")]
    Rustls(#[from] rustls::Error),
}

impl TlsError {
    /// The message for clients: without the folder.
    pub(crate) fn public(&self) -> String {
        match self {
            Self::Read {
                flag,
                source: ReadError::Io(_),
                ..
            } => format!("the file of {flag} cannot be read"),
            Self::Read { flag, source, .. } => format!("the file of {flag} {source}"),
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
pub(crate) struct Tls {
    cert: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads both files (PEM; in the first, the certificate and then the chain to its root), if they are configured.
    pub(crate) fn configured(args: &AccessArgs) -> Result<Option<Self>, TlsError> {
        let Some((cert, key)) = args.tls_cert.clone().zip(args.tls_key.clone()) else {
            return Ok(None);
        };
        let config = ArcSwap::from(read(&cert, &key)?);
        Ok(Some(Self { cert, key, config }))
    }

    /// Reads both files again, for new connections; on an error the old ones stay in force.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        self.config.store(read(&self.cert, &self.key)?);
        Ok(())
    }

    /// Accepts the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let bytes = |flag, path: &Path| {
        files::read(path, FILE_MAX).map_err(|source| TlsError::Read {
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
