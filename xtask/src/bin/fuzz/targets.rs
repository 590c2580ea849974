//! The table of targets. A row more is all that a new fuzz body needs.

use crate::cost::Memory;
use crate::oracle::oracle;
use crate::words::{
    ADDRESS_WORDS, ADMIN_WORDS, CONFIG_WORDS, CONTROL_WORDS, EXTENSION_WORDS, GLOB_WORDS,
    LIST_WORDS, MAGNET_WORDS, OPTION_WORDS, PATH_WORDS, PUBLISHER_WORDS, QUERY_WORDS, REDIS_WORDS,
    REPLY_WORDS, SERVER_WORDS, SETTINGS_WORDS, SIGNAL_WORDS, TOP_WORDS, TORRENT_WORDS, UDP_WORDS,
    VALUE_WORDS, WIRE_WORDS,
};

/// One fuzz target: a body in a package's `fuzz.rs` and what the driver has to know about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// `PACKAGE_WHAT`; also the folder of its seeds, `tests/corpus/NAME`.
    pub(crate) name: &'static str,
    /// What it drives and which properties it checks, for `--list`.
    pub(crate) about: &'static str,
    /// Panics if a property does not hold.
    pub(crate) body: fn(&[u8]),
    /// Longer inputs find nothing more.
    pub(crate) max_len: usize,
    /// How mutations see an input.
    pub(crate) shape: Shape,
    /// Words of the format.
    pub(crate) words: &'static [&'static [u8]],
    /// How often it has to run.
    pub(crate) kind: Kind,
    /// What an input may cost.
    pub(crate) memory: Memory,
}

/// What a target drives; parsers are run ten times as often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Our own reading of bytes or text.
    Parser,
    /// What follows from what was read: state, or text whose grammar is a library's.
    Machine,
}

/// How mutations see an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Bytes without structure.
    Bytes,
    /// Mostly one bencoded value, perhaps with bytes behind it.
    Bencode,
}

/// A parser of input that is not bencoded, which most others differ from in one thing.
const fn bytes(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        name,
        about,
        body,
        max_len: 1024,
        shape: Shape::Bytes,
        words,
        kind: Kind::Parser,
        memory: Memory::Parser,
    }
}

/// A parser of bencoded input.
const fn bencode(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        max_len: 4096,
        shape: Shape::Bencode,
        ..bytes(name, about, body, words)
    }
}

/// A state machine driven by operations that the bytes stand for.
const fn machine(name: &'static str, about: &'static str, body: fn(&[u8])) -> Target {
    Target {
        kind: Kind::Machine,
        memory: Memory::Machine,
        ..bytes(name, about, body, WIRE_WORDS)
    }
}

/// A deciding part of a machine by itself, each of whose operations is judged the slow way.
const fn part(name: &'static str, about: &'static str, body: fn(&[u8])) -> Target {
    Target {
        max_len: 128,
        words: &[],
        ..machine(name, about, body)
    }
}

/// Text of people, whose grammar is a library's.
const fn text(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        kind: Kind::Machine,
        memory: Memory::Machine,
        ..bytes(name, about, body, words)
    }
}

/// A file or a message that fills a store: what it holds is more than what was read.
const fn stored(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        kind: Kind::Parser,
        ..server(name, about, body, words)
    }
}

/// A part of a program that keeps what it is told.
const fn server(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    Target {
        max_len: 4096,
        kind: Kind::Machine,
        memory: Memory::Machine,
        ..bytes(name, about, body, words)
    }
}

/// All targets, from the lowest floor up. `cargo xtask tidy` asks for a row per body.
pub(crate) const TARGETS: &[Target] = &[
    bencode(
        "bencode_decode",
        "reader, strict and lenient parse agree; what is decoded encodes to the same bytes",
        bt_bencode::fuzz::decode,
        TORRENT_WORDS,
    ),
    bytes(
        "bencode_encode",
        "what the encoder accepts is read back; what it refuses leaves nothing behind",
        bt_bencode::fuzz::encode,
        &[],
    ),
    Target {
        memory: Memory::Trees,
        // As much as it looks at.
        max_len: 1024,
        ..bencode(
            "bencode_convert",
            "serde and the borrowed tree see the same value",
            bt_bencode::fuzz::convert,
            &[],
        )
    },
    Target {
        memory: Memory::Trees,
        ..bencode(
            "bencode_oracle",
            "another parser takes, refuses and reads the same, but for what is listed as wrong in it",
            oracle,
            TORRENT_WORDS,
        )
    },
    bencode(
        "metainfo_torrent",
        "every question about a torrent file; byte-exact copy; magnet and edit round trips",
        bt_metainfo::fuzz::torrent,
        TORRENT_WORDS,
    ),
    bencode(
        "metainfo_info",
        "an info dictionary as peers send it; layout and paths hold their promises",
        bt_metainfo::fuzz::info,
        TORRENT_WORDS,
    ),
    bytes(
        "metainfo_magnet",
        "what is parsed prints and parses to the same link",
        bt_metainfo::fuzz::magnet,
        MAGNET_WORDS,
    ),
    bytes(
        "metainfo_path",
        "a sanitized path stays inside, and sanitizing again changes nothing",
        bt_metainfo::fuzz::path,
        PATH_WORDS,
    ),
    bytes(
        "metainfo_host_port",
        "hosts and ports of magnets and node lists: round trip",
        bt_metainfo::fuzz::host_port,
        ADDRESS_WORDS,
    ),
    bytes(
        "metainfo_layout",
        "pieces, blocks and extents cover every byte once",
        bt_metainfo::fuzz::layout,
        &[],
    ),
    bytes(
        "metainfo_merkle",
        "the root of a layer is that of each layer above it",
        bt_metainfo::fuzz::merkle,
        &[],
    ),
    bytes(
        "wire_handshake",
        "every prefix gets the same verdict; round trip",
        bt_wire::fuzz::handshake,
        WIRE_WORDS,
    ),
    bytes(
        "wire_message",
        "each message of a stream encodes to the bytes it came from",
        bt_wire::fuzz::message,
        WIRE_WORDS,
    ),
    bencode(
        "wire_extension_handshake",
        "what is read of the extension dictionary is written and read back",
        bt_wire::fuzz::extension_handshake,
        EXTENSION_WORDS,
    ),
    bencode(
        "wire_extension_message",
        "messages of every extension: round trip",
        bt_wire::fuzz::extension_message,
        EXTENSION_WORDS,
    ),
    bytes(
        "wire_compact_peers",
        "whole records come back in order",
        bt_wire::fuzz::compact_peers,
        &[],
    ),
    bytes(
        "wire_bitfield",
        "counts, bytes and iterators agree",
        bt_wire::fuzz::bitfield,
        &[],
    ),
    bytes(
        "wire_peer_id",
        "the name of a client is short and harmless",
        bt_wire::fuzz::peer_id,
        &[b"-TR4000-", b"-lt0D20-", b"M7-2-0--", b"exbc"],
    ),
    bytes(
        "wire_allowed_fast",
        "as many pieces as wanted, each once, the same for a network",
        bt_wire::fuzz::allowed_fast,
        &[],
    ),
    machine(
        "wire_chunking",
        "a stream means the same however it is cut",
        bt_wire::fuzz::chunking,
    ),
    machine(
        "wire_connection",
        "a connection in both roles: one answer per request, nothing after an error, limits",
        bt_wire::fuzz::connection,
    ),
    machine(
        "client_engine",
        "one torrent driven by operations: its books agree after each",
        bt_client::fuzz::engine,
    ),
    part(
        "client_candidates",
        "addresses to dial: who is due, held or forgotten as a plain book says, and each gets its turn",
        bt_client::fuzz::candidates,
    ),
    part(
        "client_picker",
        "the choice of blocks: only right ones, rarity recounted, and all comes in the end",
        bt_client::fuzz::picker,
    ),
    part(
        "client_choker",
        "rounds of slots: who earns one gets it, the optimistic one moves on, nobody is left out",
        bt_client::fuzz::choker,
    ),
    part(
        "client_pipeline",
        "how many blocks are asked for at once: within the limits, and a link that stays as it is gets filled",
        bt_client::fuzz::pipeline,
    ),
    part(
        "client_relief",
        "idle peers take over: only ends of long queues, to whoever sends, little at once, and in the end all comes",
        bt_client::fuzz::relief,
    ),
    part(
        "client_vacancy",
        "how many peers are dialed before others get the places: as the rule says, at once, with callers and in the end",
        bt_client::fuzz::vacancy,
    ),
    part(
        "client_spread",
        "an initial seeder: nobody hears of a piece twice, what nobody was given is so once, and all gets out",
        bt_client::fuzz::spread,
    ),
    part(
        "client_places",
        "callers, places, dials and shares of networks: who is let in is as lists say that are counted anew",
        bt_client::fuzz::places,
    ),
    part(
        "client_assembly",
        "pieces put together from blocks: kept, written to make room and handed out once, as plain lists say",
        bt_client::fuzz::assembly,
    ),
    part(
        "client_blame",
        "bans and suspect pieces: no honest peer is banned, each liar is that can be told, one owner at a time",
        bt_client::fuzz::blame,
    ),
    server(
        "client_journal",
        "the journal of an earlier run: what was written is read, parts say nothing new, checkpoints the same",
        bt_client::fuzz::journal,
        &[b"btstate\n"],
    ),
    stored(
        "client_record",
        "a record of the journal means what it is written as, parts and flipped bits of it nothing",
        bt_client::fuzz::record,
        &[],
    ),
    bencode(
        "client_settings",
        "the settings of a torrent: what is read is written and read back",
        bt_client::fuzz::settings,
        SETTINGS_WORDS,
    ),
    machine(
        "client_rates",
        "the rate meter and the token bucket: no more than the limit, and silence never looks faster",
        bt_client::fuzz::rates,
    ),
    machine(
        "client_decide",
        "any journal against any look of the files: nothing is trusted without a reason",
        bt_client::fuzz::decide,
    ),
    text(
        "client_config",
        "config.toml: a failure names the file and a key or a line, and what was typed counts",
        bt_client::fuzz::config,
        CONFIG_WORDS,
    ),
    bytes(
        "client_values",
        "sizes, rates, durations, ratios, lists of files, wishes, trackers, words for torrents: round trip",
        bt_client::fuzz::values,
        VALUE_WORDS,
    ),
    text(
        "client_globs",
        "patterns of files: what takes a folder takes all that is in it",
        bt_client::fuzz::globs,
        GLOB_WORDS,
    ),
    bytes(
        "client_interfaces",
        "what the kernel says of addresses: all of the interface are found, and no others",
        bt_client::fuzz::interfaces,
        &[],
    ),
    bytes(
        "tracker_http_query",
        "announce and scrape queries as a server reads them: round trip",
        bt_tracker::fuzz::http_query,
        QUERY_WORDS,
    ),
    Target {
        memory: Memory::Peers,
        ..bencode(
            "tracker_http_reply",
            "announce and scrape replies as a client reads them: bounds, round trip",
            bt_tracker::fuzz::http_reply,
            REPLY_WORDS,
        )
    },
    bytes(
        "tracker_url",
        "URLs of trackers: scrape form, redaction, query",
        bt_tracker::fuzz::url,
        QUERY_WORDS,
    ),
    bytes(
        "tracker_udp_request",
        "packets as a server reads them: round trip",
        bt_tracker::fuzz::udp_request,
        UDP_WORDS,
    ),
    machine(
        "tracker_udp_exchange",
        "a client's exchange ends whatever comes, and only its own answers count",
        bt_tracker::fuzz::udp_exchange,
    ),
    machine(
        "tracker_schedule",
        "started first, completed once, stopped last",
        bt_tracker::fuzz::schedule,
    ),
    bytes(
        "tracker_redirect",
        "a redirect to a path stays on its host, none leads away from TLS or HTTP",
        bt_tracker::fuzz::redirect,
        QUERY_WORDS,
    ),
    bytes(
        "tracker_address",
        "addresses and paths that a torrent may name: public or an announce as tables and a slow reader say",
        bt_tracker::fuzz::address,
        PATH_WORDS,
    ),
    Target {
        memory: Memory::Machine,
        ..bytes(
            "tracker_gunzip",
            "a packed reply: no more comes out than is allowed",
            bt_tracker::fuzz::gunzip,
            &[b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"],
        )
    },
    bytes(
        "tracker_network",
        "networks of a configuration: round trip, and what is in them is in them",
        bt_tracker::fuzz::network,
        ADDRESS_WORDS,
    ),
    machine(
        "tracker_swarms",
        "the store agrees with a naive model after each step, also after it was written down and read",
        bt_tracker::fuzz::swarms,
    ),
    text(
        "tracker_config",
        "the tracker's configuration file: shown and read back, and a failure names its line",
        bt_tracker::fuzz::config,
        CONFIG_WORDS,
    ),
    text(
        "tracker_options",
        "the tracker's command line: shown as a file and read back, or refused in words",
        bt_tracker::fuzz::options,
        OPTION_WORDS,
    ),
    bytes(
        "tracker_values",
        "durations, sizes, shares, localities and stores: round trip, and no password is shown",
        bt_tracker::fuzz::values,
        VALUE_WORDS,
    ),
    text(
        "tracker_top",
        "what another tracker says of itself cannot steer a terminal",
        bt_tracker::fuzz::top,
        TOP_WORDS,
    ),
    stored(
        "tracker_server_head",
        "the head of a request: the same verdict on a part or none yet, all that is found lies in it",
        bt_tracker::server::fuzz::http_head,
        SERVER_WORDS,
    ),
    server(
        "tracker_server_http",
        "the bytes of a connection get the same replies however they are cut",
        bt_tracker::server::fuzz::http_connection,
        SERVER_WORDS,
    ),
    server(
        "tracker_server_publisher",
        "users, pages and uploads: the same replies however they are cut, each announce on an account, no key told",
        bt_tracker::server::fuzz::http_publisher,
        PUBLISHER_WORDS,
    ),
    server(
        "tracker_server_admin",
        "operators and strangers: nothing without the token, and programs can read what they are shown",
        bt_tracker::server::fuzz::admin,
        ADMIN_WORDS,
    ),
    server(
        "tracker_server_udp",
        "nobody who has not proven an address gets more than was sent",
        bt_tracker::server::fuzz::udp_packets,
        UDP_WORDS,
    ),
    bytes(
        "tracker_server_control",
        "what the kernel says beside a packet: the messages that a slow reader finds, and our address among them",
        bt_tracker::server::fuzz::control,
        CONTROL_WORDS,
    ),
    part(
        "tracker_server_crowd",
        "connections that are kept: who has been idle for longest makes room, nobody without need",
        bt_tracker::server::fuzz::crowd,
    ),
    part(
        "tracker_server_sources",
        "how often a source may ask over UDP: its burst and its rate, and only who was quiet is forgotten",
        bt_tracker::server::fuzz::sources,
    ),
    part(
        "tracker_server_logins",
        "attempts to log in: as a list of the last minute's failures says",
        bt_tracker::server::fuzz::logins,
    ),
    stored(
        "tracker_server_snapshot",
        "a snapshot is taken or refused, whatever is in it",
        bt_tracker::server::fuzz::snapshot,
        &[b"BTSWARMS", b"\xff\xff\xff\xff"],
    ),
    stored(
        "tracker_server_accounts",
        "a file of accounts: what is taken in is written, and written again without a change",
        bt_tracker::server::fuzz::accounts,
        LIST_WORDS,
    ),
    stored(
        "tracker_server_list",
        "lists of users and torrents: what is added is there, what is taken out is gone",
        bt_tracker::server::fuzz::list,
        LIST_WORDS,
    ),
    bytes(
        "tracker_server_relay",
        "announces that trackers tell each other: round trip",
        bt_tracker::server::fuzz::relay,
        &[],
    ),
    server(
        "tracker_server_redis",
        "replies of Redis: what other trackers tell is carried out as a naive model says",
        bt_tracker::server::fuzz::redis_replies,
        REDIS_WORDS,
    ),
    stored(
        "tracker_server_signal",
        "messages of browsers: bounds, and what is handed on says whom it is from and what about",
        bt_tracker::server::fuzz::signal,
        SIGNAL_WORDS,
    ),
    machine(
        "tracker_server_rooms",
        "browsers come, go and make offers: every sum is right after each step",
        bt_tracker::server::fuzz::rooms,
    ),
    part(
        "tracker_server_places",
        "places of browsers: who gives one up as a plain list says",
        bt_tracker::server::fuzz::places,
    ),
];

#[cfg(test)]
mod tests {
    use super::TARGETS;

    #[test]
    fn names_are_unique_and_begin_with_their_package() {
        for (index, target) in TARGETS.iter().enumerate() {
            let packages = ["bencode_", "metainfo_", "wire_", "tracker_", "client_"];
            assert!(
                packages.iter().any(|p| target.name.starts_with(p)),
                "{}",
                target.name
            );
            let later = TARGETS.iter().skip(index + 1);
            assert!(
                later.clone().all(|other| other.name != target.name),
                "{}",
                target.name
            );
        }
    }
}
