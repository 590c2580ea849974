//! What the owner of a torrent decided about it, as a small bencoded file beside the torrent.
//!
//! Keys that are not known are left alone by older programs and written by newer ones; none is required but the
//! directory.

use bt_bencode::{DictEncoder, Encoder, parse};
use thiserror::Error;

/// The settings of one torrent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// The directory that holds the content, as the system spells paths.
    pub directory: Vec<u8>,
    /// Only these files, by number; `None` means all.
    pub only_files: Option<Vec<u32>>,
    /// Of these files, bytes that shared pieces brought lie among the parts, even where the file itself is there.
    pub absent: Vec<u32>,
    /// Files that are wanted before all others.
    pub high: Vec<u32>,
    /// Files that are wanted after all others.
    pub low: Vec<u32>,
    /// Pieces in their order instead of rarest first.
    pub sequential: bool,
    /// Not to be started.
    pub paused: bool,
    /// Spread like an initial seeder; `None` leaves it to the session.
    pub spread: Option<bool>,
}

/// The file is not one of ours, or damaged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("{0}")]
    Malformed(#[from] bt_bencode::Error),
    /// Its bytes changed after they were written.
    #[error("its checksum is wrong")]
    Checksum,
}

/// Where the checksum stands: behind the bencoded bytes.
const CHECKSUM: usize = 4;

impl Settings {
    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        let written = encoder.dict(|dict| {
            let some = |files: &Vec<u32>| (!files.is_empty()).then(|| files.clone());
            numbers(dict, "absent", some(&self.absent))?;
            dict.bytes("directory", &self.directory)?;
            numbers(dict, "high", some(&self.high))?;
            numbers(dict, "low", some(&self.low))?;
            numbers(dict, "only_files", self.only_files.clone())?;
            dict.int("paused", u8::from(self.paused))?;
            dict.int("sequential", u8::from(self.sequential))?;
            if let Some(spread) = self.spread {
                dict.int("spread", u8::from(spread))?;
            }
            Ok(())
        });
        written.expect("the keys above stand in their order");
        let mut bytes = encoder.finish();
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// If they are not what [`Settings::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, SettingsError> {
        let (body, checksum) = bytes.split_at(bytes.len().saturating_sub(CHECKSUM));
        if crc32c::crc32c(body).to_le_bytes() != checksum {
            return Err(SettingsError::Checksum);
        }
        let dict = parse(body)?.dict()?;
        let flag = |key| Ok::<_, SettingsError>(dict.opt_int(key)?.map(|value| value != 0));
        let numbers = |key| match dict.opt_list(key)? {
            None => Ok::<Option<Vec<u32>>, SettingsError>(None),
            Some(list) => {
                let number = |item: bt_bencode::Value<'_>| {
                    Ok::<_, SettingsError>(u32::try_from(item.u64()?).unwrap_or(u32::MAX))
                };
                Ok(Some(list.iter().map(number).collect::<Result<_, _>>()?))
            }
        };
        Ok(Self {
            directory: dict.bytes("directory")?.to_vec(),
            only_files: numbers("only_files")?,
            absent: numbers("absent")?.unwrap_or_default(),
            high: numbers("high")?.unwrap_or_default(),
            low: numbers("low")?.unwrap_or_default(),
            sequential: flag("sequential")?.unwrap_or(false),
            paused: flag("paused")?.unwrap_or(false),
            spread: flag("spread")?,
        })
    }
}

fn numbers(
    dict: &mut DictEncoder<'_>,
    key: &str,
    files: Option<Vec<u32>>,
) -> Result<(), bt_bencode::Error> {
    let Some(files) = files else {
        return Ok(());
    };
    dict.list(key, |list| {
        files.iter().try_for_each(|file| list.int(*file))
    })
}

#[cfg(test)]
mod tests {
    use super::{Settings, SettingsError};

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let settings = Settings {
            directory: b"/srv/\xff\xfe".to_vec(),
            only_files: Some(vec![0, 7]),
            absent: vec![1, 2],
            high: vec![7],
            low: vec![0],
            sequential: true,
            paused: false,
            spread: Some(false),
        };
        let bytes = settings.encode();
        assert_eq!(Settings::decode(&bytes), Ok(settings));
        let plain = Settings::default();
        assert_eq!(Settings::decode(&plain.encode()), Ok(plain));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Settings::decode(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(Settings::decode(&bytes[..length]).is_err(), "{length}");
        }
        assert_eq!(Settings::decode(&[0; 3]), Err(SettingsError::Checksum));
    }
}
