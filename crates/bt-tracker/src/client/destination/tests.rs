//! URLs as trackers have them, and what becomes of each.

use super::*;

fn check(text: &str, host: &str, port: u16, path: &str) {
    let destination = Destination::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        (destination.host_text(), destination.port),
        (host, port),
        "{text}"
    );
    assert_eq!(destination.path_and_query, path, "{text}");
}

#[test]
fn host_port_and_path_are_found() {
    check("http://t.example/announce", "t.example", 80, "/announce");
    check(
        "HTTPS://T.Example:8443/a?b=c#d",
        "t.example",
        8443,
        "/a?b=c",
    );
    check(
        "http://[2001:db8::1]:6969/announce",
        "[2001:db8::1]",
        6969,
        "/announce",
    );
    check("http://t.example?x=1", "t.example", 80, "/?x=1");
    check("udp://t.example:80/announce", "t.example", 80, "/announce");
    check("udp://t.example", "t.example", 80, "/");
    check("udp://10.0.0.1:6969", "10.0.0.1", 6969, "/");
    check("  http://t.example/a \n", "t.example", 80, "/a");
}

#[test]
fn path_and_query_keep_their_bytes() {
    let path = "/%7euser//k/../announce?key=A%2b+%zz&x='[1]'~!$*;,";
    check(&format!("http://t.example{path}"), "t.example", 80, path);
    check(
        "http://t.example/a b?c=\"ü\"",
        "t.example",
        80,
        "/a%20b?c=%22%C3%BC%22",
    );
    check("http://t.example\\a", "t.example", 80, "/%5Ca");
    assert_eq!(
        Destination::parse("udp://t:1/dir?a=b&c=d")
            .unwrap()
            .url_data,
        "/dir?a=b&c=d"
    );
    assert_eq!(
        Destination::parse("udp://t:1?a=b").unwrap().url_data,
        "?a=b"
    );
    assert_eq!(Destination::parse("udp://t:1/").unwrap().url_data, "");
}

#[test]
fn the_host_header_names_only_unusual_ports() {
    for (text, authority) in [
        ("http://t.example:80/", "t.example"),
        ("https://t.example:443/", "t.example"),
        ("http://t.example:443/", "t.example:443"),
        ("http://[::1]:6969/", "[::1]:6969"),
        ("http://user:pw@t.example:81/", "t.example:81"),
    ] {
        assert_eq!(Destination::parse(text).unwrap().authority, authority);
    }
}

#[test]
fn credentials_become_a_header() {
    for (text, expected) in [
        ("http://t.example/", None),
        (
            "http://Aladdin:open%20sesame@t.example/",
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        ("http://a+b@t.example/", Some("Basic YStiOg==")),
    ] {
        assert_eq!(
            Destination::parse(text).unwrap().basic.as_deref(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn urls_that_cannot_be_used_say_why() {
    let long = format!("http://t.example/{}", "x".repeat(2 * MAX_URL));
    for (text, message) in [
        ("", "invalid URL: it has no scheme and host"),
        (
            "t.example/announce",
            "invalid URL: it has no scheme and host",
        ),
        ("wss://t.example/", "scheme \"wss\" is not supported here"),
        ("dht://", "scheme \"dht\" is not supported here"),
        ("http://", "invalid URL: it has no host"),
        ("http:///announce", "invalid URL: it has no host"),
        (
            "http://t.example:0/",
            "invalid URL: port 0 cannot be connected to",
        ),
        ("udp://t.example:99999", "invalid URL: invalid port number"),
        ("http://[::1/", "invalid URL: invalid IPv6 address"),
        (
            "http://tr\u{430}cker.example/",
            "invalid URL: the host name is not ASCII",
        ),
        (&long, "invalid URL: more than 4096 bytes"),
    ] {
        let error = Destination::parse(text)
            .map(|destination| destination.authority)
            .unwrap_err();
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn redirects_stay_on_the_web_and_never_lose_tls() {
    let from = |text: &str| Destination::parse(text).unwrap();
    let next = from("http://a.example/x/announce?k=1")
        .redirected("other?y=2")
        .unwrap();
    assert_eq!(
        (next.authority.as_str(), next.path_and_query.as_str()),
        ("a.example", "/x/other?y=2")
    );
    let next = from("http://a.example/x")
        .redirected("https://b.example/%7e?q")
        .unwrap();
    assert_eq!(
        (next.scheme, next.path_and_query.as_str()),
        (Scheme::Https, "/%7e?q")
    );
    for (url, location, message) in [
        (
            "https://a/",
            "http://a/",
            "redirect refused: it leads from https to http",
        ),
        (
            "http://a/",
            "udp://a/",
            "redirect refused: its scheme is \"udp\"",
        ),
        (
            "http://a/",
            "file:///etc/passwd",
            "redirect refused: its scheme is \"file\"",
        ),
        (
            "http://a/",
            "http://:0",
            "redirect refused: its location is no URL",
        ),
    ] {
        let error = from(url)
            .redirected(location)
            .map(|destination| destination.authority)
            .unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}
