//! The 20 bytes by which a peer names itself, and the client they tell of (BEP 20).
//!
//! Knows nothing of connections. What a client calls itself is a hint, never a proof.

use std::fmt;

mod clients;

/// A peer id: 20 bytes, of which the first eight usually tell the client (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 20]);

impl PeerId {
    /// A peer id that starts with `prefix` and goes on with characters drawn from `seed`.
    ///
    /// The prefix is cut after 20 bytes. The rest are letters and digits, so that the id needs no
    /// escaping in a tracker's URL. The same arguments give the same id.
    ///
    /// ```
    /// use bt_wire::PeerId;
    /// let id = PeerId::generate("-BT0100-", 42);
    /// assert!(id.as_bytes().starts_with(b"-BT0100-"));
    /// assert_ne!(id, PeerId::generate("-BT0100-", 43));
    /// ```
    pub fn generate(prefix: &str, seed: u64) -> Self {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut id = [0; 20];
        let mut state = seed;
        let mut prefix = prefix.bytes();
        for byte in &mut id {
            *byte = prefix.next().unwrap_or_else(|| {
                let index = usize::try_from(split_mix(&mut state) % 62).unwrap_or(0);
                ALPHABET.get(index).copied().unwrap_or(b'0')
            });
        }
        Self(id)
    }

    /// The bytes as they stand in a handshake.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The client that the id tells of, for people: `libtorrent 2.1.1`.
    ///
    /// A code that is not in the table stands for itself (`-ZZ1200-` reads `ZZ 1.2`); an id in no
    /// known style gives `unknown client`. The text is printable ASCII and at most 40 bytes.
    pub fn client_name(&self) -> String {
        clients::name(&self.0)
    }
}

/// One step of the SplitMix64 sequence: enough to spread a seed, no secret.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl From<[u8; 20]> for PeerId {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for PeerId {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Printable ASCII as it is, anything else as `\xNN`: safe for terminals and logs.
impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                0x20..=0x7e => write!(f, "{}", char::from(byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_reproducible_and_need_no_escaping() {
        let id = PeerId::generate("-BT0100-", 7);
        assert_eq!(id, PeerId::generate("-BT0100-", 7));
        assert!(id.as_bytes()[8..].iter().all(u8::is_ascii_alphanumeric));
        let seeds = 0..2000;
        let distinct: std::collections::BTreeSet<_> = seeds
            .clone()
            .map(|seed| PeerId::generate("-BT0100-", seed))
            .collect();
        assert_eq!(distinct.len(), seeds.count());
    }

    #[test]
    fn a_long_prefix_is_cut_and_an_empty_one_is_fine() {
        let id = PeerId::generate("-BT0100-0123456789abcdef", 1);
        assert_eq!(id.as_bytes(), b"-BT0100-0123456789ab");
        assert!(
            PeerId::generate("", 1)
                .as_bytes()
                .iter()
                .all(u8::is_ascii_alphanumeric)
        );
    }

    #[test]
    fn control_bytes_are_escaped() {
        let mut bytes = *b"-BT0100-0123456789ab";
        bytes[8] = 0x1b;
        bytes[9] = b'\\';
        bytes[10] = 0xff;
        assert_eq!(
            PeerId::from(bytes).to_string(),
            "-BT0100-\\x1b\\\\\\xff3456789ab"
        );
    }

    #[test]
    fn what_is_not_printable_is_escaped_wherever_an_id_is_shown() {
        let id = PeerId::from(*b"-XX0001-\\\x1b[2J\n\xff ~abc");
        assert_eq!(id.as_ref(), &id.0);
        assert_eq!(id.to_string(), r"-XX0001-\\\x1b[2J\x0a\xff ~abc");
        assert_eq!(format!("{id:?}"), format!("PeerId({id})"));
    }
}
