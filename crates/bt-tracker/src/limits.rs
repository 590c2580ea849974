//! The largest inputs that this crate accepts, each with its reason. Exceeding one is a typed
//! error or a counted omission, never an allocation.

use std::time::Duration;

/// Bytes of a tracker's HTTP reply body, measured after decompression. A list of 2,000 peers in
/// the long form is under 200 KiB; other clients stop at the same size.
pub const MAX_REPLY_BODY: usize = 1024 * 1024;

/// How many times larger a gzip body may become. Peer lists are nearly random bytes and shrink
/// little; a ratio of 100 is only reached by a bomb.
pub const MAX_GZIP_RATIO: usize = 100;

/// Bytes of the status line and headers of an HTTP reply.
pub const MAX_REPLY_HEAD: usize = 16 * 1024;

/// Header lines of an HTTP reply.
pub const MAX_REPLY_HEADERS: usize = 64;

/// Redirects followed for one request; a sixth is a loop.
pub const MAX_REDIRECTS: usize = 5;

/// Peers taken from one reply; a tracker cannot fill our list of candidates alone.
pub const MAX_PEERS: usize = 2_000;

/// Bytes of a tracker's URL. Passkeys and signatures fit; longer ones are attacks on logs.
pub const MAX_URL: usize = 2_048;

/// Trackers of one torrent.
pub const MAX_TRACKERS: usize = 200;

/// Bytes of `failure reason` and `warning message` that are kept for people to read.
pub const MAX_MESSAGE: usize = 1_024;

/// Bytes of `tracker id` that are kept and sent back.
pub const MAX_TRACKER_ID: usize = 256;

/// Depth of a bencoded reply: files → hash → numbers is 4 with room for extensions.
pub const MAX_REPLY_DEPTH: usize = 10;

/// Torrents in one UDP scrape: BEP 15 says about 74, so that the request fits an Ethernet frame.
pub const MAX_SCRAPE: usize = 74;

/// Bytes of a tracker's UDP packet that are read; larger ones are cut by the receiver. Holds
/// [`MAX_PEERS`] records of IPv6.
pub const MAX_UDP_PACKET: usize = 20 + MAX_PEERS * 18;

/// UDP trackers whose connection ids a client keeps. Each is kept for a minute only, and a program
/// with thousands of torrents talks to a few hundred trackers.
pub const MAX_UDP_CONNECTIONS: usize = 1_000;

/// The wait before the next address of a host is tried as well (RFC 8305, "Connection Attempt
/// Delay").
pub const CONNECT_STAGGER: Duration = Duration::from_millis(250);

/// The wait before the next address of a silent UDP tracker is asked as well: longer than any
/// round trip, shorter than the first retransmission.
pub const UDP_STAGGER: Duration = Duration::from_secs(3);

/// How long an announce waits for the second address family once the first has answered.
pub const FAMILY_GRACE: Duration = Duration::from_secs(3);

/// How long a client uses a UDP connection id (BEP 15). Trackers accept it for twice as long.
pub const UDP_CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// The wait for the answer to the first UDP packet (BEP 15); it doubles with each retransmission.
pub const UDP_FIRST_TIMEOUT: Duration = Duration::from_secs(15);

/// How often a UDP packet is sent again (BEP 15): the last wait is 15·2⁸ s, over an hour.
pub const UDP_MAX_RETRANSMISSIONS: u32 = 8;

/// Bytes of a request's query that the HTTP decoder reads.
pub const MAX_QUERY: usize = 8 * 1024;

/// Bytes of URL data in the options of one UDP announce (BEP 41), the sum of all its pieces.
pub const MAX_URL_DATA: usize = MAX_URL;

/// Shortest time between two regular announces, whatever the tracker says. Shorter ones load
/// trackers and bring no peers.
pub const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// Longest time between two regular announces, whatever the tracker says. A tracker that says
/// more would lose us by an arithmetic error of its own.
pub const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Interval when the tracker gave none.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// How long an announce may take when no other tracker is left to try. An HTTP tracker that has
/// not answered by then is overloaded; a UDP one has been asked three times.
pub const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an announce may take when another tracker could be tried instead: one retransmission
/// over UDP.
pub const NEXT_TRACKER_AFTER: Duration = Duration::from_secs(20);

/// How long a `stopped` may take: a person waits for the program to end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The first wait after a tracker could not be reached; it doubles with each failure.
pub const BACKOFF_UNREACHABLE: Duration = Duration::from_secs(5);

/// The first wait after a tracker refused; it doubles with each refusal.
pub const BACKOFF_REFUSED: Duration = Duration::from_secs(60);

/// The longest wait between two attempts that we choose ourselves.
pub const MAX_BACKOFF: Duration = Duration::from_secs(60 * 60);

/// The longest wait that a tracker can ask for (BEP 31) without saying "never": a week.
pub const MAX_RETRY_IN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Bytes of announces that wait to be told to other trackers while Redis is away: about 300,000
/// announces. What does not fit is dropped and counted; peers announce again.
pub const MAX_RELAY_QUEUE: usize = 8 * 1024 * 1024;

/// Bytes of announces in one entry of the stream in Redis, so that no reader gets one that takes
/// it long.
pub const MAX_RELAY_ENTRY: usize = 64 * 1024;

/// Entries that are read from Redis at once, so that a reply stays below 4 MiB.
pub const MAX_RELAY_ENTRIES: usize = 64;

/// Torrents of other trackers, not tracked here, that are remembered so that their peers can be
/// read again once they are. A closed fleet registers a torrent at its trackers within seconds of
/// each other; beyond this many, peers come with their next announce.
pub const MAX_RELAY_MISSED: usize = 10_000;

/// The longest wait before connecting to Redis again: swarms are apart meanwhile, and a Redis that
/// comes back should not be met by all trackers in the same moment.
pub const MAX_RELAY_BACKOFF: Duration = Duration::from_secs(2);

/// Bytes of one WebSocket message or frame. Ten offers of browsers have about 40 KiB; libraries
/// allow 64 MiB by default.
pub const MAX_SIGNAL: usize = 64 * 1024;

/// Offers in one announce over WebSocket. Clients send up to ten.
pub const MAX_SIGNAL_OFFERS: usize = 10;

/// Messages that wait for one WebSocket client: with [`MAX_SIGNAL`] it bounds what a client that
/// does not read can make the tracker keep. Further ones are dropped.
pub const MAX_SIGNALS_WAITING: usize = 32;

/// Torrents that one WebSocket connection can be in: more than any page shows.
pub const MAX_SIGNAL_TORRENTS: usize = 1_000;

/// WebSocket peers in one torrent. Each of them is a connection.
pub const MAX_SIGNAL_PEERS: usize = 20_000;

/// Peers of one user whose transfers a server follows, each in each torrent. A seedbox seeds
/// thousands of torrents; a key that is spread over more is shared by many, and each costs about
/// 120 bytes.
pub const MAX_ACCOUNTED_PEERS: usize = 10_000;

/// Bytes a second that a user's peer can move at most: a network card of 10 Gbit/s. Faster growth
/// of what it says is a lie or a mistake.
pub const MAX_ACCOUNTED_RATE: u64 = 1_250_000_000;

/// Time that is added to the wait between two announces when the rate is judged: clients count in
/// other moments than they announce.
pub const ACCOUNTED_SLACK: Duration = Duration::from_secs(10);

/// Names of users in one reply of `/metrics`. Prometheus keeps a series for each; more users than
/// this are summed up under the empty name.
pub const MAX_NAMED_USERS: usize = 5_000;

/// Connect requests a second that a server answers one UDP source (an IPv4 address, or a /64 of
/// IPv6) over time. Anybody can write another's address on such a packet, so this is also what a
/// victim can be made to get: 32 KB/s, and no more than was sent. A provider that hides a million
/// clients behind one address stays below it.
pub const UDP_CONNECTS_PER_SOURCE: u32 = 2_000;

/// Connect requests that a server answers one UDP source at once: a whole site is switched on.
pub const UDP_CONNECT_BURST: u32 = 4_000;

/// Sources that each UDP worker remembers for its limits: 1 MiB, which is only taken once sources
/// come.
pub const UDP_SOURCES: usize = 65_536;

/// Bytes of a request line to a server. Announces have about 300; a scrape of 74 torrents, as many as
/// over UDP, has 5.3 KB when every byte of each hash is escaped.
pub const MAX_REQUEST_LINE: usize = 8 * 1024;

/// Bytes of the header lines of a request to a server: those of browsers have about 1 KB.
pub const MAX_REQUEST_FIELDS: usize = 4 * 1024;

/// Header lines of a request to a server: browsers behind two proxies send about twenty.
pub const MAX_REQUEST_HEADERS: usize = 32;

/// Bytes of a body that is no upload: a client of ttorrent that announces 10,000 torrents at once
/// sends 2.5 MB.
pub const MAX_REQUEST_BODY: u64 = 4 * 1024 * 1024;

/// A request must come within this time, from its first byte or from the connection's start, and so
/// must a TLS handshake.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The body of an upload must come within this time: 4 MiB at 560 kbit/s.
pub const UPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of it that must come in each [`REQUEST_TIMEOUT`]: who sends less is not waited for.
pub const UPLOAD_STEP: usize = 16 * 1024;

/// The wait for the next request on a connection that had one.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client must take a message or [`WRITE_STEP`] of a reply, or the rest of it, within this time: a
/// large torrent reaches a slow line, and who takes nothing is not waited for.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// See [`WRITE_TIMEOUT`].
pub const WRITE_STEP: usize = 16 * 1024;

/// Bytes of a torrent file on offer. Larger ones are reported and left out, and refused as uploads.
pub const MAX_TORRENT_FILE: u64 = 10_000_000;

/// Bytes of the file name of an upload. Systems allow 255, and what is written first has a longer one.
pub const MAX_UPLOAD_NAME: usize = 200;

/// Bytes of a UDP packet that a server reads. A scrape of 74 torrents has 1,496 and an announce with
/// URL data is shorter; longer packets are dropped. Packets lie one after the other, and with a power
/// of two the beginnings of all of them would want the same few lines of the nearest cache.
pub const MAX_UDP_REQUEST: usize = 2048 + 3 * 64;

/// Bytes of a UDP reply of a server: what every network carries in one packet. It holds 230 IPv4
/// peers or 76 IPv6 peers.
pub const MAX_UDP_REPLY: u32 = 1400;

/// Bytes of the longest text in a query that is read as an address: a bracketed IPv6 address with
/// its port has 47. What is longer is no address, and ignored.
pub const MAX_ADDRESS_TEXT: usize = 64;

/// How often a browser that is silent is asked whether it is still there.
pub const SIGNAL_PING: Duration = Duration::from_secs(60);

/// Silence after which a browser's connection is closed: two questions without an answer.
pub const SIGNAL_SILENCE: Duration = Duration::from_secs(150);

/// Header lines of a request to the side for operators, which proxies of theirs may stand before.
pub const MAX_ADMIN_HEADERS: usize = 64;

/// Bytes that a connection to the side for operators holds of what it was sent, a head among them.
pub const MAX_ADMIN_BUFFER: usize = 16 * 1024;

/// How long such a connection lasts at most: who asks and does not read what is said has no place for ever. Monitors
/// that keep a connection begin another one.
pub const ADMIN_CONNECTION_LIFE: Duration = Duration::from_secs(300);

/// Bytes that `bt-tracker top` reads of a tracker's numbers: twenty swarms and a quarter of an hour take
/// 12 KB.
pub const MAX_NUMBERS_REPLY: usize = 256 * 1024;

/// Connections at once to the side for operators: a fleet of monitors, each with a few. One more is
/// closed at once.
pub const MAX_ADMIN_CONNECTIONS: usize = 256;

/// Bytes of a token for changes or uploads, at least. It is all that keeps a token from being guessed:
/// with 16 random hexadecimal digits, 64 bits, a million guesses a second find it in 290,000 years, with
/// 16 random decimal ones in 160.
pub const MIN_TOKEN: usize = 16;

/// Wrong tokens a minute that one source (an IPv4 address, or a /64 of IPv6) is told of as such, each
/// kind by itself: a person mistypes a few times. More are told to wait. The right one never is.
pub const LOGINS_PER_MINUTE: usize = 5;

/// Sources of wrong tokens that a server remembers, about 600 KB for each kind. Of more, the one whose last failure
/// is the oldest is forgotten: it has waited longest.
pub const MAX_LOGIN_SOURCES: usize = 4_096;

/// Bytes of a buffer that a server keeps with an HTTP connection once a reply has been sent, and of
/// a body that is copied behind its head instead of being sent from where it is. Nearly every reply
/// is below 4 KiB; with more, 20,000 kept connections could hold gigabytes for nothing.
pub const MAX_KEPT_BUFFER: usize = 16 * 1024;

/// Bytes that all connections of a server together may hold of requests and replies under way, beyond
/// [`MAX_KEPT_BUFFER`] for each, unless its owner says otherwise: sixty uploads of 4 MiB at once.
pub const MAX_CONNECTION_MEMORY: usize = 256 * 1024 * 1024;

/// Of the connections that a server has, or that a source of them has, the part that makes room at
/// once when there are as many as may be, so that the search for the idlest is rare.
pub const EVICTED_PART: usize = 64;

/// Announces that a server takes in one request. Clients of ttorrent have been seen to send 10,000.
pub const MAX_ANNOUNCES_IN_REQUEST: usize = 10_000;

/// Bytes of the reply to many announces after which further ones are carried out but name no peers.
/// Each of these adds less than 300 bytes, so the whole reply stays below 4 MiB.
pub const MAX_PEERS_IN_REPLY: usize = 1024 * 1024;

/// Announces that a client sends in one request to a tracker that takes many at once: with 200
/// peers of IPv6 for each, the reply fits [`MAX_REPLY_BODY`].
pub const MAX_ANNOUNCES_AT_ONCE: usize = 200;

/// Announces under way at once to a tracker that takes one at a time.
pub const MAX_ANNOUNCES_UNDER_WAY: usize = 8;

/// Trackers that a client remembers not to take many announces at once. Forgetting costs one
/// request.
pub const MAX_SINGLE_TRACKERS: usize = 1_000;

/// File descriptors that a server leaves free for what is neither a listener nor an HTTP connection:
/// requests of operators, snapshots, lists, torrents, a Redis.
pub const SPARE_FILES: usize = 64;

/// How often a server says that connections cannot be accepted, at most: it is tried again twenty
/// times a second.
pub const FILE_COMPLAINTS: Duration = Duration::from_secs(60);

/// Connections that a server sends away at once when it has no file descriptor left, at most and
/// however many listeners see it: each descriptor serves all who ask once and go, so a few are enough.
pub const FILE_EVICTIONS: usize = 16;

/// The shortest time between two of these, which is also how long a listener waits before it tries
/// again: at most 320 connections a second make room.
pub const FILE_EVICTION_PAUSE: Duration = Duration::from_millis(50);

/// How long a request that has begun to come is waited for when there is no file descriptor left:
/// longer than a lost segment takes to be sent again, and less than who sends byte by byte wants.
pub const ASKING_GRACE: Duration = Duration::from_secs(2);

/// How long a server sends an index of its torrents before it counts seeds and leechers anew, at
/// least: people do not see the difference, and whoever asks again and again costs nothing.
pub const INDEX_LIFE: Duration = Duration::from_secs(1);

/// How many times longer than its making an index is sent: with 100,000 torrents one takes a fifth
/// of a second, and making them takes no more than a fiftieth of a core.
pub const INDEX_SHARE: u32 = 50;

/// How many times longer than another HTTP connection a browser may be silent before it makes room:
/// it announces every two minutes, where others are closed after one.
pub const BROWSER_PATIENCE: u64 = 3;

/// Places in torrents that all browsers together can take, each a peer in a torrent: 160 MiB.
/// Twenty thousand browsers can be in a dozen torrents each.
pub const MAX_SIGNAL_PLACES: usize = 250_000;

/// The part of them that browsers of one source (an IPv4 address, or a /48 of IPv6) can take, so that
/// one provider's customers behind one address are all let in. When all are taken, the source with most
/// makes room, so nobody is kept out by a few that take all they can.
pub const MAX_SIGNAL_PLACES_OF_SOURCE: usize = MAX_SIGNAL_PLACES / 4;

/// Bytes of WebSocket messages under way that a connection may have without their being counted:
/// what the buffer of every connection has room for.
pub const MAX_UNCOUNTED_SIGNAL: usize = 4 * 1024;

/// Bytes of a configuration file: one with every setting has 3 KB.
pub const MAX_CONFIG_FILE: u64 = 1024 * 1024;

/// Bytes of a file with a token or a key: they have one line.
pub const MAX_SECRET_FILE: u64 = 64 * 1024;

/// Bytes of a list of info-hashes or passkeys: 13 million info-hashes, more torrents than a tracker takes by default.
pub const MAX_LIST_FILE: u64 = 512 * 1024 * 1024;

/// Bytes of a certificate with those that vouch for it, or of its key: a long chain has 20 KB.
pub const MAX_CERTIFICATE_FILE: u64 = 1024 * 1024;
