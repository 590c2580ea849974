//! Bodies for a fuzzing driver: each takes any bytes and panics only if this crate is wrong.
//!
//! Behind the feature `fuzz`; an ordinary test runs them over `tests/corpus/wire_*` as well. They
//! check more than the absence of panics: decoding and encoding are inverse, and a stream means
//! the same however it is cut.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};

use crate::ext::{self, Ext};
use crate::{Bitfield, HANDSHAKE_LEN, Handshake, PeerId, allowed_fast_set, compact, frame, limits};

mod operations;
#[cfg(test)]
mod tests;

pub use operations::{chunking, connection};

/// The 68 bytes that open a connection: the same verdict on every prefix, and a round trip.
pub fn handshake(data: &[u8]) {
    let verdict = Handshake::decode(data);
    for end in 0..data.len().min(HANDSHAKE_LEN) {
        let prefix = Handshake::decode(data.get(..end).unwrap_or_default());
        match (&prefix, &verdict) {
            (Ok(None), _) => {}
            (Err(early), Err(late)) => assert_eq!(early, late),
            _ => panic!("{end} bytes give {prefix:?}, all give {verdict:?}"),
        }
    }
    if let Ok(Some(handshake)) = verdict {
        assert_eq!(
            handshake.encode().as_slice(),
            data.get(..HANDSHAKE_LEN).unwrap_or_default()
        );
    }
}

/// A stream of messages: each is encoded back to the bytes it came from.
pub fn message(data: &[u8]) {
    let mut buf = BytesMut::from(data);
    let mut encoded = BytesMut::new();
    loop {
        let before = buf.len();
        match frame::decode(&mut buf) {
            Ok(Some(message)) => {
                encoded.clear();
                message.encode(&mut encoded);
                let start = data.len() - before;
                assert_eq!(Some(&encoded[..]), data.get(start..data.len() - buf.len()));
            }
            Ok(None) | Err(_) => {
                assert_eq!(buf.len(), before, "nothing is taken without a message");
                return;
            }
        }
    }
}

/// The dictionary of the extension protocol: what was read is written and read back.
pub fn extension_handshake(data: &[u8]) {
    let Ok(handshake) = ext::Handshake::decode(data) else {
        return;
    };
    let again = ext::Handshake::decode(&handshake.encode());
    assert_eq!(again.as_ref(), Ok(&handshake));
}

/// Messages of all extensions: what was read is written and read back.
pub fn extension_message(data: &[u8]) {
    for ext in Ext::ALL {
        let Ok(message) = ext::Message::decode(ext, data) else {
            continue;
        };
        let mut encoded = BytesMut::new();
        message.encode(&mut encoded);
        assert_eq!(ext::Message::decode(ext, &encoded), Ok(message));
    }
}

/// Compact peer lists of both kinds: whole records come back, in order.
pub fn compact_peers(data: &[u8]) {
    for records in [compact::decode_v4(data), compact::decode_v6(data)] {
        let remainder = records.remainder();
        let mut encoded = Vec::new();
        records.for_each(|addr| compact::encode(addr, &mut encoded));
        assert_eq!(
            data.strip_prefix(&encoded[..]).map(<[u8]>::len),
            Some(remainder)
        );
    }
}

/// A piece count of two bytes and a bitfield: counts, bytes and iterators agree.
pub fn bitfield(data: &[u8]) {
    let Some((len, payload)) = data.split_first_chunk::<2>() else {
        return;
    };
    let len = u16::from_be_bytes(*len).into();
    let Ok(mut bits) = Bitfield::from_wire(len, payload) else {
        return;
    };
    assert_eq!(bits.as_bytes(), payload);
    let ones: Vec<_> = bits.iter_ones().collect();
    assert_eq!(u32::try_from(ones.len()), Ok(bits.count_ones()));
    assert_eq!(
        Bitfield::full(len).iter_and_not(&bits).count() + ones.len(),
        len as usize
    );
    for piece in ones {
        assert!(piece.0 < len && bits.clear(piece));
    }
    assert_eq!(bits, Bitfield::new(len));
}

/// A peer id: the name of its client is short and harmless.
pub fn peer_id(data: &[u8]) {
    let mut id = [0; 20];
    (&mut id[..]).put_slice(data.get(..20).unwrap_or(&[b'-'; 20]));
    let id = PeerId::from(id);
    let name = id.client_name();
    assert!(
        name.len() <= 40 && name.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
        "{name:?}"
    );
    assert!(id.to_string().is_ascii());
}

/// The set of a peer's allowed fast pieces: one byte is `k`, four the number of pieces, four the address.
///
/// As many as wanted and there are, each once; a larger set begins with a smaller one; neighbours share it (BEP 6).
pub fn allowed_fast(data: &[u8]) {
    let Some((&[k, a, b, c, d, e, f, g, h], hash)) = data.split_first_chunk() else {
        return;
    };
    let mut info_hash = [0; 20];
    for (to, from) in info_hash.iter_mut().zip(hash) {
        *to = *from;
    }
    let count = u32::from_be_bytes([a, b, c, d]);
    let set = |last, k| {
        let ip = Ipv4Addr::new(e, f, g, last);
        allowed_fast_set(ip, info_hash.into(), count, k)
    };
    let k = usize::from(k);
    let found = set(h, k);
    let most = k.min(limits::MAX_ALLOWED_FAST);
    assert_eq!(
        found.len(),
        most.min(usize::try_from(count).unwrap_or(usize::MAX))
    );
    assert!(found.iter().all(|piece| piece.0 < count));
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
    assert_eq!(set(!h, k), found, "one network, one set");
    // When all pieces are given they come in their own order.
    if found.len() < usize::try_from(count).unwrap_or(usize::MAX) {
        assert!(found.starts_with(&set(h, k / 2)));
    }
}
