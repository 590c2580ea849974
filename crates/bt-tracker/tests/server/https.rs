//! The same over TLS, asked by the client of this package.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bt_tracker::AnnounceRequest;
use bt_tracker::client::{Client, Direct};
use bt_tracker::server::{Config, Handle, Server};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use crate::harness::{PATIENCE, eventually, local, start, torrent};

fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates")
}

fn config(dir: &Path) -> Config {
    Config {
        https: vec![local()],
        tls_cert: Some(dir.join("good.pem")),
        tls_key: Some(dir.join("good.key")),
        ..Config::default()
    }
}

fn trusting(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(certificates().join("root.pem")).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap();
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

fn client() -> Client {
    let mut config = bt_tracker::client::Config::default();
    config.tls = Some(trusting(rustls::ALL_VERSIONS));
    Client::with_config(Arc::new(Direct), config)
}

fn url(server: &Handle) -> String {
    format!(
        "https://127.0.0.1:{}/announce",
        server.https_addrs()[0].port()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn announces_and_scrapes_go_over_tls() {
    let server = start(config(&certificates())).await;
    let client = client();
    for port in [1001, 1002] {
        let request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), port);
        let response = client
            .announce(&url(&server), &request, PATIENCE)
            .await
            .unwrap();
        assert_eq!(response.peers.len(), usize::from(port == 1002));
    }
    assert_eq!(server.stats().http.announces, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_are_spoken_and_connections_are_kept() {
    let server = start(config(&certificates())).await;
    server.register(&torrent("a"));
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
        let stream = tokio::net::TcpStream::connect(server.https_addrs()[0])
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(trusting(versions));
        let mut stream = connector.connect(name, stream).await.unwrap();
        for _ in 0..3 {
            stream
                .write_all(b"GET /torrents/ HTTP/1.1\r\n\r\n")
                .await
                .unwrap();
            let mut came = Vec::new();
            while !came.ends_with(b"</html>\n") {
                assert!(stream.read_buf(&mut came).await.unwrap() > 0);
            }
            assert!(came.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
    }
    // No TLS at all.
    let mut stream = tokio::net::TcpStream::connect(server.https_addrs()[0])
        .await
        .unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut came = Vec::new();
    let _ = stream.read_to_end(&mut came).await;
    assert!(!came.starts_with(b"HTTP"));
    eventually("it is counted", || server.stats().handshakes_failed == 1);
    eventually("nothing is left", || server.stats().connections == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_after_a_reload_and_a_bad_one_never() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str| {
        for end in ["pem", "key"] {
            let from = certificates().join(format!("{from}.{end}"));
            std::fs::copy(from, dir.path().join(format!("good.{end}"))).unwrap();
        }
    };
    copy("expired");
    let server = start(config(dir.path())).await;
    let ask = || async {
        let client = client();
        let request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 1);
        client
            .announce(&url(&server), &request, PATIENCE)
            .await
            .is_ok()
    };
    assert!(!ask().await, "an expired certificate is not believed");
    copy("good");
    server.reload().unwrap();
    assert!(ask().await);
    std::fs::write(dir.path().join("good.pem"), "nonsense").unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("good.pem"), "{error}");
    assert!(ask().await, "the old one stays in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_needs_a_certificate_and_its_own_key() {
    let without = Config {
        tls_cert: None,
        tls_key: None,
        ..config(&certificates())
    };
    assert!(Server::start(without.clone()).await.is_err());
    assert!(without.check().is_err());
    let mixed = Config {
        tls_key: Some(certificates().join("other.key")),
        ..config(&certificates())
    };
    assert!(mixed.check().unwrap_err().to_string().contains("other.key"));
}
