//! The identities of torrents: SHA-1 and SHA-256 over the `info` dictionary, and their text forms.
//!
//! Knows nothing of what an info dictionary contains.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The SHA-1 of one piece, as it stands in the `pieces` string (BEP 3).
pub type PieceHash = [u8; 20];

/// The identity of a v1 torrent: SHA-1 of the raw bytes of its `info` dictionary (BEP 3).
///
/// It is also what handshakes, trackers and the DHT carry for a v2 torrent, where it holds the
/// first 20 bytes of an [`InfoHashV2`] (BEP 52).
///
/// ```
/// use bt_metainfo::InfoHash;
///
/// let hash: InfoHash = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36".parse()?;
/// let same: InfoHash = "2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW".parse()?;
/// assert_eq!(hash, same);
/// assert_eq!(hash.to_string(), "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36");
/// # Ok::<(), bt_metainfo::ParseHashError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash([u8; 20]);

impl InfoHash {
    /// Hashes the raw bytes of an `info` dictionary.
    ///
    /// The bytes must be those of the torrent file, not a re-encoding: keys out of order are
    /// part of the identity.
    pub fn of(raw_info: &[u8]) -> Self {
        Self(Sha1::digest(raw_info).into())
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl From<[u8; 20]> for InfoHash {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl From<InfoHash> for [u8; 20] {
    fn from(hash: InfoHash) -> Self {
        hash.0
    }
}

impl TryFrom<&[u8]> for InfoHash {
    type Error = ParseHashError;

    /// Takes exactly 20 bytes.
    fn try_from(bytes: &[u8]) -> Result<Self, ParseHashError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseHashError::Length {
                found: bytes.len(),
                expected: "20 bytes",
            })
    }
}

impl AsRef<[u8]> for InfoHash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for InfoHash {
    type Err = ParseHashError;

    /// Reads 40 hexadecimal digits or 32 base32 characters (BEP 9), in either case.
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        match text.len() {
            40 => decode_hex(text).map(Self),
            32 => decode_base32(text).map(Self),
            found => Err(ParseHashError::Length {
                found,
                expected: "40 hexadecimal or 32 base32 characters",
            }),
        }
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::LowerHex for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// The identity of a v2 torrent: SHA-256 of the raw bytes of its `info` dictionary (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2([u8; 32]);

impl InfoHashV2 {
    /// Hashes the raw bytes of an `info` dictionary.
    pub fn of(raw_info: &[u8]) -> Self {
        Self(Sha256::digest(raw_info).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 20 bytes, which stand for this torrent where a protocol has room for no more:
    /// handshakes, trackers and the DHT (BEP 52, "infohash").
    pub fn truncated(&self) -> InfoHash {
        let mut short = [0; 20];
        short.copy_from_slice(self.0.split_at(20).0);
        InfoHash(short)
    }
}

impl From<[u8; 32]> for InfoHashV2 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<InfoHashV2> for [u8; 32] {
    fn from(hash: InfoHashV2) -> Self {
        hash.0
    }
}

impl TryFrom<&[u8]> for InfoHashV2 {
    type Error = ParseHashError;

    /// Takes exactly 32 bytes.
    fn try_from(bytes: &[u8]) -> Result<Self, ParseHashError> {
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseHashError::Length {
                found: bytes.len(),
                expected: "32 bytes",
            })
    }
}

impl AsRef<[u8]> for InfoHashV2 {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for InfoHashV2 {
    type Err = ParseHashError;

    /// Reads 64 hexadecimal digits in either case.
    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        if text.len() == 64 {
            decode_hex(text).map(Self)
        } else {
            Err(ParseHashError::Length {
                found: text.len(),
                expected: "64 hexadecimal characters",
            })
        }
    }
}

impl fmt::Display for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::LowerHex for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHashV2({self})")
    }
}

/// A text or byte string that is not an info-hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHashError {
    /// The length fits no known form.
    #[error("an info-hash has {expected}, this has {found}")]
    Length {
        /// How many bytes there were.
        found: usize,
        /// What was wanted.
        expected: &'static str,
    },
    /// The length is right but a character is not of the alphabet.
    #[error("character {position} of the info-hash is not a {alphabet} character")]
    Character {
        /// Index of the first wrong byte.
        position: usize,
        /// `hexadecimal` or `base32`.
        alphabet: &'static str,
    },
}

/// Decodes `2 * N` hexadecimal digits; the caller has checked the length.
fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseHashError> {
    let mut bytes = [0; N];
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .map_err(|partial| ParseHashError::Character {
            position: partial.error.position,
            alphabet: "hexadecimal",
        })?;
    Ok(bytes)
}

/// Decodes 32 base32 characters; the caller has checked the length.
fn decode_base32(text: &str) -> Result<[u8; 20], ParseHashError> {
    let mut bytes = [0; 20];
    BASE32_NOPAD
        .decode_mut(text.to_ascii_uppercase().as_bytes(), &mut bytes)
        .map_err(|partial| ParseHashError::Character {
            position: partial.error.position,
            alphabet: "base32",
        })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_known_bytes_is_the_published_one() {
        assert_eq!(
            InfoHash::of(b"abc").to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            InfoHashV2::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn text_forms_agree_in_both_cases() {
        let hash = InfoHash::of(b"x");
        let hex = hash.to_string();
        let base32 = BASE32_NOPAD.encode(hash.as_bytes());
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            base32.clone(),
            base32.to_lowercase(),
        ] {
            assert_eq!(text.parse(), Ok(hash), "{text}");
        }
    }

    #[test]
    fn wrong_text_says_where() {
        let bad = format!("{}g{}", "0".repeat(7), "0".repeat(32));
        assert_eq!(
            bad.parse::<InfoHash>().unwrap_err().to_string(),
            "character 7 of the info-hash is not a hexadecimal character"
        );
        let bad = format!("{}1{}", "A".repeat(3), "A".repeat(28));
        assert_eq!(
            bad.parse::<InfoHash>().unwrap_err().to_string(),
            "character 3 of the info-hash is not a base32 character"
        );
        for length in [0, 1, 31, 33, 39, 41, 64] {
            let text = "a".repeat(length);
            let message = text.parse::<InfoHash>().unwrap_err().to_string();
            assert!(message.contains(&length.to_string()), "{message}");
        }
        assert!("é".repeat(20).parse::<InfoHash>().is_err());
        assert!("a".repeat(63).parse::<InfoHashV2>().is_err());
    }

    #[test]
    fn a_v2_hash_is_cut_to_twenty_bytes_for_the_wire() {
        let long = InfoHashV2::of(b"abc");
        assert_eq!(long.truncated().to_string(), long.to_string()[..40]);
    }

    #[test]
    fn slices_of_other_lengths_are_refused() {
        assert!(InfoHash::try_from(&[0_u8; 19][..]).is_err());
        assert!(InfoHash::try_from(&[0_u8; 21][..]).is_err());
        assert_eq!(
            InfoHash::try_from(&[7_u8; 20][..]),
            Ok(InfoHash::from([7; 20]))
        );
        assert!(InfoHashV2::try_from(&[0_u8; 20][..]).is_err());
    }

    #[test]
    fn hashes_give_their_bytes_back_and_are_shown_as_hex_everywhere() {
        let (one, two) = (InfoHash::from([0xab; 20]), InfoHashV2::from([0xcd; 32]));
        assert_eq!(<[u8; 20]>::from(one), [0xab; 20]);
        assert_eq!(<[u8; 32]>::from(two), [0xcd; 32]);
        assert_eq!(
            (one.as_ref(), two.as_ref()),
            (&[0xab; 20][..], &two.as_bytes()[..])
        );
        assert_eq!(format!("{one:x}"), "ab".repeat(20));
        assert_eq!(format!("{two:x}"), "cd".repeat(32));
        assert_eq!(format!("{one:?}"), format!("InfoHash({one})"));
        assert_eq!(format!("{two:?}"), format!("InfoHashV2({two})"));
    }
}
