//! A host and a port in text form, as magnets and node lists hold them.
//!
//! Resolves nothing and judges no address: whether one may be contacted is decided where
//! connections are made.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::limits::MAX_HOST_BYTES;

/// A host name or address, and a port.
///
/// ```
/// use bt_metainfo::HostPort;
///
/// let node: HostPort = "[2001:db8::1]:6881".parse()?;
/// assert_eq!((node.host(), node.port()), ("2001:db8::1", 6881));
/// assert_eq!(node.to_string(), "[2001:db8::1]:6881");
/// # Ok::<(), bt_metainfo::ParseHostPortError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    /// Without brackets; 1 to 253 bytes of printable ASCII without separators of URLs.
    host: Box<str>,
    /// At least 1.
    port: u16,
}

impl HostPort {
    /// Pairs a host with a port.
    ///
    /// # Errors
    ///
    /// When the host cannot be one, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, ParseHostPortError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() {
            Err(ParseHostPortError::NoHost)
        } else if host.len() > MAX_HOST_BYTES
            || !(host.bytes().all(is_name) || host.parse::<Ipv6Addr>().is_ok())
        {
            Err(ParseHostPortError::Host)
        } else if port == 0 {
            Err(ParseHostPortError::Port)
        } else {
            Ok(Self {
                host: host.into(),
                port,
            })
        }
    }

    /// The host name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1 to 65535.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one and needs no resolving.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let address: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(address, self.port))
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string().into(),
            port: address.port().max(1),
        }
    }
}

impl FromStr for HostPort {
    type Err = ParseHostPortError;

    /// Reads `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port` (BEP 9, "magnet URI format").
    fn from_str(text: &str) -> Result<Self, ParseHostPortError> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseHostPortError::NoPort)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => {
                let host = inner
                    .strip_suffix(']')
                    .ok_or(ParseHostPortError::Brackets)?;
                // It would be printed without them, as something else than what was read.
                if !host.is_empty() && host.parse::<Ipv6Addr>().is_err() {
                    return Err(ParseHostPortError::Host);
                }
                host
            }
            None if host.contains(':') => return Err(ParseHostPortError::Brackets),
            None => host,
        };
        if port.is_empty() {
            return Err(ParseHostPortError::NoPort);
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseHostPortError::Port);
        }
        Self::new(host, port.parse().map_err(|_| ParseHostPortError::Port)?)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is not a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHostPortError {
    /// There is nothing before the port.
    #[error("the host is empty")]
    NoHost,
    /// The host is too long or holds characters that no host has.
    #[error("that is no host name or address")]
    Host,
    /// There is no `:` with a port behind it.
    #[error("the port is missing")]
    NoPort,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// An IPv6 address without brackets, or a bracket without its twin.
    #[error("an IPv6 address needs brackets around it")]
    Brackets,
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn good_text_survives_a_round_trip() {
        for text in [
            "example.org:1",
            "192.0.2.1:65535",
            "[::1]:6881",
            "my_host-1:80",
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!(
            "[::1]:6881".parse::<HostPort>().unwrap().socket_addr(),
            Some("[::1]:6881".parse().unwrap())
        );
        assert_eq!(
            "example.org:1".parse::<HostPort>().unwrap().socket_addr(),
            None
        );
    }

    #[test]
    fn bad_text_says_why() {
        use ParseHostPortError::{Brackets, Host, NoHost, NoPort, Port};
        for (text, error) in [
            ("", NoPort),
            ("host", NoPort),
            ("host:", NoPort),
            (":80", NoHost),
            ("[]:80", NoHost),
            ("host:0", Port),
            ("host:65536", Port),
            ("host:+80", Port),
            ("host:8o", Port),
            ("::1:80", Brackets),
            ("[::1:80", Brackets),
            ("[::zz]:80", Host),
            // Names and IPv4 addresses in brackets were taken, and printed without them.
            ("[example.org]:80", Host),
            ("[192.0.2.1]:80", Host),
            ("[[::1]]:80", Host),
            ("[::1]]:80", Host),
            ("::1]:80", Brackets),
            ("[::1%lo]:80", Host),
            ("a b:80", Host),
            ("a/b:80", Host),
            ("user@host:80", Host),
            ("höst:80", Host),
        ] {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text}");
        }
        assert!(HostPort::new(&"a".repeat(MAX_HOST_BYTES), 1).is_ok());
        assert!(HostPort::new(&"a".repeat(MAX_HOST_BYTES + 1), 1).is_err());
    }

    /// Names, addresses of both families in all their forms, and what is nearly one.
    fn host() -> impl Strategy<Value = String> {
        let v4 = any::<Ipv4Addr>().prop_map(|ip| ip.to_string());
        let v6 = any::<Ipv6Addr>().prop_map(|ip| ip.to_string());
        let short = any::<[bool; 8]>().prop_map(|ones| Ipv6Addr::from(ones.map(u16::from)));
        let mapped = any::<Ipv4Addr>().prop_map(|ip| ip.to_ipv6_mapped().to_string());
        let upper = any::<Ipv6Addr>().prop_map(|ip| ip.to_string().to_ascii_uppercase());
        let short = short.prop_map(|ip| ip.to_string());
        prop_oneof!["[a-zA-Z0-9._-]{1,20}", v4, v6, short, mapped, upper]
    }

    /// Texts of a host, a port, and brackets where they belong, do not belong, or lack.
    fn text() -> impl Strategy<Value = String> {
        let port = prop_oneof!["[0-9]{0,6}", "0{0,3}6553[4-7]", "[+-]?[0-9 ]{1,3}"];
        let part = prop_oneof![
            4 => host(),
            1 => "[^a]{0,3}",
            1 => "[a-z]{250,256}",
        ];
        let plain = ("", ":");
        let framed = ("\\[", "\\]:");
        let odd = ("[\\[\\]:]{0,2}", "[\\[\\]:]{0,2}");
        let frame = prop_oneof![4 => plain, 4 => framed, 1 => odd];
        (frame, part, port)
            .prop_map(|((before, behind), host, port)| before + &host + &behind + &port)
    }

    fn is_host_port(text: &str) -> bool {
        let Some(at) = text.rfind(':') else {
            return false;
        };
        let (host, port) = (&text[..at], &text[at + 1..]);
        let digits = port.chars().all(|c| c.is_ascii_digit());
        let number = port.bytes().fold(0_u64, |number, digit| {
            let digit = u64::from(digit.wrapping_sub(b'0'));
            (number * 10 + digit).min(70_000)
        });
        let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_host = if host.starts_with('[') && host.ends_with(']') && host.len() > 1 {
            is_v6(&host[1..host.len() - 1])
        } else {
            (1..=253).contains(&host.len()) && host.chars().all(is_name)
        };
        digits && (1..=65_535).contains(&number) && is_host
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same((host, port) in (host(), any::<u16>())) {
            let made = HostPort::new(&host, port);
            prop_assert_eq!(made.is_ok(), port > 0);
            if let Ok(made) = made {
                prop_assert_eq!((made.host(), made.port()), (&*host, port));
                prop_assert_eq!(made.to_string().parse(), Ok(made.clone()));
                let address = host.parse().ok().map(|ip| SocketAddr::new(ip, port));
                prop_assert_eq!(made.socket_addr(), address);
            }
        }

        #[test]
        fn an_address_is_printed_as_the_standard_library_prints_it(
            (ip, port) in (any::<IpAddr>(), 1..=u16::MAX),
        ) {
            let address = SocketAddr::new(ip, port);
            let made = HostPort::from(address);
            prop_assert_eq!(made.to_string(), address.to_string());
            prop_assert_eq!(made.to_string().parse(), Ok(made.clone()));
            prop_assert_eq!(made.socket_addr(), Some(address));
        }

        /// Only zeros in front of the port are not printed back.
        #[test]
        fn what_is_read_is_what_a_slow_reader_takes_and_is_printed_back(text in text()) {
            let read = text.parse::<HostPort>();
            prop_assert_eq!(read.is_ok(), is_host_port(&text), "{:?}: {:?}", text, read);
            if let Ok(read) = read {
                let (host, port) = text.rsplit_once(':').unwrap();
                let printed = format!("{host}:{}", port.trim_start_matches('0'));
                prop_assert_eq!(read.to_string(), printed);
            }
        }
    }
}
