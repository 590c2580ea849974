//! The settings of a torrent as an earlier run left them, or as anybody may have changed them.

use crate::state::knowledge::Settings;

/// A file of settings, as it is and with the checksum that it lacks.
///
/// # Panics
/// If what is read is not written and read back.
pub fn settings(data: &[u8]) {
    let mut whole = data.to_vec();
    whole.extend(crc32c::crc32c(data).to_le_bytes());
    for file in [data, &whole] {
        if let Ok(settings) = Settings::decode(file) {
            let again = Settings::decode(&settings.encode());
            assert_eq!(again.as_ref(), Ok(&settings), "what was written is read");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_settings", 3, super::settings);
    }
}
