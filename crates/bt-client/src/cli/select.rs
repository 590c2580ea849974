//! Which files of a torrent are wanted: numbers, ranges and globs. It must not know sessions.

use std::collections::BTreeMap;
use std::path::Path;

use bt_metainfo::{FileIndex, Info};
use clap::Args;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::exit::Exit;
use super::report::Failure;
use super::units;
use crate::engine::Priority;

/// Options that choose files.
#[derive(Debug, Args)]
#[command(next_help_heading = "File selection")]
pub(crate) struct Selection {
    /// Only these files, by the numbers that `show` prints: 1,3-5,9-
    #[arg(short, long, value_name = "LIST", value_delimiter = ',', value_parser = parse_range)]
    files: Vec<Range>,
    /// How much files are wanted: 1,3-5=high; high comes before normal, normal before low, and
    /// skip is not fetched; repeat for more
    #[arg(long, value_name = "LIST=CLASS", value_parser = parse_wish)]
    priority: Vec<Wish>,
    /// Only files that match: names, or paths if there is a / in it; repeat for more
    #[arg(long, value_name = "GLOB", value_parser = glob_text)]
    include: Vec<String>,
    /// No files that match; repeat for more
    #[arg(long, value_name = "GLOB", value_parser = glob_text)]
    exclude: Vec<String>,
}

impl Selection {
    /// The chosen files in the order of the torrent; `None` when nothing was asked for, which
    /// means all.
    pub(crate) fn choose(&self, info: &Info) -> Result<Option<Vec<FileIndex>>, Failure> {
        if self.files.is_empty() && self.include.is_empty() && self.exclude.is_empty() {
            return Ok(None);
        }
        let count = u32::try_from(info.files().len()).unwrap_or(u32::MAX);
        refuse_beyond("--files", &self.files, count)?;
        let (include, exclude) = (Globs::new(&self.include)?, Globs::new(&self.exclude)?);
        let chosen: Vec<FileIndex> = info
            .files()
            .iter()
            .zip(1..)
            .filter(|(file, number)| {
                let path = file.path.to_string();
                (self.files.is_empty() || self.files.iter().any(|range| range.contains(*number)))
                    && (self.include.is_empty() || include.matches(&path))
                    && !exclude.matches(&path)
            })
            .filter(|(file, _)| !file.attributes.pad)
            .map(|(_, number)| FileIndex(number - 1))
            .collect();
        if chosen.is_empty() {
            return Err(nothing_selected());
        }
        Ok(Some(chosen))
    }

    /// What is asked for besides, in the order in which it was; the last word on a file counts.
    /// `chosen` are the files that [`Selection::choose`] gave.
    pub(crate) fn priorities(
        &self,
        info: &Info,
        chosen: Option<&[FileIndex]>,
    ) -> Result<Vec<(FileIndex, Priority)>, Failure> {
        let count = u32::try_from(info.files().len()).unwrap_or(u32::MAX);
        let mut wishes = BTreeMap::new();
        for wish in &self.priority {
            refuse_beyond("--priority", &wish.files, count)?;
            for range in &wish.files {
                let numbers = range.from..=range.to_within(count);
                wishes.extend(numbers.map(|number| (FileIndex(number - 1), wish.class)));
            }
        }
        let is_pad = |file: &FileIndex| info.layout().is_pad(*file);
        wishes.retain(|file, _| !is_pad(file));
        let is_wanted = |file: FileIndex| match wishes.get(&file) {
            Some(class) => *class != Priority::Skip,
            None => chosen.is_none_or(|chosen| chosen.contains(&file)),
        };
        let mut files = (0..count).map(FileIndex).filter(|file| !is_pad(file));
        if !wishes.is_empty() && !files.any(is_wanted) {
            return Err(nothing_selected());
        }
        Ok(wishes.into_iter().collect())
    }
}

fn nothing_selected() -> Failure {
    Failure::new(Exit::Usage, "no file of the torrent is selected")
        .of(&["files", "priority", "include", "exclude"])
        .hint("show prints the files; look at --files, --priority, --include and --exclude")
}

fn refuse_beyond(option: &str, ranges: &[Range], count: u32) -> Result<(), Failure> {
    let beyond = |range: &&Range| range.from > count || range.to_within(count) > count;
    match ranges.iter().find(beyond) {
        None => Ok(()),
        Some(range) => {
            let files = units::count(count.into(), "file");
            let message = format!("{option} {}: the torrent has {files}", range.text());
            let failure = Failure::new(Exit::Usage, message);
            // Of the two, one is right: it must not be blamed, nor hide where the other was said.
            let failure = match option {
                "--priority" => failure.of(&["priority"]),
                _ => failure.of(&["files"]),
            };
            Err(failure.hint("show --files prints their numbers"))
        }
    }
}

/// One `--priority`: files and how much they are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wish {
    files: Vec<Range>,
    class: Priority,
}

/// `1,3-5=high`.
fn parse_wish(text: &str) -> Result<Wish, String> {
    let (files, class) = text
        .split_once('=')
        .ok_or("expected files and a class, such as 1,3-5=high")?;
    let class = match class.trim() {
        "skip" => Priority::Skip,
        "low" => Priority::Low,
        "normal" => Priority::Normal,
        "high" => Priority::High,
        _ => return Err("the classes are skip, low, normal and high".to_owned()),
    };
    let files = files
        .split(',')
        .map(parse_range)
        .collect::<Result<_, _>>()?;
    Ok(Wish { files, class })
}

/// One part of `--files`: both ends are included and count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    from: u32,
    to: Option<u32>,
}

impl Range {
    fn contains(self, number: u32) -> bool {
        self.from <= number && self.to.is_none_or(|to| number <= to)
    }

    /// The last number, where an open end means the last file.
    fn to_within(self, count: u32) -> u32 {
        self.to.unwrap_or(count)
    }

    fn text(self) -> String {
        match self.to {
            Some(to) if to == self.from => to.to_string(),
            Some(to) => format!("{}-{to}", self.from),
            None => format!("{}-", self.from),
        }
    }
}

/// `3`, `3-5` or `3-`.
fn parse_range(text: &str) -> Result<Range, String> {
    let number = |text: &str| match text.trim().parse::<u32>() {
        Ok(0) => Err("files count from 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("expected numbers and ranges such as 1,3-5,9-".to_owned()),
    };
    let range = match text.split_once('-') {
        None => Range {
            from: number(text)?,
            to: Some(number(text)?),
        },
        Some((from, "")) => Range {
            from: number(from)?,
            to: None,
        },
        Some((from, to)) => Range {
            from: number(from)?,
            to: Some(number(to)?),
        },
    };
    match range.to {
        Some(to) if to < range.from => Err("the range ends before it starts".to_owned()),
        _ => Ok(range),
    }
}

/// Refuses what is not a glob when the command line is read.
pub(crate) fn glob_text(text: &str) -> Result<String, String> {
    glob(text)
        .map(|_| text.to_owned())
        .map_err(|error| error.kind().to_string())
}

/// A glob in which `*` stays within one folder and `**` does not.
fn glob(text: &str) -> Result<Glob, globset::Error> {
    // A slash at either end only says that a path is meant, or a folder.
    GlobBuilder::new(text.trim_matches('/'))
        .literal_separator(true)
        .build()
}

/// Globs with a slash are compared with paths, others with names. What matches a folder holds for
/// all that is in it; the same rules as when a torrent is made.
struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Globs {
    fn new(globs: &[String]) -> Result<Self, Failure> {
        let (paths, names): (Vec<&String>, Vec<&String>) =
            globs.iter().partition(|glob| glob.contains('/'));
        Ok(Self {
            names: set(&names)?,
            paths: set(&paths)?,
        })
    }

    /// Whether the path or a folder above it matches.
    fn matches(&self, path: &str) -> bool {
        Path::new(path).ancestors().any(|path| {
            self.paths.is_match(path)
                || path
                    .file_name()
                    .is_some_and(|name| self.names.is_match(name))
        })
    }
}

fn set(globs: &[&String]) -> Result<GlobSet, Failure> {
    let mut builder = GlobSetBuilder::new();
    let mut build = || {
        for text in globs {
            builder.add(glob(text)?);
        }
        builder.build()
    };
    build().map_err(|error| Failure::new(Exit::Usage, "the globs cannot be used").cause(&error))
}

/// Lists of files and wishes for the fuzzer: what is read is written and read back.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz_lists(text: &str) {
    if let Ok(range) = parse_range(text) {
        assert_eq!(parse_range(&range.text()), Ok(range), "{text:?}");
        assert!(range.contains(range.from) && !range.contains(range.from - 1));
        let last = range.to_within(u32::MAX);
        assert!(range.contains(last), "{text:?}");
        let next = last.checked_add(1);
        assert!(next.is_none_or(|next| !range.contains(next)), "{text:?}");
    }
    if let Ok(wish) = parse_wish(text) {
        let files: Vec<String> = wish.files.iter().map(|range| range.text()).collect();
        let class = match wish.class {
            Priority::Skip => "skip",
            Priority::Low => "low",
            Priority::Normal => "normal",
            Priority::High => "high",
        };
        let again = parse_wish(&format!("{}={class}", files.join(",")));
        assert_eq!(again, Ok(wish), "{text:?}");
    }
}

/// A glob in the first line and paths in the others for the fuzzer: what matches a folder holds for all that is in it,
/// and a glob without signs of its own is a name or a path.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz_globs(text: &str) {
    let mut lines = text.lines();
    let Some(Ok(pattern)) = lines.next().map(glob_text) else {
        return;
    };
    let globs = Globs::new(std::slice::from_ref(&pattern)).expect("each of them was read");
    let is_plain = |text: &str| !text.contains(['*', '?', '[', ']', '{', '}', '\\', '!']);
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    for path in lines.take(8).filter(|path| path.split('/').all(is_part)) {
        let matched = globs.matches(path);
        let below = format!("{path}/a/b");
        if matched {
            assert!(
                globs.matches(&below),
                "{pattern:?} takes {path:?} and not {below:?}"
            );
        }
    }
    let name = pattern.trim_matches('/');
    let is_name = !name.is_empty() && !name.contains('/') && !matches!(name, "." | "..");
    if is_plain(&pattern) && is_name && !pattern.contains('/') {
        assert!(
            globs.matches(name) && globs.matches(&format!("a/{name}/b")),
            "{pattern:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Globs, Priority, Range, glob_text, parse_range, parse_wish};

    #[test]
    fn ranges_read_as_people_write_them() {
        let table = [
            (
                "3",
                Some(Range {
                    from: 3,
                    to: Some(3),
                }),
            ),
            (
                "3-5",
                Some(Range {
                    from: 3,
                    to: Some(5),
                }),
            ),
            ("3-", Some(Range { from: 3, to: None })),
            (
                "4294967295",
                Some(Range {
                    from: u32::MAX,
                    to: Some(u32::MAX),
                }),
            ),
            ("0", None),
            ("0-3", None),
            ("5-3", None),
            ("-3", None),
            ("", None),
            ("a", None),
            ("1-2-3", None),
            ("4294967296", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_range(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn wishes_are_read_or_refused() {
        let range = |from, to| Range { from, to };
        let wish = parse_wish("2,4-6,9-=high").unwrap();
        assert_eq!(wish.class, Priority::High);
        let expected = [range(2, Some(2)), range(4, Some(6)), range(9, None)];
        assert_eq!(wish.files, expected);
        assert_eq!(parse_wish("1=skip").unwrap().class, Priority::Skip);
        for bad in [
            "", "1", "=high", "1=", "1=urgent", "0=low", "1,=low", "high=1",
        ] {
            assert!(parse_wish(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn globs_match_names_or_paths_and_what_is_below() {
        let matches =
            |glob: &str, path: &str| Globs::new(&[glob.to_owned()]).unwrap().matches(path);
        assert!(matches("*.iso", "a.iso"));
        assert!(matches("*.iso", "d/a.iso"));
        assert!(matches("d", "d/e/a.iso"));
        assert!(!matches("d/*.iso", "d/e/a.iso"));
        assert!(matches("d/**/*.iso", "d/e/a.iso"));
        assert!(matches("d/e/", "d/e/a.iso"));
        assert!(!matches("*.txt", "d/a.iso"));
        assert!(matches("/d/", "d/a.iso") && !matches("/d/", "e/d/a.iso"));
        assert!(glob_text("[").is_err());
    }
}
