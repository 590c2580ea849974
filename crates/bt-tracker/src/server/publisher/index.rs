//! The list of torrents as a page for people and as JSON for programs.
//!
//! The page works without scripts, and everything that comes from outside is escaped.

use std::fmt::Write as _;

use bt_metainfo::InfoHash;
use serde::Serialize;

use super::super::shown::steers;
use super::{Catalog, Published};
use crate::swarm::{Counts, Swarms};

#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    url: String,
    name: &'a str,
    info_hash: String,
    info_hashes: Vec<String>,
    size: u64,
    seeds: u32,
    leechers: u32,
    completed: u32,
    magnet: &'a str,
}

/// `{"torrents":[…]}`.
pub(in super::super) fn json(catalog: &Catalog, swarms: &Swarms) -> Vec<u8> {
    #[derive(Serialize)]
    struct Index<'a> {
        torrents: Vec<Row<'a>>,
    }
    let torrents = catalog
        .iter()
        .map(|(file, torrent)| row(file, torrent, swarms))
        .collect();
    serde_json::to_vec(&Index { torrents }).unwrap_or_default()
}

/// One torrent as an object.
pub(in super::super) fn info_json(file: &str, torrent: &Published, swarms: &Swarms) -> Vec<u8> {
    let mut row = row(file, torrent, swarms);
    row.url = format!("/torrents/{}", escaped(file));
    serde_json::to_vec(&row).unwrap_or_default()
}

/// A page about one torrent.
pub(in super::super) fn info_html(file: &str, torrent: &Published, swarms: &Swarms) -> Vec<u8> {
    let row = row(file, torrent, swarms);
    let name = Escaped(row.name);
    let mut page = HEAD.replacen("<title>Torrents", &format!("<title>{name}"), 1);
    page.truncate(page.find("<h1>").unwrap_or(page.len()));
    write!(
        page,
        "<h1>{name}</h1>\n<table>\n<tr><th>Size<td>{size} ({bytes} bytes)</tr>\n\
         <tr><th>Seeds<td>{seeds}</tr>\n<tr><th>Leechers<td>{leechers}</tr>\n\
         <tr><th>Completed<td>{completed}</tr>\n",
        size = Size(row.size),
        bytes = row.size,
        seeds = row.seeds,
        leechers = row.leechers,
        completed = row.completed,
    )
    .expect("writing to a String cannot fail");
    for hash in &row.info_hashes {
        writeln!(page, "<tr><th>Info-hash<td><code>{hash}</code></tr>")
            .expect("writing to a String cannot fail");
    }
    write!(
        page,
        "</table>\n<p><a href=\"{url}\">{file}</a> · <a href=\"{magnet}\">magnet</a> · \
         <a href=\"./\">all torrents</a></p>\n</body>\n</html>\n",
        url = Escaped(&row.url),
        file = Escaped(row.file),
        magnet = Escaped(row.magnet),
    )
    .expect("writing to a String cannot fail");
    page.into_bytes()
}

/// A page with one row a torrent.
pub(in super::super) fn html(catalog: &Catalog, swarms: &Swarms) -> Vec<u8> {
    let mut page = String::from(HEAD);
    let mut rows = 0;
    for (file, torrent) in catalog.iter() {
        let row = row(file, torrent, swarms);
        rows += 1;
        writeln!(
            page,
            "<tr><td><a href=\"{url}\">{name}</a></td><td class=n title=\"{bytes} bytes\">{size}\
             </td><td class=n>{seeds}</td><td class=n>{leechers}</td><td class=n>{completed}</td>\
             <td><a href=\"{magnet}\">magnet</a></td><td><a href=\"./{hash}\"><code>{hash}</code></a></td></tr>",
            url = Escaped(&row.url),
            name = Escaped(row.name),
            bytes = row.size,
            size = Size(row.size),
            seeds = row.seeds,
            leechers = row.leechers,
            completed = row.completed,
            magnet = Escaped(row.magnet),
            hash = row.info_hash,
        )
        .expect("writing to a String cannot fail");
    }
    if rows == 0 {
        page.push_str("<tr><td colspan=7>No torrents yet.</td></tr>\n");
    }
    page.push_str(TAIL);
    page.into_bytes()
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
    <meta name=viewport content=\"width=device-width\">\n<title>Torrents</title>\n<style>\n\
    body{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;\
    color-scheme:light dark}\ntable{border-collapse:collapse;width:100%}\n\
    th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;\
    overflow-wrap:anywhere}\n.n{text-align:right;white-space:nowrap}\n\
    code{font-size:.8rem}\n</style>\n</head>\n<body>\n<h1>Torrents</h1>\n<table>\n\
    <thead><tr><th>Name<th class=n>Size<th class=n>Seeds<th class=n>Leechers\
    <th class=n>Completed<th>Magnet<th>Info-hash</tr></thead>\n<tbody>\n";

const TAIL: &str = "</tbody>\n</table>\n</body>\n</html>\n";

fn row<'a>(file: &'a str, torrent: &'a Published, swarms: &Swarms) -> Row<'a> {
    let counts = torrent
        .info_hashes
        .iter()
        .filter_map(|hash| swarms.scrape(hash));
    let counts = counts.fold(Counts::default(), |sum, counts| Counts {
        seeds: sum.seeds.saturating_add(counts.seeds),
        downloaders: sum.downloaders.saturating_add(counts.incomplete()),
        partial: 0,
        completed: sum.completed.saturating_add(counts.completed),
    });
    Row {
        file,
        url: encoded(file),
        name: &torrent.name,
        info_hash: torrent
            .info_hashes
            .first()
            .map(InfoHash::to_string)
            .unwrap_or_default(),
        info_hashes: torrent
            .info_hashes
            .iter()
            .map(InfoHash::to_string)
            .collect(),
        size: torrent.size,
        seeds: counts.seeds,
        leechers: counts.downloaders,
        completed: counts.completed,
        magnet: &torrent.magnet,
    }
}

/// The file name as a relative URL.
fn encoded(file: &str) -> String {
    format!("./{}", escaped(file))
}

/// The file name as a part of a URL.
pub(in super::super) fn escaped(file: &str) -> String {
    let mut url = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            write!(url, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    url
}

/// Text as it may stand in a page and in a quoted attribute. Characters that would turn the text
/// around or hide a part of it are shown by their number.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ if steers(character) => write!(f, "[U+{:04X}]", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Bytes for people.
struct Size(u64);

impl std::fmt::Display for Size {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1024.0 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        write!(f, "{size:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_cannot_leave_their_place() {
        let bad = "</td><script>alert(1)</script>\"' onload=x &\u{202e}gpj\u{7}";
        let escaped = Escaped(bad).to_string();
        assert!(
            !escaped.contains(['<', '>', '"', '\'', '\u{202e}', '\u{7}']),
            "{escaped}"
        );
        assert!(escaped.contains("[U+202E]gpj[U+0007]"), "{escaped}");
        assert_eq!(
            encoded("a b/..\"<é>.torrent"),
            "./a%20b%2F..%22%3C%C3%A9%3E.torrent"
        );
    }

    #[test]
    fn sizes_are_readable() {
        let shown = [0, 1023, 1024, 1_500_000, u64::MAX].map(|size| Size(size).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "16.0 EiB"]);
    }
}
