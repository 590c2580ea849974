//! From the word on the command line to a torrent: a file, standard input, a magnet, an
//! info-hash, a URL or plain content. It must not know what the torrent is wanted for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use bt_metainfo::{InfoHash, InfoHashV2, Magnet, Metainfo, limits};
use bt_tracker::http::redacted;
use tokio::sync::oneshot;

use super::Context;
use super::exit::Exit;
use super::report::Failure;

/// What a word on the command line means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    /// `-`
    Stdin,
    /// `magnet:?…`
    Magnet(&'a str),
    /// 40 or 64 hexadecimal digits, or 32 characters of base32.
    InfoHash(&'a str),
    /// `http://…` or `https://…`
    Url(&'a str),
    /// Anything else.
    Path(&'a Path),
}

/// A torrent, or the link to one.
#[derive(Debug)]
pub(crate) enum Source {
    Torrent(Box<Metainfo>),
    Magnet(Box<Magnet>),
}

impl<'a> Word<'a> {
    /// Looks at the word only; an info-hash that is also the name of a file means the file.
    pub(crate) fn of(word: &'a OsStr) -> Self {
        let path = Self::Path(Path::new(word));
        let Some(text) = word.to_str() else {
            return path;
        };
        let starts = |prefix: &str| {
            text.get(..prefix.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
        };
        if text == "-" {
            Self::Stdin
        } else if starts("magnet:") {
            Self::Magnet(text)
        } else if starts("http://") || starts("https://") {
            Self::Url(text)
        } else if (text.parse::<InfoHash>().is_ok() || text.parse::<InfoHashV2>().is_ok())
            && !Path::new(text).exists()
        {
            Self::InfoHash(text)
        } else {
            path
        }
    }
}

/// Reads a torrent from a file, or from standard input when the path is `-`; `None` when asked to stop meanwhile.
pub(crate) async fn torrent(path: &Path, context: &Context) -> Result<Option<Metainfo>, Failure> {
    if let Word::Url(text) = Word::of(path.as_os_str()) {
        return Err(not_a_file(text));
    }
    let (sender, read) = oneshot::channel();
    let path = PathBuf::from(path);
    // A pipe may never end, and whoever waits for it cannot be called back. The thread is left to itself, since the
    // runtime would wait for one of its own.
    thread::Builder::new()
        .name("read".to_owned())
        .spawn(move || sender.send(read_torrent(&path)))
        .map_err(|error| Failure::new(Exit::Other, "cannot start a thread").cause(&error))?;
    tokio::select! {
        biased;
        _ = context.stop.requested() => Ok(None),
        read = read => {
            let (label, bytes) = read.map_err(|_| Failure::new(Exit::Other, "the reading thread ended by itself"))??;
            parse_torrent(&label, &bytes).map(Some)
        }
    }
}

/// Blocks the thread. Gives the bytes with a name for where they are from.
fn read_torrent(path: &Path) -> Result<(String, Vec<u8>), Failure> {
    Ok(if path == Path::new("-") {
        (
            "standard input".to_owned(),
            read_all(io::stdin().lock(), "standard input")?,
        )
    } else {
        let label = path.display().to_string();
        let file = File::open(path).map_err(|error| match scheme(&label) {
            Some(scheme) => Failure::new(Exit::BadInput, format!("{label} cannot be fetched"))
                .because(format!("{scheme} is none of the ways that are known"))
                .hint("give the http or https URL of the torrent, or a file"),
            None => unreadable(&label, &error),
        })?;
        let bytes = read_all(file, &label)?;
        (label, bytes)
    })
}

/// Reads a torrent or a magnet, whichever the word means; `None` when asked to stop meanwhile.
pub(crate) async fn torrent_or_magnet(
    word: &OsStr,
    context: &Context,
) -> Result<Option<Source>, Failure> {
    match Word::of(word) {
        Word::Magnet(text) => magnet(text).map(|magnet| Some(Source::Magnet(Box::new(magnet)))),
        Word::Stdin | Word::Path(_) => {
            let metainfo = torrent(Path::new(word), context).await?;
            Ok(metainfo.map(|metainfo| Source::Torrent(Box::new(metainfo))))
        }
        Word::InfoHash(text) => Err(Failure::new(
            Exit::BadInput,
            format!("{text} is a bare info-hash"),
        )
        .because("it says nothing about the content")
        .hint("give the .torrent file or a magnet")),
        Word::Url(text) => Err(not_a_file(text)),
    }
}

fn not_a_file(url: &str) -> Failure {
    let url = redacted(url);
    Failure::new(Exit::BadInput, format!("{url} is a URL, not a file"))
        .hint("download takes URLs; or fetch it first, such as curl URL | bt-client show -")
}

/// Parses the bytes of a torrent; `label` says where they are from.
pub(crate) fn parse_torrent(label: &str, bytes: &[u8]) -> Result<Metainfo, Failure> {
    Metainfo::parse(bytes).map_err(|error| {
        let failure =
            Failure::new(Exit::BadInput, format!("{label} is not a usable torrent")).cause(&error);
        match looks_like(bytes) {
            Some(what) => failure.hint(what),
            None => failure,
        }
    })
}

/// Parses a magnet.
pub(crate) fn magnet(text: &str) -> Result<Magnet, Failure> {
    text.parse().map_err(|error: bt_metainfo::MagnetError| {
        Failure::new(Exit::BadInput, "the magnet cannot be used")
            .cause(&error)
            .hint("a magnet looks like magnet:?xt=urn:btih:<40 hexadecimal digits>; quote it, since & ends a command")
    })
}

/// Of something that looks like a URL, what stands before `://`.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_one = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (!scheme.is_empty() && scheme.chars().all(is_one)).then_some(scheme)
}

/// Reads everything, but no more than a torrent may be long.
fn read_all(source: impl Read, label: &str) -> Result<Vec<u8>, Failure> {
    let limit = u64::try_from(limits::MAX_FILE_BYTES).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    source
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(label, &error))?;
    if bytes.len() > limits::MAX_FILE_BYTES {
        let message = format!("{label} is not a usable torrent");
        return Err(Failure::new(Exit::BadInput, message)
            .because(format!(
                "it is longer than {} bytes",
                limits::MAX_FILE_BYTES
            ))
            .hint("was the content meant instead of the .torrent file?"));
    }
    Ok(bytes)
}

/// A path that names no file is a mistake in the input; a file that cannot be read is trouble
/// with the storage.
fn unreadable(label: &str, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            Exit::BadInput
        }
        _ => Exit::Storage,
    };
    Failure::new(exit, format!("cannot read {label}")).cause(error)
}

/// What else the bytes may be, from how they start.
fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 6] = [
        (
            b"<",
            "it starts like a web page: perhaps the download of the torrent needed a login",
        ),
        (
            b"magnet:",
            "it holds a magnet: give the magnet itself instead of the file",
        ),
        (b"\x1f\x8b", "it is compressed with gzip: unpack it first"),
        (b"PK\x03\x04", "it is a zip archive: unpack it first"),
        (b"{", "it starts like JSON"),
        (
            b"\xef\xbb\xbf",
            "it starts with a text mark, as if a text editor had saved it",
        ),
    ];
    let start = bytes.trim_ascii_start();
    STARTS
        .iter()
        .find(|(prefix, _)| start.starts_with(prefix))
        .map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::{Word, looks_like, scheme};
    use std::ffi::OsStr;
    use std::path::Path;

    #[test]
    fn words_mean_what_they_look_like() {
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let table = [
            ("-", Word::Stdin),
            (
                "magnet:?xt=urn:btih:x",
                Word::Magnet("magnet:?xt=urn:btih:x"),
            ),
            ("MAGNET:?x", Word::Magnet("MAGNET:?x")),
            ("https://a/b.torrent", Word::Url("https://a/b.torrent")),
            ("HTTP://a/b", Word::Url("HTTP://a/b")),
            (hash, Word::InfoHash(hash)),
            ("a.torrent", Word::Path(Path::new("a.torrent"))),
            ("httpfile", Word::Path(Path::new("httpfile"))),
            ("", Word::Path(Path::new(""))),
            ("ü", Word::Path(Path::new("ü"))),
        ];
        for (word, meaning) in table {
            assert_eq!(Word::of(OsStr::new(word)), meaning, "{word}");
        }
    }

    #[test]
    fn urls_of_other_kinds_are_told_from_paths() {
        assert_eq!(scheme("ftp://a/b.torrent"), Some("ftp"));
        assert_eq!(scheme("a+b://"), Some("a+b"));
        for path in ["a/b", "://x", "a b://x", "dir/x://y"] {
            assert_eq!(scheme(path), None, "{path}");
        }
    }

    #[test]
    fn common_mix_ups_are_recognized() {
        assert!(looks_like(b" \n<!DOCTYPE html>").is_some_and(|hint| hint.contains("web page")));
        assert!(looks_like(b"\x1f\x8b\x08").is_some_and(|hint| hint.contains("gzip")));
        assert_eq!(looks_like(b"d8:announce"), None);
        assert_eq!(looks_like(b""), None);
    }
}
