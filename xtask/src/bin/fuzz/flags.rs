//! Takes options out of a list of arguments, and complains about what is left.

/// Arguments that no one has taken yet.
#[derive(Debug)]
pub(crate) struct Flags {
    rest: Vec<String>,
}

impl Flags {
    /// Wraps the arguments behind the program's (or subcommand's) name.
    pub(crate) const fn new(arguments: Vec<String>) -> Self {
        Self { rest: arguments }
    }

    /// Takes a switch; true if it was there.
    pub(crate) fn switch(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|argument| argument != name);
        self.rest.len() < before
    }

    /// Takes `NAME VALUE` or `NAME=VALUE`.
    pub(crate) fn value(&mut self, name: &str) -> Result<Option<String>, String> {
        let joined = format!("{name}=");
        let found = |argument: &String| argument == name || argument.starts_with(&joined);
        let Some(at) = self.rest.iter().position(found) else {
            return Ok(None);
        };
        let argument = self.rest.remove(at);
        if let Some(value) = argument.strip_prefix(&joined) {
            return Ok(Some(value.to_owned()));
        }
        if at < self.rest.len() {
            return Ok(Some(self.rest.remove(at)));
        }
        Err(format!("{name} needs a value"))
    }

    /// Takes a whole number behind `NAME`.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, String> {
        let Some(text) = self.value(name)? else {
            return Ok(None);
        };
        let digits = text.replace('_', "");
        digits
            .parse()
            .map(Some)
            .map_err(|_| format!("{name} needs a whole number, not {text:?}"))
    }

    /// Takes what is left as names and refuses options that nobody knew.
    pub(crate) fn names(self) -> Result<Vec<String>, String> {
        match self.rest.iter().find(|argument| argument.starts_with('-')) {
            Some(unknown) => Err(format!("unknown option {unknown}; see cargo xtask help")),
            None => Ok(self.rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    fn flags(line: &str) -> Flags {
        Flags::new(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn options_are_taken_in_both_spellings() {
        let mut flags = flags("a --seconds 5 --seed=7 --all b");
        assert_eq!(flags.number("--seconds"), Ok(Some(5)));
        assert_eq!(flags.number("--seed"), Ok(Some(7)));
        assert_eq!(flags.number("--runs"), Ok(None));
        assert!(flags.switch("--all"));
        assert!(!flags.switch("--all"));
        assert_eq!(flags.names(), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(flags("--seconds").number("--seconds").is_err());
        assert!(flags("--seconds x").number("--seconds").is_err());
        assert!(flags("--bogus").names().is_err());
    }
}
