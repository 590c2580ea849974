//! Every bound of this crate, each with its reason.

use std::time::Duration;

/// Requests under way at one peer, at most: 16 MiB hold 500 Mbit/s over 250 ms.
pub const MAX_OUTSTANDING_REQUESTS: u32 = 1024;

/// Addresses asked of a tracker in one announce, at most; trackers give rarely more.
pub const MAX_NUMWANT: u32 = 200;

/// Addresses asked of a tracker while there is room for any: many of them will not answer.
pub const MIN_NUMWANT: u32 = 50;

/// Requests under way at one peer, at least: below this a round trip of a few milliseconds already idles the link.
pub const MIN_OUTSTANDING_REQUESTS: u32 = 6;

/// What we assume of a peer that does not say how many requests it queues; the common default of other clients.
pub const DEFAULT_PEER_REQQ: u32 = 250;

/// How many requests we let a peer queue at us, as announced in the extension handshake.
pub const OUR_REQQ: u32 = 2000;

/// Peers that may have been asked for the same block at the end of a download, and from whom it may come any moment. More
/// only wastes their uplinks.
pub const MAX_ENDGAME_REQUESTS: u16 = 3;

/// The same with those from whom nothing comes: one more that has never sent a block is not asked for it as well, since
/// in a swarm of slow lines all would be asked for the last blocks. One that has sent some always is.
pub const MAX_VAIN_REQUESTS: u16 = 4 * MAX_ENDGAME_REQUESTS;

/// A peer that we asked and that sent no block for this long is snubbing us (BEP 3 speaks of a minute; a quarter of it
/// keeps the end of a download short).
pub const SNUB_AFTER: Duration = Duration::from_secs(15);

/// A request that so many later ones have overtaken is lost: peers with many disk threads answer out of order, but by
/// fewer blocks.
pub const MAX_OVERTAKING: u64 = 64;

/// Pieces of one peer of which a request was lost, and that are remembered for a moment.
pub const MAX_WITHHELD: usize = 16;

/// How long a piece that a peer failed to deliver waits for another peer, before that one is asked for it again.
pub const OTHERS_FIRST: Duration = Duration::from_secs(5);

/// How long a peer is not asked that rejected a request while it did not choke us: time for others to be asked for the
/// same block, and for the peer to empty its queue.
pub const REFUSAL_PAUSE: Duration = Duration::from_secs(1);

/// The choker's round (BEP 3: 10 seconds).
pub const CHOKE_ROUND: Duration = Duration::from_secs(10);

/// The optimistic unchoke moves on every third round (BEP 3: 30 seconds).
pub const OPTIMISTIC_ROUND: Duration = Duration::from_secs(30);

/// Peers that are unchoked at once, the optimistic one included. Twenty fill the links of a swarm that begins together
/// sooner than eight do (`docs/decisions/0005-initial-seeder-spreads.md`); in larger swarms tit-for-tat still chooses.
pub const UPLOAD_SLOTS: usize = 20;

/// Bytes per second that a limit on uploads leaves for each unchoked peer, at least: a block every two seconds. With less
/// peers take us for one that does not answer.
pub const LEAST_RATE_PER_SLOT: u64 = 8 * 1024;

/// Peers that are unchoked at once however low the limit: three that give us most and one by lot.
pub const LEAST_UPLOAD_SLOTS: usize = 4;

/// Peers of one torrent, unless configured.
pub const DEFAULT_MAX_PEERS: usize = 200;

/// Peers of all torrents of a session together, unless one torrent alone may have more, or the system has fewer
/// descriptors to give.
pub const MAX_SESSION_PEERS: usize = 500;

/// Of the peers of one torrent one in so many may be of one public network, a /24 of IPv4 or a /48 of IPv6, which one
/// owner can fill at will; but as many as `LEAST_OF_NETWORK`.
pub const NETWORK_SHARE: usize = 10;

/// See [`NETWORK_SHARE`].
pub const LEAST_OF_NETWORK: usize = 4;

/// Addresses remembered for one torrent; more is a flood, not a swarm.
pub const MAX_CANDIDATES: usize = 3_000;

/// Addresses of our own that are remembered, so that they are not dialed again: some for each interface, and those of
/// routers in front of us. With more, each costs a dial whenever it is named.
pub const MAX_OWN_ADDRESSES: usize = 64;

/// Outgoing connections of one torrent that are not up yet.
pub const MAX_HALF_OPEN: usize = 40;

/// Outgoing connections of a whole session that are not up yet.
pub const MAX_SESSION_HALF_OPEN: usize = 100;

/// Connections that a session begins each second, and at once after a pause: what a home router remembers without harm,
/// and no scan of whoever was named to us.
pub const DIALS_PER_SECOND: u32 = 30;

/// Announces that a session begins each second, and at once after a pause: ten thousand torrents that come back with it
/// are known to their trackers within minutes, and no tracker takes that for an attack.
pub const ANNOUNCES_PER_SECOND: u32 = 50;

/// Announces of a session that wait for their answer, each with a socket or two, and as many goodbyes: with fifty a second
/// trackers may take four seconds on average.
pub const MAX_ANNOUNCES: usize = 200;

/// The part of these that one tracker may have is one in so many: it may be silent for a minute each time, and the others
/// are to be asked meanwhile.
pub const ANNOUNCE_SHARE: usize = 4;

/// Pieces of one loss that peers are told of (BEP 54): beyond, they learn it when they ask. A check that finds everything
/// gone must not become a message for each piece and peer.
pub const MAX_TOLD_AS_LOST: usize = 1_000;

/// How often a peer may cease to be a seed: each time costs a look at every piece of the torrent.
pub const MAX_SEEDS_LOST: u8 = 8;

/// Messages and orders for which a connection keeps room in memory: one read can bring two hundred thousand of the
/// smallest ones, and most connections never see a hundred at once.
pub const MAX_KEPT_ROOM: usize = 1_024;

/// A candidate that failed this often in a row is forgotten.
pub const MAX_DIAL_FAILURES: u8 = 4;

/// The longest time that a dial waits for its turn. One that would wait longer is not booked: places may be gone, and
/// whoever is dialed minutes later may be gone as well.
pub const MAX_DIAL_WAIT: Duration = Duration::from_secs(30);

/// The same for a torrent that lacks nothing: a thousand of them that begin together must not stand before one that is to
/// be downloaded.
pub const MAX_DIAL_WAIT_OF_SEEDS: Duration = Duration::from_secs(1);

/// First wait after a failed dial; it doubles each time.
pub const DIAL_BACKOFF: Duration = Duration::from_secs(10);

/// The longest wait after failed dials.
pub const MAX_DIAL_BACKOFF: Duration = Duration::from_secs(320);

/// How soon an address is looked at again whose host or network had all its places when its turn to be dialed came: it
/// costs no dial, and peers stay for minutes.
pub const HOST_IS_FULL: Duration = Duration::from_secs(60);

/// The longest wait after connections that came up and were of no use: a full peer may have room half an hour later.
pub const MAX_BACKOFF_IN_VAIN: Duration = Duration::from_secs(30 * 60);

/// A connection that lasted this long was not sent away for being one too many.
pub const SHORT_CONNECTION: Duration = Duration::from_secs(60);

/// A peer that neither gave nor took anything for this long makes room for a newcomer.
pub const USELESS_AFTER: Duration = Duration::from_secs(300);

/// The same of a peer that chokes us and has what we want, or waits for its turn with us: longer than a round of two hundred
/// peers takes a seed with four slots. Not for ever, as it costs nothing to claim either.
pub const WAITED_FOR: Duration = Duration::from_secs(30 * 60);

/// Least time between two peers that are sent away to look for better ones.
pub const TURNOVER_PAUSE: Duration = Duration::from_secs(30);

/// Pieces that one call tells all peers of, at most, beyond the news of one piece: an initial seeder of a large torrent
/// that stops to spread owes each peer hundreds of thousands. Those of one call take some eight megabytes until they are
/// on their way, and four calls a second tell two hundred peers of ten thousand pieces each in eight seconds.
pub const MAX_TOLD_AT_ONCE: usize = 64 * 1024;

/// The same to one peer: 36 KiB of messages, which the buffers of any connection take.
pub const MAX_TOLD_TO_ONE: usize = 4 * 1024;

/// A peer with this many pieces needs no gift to begin to trade (BEP 6 gives the fast set to those that have fewer).
pub const NEEDS_NO_GIFT: u32 = 10;

/// How often each byte of the pieces that a choked peer may fetch is sent to it, at most: a piece may fail at its end, and
/// a peer that fetches the same again and again takes what others are choked for.
pub const GIFT_COPIES: u64 = 3;

/// Time for a TCP connection to come up.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections from one public address; a host behind one address rarely runs more clients.
pub const MAX_PEERS_PER_IP: usize = 3;

/// The same for private and loopback addresses, where whole fleets may share one.
pub const MAX_PEERS_PER_PRIVATE_IP: usize = 64;

/// Addresses banned for bad data; the oldest makes room.
pub const MAX_BANNED: usize = 10_000;

/// Failed pieces whose block digests are kept until the piece verifies.
pub const MAX_FAILED_PIECES_KEPT: usize = 64;

/// Addresses that come last when a failed piece is asked for again; of a piece with more senders, any may come first.
pub const MAX_SUSPECTS_PER_PIECE: usize = 64;

/// Requests of one peer that were called off and may be answered all the same; as many as may be under way.
pub const MAX_CALLED_OFF: usize = MAX_OUTSTANDING_REQUESTS as usize;

/// Senders whose addresses are remembered while pieces are under way; above it those are forgotten that nobody asks for.
pub const MAX_ADDRESSES: usize = 16 * 1024;

/// Pieces a peer may suggest or allow; more is forgotten.
pub const MAX_SUGGESTED: usize = 128;

/// Size of a receive buffer under load: sixteen messages of one block each, and their headers.
pub const RECEIVE_BUFFER: usize = 16 * (16 * 1024 + 13);

/// Bytes that one call hands to the kernel at most: sixty-four blocks. The kernel packs what comes at once densely, so
/// that the receiver's copies are cheap as well; more than a core's cache holds would be read twice from memory.
pub const MAX_SEND_BATCH: usize = 64 * (16 * 1024 + 13);

/// Bytes that are prepared for a peer at least, although the kernel has taken less of late.
pub const MIN_SEND_BATCH: usize = 4 * (16 * 1024 + 13);

/// Size of a receive buffer of a peer that sends little: one block and room for small messages.
pub const SMALL_RECEIVE_BUFFER: usize = 16 * 1024 + 13;

/// Bytes of pieces under way that are held in memory, unless configured.
pub const DEFAULT_MEMORY_BUDGET: usize = 64 * 1024 * 1024;

/// Free bytes with which a download that waited for room goes on in any case; two pieces are enough if that is less.
pub const ENOUGH_ROOM: u64 = 64 * 1024 * 1024;

/// How often a full disk is looked at: soon enough for a person who has just made room, and one system call.
pub const LOOK_FOR_ROOM: Duration = Duration::from_secs(5);

/// The same at last, when the disk says that it has room and then refuses to write.
pub const LOOK_FOR_ROOM_AT_MOST: Duration = Duration::from_secs(60);

/// How often at last content is copied to where it belongs when the disk there has said that it has room and then had none
/// (a quota does that): each try may write all of it for nothing.
pub const COPY_AGAIN_AT_MOST: Duration = Duration::from_secs(3600);

/// How often it is looked whether there is content to read again: a torrent that begins is soon among it.
pub const LOOK_FOR_CONTENT: Duration = Duration::from_millis(500);

/// Time that the pieces stand for which are read again at once: some pauses a second cost nothing, and a disk is asked
/// for little at a time.
pub const SCRUB_TURN: Duration = Duration::from_millis(50);

/// Bytes that are read again at once: whoever ends the session waits for no more than that.
pub const MAX_SCRUB_TURN: u64 = 16 * 1024 * 1024;

/// Incoming connections of a session that have not said which torrent they want. One more, and the oldest of the host
/// that has most of them makes room.
pub const MAX_PENDING_INCOMING: usize = 256;

/// The same of one address, or of one IPv6 network of 64 bits: as many as a fleet behind one address has, and no more
/// than a quarter of all, so that no single host keeps others out.
pub const MAX_PENDING_PER_HOST: usize = 64;

/// Events that a slow subscriber may fall behind before it misses some (it is told how many).
pub const EVENT_BACKLOG: usize = 4096;

/// Pieces and files that the journal can name: the most files of a torrent, and more than the most pieces (2^21).
pub const MAX_RECORDED_INDEX: u32 = 1 << 22;

/// Bytes of the set of pieces in one record of the journal: a quarter of a million pieces, and half of what its length
/// field can say.
pub const MAX_SPAN_BYTES: usize = 32 * 1024;

/// A directory in use is tried again for this long: a process that was killed may still be dying, which takes as long as
/// the writes that it waits for.
pub const DYING_PROCESS: Duration = Duration::from_secs(2);

/// And this often in that time.
pub const LOCK_LOOK: Duration = Duration::from_millis(20);

/// A verified piece waits this long to be recorded: what a crash may cost in hashing, against a sync of the disk.
pub const COMMIT_AFTER: Duration = Duration::from_secs(1);

/// The same in bytes, for fast lines: as much as is hashed in a few tenths of a second.
pub const COMMIT_AFTER_BYTES: u64 = 64 * 1024 * 1024;

/// A task that lasts as long as the session and that a bug of ours has ended is begun anew after this: a bug that it runs into
/// each time then costs next to nothing.
pub const AFTER_A_BUG: Duration = Duration::from_secs(1);

/// A commit that found the process without descriptors is tried again after this: others close theirs in seconds, and each
/// attempt costs a few system calls.
pub const NO_DESCRIPTORS_PAUSE: Duration = Duration::from_secs(1);

/// The journal is written anew when it has grown by this much (and by its own length): it is read in a few
/// milliseconds at the next start.
pub const CHECKPOINT_AFTER: u64 = 1024 * 1024;

/// Bytes of a suffix behind the names of incomplete files: a name has at most 240 bytes, and file systems take 255.
pub const MAX_SUFFIX_BYTES: usize = 15;

/// Room on the disk that is kept for the state of a session: a journal of a large torrent and its settings, several
/// times over.
pub const STATE_RESERVE: u64 = 1024 * 1024;

/// What memory holds of a file is dropped in stretches of this, since the kernel drops only whole pages, which may be as
/// large.
pub const LARGEST_PAGE: u64 = 2 * 1024 * 1024;
/// Bytes of one file of state: the whole of 4,000 torrents with as many pieces as a torrent can have. A larger one is none of
/// ours, or damaged.
pub const MAX_STATE_BYTES: u64 = 1 << 30;

/// Copies of one damaged file of state that are kept for people: a few show whether it was once or is the disk, and each
/// may be as large as the file itself.
pub const DAMAGED_COPIES: u32 = 4;

/// Directories of state of one-shot downloads that are kept: each is a torrent file and a few kilobytes, and losing one
/// costs a check of the content if it is ever taken up again.
pub const KEPT_DOWNLOADS: usize = 500;

/// Bytes of `config.toml`: a few hundred options are some kilobytes, and what is longer is not what was meant.
pub const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Bytes of a line of an error that is shown: the longest of our own sentences with a path in it. Longer words come from
/// whoever wrote them.
pub const MAX_ERROR_TEXT: usize = 1200;
