//! Every bound this crate puts on what a peer sends or on what it makes us keep.
//!
//! Each constant says why it has its value; going over one is a typed error or a refusal, never an
//! allocation. Knows nothing of how the bounds are applied.

use std::time::Duration;

/// The most bytes one block may have, in a request or in a piece message: 16 KiB.
///
/// BEP 3 leaves the size open, but every client asks for 16 KiB and the large ones refuse more.
pub const MAX_BLOCK: u32 = bt_metainfo::BLOCK_SIZE;

/// The most bytes one message may have after its length prefix: 1 MiB.
///
/// The longest legal message is a bitfield of [`MAX_PIECES`] bits, a quarter of this; the rest is
/// room for messages we do not know, which are skipped without being kept.
pub const MAX_MESSAGE: u32 = 1024 * 1024;

/// The most pieces a torrent may have: 2²¹, which bounds a bitfield to 256 KiB.
pub const MAX_PIECES: u32 = 1 << 21;

/// The most bytes of an extension message (BEP 10): 512 KiB.
///
/// Peer exchange messages of up to 500 KiB are tolerated by the large clients; metadata needs 17 KiB.
pub const MAX_EXTENDED: u32 = 512 * 1024;

/// The most bytes of an extension handshake (BEP 10): 64 KiB, a hundred times what clients send.
pub const MAX_EXTENSION_HANDSHAKE: usize = 64 * 1024;

/// The nesting of an extension handshake that is still read: the dictionary, `m`, and spare room.
pub const MAX_EXTENSION_DEPTH: usize = 10;

/// The most bencode tokens of an extension handshake: three for each of 256 one-byte ids, and room
/// for twenty times as many keys as the BEPs define.
pub const MAX_EXTENSION_TOKENS: usize = 2_000;

/// The most bytes kept of a client name (`v` in BEP 10); longer ones are cut.
pub const MAX_CLIENT_NAME: usize = 256;

/// How many requests of one peer may wait for an answer, however the owner configures it.
///
/// 2,000 blocks are 32 MiB, enough for 1 Gbit/s over a quarter of a second; the rest is refused.
pub const MAX_INCOMING_REQUESTS: usize = 2_000;

/// How many requests of one peer may wait for an answer by default; announced to it as `reqq`.
pub const DEFAULT_INCOMING_REQUESTS: usize = 500;

/// How many requests that no honest client would send are refused before the peer is closed.
///
/// Not fatal at once, because clients with other ideas of the block size exist.
pub const MAX_INVALID_REQUESTS: u32 = 300;

/// How many cancels for requests that do not wait are taken at once before the peer is closed.
///
/// Honest clients cancel at the end of a download what has been sent or refused already, but never
/// more than they had asked for, and of that no more than this waits here.
pub const MAX_VAIN_CANCELS: u32 = 2_000;

/// How many more of them are taken each second.
///
/// A thousand cost a peer 17 KB and us well below a thousandth of a core; who sends more wants it to
/// cost us something.
pub const VAIN_CANCELS_PER_SECOND: u32 = 1_000;

/// How many bytes of messages may wait to be written: 512 KiB.
///
/// The longest bitfield is half of it; a peer that lets more pile up does not read and is closed.
pub const MAX_CONTROL_BYTES: usize = 512 * 1024;

/// How many pieces a peer may be allowed to fetch while choked, and how many such offers of a peer
/// are kept before the piece count is known. BEP 6 suggests 10.
pub const MAX_ALLOWED_FAST: usize = 64;

/// How long the 68-byte handshake of the peer may take.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the first message may take, if the fast or the extension protocol makes one due.
pub const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// After how much idleness a keep-alive is sent.
///
/// BEP 3 says two minutes; ten seconds earlier leaves the network and a late timer some time.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(110);

/// After how much silence a peer counts as dead: twice the keep-alive interval of BEP 3.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(240);
