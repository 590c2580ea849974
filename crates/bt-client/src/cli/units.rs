//! Sizes, rates, durations and counts: the text people type, most of which the tracker's program
//! reads alike, and the text they read.
//! Pure: it must not know which option a value belongs to, nor the clock.

use std::net::SocketAddr;
use std::time::Duration;

pub(crate) use bt_tracker::units::{parse_duration, parse_rate, parse_size};

/// Units of printed sizes, each 1024 of the one before; the first is 1024 bytes.
const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

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

/// A time to wait for something: none at all would be over before anything can come.
pub(crate) fn parse_patience(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => {
            Err("it must be longer than 0: leave the option out for no limit".to_owned())
        }
        time => Ok(time),
    }
}

/// A rate at which content is read again.
pub(crate) fn parse_scrub(text: &str) -> Result<u64, String> {
    match parse_size(text.trim().trim_end_matches("/s")) {
        Ok(0) => {
            Err("at a rate of 0 nothing would be read: leave the option out for that".to_owned())
        }
        _ => parse_rate(text),
    }
}

/// `1023 B`, `512.0 KiB`, `1.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
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
    let power = UNITS.iter().position(|name| *name == unit);
    match power.and_then(|power| 1024u64.checked_pow(u32::try_from(power).ok()? + 1)) {
        Some(factor) => format!("{:.1}/{total_text}", done as f64 / factor as f64),
        None => format!("{done}/{total_text}"),
    }
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

#[cfg(test)]
mod tests {
    use super::{
        clock, count, elapsed, parse_patience, parse_ratio, parse_scrub, percent, rate, size,
        size_of_total, whole,
    };
    use std::time::Duration;

    #[test]
    fn ratios_are_finite_and_not_negative() {
        assert_eq!(parse_ratio("1.5"), Ok(1.5));
        for bad in ["-1", "inf", "NaN", "", "x"] {
            assert!(parse_ratio(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_no_patience_and_no_rate_of_reading() {
        assert_eq!(parse_patience("1ms"), Ok(Duration::from_millis(1)));
        assert!(parse_patience("0s").is_err() && parse_patience("-1").is_err());
        assert_eq!(parse_scrub("1k/s"), Ok(1000));
        for text in ["0", "0/s"] {
            assert!(
                parse_scrub(text).is_err_and(|why| why.contains("read")),
                "{text}"
            );
        }
        assert!(parse_scrub("x").is_err());
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
