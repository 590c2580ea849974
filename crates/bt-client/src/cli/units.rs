//! Sizes, rates, durations and counts: the text people type and the text they read.
//! Pure: it must not know which option a value belongs to, nor the clock.

use std::net::SocketAddr;
use std::time::Duration;

/// Nobody means a longer wait, and adding it to any clock reading cannot overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Multipliers by lower-case suffix; `k` is 1000 and `ki` is 1024 as the manual says.
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
const DURATION_SUFFIXES: [(&str, u64); 6] = [
    ("ms", 1),
    ("", 1000),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `512k`, `1MiB`, `1.5G`, `4096`: bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let (number, suffix) = split_suffix(trimmed);
    let lower = suffix.trim().to_ascii_lowercase();
    let (_, unit) = SIZE_SUFFIXES
        .iter()
        .find(|(name, _)| *name == lower)
        .ok_or_else(|| format!("unknown unit \"{suffix}\": write for example 512k, 1MiB or 2G"))?;
    scale(number, *unit).ok_or_else(|| "expected a number such as 512k, 1MiB or 2G".to_owned())
}

/// Reads a size a second, with or without `/s`: bytes a second. Zero is refused, since
/// "no limit" is said by leaving the option out.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
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

/// Reads `30s`, `5m`, `2h`, `1h30m`, `250ms`, or bare seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
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
        let part = scale(number, *unit).ok_or_else(usage)?;
        total_ms = total_ms.checked_add(part).ok_or_else(usage)?;
        rest = next;
    }
    match Duration::from_millis(total_ms) {
        longer if longer > LONGEST => Err("longer than ten years".to_owned()),
        duration => Ok(duration),
    }
}

/// Address and port of a peer; nobody is on port 0.
pub(crate) fn parse_peer(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Err(error) => Err(error.to_string()),
        Ok(peer) if peer.port() == 0 => Err("nobody can be reached on port 0".to_owned()),
        Ok(peer) => Ok(peer),
    }
}

/// Reads a share ratio: uploaded bytes divided by the size of the content.
pub(crate) fn parse_ratio(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(ratio) if ratio.is_finite() && ratio >= 0.0 => Ok(ratio),
        _ => Err("expected a number that is not negative, such as 1.5".to_owned()),
    }
}

/// `1023 B`, `512.0 KiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would round to "1024.0", so the next unit starts just below it.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `48.3 MiB/s`.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", size(whole(bytes_per_second)))
}

/// `402.1/657.0 MiB`: both in the unit of the second.
pub(crate) fn size_of_total(done: u64, total: u64) -> String {
    let total_text = size(total);
    let unit = total_text.rsplit(' ').next().unwrap_or("B");
    let factor = SIZE_SUFFIXES
        .iter()
        .find(|(name, _)| *name == unit.to_ascii_lowercase())
        .map_or(1, |(_, factor)| *factor);
    if factor == 1 {
        return format!("{done}/{total_text}");
    }
    format!("{:.1}/{total_text}", done as f64 / factor as f64)
}

/// `61.2%`, rounded down so that `100.0%` is only ever the whole.
pub(crate) fn percent(done: u64, total: u64) -> String {
    let tenths = if total == 0 {
        1000
    } else {
        u128::from(done.min(total)) * 1000 / u128::from(total)
    };
    format!("{}.{}%", tenths / 10, tenths % 10)
}

/// `0:05`, `12:34`, `1:02:03`, `3d 04h`: for a time that is still to come.
pub(crate) fn clock(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..86_400 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => format!("{}d {:02}h", s / 86_400, s / 3600 % 24),
    }
}

/// `0.42 s`, `13.7 s`, `2m 05s`, `1h 02m`: for a time that has passed.
pub(crate) fn elapsed(duration: Duration) -> String {
    let s = duration.as_secs();
    match s {
        0..10 => format!("{:.2} s", duration.as_secs_f64()),
        10..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3600, s / 60 % 60),
    }
}

/// `1 file`, `2 files`, `0 pieces`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// A rate as whole bytes: never negative, and nonsense (NaN) is nothing.
pub(crate) fn whole(bytes_per_second: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float casts saturate, and the value is not negative"
    )]
    let rounded = bytes_per_second.max(0.0).round() as u64;
    rounded
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
    use super::{
        clock, count, elapsed, parse_duration, parse_rate, parse_ratio, parse_size, percent, rate,
        size, size_of_total, whole,
    };
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

    #[test]
    fn ratios_are_finite_and_not_negative() {
        assert_eq!(parse_ratio("1.5"), Ok(1.5));
        for bad in ["-1", "inf", "NaN", "", "x"] {
            assert!(parse_ratio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_print_for_people() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1024), "1.0 KiB");
        assert_eq!(size((1 << 20) - 1), "1.0 MiB");
        assert_eq!(size(u64::MAX), "16384.0 PiB");
        assert_eq!(size_of_total(421_527_552, 688_914_432), "402.0/657.0 MiB");
        assert_eq!(size_of_total(3, 7), "3/7 B");
        assert_eq!(rate(1.5 * 1024.0), "1.5 KiB/s");
        assert_eq!(percent(999_999, 1_000_000), "99.9%");
        assert_eq!(percent(u64::MAX, u64::MAX), "100.0%");
        assert_eq!(percent(0, 0), "100.0%");
        assert_eq!(clock(Duration::from_secs(5)), "0:05");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(clock(Duration::from_secs(90_000)), "1d 01h");
        assert_eq!(elapsed(Duration::from_millis(420)), "0.42 s");
        assert_eq!(elapsed(Duration::from_secs(125)), "2m 05s");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "piece"), "0 pieces");
        assert_eq!(whole(f64::NAN), 0);
        assert_eq!(whole(-3.0), 0);
    }
}
