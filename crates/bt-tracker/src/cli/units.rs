//! Values as people write them: durations, shares, sizes, localities, stores.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bt_tracker::swarm::Network;
use bt_tracker::units::{parse_duration, parse_size};
use serde::{Serialize, Serializer};

use super::listen::Listen;

/// A time such as `30s`, `5m`, `1h30m` or `500ms`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_duration(text).map(Self)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let units = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ];
        let unit = units
            .into_iter()
            .find(|(_, n)| milliseconds >= *n && milliseconds.is_multiple_of(*n));
        let (unit, n) = unit.unwrap_or(("ms", 1));
        write!(f, "{}{unit}", milliseconds / n)
    }
}

/// A part of a whole such as `10%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(pub(super) u8);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
        let share = number.filter(|share| *share <= 100);
        share
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is not a share from 0% to 100%"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

/// A number of bytes such as `512k`, `1MiB` or `2G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_size(text).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let unit = units
            .into_iter()
            .find(|(_, n)| self.0 >= *n && self.0.is_multiple_of(*n));
        let (unit, n) = unit.unwrap_or(("", 1));
        write!(f, "{}{unit}", self.0 / n)
    }
}

/// `CIDR=NAME`, or `auto` for groups by prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Near {
    Named(Network, String),
    /// Addresses with the same first 24 bits (IPv4) or 48 bits (IPv6) are near each other.
    Auto,
}

impl FromStr for Near {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let (network, name) = text
            .split_once('=')
            .filter(|(_, name)| !name.trim().is_empty())
            .ok_or_else(|| {
                format!("\"{text}\" is not of the form CIDR=NAME, such as 10.1.0.0/16=rack-7")
            })?;
        let network: Network = network.trim().parse().map_err(|error| format!("{error}"))?;
        Ok(Self::Named(network, name.trim().into()))
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(network, name) => write!(f, "{network}={name}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

/// Where swarms are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Store {
    #[default]
    Memory,
    /// The URL of a Redis or Valkey that several trackers share.
    Redis(String),
}

impl Store {
    /// Without the password, for people to see.
    pub(super) fn redacted(&self) -> Self {
        let Self::Redis(url) = self else {
            return self.clone();
        };
        // A password may hold any sign but these, and the last @ ends it.
        let hidden = url.split_once("://").and_then(|(scheme, rest)| {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let (login, host) = authority.rsplit_once('@')?;
            let (user, _) = login.split_once(':')?;
            Some(format!("{scheme}://{user}:HIDDEN@{host}{path}"))
        });
        let shown = hidden.unwrap_or_else(|| url.clone());
        // Sockets have it in the query.
        let Some(at) = shown.find("pass=") else {
            return Self::Redis(shown);
        };
        let (before, value) = shown.split_at(at + "pass=".len());
        let rest = value.find('&').map_or("", |end| &value[end..]);
        Self::Redis(format!("{before}HIDDEN{rest}"))
    }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "memory" => Ok(Self::Memory),
            _ if ["redis://", "rediss://", "redis+unix://"]
                .iter()
                .any(|scheme| text.starts_with(scheme)) =>
            {
                Ok(Self::Redis(text.into()))
            }
            _ => Err("no store; use memory, redis://… or rediss://…".into()),
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Redis(url) => url,
        })
    }
}

/// Configuration files hold these values in the form in which flags take them.
macro_rules! as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_text!(Share, Span, Size, Near, Store, Listen);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_and_shown() {
        for (text, milliseconds) in [("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.0.as_millis(), span.to_string().as_str()),
                (milliseconds, text)
            );
        }
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "90s");
        assert_eq!("250ms".parse::<Span>().unwrap().to_string(), "250ms");
        for (text, bytes) in [
            ("512k", 512_000),
            ("1MiB", 1 << 20),
            ("2G", 2_000_000_000),
            ("7", 7),
        ] {
            assert_eq!(text.parse::<Size>().unwrap().0, bytes);
        }
        assert_eq!("1h30m".parse::<Span>().unwrap().to_string(), "90m");
        assert_eq!("10".parse::<Span>().unwrap().to_string(), "10s");
        assert_eq!("1.5MiB".parse::<Size>().unwrap().to_string(), "1536KiB");
        assert!("5x".parse::<Span>().is_err() && "5x".parse::<Size>().is_err());
    }

    #[test]
    fn shares_are_up_to_the_whole() {
        assert_eq!(("10%".parse(), "0".parse()), (Ok(Share(10)), Ok(Share(0))));
        assert_eq!(Share(100).to_string().parse(), Ok(Share(100)));
        for bad in ["", "%", "-1%", "101%", "1e1", "10%%", "99999%"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn localities_have_a_network_and_a_name() {
        assert_eq!(
            "10.1.2.3/8=dc 1".parse::<Near>().unwrap().to_string(),
            "10.0.0.0/8=dc 1"
        );
        assert_eq!("auto".parse::<Near>(), Ok(Near::Auto));
        for bad in ["", "10.0.0.0/8", "10.0.0.0/8=", "10.0.0.0/40=x", "=x"] {
            assert!(bad.parse::<Near>().is_err(), "{bad}");
        }
    }

    #[test]
    fn stores_are_memory_and_urls_of_redis() {
        assert_eq!("memory".parse(), Ok(Store::Memory));
        for url in ["redis://127.0.0.1", "rediss://user:word@host:1/2"] {
            assert_eq!(url.parse::<Store>().unwrap().to_string(), url);
        }
        for (url, shown) in [
            ("redis://:word@host/1", "redis://:HIDDEN@host/1"),
            ("rediss://me:w@rd@host", "rediss://me:HIDDEN@host"),
            ("redis://host/1", "redis://host/1"),
            (
                "redis+unix:///run/r?db=1&pass=word&user=me",
                "redis+unix:///run/r?db=1&pass=HIDDEN&user=me",
            ),
        ] {
            let store: Store = url.parse().unwrap();
            assert_eq!(store.redacted().to_string(), shown);
        }
        assert!("disk".parse::<Store>().is_err());
        assert!("redis:".parse::<Store>().is_err());
    }
}
