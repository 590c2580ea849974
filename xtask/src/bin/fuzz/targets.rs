//! The table of targets. A row more is all that a new fuzz body needs.

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
    /// What an input may cost.
    pub(crate) memory: Memory,
}

/// How mutations see an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Bytes without structure.
    Bytes,
    /// Mostly one bencoded value, perhaps with bytes behind it.
    Bencode,
}

/// How much memory a target may hold at once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Memory {
    /// Proportional to the input: parsers and codecs, with the copies that their checks make.
    Parser,
    /// A fixed budget: state machines, which allocate by design but never by what a peer claims.
    Machine,
}

/// A parser may hold this much whatever the input.
const PARSER_BASE: usize = 256 * 1024;
/// And this many bytes for each byte of input.
const PARSER_FACTOR: usize = 64;
/// The budget of a state machine.
const MACHINE_BUDGET: usize = 64 * 1024 * 1024;

impl Target {
    /// The most bytes it may hold for an input of this length.
    pub(crate) const fn memory_limit(&self, length: usize) -> usize {
        match self.memory {
            Memory::Parser => PARSER_BASE + PARSER_FACTOR * length,
            Memory::Machine => MACHINE_BUDGET,
        }
    }
}

/// Words of torrent files, from `announce` to `url-list`.
const TORRENT_WORDS: &[&[u8]] = &[
    b"announce",
    b"announce-list",
    b"attr",
    b"comment",
    b"created by",
    b"creation date",
    b"encoding",
    b"file tree",
    b"files",
    b"httpseeds",
    b"info",
    b"length",
    b"md5sum",
    b"meta version",
    b"name",
    b"name.utf-8",
    b"nodes",
    b"path",
    b"path.utf-8",
    b"piece layers",
    b"piece length",
    b"pieces",
    b"pieces root",
    b"private",
    b"source",
    b"symlink path",
    b"url-list",
    b"..",
    b"",
];

/// Parts of magnet links.
const MAGNET_WORDS: &[&[u8]] = &[
    b"magnet:?",
    b"xt=urn:btih:",
    b"&xt=urn:btmh:1220",
    b"&dn=",
    b"&tr=",
    b"&tr.1=",
    b"&ws=",
    b"&x.pe=",
    b"&so=",
    b"%",
    b"%00",
    b"0-",
    b"[::1]:6881",
    b"127.0.0.1:6881",
    b"0123456789abcdef0123456789abcdef01234567",
];

/// Names that file systems and sanitizers treat in their own ways.
const PATH_WORDS: &[&[u8]] = &[
    b"..",
    b".",
    b"/",
    b"\\",
    b"\n",
    b"\0",
    b"CON",
    b"NUL.txt",
    b"C:",
    b"a.",
    b"a ",
    b"\xe2\x80\xae",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"\xff",
];

/// Openings of messages and of the handshake.
const WIRE_WORDS: &[&[u8]] = &[
    b"\x13BitTorrent protocol",
    b"\0\0\0\0",
    b"\0\0\0\x01",
    b"\0\0\0\x05\x04",
    b"\0\0\0\x0d\x06",
    b"\0\0\x40\x09\x07",
    b"\0\0\0\x02\x14\0",
    b"\0\0\0\x01\x0e",
    b"\0\0\0\x01\x0f",
    b"\0\0\0\x0d\x10",
];

/// Words of the extension handshake.
const EXTENSION_WORDS: &[&[u8]] = &[
    b"m",
    b"p",
    b"v",
    b"reqq",
    b"yourip",
    b"ipv4",
    b"ipv6",
    b"metadata_size",
    b"upload_only",
    b"ut_metadata",
    b"ut_pex",
    b"lt_donthave",
    b"ut_holepunch",
    b"complete_ago",
    b"e",
];

/// A parser of bencoded input.
const fn bencode(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    let (shape, max_len, memory) = (Shape::Bencode, 4096, Memory::Parser);
    Target {
        name,
        about,
        body,
        max_len,
        shape,
        words,
        memory,
    }
}

/// A parser of any other input.
const fn bytes(
    name: &'static str,
    about: &'static str,
    body: fn(&[u8]),
    words: &'static [&'static [u8]],
) -> Target {
    let (shape, max_len, memory) = (Shape::Bytes, 1024, Memory::Parser);
    Target {
        name,
        about,
        body,
        max_len,
        shape,
        words,
        memory,
    }
}

/// A state machine driven by operations that the bytes stand for.
const fn machine(name: &'static str, about: &'static str, body: fn(&[u8])) -> Target {
    let (shape, max_len, memory) = (Shape::Bytes, 1024, Memory::Machine);
    Target {
        name,
        about,
        body,
        max_len,
        shape,
        words: WIRE_WORDS,
        memory,
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
    bencode(
        "bencode_convert",
        "serde and the borrowed tree see the same value",
        bt_bencode::fuzz::convert,
        &[],
    ),
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
        "metainfo_layout",
        "pieces, blocks and extents cover every byte once",
        bt_metainfo::fuzz::layout,
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
