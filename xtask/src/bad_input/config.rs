//! Configuration files of the two programs.

use super::Cases;

pub(super) fn client(cases: &mut Cases) {
    cases.because("what is not TOML is refused with its line");
    for (name, text, line) in [
        ("no-value", "port =\n", 1),
        ("no-equals", "port 6881\n", 1),
        ("open-string", "dir = \"x\n", 1),
        ("open-list", "port = [1, 2\n", 1),
        ("open-table", "[download\n", 1),
        ("second-line", "port = 6881\n= 5\n", 2),
        ("key-twice", "port = 1\nport = 2\n", 2),
        ("bad-escape", "dir = \"\\q\"\n", 1),
        ("json", "{\"port\": 6881}\n", 1),
        ("yaml", "port: 6881\n", 1),
    ] {
        cases.bad(name, text, &format!("line {line} is not valid TOML"));
    }
    cases.bad(
        "not-utf8",
        b"dir = \"\xff\"\n".as_slice(),
        "cannot read the configuration",
    );
    cases.because("unknown keys are refused, with the nearest known one");
    for (name, text, words) in [
        ("unknown", "colour = 5\n", "unknown key \"colour\""),
        ("misspelt", "prot = 6881\n", "did you mean \"port\"?"),
        (
            "unknown-table",
            "[upload]\nport = 1\n",
            "unknown key \"upload\"",
        ),
        (
            "unknown-in-table",
            "[download]\ncolour = 1\n",
            "unknown key \"download.colour\"",
        ),
        ("names-itself", "config = \"x\"\n", "unknown key \"config\""),
        ("upper-case", "PORT = 1\n", "unknown key \"PORT\""),
        (
            "underscore",
            "piece_length = 1\n",
            "unknown key \"piece_length\"",
        ),
    ] {
        cases.bad(name, text, words);
    }
    cases.because("a value must be of the kind of its option");
    for (name, text, words) in [
        (
            "port-true",
            "port = true\n",
            "key \"port\" cannot be true or false",
        ),
        (
            "port-date",
            "port = 2026-01-01\n",
            "has a value of a kind that no option takes",
        ),
        (
            "port-nested-list",
            "port = [[1]]\n",
            "has a value of a kind that no option takes",
        ),
    ] {
        cases.bad(name, text, words);
    }
    cases.because("files that say nothing wrong");
    cases
        .good("empty", "")
        .good("comment", "# nothing\n")
        .good("port", "port = 6881\n")
        .good("table", "[download]\nport = 6881\n");
}

pub(super) fn tracker(cases: &mut Cases) {
    cases.because("what is not TOML is refused with its line");
    for (name, text) in [
        ("no-value", "interval =\n"),
        ("open-string", "list = \"x\n"),
        ("open-list", "http = [\n"),
        ("json", "{\"http\": []}\n"),
        ("yaml", "mode: open\n"),
        ("key-twice", "mode = \"open\"\nmode = \"open\"\n"),
    ] {
        cases.bad(name, text, "makes no sense");
    }
    cases.bad(
        "not-utf8",
        b"list = \"\xff\"\n".as_slice(),
        "cannot read the configuration file",
    );
    cases.because("unknown keys are refused");
    for (name, text, key) in [
        ("unknown", "colour = 5\n", "colour"),
        ("underscore", "max_numwant = 5\n", "max_numwant"),
        ("upper-case", "MODE = \"open\"\n", "MODE"),
        ("table", "[server]\nmode = \"open\"\n", "server"),
    ] {
        cases.bad(name, text, &format!("unknown key \"{key}\""));
    }
    cases.because("a value must fit its setting");
    for (name, text, words) in [
        (
            "mode-unknown",
            "mode = \"closed\"\n",
            "expected one of open",
        ),
        ("mode-number", "mode = 5\n", "mode"),
        ("http-no-port", "http = [\"127.0.0.1\"]\n", "http"),
        ("http-name", "http = [\"tracker.example:1\"]\n", "http"),
        ("http-port-65536", "http = [\"127.0.0.1:65536\"]\n", "http"),
        ("http-number", "http = 6969\n", "http"),
        ("numwant-minus", "max-numwant = -1\n", "max-numwant"),
        ("numwant-u32", "max-numwant = 4294967296\n", "max-numwant"),
        (
            "numwant-text",
            "default-numwant = \"many\"\n",
            "default-numwant",
        ),
        ("interval-letters", "interval = \"soon\"\n", "interval"),
        ("interval-minus", "interval = \"-5s\"\n", "interval"),
        (
            "interval-no-unit-name",
            "interval = \"5 parsecs\"\n",
            "interval",
        ),
        ("interval-list", "interval = []\n", "interval"),
        (
            "locality-no-name",
            "locality = [\"10.0.0.0/8\"]\n",
            "locality",
        ),
        (
            "locality-33-bits",
            "locality = [\"10.0.0.0/33=x\"]\n",
            "locality",
        ),
    ] {
        cases.bad(name, text, words);
    }
    cases.because("files that say nothing wrong");
    cases
        .good("empty", "")
        .good("comment", "# nothing\n")
        .good("mode", "mode = \"open\"\n")
        .good("interval", "interval = \"30m\"\n");
}
