//! What the command line asks for: which groups, how large, how often.

use std::time::Duration;

use crate::measure::Meter;

/// Time for each figure of computing.
const TIME: Duration = Duration::from_secs(1);
/// Time for each figure when only its running is of interest.
const SMOKE_TIME: Duration = Duration::from_millis(20);

/// See the module.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) meter: Meter,
    /// Only show that each figure can still be measured.
    pub(crate) smoke: bool,
    /// Measure only our own programs.
    pub(crate) alone: bool,
    /// Content of a transfer or a torrent, in MiB; each group has its own usual one.
    size: Option<u64>,
    rounds: Option<usize>,
    groups: Vec<String>,
}

impl Setting {
    /// Reads `[GROUP…] [--smoke] [--alone] [--size MIB] [--rounds N]`.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = String>,
        known: &[&str],
    ) -> Result<Self, String> {
        let mut setting = Self {
            meter: Meter::new(TIME),
            smoke: false,
            alone: false,
            size: None,
            rounds: None,
            groups: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--smoke" => {
                    (setting.smoke, setting.alone) = (true, true);
                    setting.meter = Meter::new(SMOKE_TIME);
                }
                "--alone" => setting.alone = true,
                "--size" => setting.size = Some(number(&argument, arguments.next())?),
                "--rounds" => {
                    let rounds = number(&argument, arguments.next())?;
                    setting.rounds = usize::try_from(rounds).ok();
                }
                group if known.contains(&group) => setting.groups.push(argument),
                unknown => {
                    let known = known.join(", ");
                    return Err(format!("no group {unknown:?}; there are {known}"));
                }
            }
        }
        Ok(setting)
    }

    pub(crate) fn includes(&self, group: &str) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|name| name == group)
    }

    /// MiB to work on: as asked for, else `usual`, or `smoke` where only the running counts.
    pub(crate) fn size(&self, usual: u64, smoke: u64) -> u64 {
        let usual = if self.smoke { smoke } else { usual };
        self.size.unwrap_or(usual).max(1)
    }

    /// Rounds in which programs take turns.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        let usual = if self.smoke { 1 } else { usual };
        self.rounds.unwrap_or(usual).max(1)
    }
}

fn number(option: &str, value: Option<String>) -> Result<u64, String> {
    let value = value.ok_or_else(|| format!("{option} needs a number"))?;
    value
        .parse()
        .map_err(|_| format!("{option} needs a number, not {value:?}"))
}
