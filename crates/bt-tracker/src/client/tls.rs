//! TLS for `https`: rustls with ring, the system's roots, and no way to switch verification off.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::destination::Name;
use super::{Error, Inner};

pub(super) async fn connect(
    inner: &Inner,
    host: &Name,
    text: &str,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, Error> {
    let failed = |what: String| Error::Tls {
        host: text.to_owned(),
        what,
    };
    let config = match &inner.tls_config {
        Some(config) => Arc::clone(config),
        None => inner
            .system_tls
            .get_or_init(|| system_config().map(Arc::new))
            .clone()
            .map_err(&failed)?,
    };
    let name = match host {
        Name::Domain(domain) => ServerName::try_from(domain.clone())
            .map_err(|_| failed("its name cannot be in a certificate".to_owned()))?,
        Name::Ip(ip) => ServerName::IpAddress((*ip).into()),
    };
    let connecting = TlsConnector::from(config).connect(name, tcp);
    connecting.await.map_err(|error| failed(error.to_string()))
}

/// Trusts what the system trusts, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
fn system_config() -> Result<ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        return Err(format!(
            "no trusted root certificates were found on this system{why}"
        ));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
