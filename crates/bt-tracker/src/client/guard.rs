//! What a stranger's torrent may make us ask over HTTP: a tracker, and not a service that happens to listen where only
//! we can reach it.
//!
//! Decides on addresses that are resolved already, so that a name that changes its mind gains nothing. It must not know
//! sockets.

use std::net::SocketAddr;

use super::Error;
use super::address::is_global;

/// Ports of services whose commands are lines of text, so that the path of a request could be read as one of theirs:
/// FTP, SSH, Telnet, mail, DNS, news, LDAP, printers, databases and chat. Browsers refuse most of them too.
const TEXT_SERVICES: [u16; 29] = [
    21, 22, 23, 25, 53, 110, 119, 143, 389, 465, 515, 563, 587, 631, 636, 993, 995, 3306, 5060,
    5432, 6379, 6665, 6666, 6667, 6668, 6669, 6697, 9100, 11211,
];

/// Which of a tracker's addresses may be asked for `path_and_query`.
///
/// Whoever wrote the torrent chose host, port and path. On this machine and in this network such a request must look
/// like an announce or a scrape, because forms of routers and of other programs act on any request that they get.
///
/// # Errors
///
/// [`Error::Unsafe`] when none may.
pub(super) fn allowed(
    path_and_query: &str,
    addrs: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, Error> {
    let is_announce = looks_like_an_announce(path_and_query);
    let mut why = "";
    let mut left = addrs;
    left.retain(|addr| {
        if TEXT_SERVICES.contains(&addr.port()) {
            why = "its port belongs to another kind of service";
            return false;
        }
        if !is_announce && !is_global(addr.ip()) {
            why = "on a private address the path of a tracker has to hold /announce";
            return false;
        }
        true
    });
    if left.is_empty() {
        return Err(Error::Unsafe { what: why });
    }
    Ok(left)
}

/// A part of the path begins with `announce` or `scrape`, as trackers' paths do (BEP 48), keys before or after it; and
/// none leads back up, which servers would follow to another path, however it is written.
pub(super) fn looks_like_an_announce(path_and_query: &str) -> bool {
    let path = path_and_query.split(['?', '#']).next().unwrap_or_default();
    let mut path = path.to_ascii_lowercase();
    for (written, meant) in [
        ("%2f", "/"),
        ("%5c", "/"),
        ("%2e", "."),
        ("%3b", ";"),
        ("\\", "/"),
    ] {
        path = path.replace(written, meant);
    }
    let parts = || {
        path.split('/')
            .map(|part| part.split(';').next().unwrap_or_default())
    };
    let is_named = |part: &str| part.starts_with("announce") || part.starts_with("scrape");
    // What is escaped twice may be read as anything.
    parts().any(is_named) && !parts().any(|part| part == "..") && !path.contains("%25")
}

#[cfg(test)]
mod tests {
    use super::{allowed, looks_like_an_announce};
    use std::net::SocketAddr;

    fn may(path: &str, addr: &str) -> bool {
        let addr: SocketAddr = addr.parse().unwrap();
        allowed(path, vec![addr]).is_ok()
    }

    #[test]
    fn paths_of_trackers_are_told_from_others() {
        for path in [
            "/announce",
            "/a/b/announce?key=1",
            "/announce.php?passkey=x/y",
            "/scrape",
            "//announce",
            "/announce/key",
            "/announce2",
            "/Announce",
            "/a;b/announce;c",
        ] {
            assert!(looks_like_an_announce(path), "{path}");
        }
        for path in [
            "/",
            "/cgi-bin/admin?reboot=1",
            "/reboot?/announce",
            "/announce/../reboot",
            "/announce/%2E./reboot",
            "/announce%2f..%2Freboot",
            "/announce/..;/reboot",
            "/announce/.%2e%2freboot",
            "/announce%5c..%5creboot",
            "/announce/%252e%252e/reboot",
            "/announce\\..\\reboot",
            "/x#/announce",
        ] {
            assert!(!looks_like_an_announce(path), "{path}");
        }
    }

    #[test]
    fn only_announces_reach_private_addresses() {
        for addr in [
            "127.0.0.1:80",
            "127.9.9.9:8080",
            "0.0.0.0:80",
            "10.0.0.1:80",
            "192.168.1.1:80",
            "169.254.169.254:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "[fd00::1]:80",
            "[fe80::1]:80",
            "[64:ff9b::7f00:1]:80",
        ] {
            assert!(!may("/latest/meta-data?x", addr), "{addr}");
            assert!(may("/key/announce", addr), "{addr}");
        }
        assert!(may("/latest/meta-data?x", "93.184.216.34:80"));
    }

    #[test]
    fn an_address_that_may_be_asked_is_enough() {
        let addrs: Vec<SocketAddr> = ["127.0.0.1:80", "93.184.216.34:80"]
            .iter()
            .map(|addr| addr.parse().unwrap())
            .collect();
        assert_eq!(allowed("/x", addrs.clone()).unwrap(), addrs[1..]);
    }

    #[test]
    fn other_services_are_left_alone_everywhere() {
        for port in [25, 6379, 6667] {
            assert!(
                !may("/announce", &format!("93.184.216.34:{port}")),
                "{port}"
            );
            assert!(!may("/announce", &format!("127.0.0.1:{port}")), "{port}");
        }
        for port in [80, 443, 1337, 2710, 6969, 8080] {
            assert!(may("/announce", &format!("127.0.0.1:{port}")), "{port}");
        }
    }
}
