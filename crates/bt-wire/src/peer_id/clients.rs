//! The table of client codes and the styles in which versions are written (BEP 20).
//!
//! Knows nothing of what the names are used for. The names are facts, kept in order of their codes.

/// Two-letter codes of ids in the style `-XX1234-`.
const AZUREUS: &[(&[u8; 2], &str)] = &[
    (b"7T", "aTorrent"),
    (b"A~", "Ares"),
    (b"AG", "Ares"),
    (b"AR", "Arctic"),
    (b"AT", "Artemis"),
    (b"AV", "Avicora"),
    (b"AX", "BitPump"),
    (b"AZ", "Azureus"),
    (b"BB", "BitBuddy"),
    (b"BC", "BitComet"),
    (b"BE", "BitTorrent SDK"),
    (b"BF", "Bitflu"),
    (b"BG", "BTG"),
    (b"BI", "BiglyBT"),
    (b"BR", "BitRocket"),
    (b"BS", "BTSlave"),
    (b"BT", "bt-client"),
    (b"BX", "BittorrentX"),
    (b"CD", "Enhanced CTorrent"),
    (b"CT", "CTorrent"),
    (b"DE", "Deluge"),
    (b"DP", "Propagate"),
    (b"EB", "EBit"),
    (b"ES", "electric sheep"),
    (b"FD", "Free Download Manager"),
    (b"FG", "FlashGet"),
    (b"FT", "FoxTorrent"),
    (b"FX", "Freebox"),
    (b"GS", "GSTorrent"),
    (b"GT", "go.torrent"),
    (b"HL", "Halite"),
    (b"HN", "Hydranode"),
    (b"KG", "KGet"),
    (b"KT", "KTorrent"),
    (b"LH", "LH-ABC"),
    (b"LP", "Lphant"),
    (b"LT", "libtorrent"),
    (b"LW", "LimeWire"),
    (b"ML", "MLdonkey"),
    (b"MO", "MonoTorrent"),
    (b"MP", "MooPolice"),
    (b"MR", "Miro"),
    (b"MT", "MoonlightTorrent"),
    (b"NX", "Net Transport"),
    (b"PC", "CacheLogic"),
    (b"PD", "Pando"),
    (b"PI", "PicoTorrent"),
    (b"QD", "QQDownload"),
    (b"QT", "Qt 4 Torrent"),
    (b"RT", "Retriever"),
    (b"S~", "Shareaza"),
    (b"SB", "Swiftbit"),
    (b"SS", "SwarmScope"),
    (b"ST", "SymTorrent"),
    (b"SZ", "Shareaza"),
    (b"TL", "Tribler"),
    (b"TN", "TorrentDotNET"),
    (b"TO", "ttorrent"),
    (b"TR", "Transmission"),
    (b"TS", "Torrentstorm"),
    (b"TT", "TuoTu"),
    (b"UL", "uLeecher!"),
    (b"UM", "uTorrent for Mac"),
    (b"UT", "uTorrent"),
    (b"UW", "uTorrent Web"),
    (b"VG", "Vagaa"),
    (b"WD", "WebTorrent Desktop"),
    (b"WT", "BitLet"),
    (b"WW", "WebTorrent"),
    (b"WY", "FireTorrent"),
    (b"XL", "Xunlei"),
    (b"XT", "XanTorrent"),
    (b"XX", "Xtorrent"),
    (b"ZT", "ZipTorrent"),
    (b"lt", "rTorrent"),
    (b"qB", "qBittorrent"),
    (b"rQ", "rqbit"),
    (b"st", "sharktorrent"),
];

/// One-letter codes of ids in the style `S58B-----`.
const SHADOW: &[(u8, &str)] = &[
    (b'A', "ABC"),
    (b'O', "Osprey Permaseed"),
    (b'Q', "BTQueue"),
    (b'R', "Tribler"),
    (b'S', "Shadow's client"),
    (b'T', "BitTornado"),
    (b'U', "UPnP NAT Bit Torrent"),
];

/// What [`PeerId::client_name`](super::PeerId::client_name) says.
pub(super) fn name(id: &[u8; 20]) -> String {
    let style = [azureus, aria2, mainline, xbt, bitcomet, shadow];
    style
        .into_iter()
        .find_map(|style| style(id))
        .unwrap_or_else(|| "unknown client".to_owned())
}

/// `-LT2110-`: two letters and four digits between dashes.
fn azureus(id: &[u8; 20]) -> Option<String> {
    let [b'-', a, b, version @ ..] = id else {
        return None;
    };
    if !a.is_ascii_graphic() || !b.is_ascii_graphic() {
        return None;
    }
    let code = [*a, *b];
    let name = AZUREUS
        .iter()
        .find(|(known, _)| **known == code)
        .map_or_else(
            || code.iter().copied().map(char::from).collect(),
            |(_, name)| (*name).to_owned(),
        );
    if &code == b"ML" {
        // MLdonkey writes its version with dots.
        let text: String = version
            .iter()
            .take(8)
            .take_while(|byte| **byte != b'-')
            .filter(|byte| byte.is_ascii_digit() || **byte == b'.')
            .copied()
            .map(char::from)
            .collect();
        return Some(format!("{name} {text}"));
    }
    let digits = version.get(..4)?;
    let numbers: Vec<u32> = digits
        .iter()
        .filter_map(|digit| version_digit(*digit))
        .collect();
    match numbers.as_slice() {
        [major, minor, patch, 0] => Some(format!("{name} {major}.{minor}.{patch}")),
        [major, minor, patch, last] => Some(format!("{name} {major}.{minor}.{patch}.{last}")),
        _ => Some(name),
    }
}

/// `A2-1-36-0-`: aria2.
fn aria2(id: &[u8; 20]) -> Option<String> {
    dashed(id.strip_prefix(b"A2-")?).map(|version| format!("aria2 {version}"))
}

/// `M7-10-5--` and `Q1-10-0-`: the client of the protocol's author, and Queen Bee.
fn mainline(id: &[u8; 20]) -> Option<String> {
    let name = match id.first()? {
        b'M' => "Mainline",
        b'Q' => "Queen Bee",
        _ => return None,
    };
    dashed(id.get(1..)?).map(|version| format!("{name} {version}"))
}

/// Three decimal numbers, each followed by a dash.
fn dashed(bytes: &[u8]) -> Option<String> {
    let mut parts = bytes.split(|byte| *byte == b'-');
    let mut version = String::new();
    for _ in 0..3 {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 3 || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        if !version.is_empty() {
            version.push('.');
        }
        version.extend(part.iter().copied().map(char::from));
    }
    // The third number ends with a dash only if something comes after it.
    parts.next().map(|_| version)
}

/// `XBT054d-`: XBT Client.
fn xbt(id: &[u8; 20]) -> Option<String> {
    let [b'X', b'B', b'T', a, b, c, ..] = id else {
        return None;
    };
    let all = [a, b, c].iter().all(|digit| digit.is_ascii_digit());
    all.then(|| {
        format!(
            "XBT {}.{}.{}",
            char::from(*a),
            char::from(*b),
            char::from(*c)
        )
    })
}

/// `exbc` and two version bytes: BitComet before 0.59.
fn bitcomet(id: &[u8; 20]) -> Option<String> {
    let [a, b, c, d, major, minor, rest @ ..] = id;
    match &[*a, *b, *c, *d] {
        b"exbc" | b"FUTB" => {
            let name = if rest.starts_with(b"LORD") {
                "BitLord"
            } else {
                "BitComet"
            };
            Some(format!("{name} {major}.{minor:02}"))
        }
        _ => None,
    }
}

/// `S58B-----`: a letter, up to five characters of version, three dashes.
fn shadow(id: &[u8; 20]) -> Option<String> {
    let (letter, rest) = id.split_first()?;
    let (_, name) = SHADOW.iter().find(|(known, _)| known == letter)?;
    if rest.get(5..8)? != b"---" {
        return None;
    }
    let version: Option<Vec<String>> = rest
        .get(..5)?
        .iter()
        .take_while(|byte| **byte != b'-')
        .map(|byte| version_digit(*byte).map(|digit| digit.to_string()))
        .collect();
    Some(format!("{name} {}", version?.join(".")))
}

/// A digit of a version: 0 to 9, then letters go on counting.
fn version_digit(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(36)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &[u8], expected: &str) {
        let mut id = *b"????????kgjjfkdmwprt";
        for (byte, part) in id.iter_mut().zip(prefix) {
            *byte = *part;
        }
        assert_eq!(name(&id), expected, "{}", String::from_utf8_lossy(prefix));
    }

    #[test]
    fn well_known_ids_have_their_names() {
        check(b"-LT2110-", "libtorrent 2.1.1");
        check(b"-lt0D80-", "rTorrent 0.13.8");
        check(b"-TR3000-", "Transmission 3.0.0");
        check(b"-qB4520-", "qBittorrent 4.5.2");
        check(b"-DE203s-", "Deluge 2.0.3.28");
        check(b"-UT355W-", "uTorrent 3.5.5.32");
        check(b"-TO0042-", "ttorrent 0.0.4.2");
        check(b"-BT0100-", "bt-client 0.1.0");
        check(b"-ML2.7.2-kgjj", "MLdonkey 2.7.2");
        check(b"A2-1-36-0-", "aria2 1.36.0");
        check(b"M7-10-5--", "Mainline 7.10.5");
        check(b"Q1-10-0-", "Queen Bee 1.10.0");
        check(b"XBT054d-", "XBT 0.5.4");
        check(b"S58B-----", "Shadow's client 5.8.11");
        check(b"T03A------", "BitTornado 0.3.10");
        check(b"exbc\x00\x38", "BitComet 0.56");
        check(b"exbc\x00\x38LORD", "BitLord 0.56");
    }

    #[test]
    fn unknown_ids_do_not_hide_or_break_anything() {
        check(b"-ZZ1200-", "ZZ 1.2.0");
        check(b"-ZZ..00-", "ZZ");
        check(b"-\x1b[1200-", "unknown client");
        check(b"????????", "unknown client");
        check(&[0; 20], "unknown client");
        check(&[0xff; 20], "unknown client");
        check(b"M4-20", "unknown client");
    }

    #[test]
    fn names_are_short_and_printable_whatever_the_bytes() {
        for seed in 0..=255_u8 {
            for prefix in [
                b"-".as_slice(),
                b"-ML",
                b"A2-",
                b"M",
                b"exbc",
                b"XBT",
                b"S",
                b"T",
            ] {
                let mut id = [seed; 20];
                id[..prefix.len()].copy_from_slice(prefix);
                let name = name(&id);
                assert!(name.len() <= 40, "{name}");
                assert!(
                    name.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
                    "{name:?}"
                );
            }
        }
    }

    #[test]
    fn the_table_is_sorted_and_has_no_code_twice() {
        assert!(AZUREUS.windows(2).all(|pair| pair[0].0 != pair[1].0));
        let mut sorted = AZUREUS.to_vec();
        sorted.sort_by_key(|entry| entry.0);
        sorted.dedup_by_key(|entry| entry.0);
        assert_eq!(sorted.len(), AZUREUS.len());
    }
}
