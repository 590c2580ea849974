//! The 68 bytes that open a connection (BEP 3), and the reserved bits by name (BEP 4).
//!
//! Knows nothing of torrents we have or of what follows the handshake.

use std::fmt;

use bt_metainfo::InfoHash;

use crate::codec::array_at;
use crate::error::Malformed;
use crate::peer_id::PeerId;

/// The length of a handshake in bytes.
pub const HANDSHAKE_LEN: usize = 68;

/// How many bytes of a handshake tell the torrent: everything but the peer id.
pub const HANDSHAKE_HEAD_LEN: usize = 48;

/// The length byte 19 and the name of the protocol, which every handshake starts with.
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The eight reserved bytes of the handshake: which extensions a side speaks (BEP 4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Reserved([u8; 8]);

impl Reserved {
    /// No extension at all.
    pub const NONE: Self = Self([0; 8]);

    /// The bits as they stand in the handshake.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bits as they stand in the handshake.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// Whether the fast extension is offered (BEP 6): `reserved[7] & 0x04`.
    pub const fn supports_fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// Whether the extension protocol is offered (BEP 10): `reserved[5] & 0x10`.
    pub const fn supports_extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }

    /// Whether the peer has a DHT node (BEP 5): `reserved[7] & 0x01`.
    pub const fn supports_dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }

    /// Whether a hybrid torrent may go on as version 2 (BEP 52): `reserved[7] & 0x10`.
    pub const fn supports_v2(self) -> bool {
        self.0[7] & 0x10 != 0
    }

    /// Also offers the fast extension.
    #[must_use]
    pub const fn with_fast(mut self) -> Self {
        self.0[7] |= 0x04;
        self
    }

    /// Also offers the extension protocol.
    #[must_use]
    pub const fn with_extended(mut self) -> Self {
        self.0[5] |= 0x10;
        self
    }

    /// Also says that there is a DHT node.
    #[must_use]
    pub const fn with_dht(mut self) -> Self {
        self.0[7] |= 0x01;
        self
    }

    /// Also offers to go on as version 2; only with the version 1 hash of a hybrid torrent.
    #[must_use]
    pub const fn with_v2(mut self) -> Self {
        self.0[7] |= 0x10;
        self
    }

    /// What both sides offer.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut both = self;
        for (mine, theirs) in both.0.iter_mut().zip(other.0) {
            *mine &= theirs;
        }
        both
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserved(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// One side's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The extensions it speaks.
    pub reserved: Reserved,
    /// The torrent it is about; of a version 2 torrent, the first 20 bytes of its hash.
    pub info_hash: InfoHash,
    /// Who it is.
    pub peer_id: PeerId,
}

impl Handshake {
    /// The 68 bytes.
    pub fn encode(&self) -> [u8; HANDSHAKE_LEN] {
        let mut bytes = [0; HANDSHAKE_LEN];
        let parts: [&[u8]; 4] = [
            PROTOCOL,
            &self.reserved.0,
            self.info_hash.as_ref(),
            self.peer_id.as_bytes(),
        ];
        for (byte, part) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *byte = *part;
        }
        bytes
    }

    /// Reads the handshake at the front of `bytes`; `None` as long as it is not complete.
    ///
    /// # Errors
    ///
    /// [`Malformed::NotBitTorrent`] with the first byte that shows it, however few bytes there are.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let Some((reserved, info_hash)) = Self::decode_head(bytes)? else {
            return Ok(None);
        };
        let Some(peer_id) = array_at::<20>(bytes, HANDSHAKE_HEAD_LEN) else {
            return Ok(None);
        };
        Ok(Some(Self {
            reserved,
            info_hash,
            peer_id: PeerId::from(peer_id),
        }))
    }

    /// Reads all but the peer id, which some peers hold back until they have seen ours.
    ///
    /// # Errors
    ///
    /// As [`decode`](Self::decode).
    pub fn decode_head(bytes: &[u8]) -> Result<Option<(Reserved, InfoHash)>, Malformed> {
        for (offset, (found, expected)) in bytes.iter().zip(PROTOCOL).enumerate() {
            if found != expected {
                return Err(Malformed::NotBitTorrent { offset });
            }
        }
        let (Some(reserved), Some(info_hash)) =
            (array_at::<8>(bytes, 20), array_at::<20>(bytes, 28))
        else {
            return Ok(None);
        };
        Ok(Some((Reserved(reserved), InfoHash::from(info_hash))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Handshake {
        Handshake {
            reserved: Reserved::NONE.with_fast().with_extended().with_dht(),
            info_hash: InfoHash::from([0xab; 20]),
            peer_id: PeerId::from(*b"-BT0100-0123456789ab"),
        }
    }

    #[test]
    fn the_bytes_stand_where_the_bep_says() {
        let bytes = sample().encode();
        assert_eq!(&bytes[..20], b"\x13BitTorrent protocol");
        assert_eq!(&bytes[20..28], &[0, 0, 0, 0, 0, 0x10, 0, 0x05]);
        assert_eq!(&bytes[28..48], &[0xab; 20]);
        assert_eq!(&bytes[48..], b"-BT0100-0123456789ab");
    }

    #[test]
    fn every_prefix_is_incomplete_and_the_whole_is_not() {
        let bytes = sample().encode();
        for end in 0..HANDSHAKE_LEN {
            assert_eq!(Handshake::decode(&bytes[..end]), Ok(None), "{end} bytes");
            let head = Handshake::decode_head(&bytes[..end]).unwrap();
            assert_eq!(head.is_some(), end >= HANDSHAKE_HEAD_LEN, "{end} bytes");
        }
        assert_eq!(Handshake::decode(&bytes), Ok(Some(sample())));
    }

    #[test]
    fn a_wrong_first_byte_is_seen_at_once() {
        for first in (0..=255).filter(|first| *first != 19) {
            assert_eq!(
                Handshake::decode(&[first]),
                Err(Malformed::NotBitTorrent { offset: 0 })
            );
        }
        let text = b"\x13BitTorrent protocoX";
        assert_eq!(
            Handshake::decode(text),
            Err(Malformed::NotBitTorrent { offset: 19 })
        );
    }

    #[test]
    fn the_bits_have_their_places() {
        assert!(Reserved::from_bytes([0, 0, 0, 0, 0, 0, 0, 4]).supports_fast());
        assert!(Reserved::from_bytes([0, 0, 0, 0, 0, 0x10, 0, 0]).supports_extended());
        assert!(Reserved::from_bytes([0, 0, 0, 0, 0, 0, 0, 1]).supports_dht());
        assert!(Reserved::from_bytes([0, 0, 0, 0, 0, 0, 0, 0x10]).supports_v2());
        let none = Reserved::NONE;
        assert_eq!(none.with_fast().as_bytes(), &[0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(
            none.with_extended().as_bytes(),
            &[0, 0, 0, 0, 0, 0x10, 0, 0]
        );
        assert_eq!(none.with_dht().as_bytes(), &[0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(none.with_v2().as_bytes(), &[0, 0, 0, 0, 0, 0, 0, 0x10]);
        let both = Reserved::NONE
            .with_fast()
            .with_v2()
            .and(Reserved::NONE.with_fast().with_dht());
        assert_eq!(both, Reserved::NONE.with_fast());
    }

    #[test]
    fn the_bits_are_shown_as_they_travel() {
        let bits = Reserved::NONE.with_fast().with_extended();
        assert_eq!(format!("{bits:?}"), "Reserved(0000000000100004)");
    }
}
