//! What the owner of a torrent decided about it, as a small bencoded file beside the torrent.
//!
//! Keys that are not known are left alone by older programs and written by newer ones; none is required but the
//! directory.

use std::collections::BTreeMap;

use bt_bencode::{Dict, DictEncoder, Encoder, parse};
use thiserror::Error;

/// Where the content lies and what its files are called there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stand {
    /// The directory that holds the content, as the system spells paths.
    pub directory: Vec<u8>,
    /// Another name for the torrent's own directory.
    pub top: Option<String>,
    /// Files with other names than the torrent gives them.
    pub names: BTreeMap<u32, String>,
    /// What stands behind the name of each file while not all is here.
    pub suffix: String,
}

/// Seconds since 1970, and nanoseconds.
type Moment = (i64, u32);

/// The directory that was there when somebody looked, on its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// As the system spells paths.
    pub path: Vec<u8>,
    /// The device.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
}

/// Content on its way to another stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moving {
    /// Where it goes.
    pub to: Stand,
    /// It is copied there first.
    pub copied: bool,
    /// Files get their names there: this is to be finished. Otherwise copies are to be dropped.
    pub placing: bool,
    /// When the last of the files that were copied was changed.
    pub until: Option<Moment>,
    /// Files that lie under their own names and not under the portable ones.
    pub native: Vec<u32>,
    /// What was there of the directory where it goes.
    pub ground: Option<Footing>,
}

/// A stand that content has left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leaving {
    /// Which.
    pub from: Stand,
    /// Content was copied from there, and the last of its files was changed then; without it there are no copies.
    pub until: Option<Moment>,
}

/// The settings of one torrent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Where the content is.
    pub stand: Stand,
    /// The directory where the content is to be when it is complete, while it is not there.
    pub goal: Option<Vec<u8>>,
    /// What was there of that directory when it was named.
    pub goal_ground: Option<Footing>,
    /// The content is on its way.
    pub moving: Option<Moving>,
    /// The content has come from here, and copies or empty directories may still be there.
    pub leaving: Option<Leaving>,
    /// How files are made: 0 as bytes come, 2 with all their room at once; else of their full size.
    pub allocation: Option<u8>,
    /// Only these files, by number; `None` means all.
    pub only_files: Option<Vec<u32>>,
    /// Of these files, bytes that shared pieces brought lie among the parts, even where a file of that name is there.
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

impl Stand {
    /// Everything is called as the torrent says.
    fn is_plain(&self) -> bool {
        self.top.is_none() && self.names.is_empty() && self.suffix.is_empty()
    }

    fn encode(&self, dict: &mut DictEncoder<'_>) -> Result<(), bt_bencode::Error> {
        dict.bytes("directory", &self.directory)?;
        dict.list("names", |list| {
            self.names.iter().try_for_each(|(file, name)| {
                list.int(*file)?;
                list.bytes(name)
            })
        })?;
        dict.bytes("suffix", &self.suffix)?;
        match &self.top {
            Some(top) => dict.bytes("top", top),
            None => Ok(()),
        }
    }

    fn decode(dict: Dict<'_>) -> Result<Self, SettingsError> {
        let mut names = BTreeMap::new();
        let mut items = dict.list("names")?.iter();
        while let (Some(file), Some(name)) = (items.next(), items.next()) {
            let file = u32::try_from(file.u64()?).unwrap_or(u32::MAX);
            names.insert(file, name.str()?.to_owned());
        }
        Ok(Self {
            directory: dict.bytes("directory")?.to_vec(),
            top: dict.opt_str("top")?.map(str::to_owned),
            names,
            suffix: dict.str("suffix")?.to_owned(),
        })
    }
}

impl Footing {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.path.len());
        bytes.extend(self.device.to_le_bytes());
        bytes.extend(self.inode.to_le_bytes());
        bytes.extend(&self.path);
        bytes
    }

    /// `None` for what no version has written: then nothing is known of it.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (device, rest) = bytes.split_first_chunk()?;
        let (inode, path) = rest.split_first_chunk()?;
        Some(Self {
            path: path.to_vec(),
            device: u64::from_le_bytes(*device),
            inode: u64::from_le_bytes(*inode),
        })
    }
}

fn moment(dict: &mut DictEncoder<'_>, moment: Option<Moment>) -> Result<(), bt_bencode::Error> {
    let Some((seconds, nanos)) = moment else {
        return Ok(());
    };
    dict.list("until", |list| {
        list.int(seconds)?;
        list.int(nanos)
    })
}

fn decode_moment(dict: Dict<'_>) -> Result<Option<Moment>, SettingsError> {
    let Some(list) = dict.opt_list("until")? else {
        return Ok(None);
    };
    let mut items = list.iter();
    let (Some(seconds), Some(nanos)) = (items.next(), items.next()) else {
        return Ok(None);
    };
    let nanos = u32::try_from(nanos.u64()?).unwrap_or(0);
    Ok(Some((seconds.int()?, nanos)))
}

impl Moving {
    fn encode(&self, dict: &mut DictEncoder<'_>) -> Result<(), bt_bencode::Error> {
        dict.int("copied", u8::from(self.copied))?;
        if let Some(ground) = &self.ground {
            dict.bytes("ground", ground.encode())?;
        }
        let native = (!self.native.is_empty()).then(|| self.native.clone());
        numbers(dict, "native", native)?;
        dict.int("placing", u8::from(self.placing))?;
        dict.dict("to", |dict| self.to.encode(dict))?;
        moment(dict, self.until)
    }

    fn decode(dict: Dict<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            to: Stand::decode(dict.dict("to")?)?,
            copied: dict.int("copied")? != 0,
            placing: dict.int("placing")? != 0,
            until: decode_moment(dict)?,
            native: decode_numbers(dict, "native")?.unwrap_or_default(),
            ground: dict.opt_bytes("ground")?.and_then(Footing::decode),
        })
    }
}

impl Leaving {
    fn encode(&self, dict: &mut DictEncoder<'_>) -> Result<(), bt_bencode::Error> {
        self.from.encode(dict)?;
        moment(dict, self.until)
    }

    fn decode(dict: Dict<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            from: Stand::decode(dict)?,
            until: decode_moment(dict)?,
        })
    }
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
            if let Some(allocation) = self.allocation {
                dict.int("allocation", allocation)?;
            }
            dict.bytes("directory", &self.stand.directory)?;
            if let Some(goal) = &self.goal {
                dict.bytes("goal", goal)?;
            }
            if let Some(ground) = &self.goal_ground {
                dict.bytes("goal_ground", ground.encode())?;
            }
            numbers(dict, "high", some(&self.high))?;
            if let Some(leaving) = &self.leaving {
                dict.dict("leaving", |dict| leaving.encode(dict))?;
            }
            numbers(dict, "low", some(&self.low))?;
            if let Some(moving) = &self.moving {
                dict.dict("moving", |dict| moving.encode(dict))?;
            }
            numbers(dict, "only_files", self.only_files.clone())?;
            dict.int("paused", u8::from(self.paused))?;
            dict.int("sequential", u8::from(self.sequential))?;
            if let Some(spread) = self.spread {
                dict.int("spread", u8::from(spread))?;
            }
            // Programs of before know the directory alone, which says all where nothing has another name.
            if !self.stand.is_plain() {
                dict.dict("stand", |dict| self.stand.encode(dict))?;
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
        let numbers = |key| decode_numbers(dict, key);
        let stand = |key| dict.opt_dict(key)?.map(Stand::decode).transpose();
        let plain = || {
            Ok::<_, SettingsError>(Stand {
                directory: dict.bytes("directory")?.to_vec(),
                ..Stand::default()
            })
        };
        Ok(Self {
            stand: stand("stand")?.map_or_else(plain, Ok)?,
            goal: dict.opt_bytes("goal")?.map(<[u8]>::to_vec),
            goal_ground: dict.opt_bytes("goal_ground")?.and_then(Footing::decode),
            moving: dict.opt_dict("moving")?.map(Moving::decode).transpose()?,
            leaving: dict.opt_dict("leaving")?.map(Leaving::decode).transpose()?,
            allocation: dict
                .opt_int("allocation")?
                .and_then(|how| u8::try_from(how).ok()),
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

fn decode_numbers(dict: Dict<'_>, key: &str) -> Result<Option<Vec<u32>>, SettingsError> {
    let Some(list) = dict.opt_list(key)? else {
        return Ok(None);
    };
    let number = |item: bt_bencode::Value<'_>| {
        Ok::<_, SettingsError>(u32::try_from(item.u64()?).unwrap_or(u32::MAX))
    };
    Ok(Some(list.iter().map(number).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::{Footing, Leaving, Moving, Settings, SettingsError, Stand};
    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::{Strategy, any, proptest};
    use std::collections::BTreeMap;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        vec(any::<u8>(), 0..6)
    }

    fn files() -> impl Strategy<Value = Vec<u32>> {
        vec(any::<u32>(), 0..4)
    }

    fn stands() -> impl Strategy<Value = Stand> {
        let names = btree_map(any::<u32>(), any::<String>(), 0..3);
        let parts = (bytes(), option::of(any::<String>()), names, any::<String>());
        parts.prop_map(|(directory, top, names, suffix)| Stand {
            directory,
            top,
            names,
            suffix,
        })
    }

    fn grounds() -> impl Strategy<Value = Footing> {
        (bytes(), any::<u64>(), any::<u64>()).prop_map(|(path, device, inode)| Footing {
            path,
            device,
            inode,
        })
    }

    fn moving() -> impl Strategy<Value = Moving> {
        let flags = (any::<bool>(), any::<bool>());
        let until = option::of((any::<i64>(), any::<u32>()));
        let parts = (stands(), flags, until, files(), option::of(grounds()));
        parts.prop_map(|(to, (copied, placing), until, native, ground)| Moving {
            to,
            copied,
            placing,
            until,
            native,
            ground,
        })
    }

    fn leaving() -> impl Strategy<Value = Leaving> {
        let until = option::of((any::<i64>(), any::<u32>()));
        (stands(), until).prop_map(|(from, until)| Leaving { from, until })
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let goal = (option::of(bytes()), option::of(grounds()));
        let ways = (option::of(moving()), option::of(leaving()));
        let lists = (option::of(files()), files(), files(), files());
        let flags = (any::<bool>(), any::<bool>(), option::of(any::<bool>()));
        let parts = (stands(), goal, ways, option::of(any::<u8>()), lists, flags);
        parts.prop_map(|(stand, goal, ways, allocation, lists, flags)| Settings {
            stand,
            goal: goal.0,
            goal_ground: goal.1,
            moving: ways.0,
            leaving: ways.1,
            allocation,
            only_files: lists.0,
            absent: lists.1,
            high: lists.2,
            low: lists.3,
            sequential: flags.0,
            paused: flags.1,
            spread: flags.2,
        })
    }

    proptest! {
        #[test]
        fn any_settings_are_read_as_they_were_written(settings in settings()) {
            assert_eq!(Settings::decode(&settings.encode()), Ok(settings));
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let stand = |directory: &[u8], suffix: &str| Stand {
            directory: directory.to_vec(),
            top: Some("top".to_owned()),
            names: BTreeMap::from([(3, "ä/b".to_owned()), (4, "c".to_owned())]),
            suffix: suffix.to_owned(),
        };
        let ground = |path: &[u8], inode| Footing {
            path: path.to_vec(),
            device: 7,
            inode,
        };
        let settings = Settings {
            stand: stand(b"/srv/\xff\xfe", ".part"),
            goal: Some(b"/done\xff".to_vec()),
            goal_ground: Some(ground(b"/\xff", 2)),
            moving: Some(Moving {
                to: stand(b"/new", ""),
                copied: true,
                placing: false,
                until: Some((-1, 999_999_999)),
                native: vec![4],
                ground: Some(ground(b"/new", u64::MAX)),
            }),
            leaving: Some(Leaving {
                from: stand(b"/old", ""),
                until: Some((1_700_000_000, 0)),
            }),
            allocation: Some(2),
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
