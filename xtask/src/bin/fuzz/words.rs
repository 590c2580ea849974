//! Words of the formats that targets read: mutations insert them.

/// Words of torrent files, from `announce` to `url-list`.
pub(crate) const TORRENT_WORDS: &[&[u8]] = &[
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
pub(crate) const MAGNET_WORDS: &[&[u8]] = &[
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
pub(crate) const PATH_WORDS: &[&[u8]] = &[
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
pub(crate) const WIRE_WORDS: &[&[u8]] = &[
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
pub(crate) const EXTENSION_WORDS: &[&[u8]] = &[
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

/// Parameters of announces and scrapes, and URLs to send them to.
pub(crate) const QUERY_WORDS: &[&[u8]] = &[
    b"info_hash=%01%02%03%04%05%06%07%08%09%0a%0b%0c%0d%0e%0f%10%11%12%13%14",
    b"&peer_id=-BT0100-abcdefghijkl",
    b"&port=6881",
    b"&uploaded=0",
    b"&downloaded=18446744073709551615",
    b"&left=-1",
    b"&compact=1",
    b"&no_peer_id=1",
    b"&event=started",
    b"&event=paused",
    b"&numwant=",
    b"&key=ffffffff",
    b"&trackerid=",
    b"&ip=::1",
    b"&ipv6=",
    b"%",
    b"+",
    b"/announce",
    b"/scrape",
    b"http://a:1",
    b"udp://[::1]:80/x?y",
];

/// Keys of tracker replies.
pub(crate) const REPLY_WORDS: &[&[u8]] = &[
    b"complete",
    b"downloaded",
    b"downloaders",
    b"external ip",
    b"failure reason",
    b"files",
    b"flags",
    b"incomplete",
    b"interval",
    b"ip",
    b"min interval",
    b"min_request_interval",
    b"never",
    b"peer id",
    b"peers",
    b"peers6",
    b"port",
    b"retry in",
    b"tracker id",
    b"warning message",
];

/// The magic number and the actions of UDP trackers.
pub(crate) const UDP_WORDS: &[&[u8]] = &[
    b"\0\0\x04\x17\x27\x10\x19\x80",
    b"\0\0\0\0",
    b"\0\0\0\x01",
    b"\0\0\0\x02",
    b"\0\0\0\x03",
    b"\x02\x09/announce",
    b"\x01",
];

/// Request heads as a tracker gets them.
pub(crate) const SERVER_WORDS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"/announce?",
    b"/scrape?",
    b"/torrents/",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"\r\n\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"X-Forwarded-For: 1.2.3.4\r\n",
    b"&info_hash=%00%01",
    b"&peer_id=-XX0001-000000000001",
    b"&port=1",
    b"&left=0",
    b"&event=stopped",
];
