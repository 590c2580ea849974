//! From the network options to the configuration of a session. It must not know what is
//! transferred.

use std::net::IpAddr;

use super::args::Network;
use super::exit::Exit;
use super::interface;
use super::report::Failure;
use crate::SessionConfig;

/// The session that these options describe.
pub(crate) fn session(options: &Network) -> Result<SessionConfig, Failure> {
    refuse_what_is_not_there(options)?;
    let mut config = SessionConfig {
        port: options.port,
        bind: options
            .bind
            .as_deref()
            .map(|bind| address(bind, options))
            .transpose()?,
        ipv4: !options.ipv6,
        ipv6: !options.ipv4,
        trackers: !options.no_trackers,
        down_rate: options.down,
        up_rate: options.up,
        ..SessionConfig::default()
    };
    if let Some(most) = options.max_peers {
        config.max_peers = usize::try_from(most).unwrap_or(usize::MAX);
    }
    Ok(config)
}

/// Refuses what this version cannot honor, since silence would be a false promise.
fn refuse_what_is_not_there(options: &Network) -> Result<(), Failure> {
    let refusals: [(bool, &'static [&'static str], &str, &str); 4] = [
        (
            options.no_tcp,
            &["no-tcp"][..],
            "--no-tcp leaves no way to reach peers",
            "this version speaks TCP only",
        ),
        (
            options.encryption != "off",
            &["encryption"][..],
            "peer connections cannot be encrypted",
            "use --encryption off",
        ),
        (
            options.proxy.is_some(),
            &["proxy"][..],
            "peers cannot be reached through a proxy",
            "leave --proxy out",
        ),
        (
            !options.dht_bootstrap.is_empty(),
            &["dht-bootstrap"][..],
            "there is no DHT to enter",
            "leave --dht-bootstrap out",
        ),
    ];
    match refusals.into_iter().find(|(given, ..)| *given) {
        Some((_, options, what, hint)) => Err(Failure::new(Exit::Usage, what)
            .of(options)
            .because("not in this version")
            .hint(hint)),
        None => Ok(()),
    }
}

/// The local address to use: given as such, or the first fitting one of an interface.
fn address(bind: &str, options: &Network) -> Result<IpAddr, Failure> {
    let fits = |address: &IpAddr| {
        !(options.ipv4 && address.is_ipv6() || options.ipv6 && address.is_ipv4())
    };
    let failure = |what: String| Failure::new(Exit::Usage, what).of(&["bind"]);
    if let Ok(address) = bind.parse::<IpAddr>() {
        return if fits(&address) {
            Ok(address)
        } else {
            Err(failure(format!("--bind {bind} does not go with -4 or -6")))
        };
    }
    let addresses = interface::addresses(bind).map_err(|error| {
        failure(format!(
            "--bind {bind} is neither an address nor an interface of this machine"
        ))
        .cause(&error)
    })?;
    // A link-local IPv6 address reaches nobody without naming the link again for each peer.
    let usable =
        |address: &IpAddr| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let fitting = |address: &&IpAddr| fits(address) && usable(address);
    addresses.iter().find(fitting).copied().ok_or_else(|| {
        Failure::new(
            Exit::Network,
            format!("--bind {bind}: the interface has no address to use"),
        )
        .hint("is it up? ip addr shows its addresses")
    })
}
