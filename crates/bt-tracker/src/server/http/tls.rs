//! The same in private (feature `https`): TLS 1.2 and 1.3 around connections.
//!
//! Knows certificates and handshakes, not what is said inside.

use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::{Config, Error, contain, read_bounded};
use super::Http;
use super::connection::Connection;
use super::crowd::Seat;
use super::session::{Flow, Session};
use crate::limits::{FILE_EVICTION_PAUSE, MAX_CERTIFICATE_FILE, REQUEST_TIMEOUT};

/// What the server shows: a certificate with its key. Replaced as a whole.
#[derive(Debug)]
pub(in super::super) struct Identity {
    cert: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<ServerConfig>>,
}

impl Identity {
    /// `None` when there is no HTTPS.
    pub(in super::super) fn new(config: &Config) -> Result<Option<Self>, Error> {
        match (config.tls_cert.clone(), config.tls_key.clone()) {
            (Some(cert), Some(key)) => Ok(Some(Self {
                current: RwLock::new(Arc::new(read(&cert, &key)?)),
                cert,
                key,
            })),
            (None, None) if config.https.is_empty() => Ok(None),
            _ => Err(Error::setting(
                "https",
                "HTTPS needs an address, a certificate and its key",
            )),
        }
    }

    /// Reads the files again. Connections that are open stay as they are.
    pub(in super::super) fn reload(&self) -> Result<(), Error> {
        let fresh = Arc::new(read(&self.cert, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn current(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }
}

fn read(cert: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let bad = |path: &Path, problem: String| Error::Tls {
        path: path.into(),
        problem,
    };
    let bytes = |path: &Path| {
        let read = read_bounded(path, MAX_CERTIFICATE_FILE);
        read.map_err(|error| bad(path, error.to_string()))
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(cert)?).collect();
    let chain = chain.map_err(|error| bad(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert, "there is no certificate in it".into()));
    }
    let secret =
        PrivateKeyDer::from_pem_slice(&bytes(key)?).map_err(|error| bad(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| bad(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves a socket until the token is cancelled; every connection is a task of `tasks`.
pub(super) fn serve(
    listener: TcpListener,
    http: &Arc<Http>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| Error::System {
        what: "a listener",
        source,
    })?;
    let (http, tasks, stop) = (Arc::clone(http), tasks.clone(), stop.clone());
    tasks.clone().spawn(async move {
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((stream, address)) => {
                    if let Some(seat) = http.seat(address.ip(), &stop) {
                        let greeted =
                            Box::pin(greet(stream, address.ip(), Arc::clone(&http), seat));
                        tasks.spawn(contain::catch_in(Arc::clone(&http.tracker), greeted));
                    }
                }
                Err(error) => {
                    http.cannot_accept(&error);
                    tokio::time::sleep(FILE_EVICTION_PAUSE).await;
                }
            }
        }
    });
    Ok(())
}

async fn greet(stream: TcpStream, source: IpAddr, http: Arc<Http>, seat: Seat) {
    let _ = stream.set_nodelay(true);
    let Some(identity) = &http.tracker.identity else {
        return;
    };
    let acceptor = TlsAcceptor::from(identity.current());
    let secured = timeout(REQUEST_TIMEOUT, acceptor.accept(stream));
    let Some(secured) = seat.leave().run_until_cancelled(secured).await else {
        return;
    };
    let stats = &http.tracker.stats;
    match secured {
        Ok(Ok(stream)) => {
            let connection = Connection::new(stream, Session::new(source), Flow::Read, &http, seat);
            connection.run().await;
        }
        Ok(Err(error)) => {
            stats.handshakes_failed.add(1);
            tracing::debug!(%error, %source, "a handshake failed");
        }
        Err(_) => stats.connections_timed_out.add(1),
    }
}
