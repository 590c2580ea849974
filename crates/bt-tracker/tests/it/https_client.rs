//! The client over TLS: whom it trusts, and that nothing makes it trust anybody else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bt_tracker::client::{Client, Config, Error};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{PATIENCE, TestNet, announce, response_with};

/// Set for the child that [`ssl_cert_file_names_the_roots`] starts.
const CHILD_PORT: &str = "BT_TRACKER_TEST_PORT";

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/certificates")
        .join(name)
}

/// A server with this certificate that answers every request alike; its port.
async fn serve(name: &str) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(certificate(&format!("{name}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            // A client that does not trust us goes away in the middle.
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let location = format!("Location: http://127.0.0.1:{port}/announce\r\n");
            let reply = if head.starts_with(b"GET /announce/down") {
                response_with("302 Found", &location, b"")
            } else {
                response_with(
                    "200 OK",
                    "",
                    b"d8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e",
                )
            };
            stream.write_all(&reply).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    port
}

/// A client whose names all lead to the port, with the test root or the system's roots.
fn client(port: u16, trusting: bool) -> Client {
    let net = TestNet::resolving_to([([127, 0, 0, 1], port).into()]);
    let mut config = Config::default();
    if trusting {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(certificate("root.pem")).unwrap())
            .unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.tls = Some(Arc::new(tls));
    }
    Client::with_config(net, config)
}

async fn outcome(client: &Client, url: &str) -> Result<usize, String> {
    let reply = client.announce(url, &announce(), PATIENCE).await;
    reply
        .map(|reply| reply.peers.len())
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_or_address_is_accepted() {
    let port = serve("good").await;
    let client = client(port, true);
    for host in ["tracker.test", "localhost", "127.0.0.1"] {
        let url = format!("https://{host}:{port}/announce");
        assert_eq!(outcome(&client, &url).await, Ok(1), "{host}");
    }
    let elsewhere = outcome(&client, &format!("https://elsewhere.test:{port}/announce")).await;
    assert!(elsewhere.unwrap_err().starts_with(
        "TLS with elsewhere.test failed: invalid peer certificate: certificate not valid for name"
    ));
}

#[tokio::test]
async fn bad_certificates_are_refused() {
    for (name, trusting, what) in [
        (
            "expired",
            true,
            "invalid peer certificate: certificate expired",
        ),
        (
            "other",
            true,
            "invalid peer certificate: certificate not valid for name",
        ),
        ("selfsigned", true, "invalid peer certificate: "),
        ("selfsigned", false, ""),
        ("good", false, ""),
    ] {
        let port = serve(name).await;
        let error = client(port, trusting)
            .announce("https://tracker.test/announce", &announce(), PATIENCE)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{name}: {error}");
        let expected = format!("TLS with tracker.test failed: {what}");
        assert!(error.to_string().starts_with(&expected), "{name}: {error}");
    }
}

#[tokio::test]
async fn plain_http_on_the_port_is_a_tls_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.read_u8().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let error = outcome(&client(port, true), "https://tracker.test/announce").await;
    assert!(
        error
            .unwrap_err()
            .starts_with("TLS with tracker.test failed: ")
    );
}

#[tokio::test]
async fn a_redirect_never_loses_tls() {
    let port = serve("good").await;
    let error = outcome(&client(port, true), "https://tracker.test/announce/down").await;
    assert_eq!(
        error,
        Err("redirect refused: it leads from https to http".to_owned())
    );
}

/// Starts itself again with the variable, since a program reads its roots once.
#[tokio::test]
async fn ssl_cert_file_names_the_roots() {
    if let Ok(port) = std::env::var(CHILD_PORT) {
        let port = port.parse().unwrap();
        assert_eq!(
            outcome(&client(port, false), "https://tracker.test/announce").await,
            Ok(1)
        );
        return;
    }
    let port = serve("good").await;
    for (roots, works) in [("root.pem", true), ("selfsigned.pem", false)] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "https_client::ssl_cert_file_names_the_roots"])
            .env("SSL_CERT_FILE", certificate(roots))
            .env_remove("SSL_CERT_DIR")
            .env(CHILD_PORT, port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let status = tokio::task::spawn_blocking(move || child.status())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(status.success(), works, "{roots}");
    }
}
