//! Which files and folders the options take.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Error, Options};

/// The globs of the options, ready to be asked.
#[derive(Debug)]
pub(super) struct Filter {
    /// `None` takes everything.
    include: Option<Globs>,
    exclude: Globs,
    hidden: bool,
}

impl Filter {
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let include = if options.include.is_empty() {
            None
        } else {
            Some(Globs::new(&options.include)?)
        };
        Ok(Self {
            include,
            exclude: Globs::new(&options.exclude)?,
            hidden: options.hidden,
        })
    }

    /// Whether a folder is to be looked into. The folders above it are known to be.
    pub(super) fn enters(&self, folder: &Path) -> bool {
        !self.is_hidden(folder) && !self.exclude.matches(folder)
    }

    /// Whether a file is to be taken. The folders above it are known to be entered.
    pub(super) fn takes(&self, file: &Path) -> bool {
        let included = self
            .include
            .as_ref()
            .is_none_or(|include| file.ancestors().any(|path| include.matches(path)));
        included && !self.is_hidden(file) && !self.exclude.matches(file)
    }

    /// Whether the globs leave out a file that is named by itself: whoever names a hidden one means it.
    pub(super) fn refuses(&self, name: &Path) -> bool {
        let included = self.include.as_ref();
        included.is_some_and(|include| !include.matches(name)) || self.exclude.matches(name)
    }

    fn is_hidden(&self, path: &Path) -> bool {
        !self.hidden
            && path
                .file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    }
}

/// Globs that are compared with names, and globs that are compared with paths.
#[derive(Debug)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Globs {
    fn new(globs: &[String]) -> Result<Self, Error> {
        let (paths, names): (Vec<&String>, Vec<&String>) =
            globs.iter().partition(|glob| glob.contains('/'));
        Ok(Self {
            names: set(&names)?,
            paths: set(&paths)?,
        })
    }

    fn matches(&self, path: &Path) -> bool {
        self.paths.is_match(path)
            || path
                .file_name()
                .is_some_and(|name| self.names.is_match(name))
    }
}

fn set(globs: &[&String]) -> Result<GlobSet, Error> {
    let refuse = |glob: &str, error: &globset::Error| Error::Glob {
        glob: glob.into(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for text in globs {
        // A slash at either end only says that a path is meant, or a folder.
        let path = text.trim_start_matches('/').trim_end_matches('/');
        let glob = GlobBuilder::new(path).literal_separator(true).build();
        set.add(glob.map_err(|error| refuse(text, &error))?);
    }
    set.build().map_err(|error| refuse("", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let options = Options {
            include: owned(include),
            exclude: owned(exclude),
            ..Options::default()
        };
        Filter::new(&options).unwrap()
    }

    #[test]
    fn a_glob_without_slash_is_about_names_at_any_depth() {
        let filter = filter(&["*.mkv"], &["sample*"]);
        assert!(filter.takes(Path::new("a.mkv")));
        assert!(filter.takes(Path::new("x/y/a.mkv")));
        assert!(!filter.takes(Path::new("x/a.txt")));
        assert!(!filter.takes(Path::new("x/sample.mkv")));
        assert!(!filter.enters(Path::new("x/samples")));
        assert!(filter.enters(Path::new("x/my samples")));
    }

    #[test]
    fn a_glob_with_slash_is_about_whole_paths() {
        let filter = filter(&[], &["x/*.tmp", "/y/", "**/deep/z"]);
        assert!(!filter.takes(Path::new("x/a.tmp")));
        assert!(filter.takes(Path::new("x/y/a.tmp")));
        assert!(filter.takes(Path::new("a.tmp")));
        assert!(!filter.enters(Path::new("y")));
        assert!(filter.enters(Path::new("x/y")));
        assert!(!filter.enters(Path::new("a/b/deep/z")));
    }

    #[test]
    fn what_includes_a_folder_includes_all_in_it() {
        let filter = filter(&["docs"], &[]);
        assert!(filter.takes(Path::new("docs/a/b.txt")));
        assert!(filter.takes(Path::new("x/docs/b.txt")));
        assert!(!filter.takes(Path::new("x/b.txt")));
    }

    #[test]
    fn names_with_a_dot_are_left_out_when_asked() {
        let options = Options {
            hidden: false,
            ..Options::default()
        };
        let filter = Filter::new(&options).unwrap();
        assert!(!filter.takes(Path::new("x/.DS_Store")));
        assert!(!filter.enters(Path::new(".git")));
        assert!(filter.takes(Path::new("x/a.b")));
    }

    #[test]
    fn a_broken_glob_is_named() {
        let options = Options {
            exclude: vec!["ok".into(), "a[".into()],
            ..Options::default()
        };
        let error = Filter::new(&options).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(r#"the glob "a[" cannot be read: "#),
            "{error}"
        );
    }
}
