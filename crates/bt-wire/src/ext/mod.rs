//! Messages of the extension protocol (BEP 10): which ones there are, their numbers, their bytes.
//!
//! This room must not know connections; what an extension *does* is decided elsewhere.
//!
//! To add one: a file of its own beside `donthave.rs` with a type, its codec, its bounds and their
//! tests, and a row in the table below, in the order of names. See
//! `docs/how-to/add-an-extension-message.md`.

use bytes::BytesMut;

use crate::error::Malformed;

mod donthave;
mod handshake;
mod upload_only;

pub use handshake::Handshake;

/// Makes [`Ext`] and [`Message`] of a table: the type, which is the last part of its file's path; the name in the
/// dictionary `m`; our number; the longest payload that is read.
macro_rules! extensions {
    ($($(#[$about:meta])+ $module:ident::$kind:ident, $name:literal, $id:literal, $max_len:literal;)+) => {
        $(pub use $module::$kind;)+

        /// The extensions this crate speaks, in the order of their names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Ext {
            $($(#[$about])+ $kind,)+
        }

        impl Ext {
            /// How many there are.
            pub const COUNT: usize = [$($name),+].len();

            /// All of them.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$kind),+];

            /// Its name in the dictionary `m`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// Our number for it: the one peers put into messages to us. Never 0, which is the handshake,
            /// and never reused, so that captures stay readable.
            pub const fn id(self) -> u8 {
                match self {
                    $(Self::$kind => $id,)+
                }
            }

            /// The longest payload that is read.
            pub(crate) const fn max_len(self) -> usize {
                match self {
                    $(Self::$kind => $max_len,)+
                }
            }
        }

        /// A message of one of the extensions.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message {
            $($(#[$about])+ $kind($kind),)+
        }

        impl Message {
            /// The extension it belongs to.
            pub const fn ext(&self) -> Ext {
                match self {
                    $(Self::$kind(_) => Ext::$kind,)+
                }
            }

            /// Reads the bytes after the extension's number.
            ///
            /// # Errors
            ///
            /// [`Malformed::Extension`] if they are not as the extension's BEP says.
            pub fn decode(ext: Ext, payload: &[u8]) -> Result<Self, Malformed> {
                let message = match ext {
                    $(Ext::$kind => $kind::decode(payload).map(Self::$kind),)+
                };
                message.map_err(|reason| Malformed::Extension {
                    extension: ext.name(),
                    reason,
                })
            }

            /// Appends the bytes after the extension's number.
            pub fn encode(&self, out: &mut BytesMut) {
                match self {
                    $(Self::$kind(message) => message.encode(out),)+
                }
            }
        }
    };
}

extensions! {
    /// `lt_donthave` (BEP 54): the sender no longer has a piece.
    donthave::DontHave, "lt_donthave", 7, 4;
    /// `upload_only` (BEP 21): the sender starts or ceases to want nothing.
    upload_only::UploadOnly, "upload_only", 3, 64;
}

impl Ext {
    /// The extension that peers mean by this number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|ext| ext.id() == id)
    }

    /// The extension with this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|ext| ext.name().as_bytes() == name)
    }
}

/// The numbers under which a peer wants its messages: one for each extension, 0 for those it does
/// not speak (BEP 10: "send with the peer's ids, receive with yours").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerIds([u8; Ext::COUNT]);

impl PeerIds {
    /// The peer's number, if it speaks the extension.
    pub fn get(&self, ext: Ext) -> Option<u8> {
        let position = Ext::ALL.iter().position(|known| *known == ext)?;
        self.0.get(position).copied().filter(|id| *id != 0)
    }

    /// Takes over what a handshake says. Handshakes are additive: extensions that it does not
    /// mention stay as they are, and the number 0 switches one off.
    pub fn update(&mut self, handshake: &Handshake) {
        for (id, change) in self.0.iter_mut().zip(handshake.ids) {
            *id = change.unwrap_or(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_names_sorted() {
        let names: Vec<_> = Ext::ALL.iter().map(|ext| ext.name()).collect();
        assert!(
            names.is_sorted(),
            "the dictionary m is written in this order: {names:?}"
        );
        for ext in Ext::ALL {
            assert_ne!(ext.id(), 0);
            assert_eq!(Ext::from_id(ext.id()), Some(ext));
            assert_eq!(Ext::from_name(ext.name().as_bytes()), Some(ext));
        }
        assert_eq!(Ext::from_id(0), None);
        assert_eq!(Ext::from_name(b"ut_nothing"), None);
    }

    #[test]
    fn ids_change_only_where_a_handshake_says_so() {
        let mut ids = PeerIds::default();
        assert_eq!(ids.get(Ext::DontHave), None);
        let mut first = Handshake::default();
        first.set_id(Ext::DontHave, 9);
        first.set_id(Ext::UploadOnly, 4);
        ids.update(&first);
        assert_eq!(
            (ids.get(Ext::DontHave), ids.get(Ext::UploadOnly)),
            (Some(9), Some(4))
        );
        let mut second = Handshake::default();
        second.set_id(Ext::UploadOnly, 0);
        ids.update(&second);
        assert_eq!(
            (ids.get(Ext::DontHave), ids.get(Ext::UploadOnly)),
            (Some(9), None)
        );
    }
}
