//! Each limit: at it, one beyond, and the largest number.

use bt_bencode::{
    ErrorKind, Limits, MAX_BYTES, MAX_DEPTH, MAX_KEY_IN_ERROR, MAX_TOKENS, Options, Reader, parse,
};

fn nested(open: &str, close: &str, depth: usize) -> Vec<u8> {
    (open.repeat(depth) + "0:" + &close.repeat(depth)).into_bytes()
}

fn parse_with(limits: Limits, input: &[u8]) -> Result<(), ErrorKind> {
    let outcome = |options: Options| {
        options
            .limits(limits)
            .parse(input)
            .map(|_| ())
            .map_err(|error| error.kind().clone())
    };
    assert_eq!(outcome(Options::strict()), outcome(Options::lenient()));
    outcome(Options::strict())
}

#[test]
fn depth_is_limited_at_100() {
    assert_eq!(MAX_DEPTH, 100);
    for (open, close) in [("l", "e"), ("d0:", "e"), ("d0:l", "ee"), ("ld0:", "ee")] {
        let each = open.matches(['l', 'd']).count();
        assert!(parse(&nested(open, close, MAX_DEPTH / each)).is_ok());
        let error = parse(&nested(open, close, MAX_DEPTH / each + 1)).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::TooDeep { limit: MAX_DEPTH });
    }
    let error = parse(&nested("l", "e", MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.offset(), MAX_DEPTH);
}

#[test]
fn a_million_open_brackets_do_not_touch_the_stack() {
    for open in ["l", "d0:", "d1:al"] {
        let input = open.repeat(1_000_000).into_bytes();
        assert_eq!(
            parse(&input).unwrap_err().kind(),
            &ErrorKind::TooDeep { limit: MAX_DEPTH }
        );
        assert!(Options::lenient().parse(&input).is_err());
    }
}

#[test]
fn a_smaller_depth_can_be_asked_for_and_a_larger_one_not() {
    let depth = |max_depth| Limits {
        max_depth,
        ..Limits::default()
    };
    assert_eq!(parse_with(depth(0), b"i1e"), Ok(()));
    assert_eq!(
        parse_with(depth(0), b"le"),
        Err(ErrorKind::TooDeep { limit: 0 })
    );
    assert_eq!(parse_with(depth(3), &nested("l", "e", 3)), Ok(()));
    let too_deep = Err(ErrorKind::TooDeep { limit: 3 });
    assert_eq!(parse_with(depth(3), &nested("l", "e", 4)), too_deep);
    let deepest = Err(ErrorKind::TooDeep { limit: MAX_DEPTH });
    assert_eq!(
        parse_with(depth(usize::MAX), &nested("l", "e", MAX_DEPTH)),
        Ok(())
    );
    assert_eq!(
        parse_with(depth(usize::MAX), &nested("l", "e", MAX_DEPTH + 1)),
        deepest
    );
}

#[test]
fn tokens_are_limited_at_three_million() {
    assert_eq!(MAX_TOKENS, 3_000_000);
    // The brackets are two tokens.
    let mut input = vec![b'l'];
    input.extend(b"0:".repeat(MAX_TOKENS - 2));
    input.push(b'e');
    assert!(parse(&input).is_ok());
    input.insert(1, b'e');
    input.insert(1, b'1');
    input.insert(1, b'i');
    let error = parse(&input).unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::TooManyTokens { limit: MAX_TOKENS }
    );
    assert_eq!(error.offset(), input.len() - 1);
}

#[test]
fn every_token_counts() {
    let tokens = |max_tokens| Limits {
        max_tokens,
        ..Limits::default()
    };
    let input = b"d1:ali1e1:bee";
    let mut reader = Reader::new(input);
    let mut count = 0;
    while reader.next().unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 7);
    assert_eq!(parse_with(tokens(7), input), Ok(()));
    assert_eq!(parse_with(tokens(usize::MAX), input), Ok(()));
    for limit in 0..7 {
        assert_eq!(
            parse_with(tokens(limit), input),
            Err(ErrorKind::TooManyTokens { limit })
        );
    }
}

#[test]
fn bytes_are_limited() {
    let bytes = |max_bytes| Limits {
        max_bytes,
        ..Limits::default()
    };
    for input in [
        &b"4:spam"[..],
        b"li-12ee",
        b"d1:a2:bbe",
        b"i123e",
        b"12:abcdefghijkl",
    ] {
        assert_eq!(parse_with(bytes(input.len()), input), Ok(()));
        assert_eq!(parse_with(bytes(input.len() + 1), input), Ok(()));
        assert_eq!(parse_with(bytes(usize::MAX), input), Ok(()));
        for limit in 0..input.len() {
            assert_eq!(
                parse_with(bytes(limit), input),
                Err(ErrorKind::TooLarge { limit })
            );
        }
    }
    assert_eq!(MAX_BYTES, u32::MAX as usize);
}

#[test]
fn the_limit_of_bytes_is_about_the_value_and_not_about_what_follows() {
    let options = Options::strict().limits(Limits {
        max_bytes: 2,
        ..Limits::default()
    });
    assert_eq!(options.parse_prefix(b"deXXXX").unwrap().consumed, 2);
    let error = options.parse(b"deXXXX").unwrap_err();
    assert_eq!(
        (error.kind(), error.offset()),
        (&ErrorKind::TrailingBytes, 2)
    );
    // An input that is really too short is still called so.
    assert!(options.parse(b"d").unwrap_err().is_truncated());
    assert!(!options.parse(b"d0:0:e").unwrap_err().is_truncated());
}

#[test]
fn a_reader_obeys_the_same_limits() {
    let limits = Limits {
        max_depth: 1,
        max_tokens: 3,
        max_bytes: 8,
    };
    let run = |input| {
        let mut reader = Reader::with_limits(input, limits);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.kind().clone()),
            }
        }
    };
    assert_eq!(run(b"l5:spamse"), Err(ErrorKind::TooLarge { limit: 8 }));
    assert_eq!(run(b"l4:spame"), Ok(()));
    assert_eq!(run(b"l0:0:e"), Err(ErrorKind::TooManyTokens { limit: 3 }));
    assert_eq!(run(b"llee"), Err(ErrorKind::TooDeep { limit: 1 }));
}

#[test]
fn a_long_key_does_not_fill_the_error() {
    for length in [
        MAX_KEY_IN_ERROR - 1,
        MAX_KEY_IN_ERROR,
        MAX_KEY_IN_ERROR + 1,
        100_000,
    ] {
        let key = "k".repeat(length);
        let error = parse(format!("d1:z0:{length}:{key}0:e").as_bytes()).unwrap_err();
        assert_eq!(error.key().unwrap().len(), length.min(MAX_KEY_IN_ERROR));
    }
}
