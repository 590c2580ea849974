//! `lt_donthave` (BEP 54, "The lt_donthave extension"): the opposite of `have`.
//!
//! Sent when a piece turns out to be damaged or was deleted, so that nobody asks for it in vain.

use bt_metainfo::PieceIndex;
use bytes::{BufMut, BytesMut};

use crate::codec::piece_at;

/// The sender no longer has this piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DontHave(pub PieceIndex);

impl DontHave {
    /// Reads the four bytes of the index.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, String> {
        if payload.len() != 4 {
            return Err(format!("{} bytes; expected 4", payload.len()));
        }
        piece_at(payload, 0)
            .map(Self)
            .ok_or_else(|| "no piece index".to_owned())
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(self.0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_one_big_endian_index() {
        let mut out = BytesMut::new();
        DontHave(PieceIndex(0x0102_0304)).encode(&mut out);
        assert_eq!(&out[..], [1, 2, 3, 4]);
        assert_eq!(
            DontHave::decode(&out),
            Ok(DontHave(PieceIndex(0x0102_0304)))
        );
        assert_eq!(
            DontHave::decode(&[0; 3]).unwrap_err(),
            "3 bytes; expected 4"
        );
        assert_eq!(
            DontHave::decode(&[0; 5]).unwrap_err(),
            "5 bytes; expected 4"
        );
    }
}
