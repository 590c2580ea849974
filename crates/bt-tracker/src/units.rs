//! Sizes, rates and durations as people write them, read alike by both programs, so that a word
//! never means two things. Pure: it must not know which option a value belongs to, nor the clock.

use std::time::Duration;

/// Nobody means a longer wait, and adding it to any clock reading cannot overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// What is said of numbers that do not fit.
const TOO_LARGE: &str = "the number is too large";

/// Multipliers by lower-case suffix; `k` is 1000 and `ki` is 1024 as the manuals say.
const SIZE_SUFFIXES: [(&str, u64); 18] = [
    ("", 1),
    ("b", 1),
    ("k", 1000),
    ("kb", 1000),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("ti", 1 << 40),
    ("tib", 1 << 40),
];

/// Milliseconds by suffix; a bare number is seconds.
const DURATION_SUFFIXES: [(&str, u64); 7] = [
    ("ms", 1),
    ("", 1000),
    ("s", 1000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `512k`, `1MiB`, `1.5G`, `4096`: bytes, from 0 to [`u64::MAX`]. `k` is 1000 and `Ki` is
/// 1024, in upper or lower case and with or without `B`.
///
/// # Errors
/// In words for people, when it is no size or does not fit.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (number, suffix) = split_suffix(trimmed);
    let lower = suffix.trim().to_ascii_lowercase();
    let (_, unit) = SIZE_SUFFIXES
        .iter()
        .find(|(name, _)| *name == lower)
        .ok_or_else(|| format!("unknown unit \"{suffix}\": write for example 512k, 1MiB or 2G"))?;
    scale(number, *unit)
        .ok_or_else(|| too_large(number, "expected a number such as 512k, 1MiB or 2G"))
}

/// Reads a size a second, with or without `/s`: bytes a second. Zero is refused, since
/// "no limit" is said by leaving the option out.
///
/// # Errors
/// In words for people, when it is no rate or 0.
pub fn parse_rate(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let size = trimmed.strip_suffix("/s").unwrap_or(trimmed);
    match parse_size(size)? {
        0 => Err(
            "a rate limit of 0 would stop all transfer: leave the option out for no limit"
                .to_owned(),
        ),
        rate => Ok(rate),
    }
}

/// Reads `30s`, `5m`, `2h`, `1h30m`, `1.5d`, `250ms`, or bare seconds: from 0 to ten years.
///
/// # Errors
/// In words for people, when it is no duration or a longer one.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let usage = || "expected a duration such as 30s, 5m, 2h or 1h30m".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(usage());
    }
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let (number, tail) = split_suffix(rest);
        let end = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (suffix, next) = tail.split_at(end);
        let (_, unit) = DURATION_SUFFIXES
            .iter()
            .find(|(name, _)| *name == suffix)
            .ok_or_else(usage)?;
        let part = scale(number, *unit).ok_or_else(|| too_large(number, &usage()))?;
        total_ms = total_ms.checked_add(part).ok_or(TOO_LARGE)?;
        rest = next;
    }
    match Duration::from_millis(total_ms) {
        longer if longer > LONGEST => Err("longer than ten years".to_owned()),
        duration => Ok(duration),
    }
}

/// What to say of a number that could not be scaled: of one that is none, what was expected.
fn too_large(number: &str, expected: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [whole, fraction].concat();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { TOO_LARGE } else { expected }.to_owned()
}

/// Cuts `12.5MiB` into `12.5` and `MiB`.
fn split_suffix(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len()),
    )
}

/// A decimal number times a unit, in whole units, without floating point; `None` when it is
/// no number or does not fit.
fn scale(number: &str, unit: u64) -> Option<u64> {
    /// More digits behind the point than this change nothing for any unit here.
    const FRACTION_DIGITS: usize = 12;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut fraction_value: u128 = 0;
    for digit in fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(FRACTION_DIGITS)
    {
        fraction_value = fraction_value * 10 + u128::from(digit - b'0');
    }
    let fraction_units = fraction_value * u128::from(unit) / 10u128.pow(12);
    whole
        .checked_mul(unit)?
        .checked_add(u64::try_from(fraction_units).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_rate, parse_size};
    use std::time::Duration;

    #[test]
    fn sizes_read_as_the_manual_says() {
        let table = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("512k", Some(512_000)),
            ("512K", Some(512_000)),
            ("512KiB", Some(524_288)),
            ("1MiB", Some(1 << 20)),
            ("1 MiB", Some(1 << 20)),
            ("2G", Some(2_000_000_000)),
            ("1.5Gi", Some(3 << 29)),
            (".5k", Some(500)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551615k", None),
            ("16777216tib", None),
            ("-1", None),
            ("", None),
            (".", None),
            ("k", None),
            ("1x", None),
            ("1.2.3k", None),
            ("1e9", None),
            ("0x10", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_size(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_called_too_large_and_not_no_numbers() {
        for text in ["99999999999999999999G", "18446744073709551615.5k"] {
            assert_eq!(parse_size(text).unwrap_err(), "the number is too large");
        }
        for text in [
            "99999999999999999999",
            "18446744073709551s18446744073709551s",
        ] {
            let said = parse_duration(text).unwrap_err();
            assert_eq!(said, "the number is too large");
        }
        for text in ["", ".", "k", "1.2.3k"] {
            assert!(
                parse_size(text).unwrap_err().starts_with("expected"),
                "{text}"
            );
        }
    }

    #[test]
    fn rates_may_say_per_second_and_are_never_zero() {
        assert_eq!(parse_rate("2M/s"), Ok(2_000_000));
        assert_eq!(parse_rate("1MiB"), Ok(1 << 20));
        assert!(parse_rate("0").is_err());
        assert!(parse_rate("2M/m").is_err());
    }

    #[test]
    fn durations_read_as_the_manual_says() {
        let table = [
            ("30s", Some(30_000)),
            ("30", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("250ms", Some(250)),
            ("1d", Some(86_400_000)),
            ("10min", Some(600_000)),
            ("0", Some(0)),
            ("4000d", None),
            ("99999999999999999999", None),
            ("", None),
            ("s", None),
            ("5 m", None),
            ("5y", None),
            ("-5s", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                parse_duration(text).ok(),
                expected.map(Duration::from_millis),
                "{text:?}"
            );
        }
    }
}
