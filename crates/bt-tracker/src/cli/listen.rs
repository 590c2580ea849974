//! Addresses to listen on, as people write them.
//!
//! It must not bind anything, nor look names up: what is checked on one machine is to hold on
//! another.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use bt_tracker::server::Config;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    /// Here and nowhere else.
    At(SocketAddr),
    /// `:PORT`: on every address of this machine.
    Everywhere(u16),
    /// `localhost:PORT`: for programs on this machine.
    Localhost(u16),
}

impl Listen {
    /// The addresses; those of IPv6 only if this machine has it.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::At(address) => vec![address],
            Self::Everywhere(port) => Config::every_address(port),
            Self::Localhost(port) => {
                let local = |address: SocketAddr| match address {
                    SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                };
                Config::every_address(port).into_iter().map(local).collect()
            }
        }
    }

    /// The one address for what listens on one only.
    pub(super) fn address(self) -> SocketAddr {
        match self {
            Self::At(address) => address,
            Self::Localhost(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            // A socket on `[::]` takes connections over IPv4 as well.
            Self::Everywhere(port) => self
                .addresses()
                .pop()
                .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::At(address));
        }
        let port = |host: &str| text.strip_prefix(host)?.strip_prefix(':')?.parse().ok();
        if let Some(port) = port("") {
            return Ok(Self::Everywhere(port));
        }
        port("localhost").map(Self::Localhost).ok_or_else(|| {
            "expected an IP address and a port, such as 127.0.0.1:6969 or [::]:6969, or :6969 or \
             localhost:6969"
                .into()
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, first) in [
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("[::1]:65535", "[::1]:65535"),
            (":6969", "0.0.0.0:6969"),
            ("localhost:1", "127.0.0.1:1"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.addresses()[0], first.parse().unwrap(), "{text}");
            assert_eq!(listen.to_string(), text);
        }
        for bad in [
            "",
            ":",
            "6969",
            "127.0.0.1",
            "::1:6969",
            ":65536",
            ":-1",
            "localhost",
            "localhost:",
            "tracker.example:6969",
            "local host:1",
            " :1",
        ] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_listens_on_one_address_takes_the_one_that_serves_most() {
        let address = |text: &str| text.parse::<Listen>().unwrap().address();
        assert_eq!(address("localhost:7"), "127.0.0.1:7".parse().unwrap());
        assert_eq!(address("[::1]:7"), "[::1]:7".parse().unwrap());
        assert!(address(":7").ip().is_unspecified());
        assert_eq!(Some(&address(":7")), Config::every_address(7).last());
    }
}
