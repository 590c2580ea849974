//! `upload_only` as a message (BEP 21): the key of the extension handshake, sent when it changes.

use bytes::{BufMut, BytesMut};

/// Whether the sender wants nothing from anybody: a seed, or one of a part of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadOnly(pub bool);

impl UploadOnly {
    /// Reads the one byte, 0 or not 0. Bytes after it are left alone: the form is not in the BEP.
    pub(super) fn decode(payload: &[u8]) -> Result<Self, String> {
        let flag = payload
            .first()
            .ok_or_else(|| "no payload; expected 1 byte".to_owned())?;
        Ok(Self(*flag != 0))
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.0.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_one_byte() {
        for flag in [false, true] {
            let mut out = BytesMut::new();
            UploadOnly(flag).encode(&mut out);
            assert_eq!(&out[..], [u8::from(flag)]);
            assert_eq!(UploadOnly::decode(&out), Ok(UploadOnly(flag)));
        }
        assert_eq!(UploadOnly::decode(&[2, 0]), Ok(UploadOnly(true)));
        assert_eq!(
            UploadOnly::decode(&[]).unwrap_err(),
            "no payload; expected 1 byte"
        );
    }
}
