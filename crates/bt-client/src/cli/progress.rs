//! Progress on standard error: rows that move on a terminal, plain lines elsewhere. It must not
//! know sessions; callers give it numbers and words.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::piece_map::{PieceMap, bar};
use super::report::escape;
use super::screen::Screen;
use super::units;

/// On a terminal at most ten pictures a second.
const REDRAW: Duration = Duration::from_millis(100);
/// Elsewhere one line in this time, and one at each change of state.
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// Columns of a bar or piece map.
const BAR: usize = 20;
/// A name is cut no shorter than this, and padded no longer than [`NAME_MOST`].
const NAME_LEAST: usize = 8;
const NAME_MOST: usize = 32;

/// A reason cut shorter than this says nothing.
const REASON_LEAST: usize = 12;

/// What one row says.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// Of the torrent or of who does the work.
    pub(crate) name: &'a str,
    /// One word: `checking`, `downloading`, `seeding`.
    pub(crate) state: &'a str,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) pieces: Option<&'a PieceMap>,
    /// Bytes a second; `None` where nothing is transferred.
    pub(crate) rates: Option<(f64, f64)>,
    /// Connected peers, and how many of them have everything.
    pub(crate) peers: Option<(u32, u32)>,
    pub(crate) eta: Option<Duration>,
    /// Why it is not faster, in plain words; may be empty.
    pub(crate) reason: &'a str,
}

impl<'a> Row<'a> {
    /// Work without a network.
    pub(crate) fn plain(name: &'a str, state: &'a str, done: u64, total: u64) -> Self {
        Self {
            name,
            state,
            done,
            total,
            pieces: None,
            rates: None,
            peers: None,
            eta: None,
            reason: "",
        }
    }
}

/// Decides when to show what, and shows it.
#[derive(Debug)]
pub(crate) struct Progress {
    screen: Arc<Screen>,
    enabled: bool,
    fine: bool,
    last: Option<Instant>,
    last_states: String,
}

impl Progress {
    /// `enabled` is false with `--json`, `--quiet` and `--no-progress`.
    pub(crate) fn new(screen: Arc<Screen>, enabled: bool) -> Self {
        Self {
            screen,
            enabled,
            fine: locale_is_utf8(),
            last: None,
            last_states: String::new(),
        }
    }

    /// Shows the rows if it is time to.
    pub(crate) fn show(&mut self, now: Instant, rows: &[Row<'_>]) {
        if !self.enabled {
            return;
        }
        let moves = self.screen.is_terminal();
        let pace = if moves { REDRAW } else { PLAIN_EVERY };
        let states: String = rows.iter().flat_map(|row| [row.state, " "]).collect();
        let due = match self.last {
            Some(last) => now.saturating_duration_since(last) >= pace || states != self.last_states,
            // That the work begins is no news in a log; its first line says more.
            None => moves,
        };
        if self.last.is_none() || due {
            self.last = Some(now);
            self.last_states = states;
        }
        if !due {
            return;
        }
        if moves {
            // A row as wide as the terminal would wrap on some, so that one column stays free.
            let width = self.screen.width().saturating_sub(1);
            // Names of one width keep the columns of several rows apart.
            let name = rows
                .iter()
                .map(|row| columns(&escape(row.name)))
                .max()
                .unwrap_or(0);
            self.screen.draw(
                rows.iter()
                    .map(|row| moving(row, name, width, self.fine))
                    .collect(),
            );
        } else {
            for row in rows {
                self.screen.line(&plain(row));
            }
        }
    }

    /// Takes moving rows away.
    pub(crate) fn end(&mut self) {
        if self.enabled {
            self.screen.clear();
        }
    }
}

/// One line for a log file: no escapes, words instead of arrows.
fn plain(row: &Row<'_>) -> String {
    let mut parts = vec![format!(
        "{} {} ({})",
        row.state,
        units::percent(row.done, row.total),
        units::size_of_total(row.done, row.total)
    )];
    if let Some((down, up)) = row.rates {
        parts.push(format!("down {}", units::rate(down)));
        parts.push(format!("up {}", units::rate(up)));
    }
    if let Some((peers, seeds)) = row.peers {
        parts.push(format!(
            "{} ({})",
            units::count(peers.into(), "peer"),
            units::count(seeds.into(), "seed")
        ));
    }
    if let Some(eta) = row.eta {
        parts.push(format!("{} left", units::clock(eta)));
    }
    if !row.reason.is_empty() {
        parts.push(escape(row.reason).into_owned());
    }
    format!("{}: {}", escape(row.name), parts.join(", "))
}

/// One row of at most `width` columns, `name` of them for the name if there is room: the parts that
/// matter least go first.
fn moving(row: &Row<'_>, name: usize, width: usize, fine: bool) -> String {
    let (down_mark, up_mark) = if fine { ('↓', '↑') } else { ('v', '^') };
    let picture = match row.pieces {
        Some(map) => map.draw(BAR, fine),
        None => bar(row.done, row.total, BAR, fine),
    };
    // In the order on screen, each with its weight: the lowest is dropped last.
    let mut parts = vec![
        (4, picture),
        (0, format!("{:>6}", units::percent(row.done, row.total))),
        (
            5,
            format!("{:>16}", units::size_of_total(row.done, row.total)),
        ),
        (1, format!("{:<11}", row.state)),
    ];
    // Why nothing comes says more than that nothing comes.
    let stalled = !row.reason.is_empty() && row.rates.is_some_and(|(down, _)| down < 1.0);
    if let Some((down, up)) = row.rates.filter(|_| !stalled) {
        parts.push((2, format!("{down_mark} {:>11}", units::rate(down))));
        parts.push((6, format!("{up_mark} {:>11}", units::rate(up))));
    }
    if let Some((peers, seeds)) = row.peers {
        parts.push((7, format!("{peers}({seeds}) peers")));
    }
    if let Some(eta) = row.eta {
        parts.push((3, format!("ETA {}", units::clock(eta))));
    }
    let wanted = name.clamp(NAME_LEAST, NAME_MOST);
    let total =
        |parts: &[(u8, String)]| -> usize { parts.iter().map(|(_, text)| columns(text) + 2).sum() };
    while parts.len() > 1 && total(&parts) + NAME_LEAST > width {
        let heaviest = parts.iter().map(|(weight, _)| *weight).max();
        parts.retain(|(weight, _)| Some(*weight) != heaviest);
    }
    let mut text = fit(
        &escape(row.name),
        width.saturating_sub(total(&parts)).min(wanted),
    );
    for (_, part) in &parts {
        text.push_str("  ");
        text.push_str(part);
    }
    let left = width.saturating_sub(columns(&text) + 2);
    if !row.reason.is_empty() && left >= REASON_LEAST {
        text.push_str("  ");
        text.push_str(&cut(&escape(row.reason), left));
    }
    cut(&text, width)
}

/// Exactly `width` columns: cut with `…`, or padded.
pub(super) fn fit(text: &str, width: usize) -> String {
    let mut fitted = cut(text, width);
    fitted.extend(std::iter::repeat_n(
        ' ',
        width.saturating_sub(columns(&fitted)),
    ));
    fitted
}

/// At most `width` columns.
fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        if used + columns_of(c) + 1 > width {
            break;
        }
        used += columns_of(c);
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// Columns that a text takes on a terminal.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// East Asian wide characters and pictures take two columns, marks that sit on others none. A
/// coarse table is enough: a wrong guess only cuts a name early.
fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200c..=0x200d | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

/// Whether the terminal is likely to show block characters.
fn locale_is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty())
        .unwrap_or_default();
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::{Row, columns, cut, moving, plain};
    use std::time::Duration;

    fn row() -> Row<'static> {
        Row {
            name: "debian-12.iso",
            state: "downloading",
            done: 402 << 20,
            total: 657 << 20,
            pieces: None,
            rates: Some((48.3 * 1_048_576.0, 1.1 * 1_048_576.0)),
            peers: Some((23, 4)),
            eta: Some(Duration::from_secs(5)),
            reason: "",
        }
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_eq!(
            moving(&row(), 13, 200, true),
            "debian-12.iso  ████████████········   61.1%   402.0/657.0 MiB  downloading  ↓  48.3 MiB/s  \
             ↑   1.1 MiB/s  23(4) peers  ETA 0:05"
        );
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        let hostile = Row {
            name: "漢字\u{202e}\u{1b}[2Jほげほげほげほげほげ",
            reason: "no seeds\u{7}",
            ..row()
        };
        for width in 0..150 {
            for fine in [false, true] {
                for row in [&row(), &hostile] {
                    let text = moving(row, 20, width, fine);
                    assert!(columns(&text) <= width, "{width}: {text}");
                    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7}']));
                }
            }
        }
    }

    #[test]
    fn a_narrow_terminal_keeps_what_matters() {
        let text = moving(&row(), 13, 40, false);
        assert!(
            text.contains("61.1%") && text.contains("downloading"),
            "{text}"
        );
    }

    #[test]
    fn a_stalled_download_says_why() {
        let row = Row {
            rates: Some((0.0, 0.0)),
            eta: None,
            reason: "no peers: the tracker timed out",
            ..row()
        };
        assert!(
            moving(&row, 13, 120, true)
                .ends_with("downloading  23(4) peers  no peers: the tracker timed out")
        );
        assert!(moving(&row, 13, 105, true).ends_with("23(4) peers  no peers: the t…"));
    }

    #[test]
    fn a_log_line_has_no_escapes() {
        let row = Row {
            name: "a\u{1b}b",
            reason: "no seeds",
            ..row()
        };
        assert_eq!(
            plain(&row),
            "a\\u{1b}b: downloading 61.1% (402.0/657.0 MiB), down 48.3 MiB/s, up 1.1 MiB/s, \
             23 peers (4 seeds), 0:05 left, no seeds"
        );
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("abc", 0), "");
    }
}
