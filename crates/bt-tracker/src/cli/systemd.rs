//! systemd: telling it how we are (`Type=notify`), and taking over the sockets that it has bound
//! (socket activation). Without systemd nothing happens.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use bt_tracker::server::Inherited;
use listenfd::ListenFd;

use super::failure::Failure;

/// Sends a state such as `READY=1`. That nobody hears it is no error of ours.
pub(super) fn notify(state: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let name = socket.as_encoded_bytes();
    let address = match name.strip_prefix(b"@") {
        Some(abstract_name) => SocketAddr::from_abstract_name(abstract_name),
        None => SocketAddr::from_pathname(&socket),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

/// The sockets that systemd hands over. A stream is for announces over HTTP, unless its
/// `FileDescriptorName=` is `stats`; a datagram socket is for announces over UDP.
pub(super) fn inherited() -> Result<Inherited, Failure> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut sockets = ListenFd::from_env();
    let mut inherited = Inherited::default();
    for at in 0..sockets.len() {
        // A socket of another kind is an error here, and stays for the next question.
        if let Ok(Some(listener)) = sockets.take_tcp_listener(at) {
            if names.get(at) == Some(&"stats") {
                inherited.stats(listener);
            } else {
                inherited.http(listener);
            }
        } else if let Ok(Some(socket)) = sockets.take_udp_socket(at) {
            inherited.udp(socket);
        } else {
            return Err(Failure::usage(format!(
                "socket {at} that the service manager hands over is neither TCP nor UDP"
            ))
            .hint("a tracker takes ListenStream= and ListenDatagram= with IP addresses"));
        }
    }
    Ok(inherited)
}
