//! One record of the journal, whatever is in it: the journal's own body seldom gets past its checksum.

use crate::state::knowledge::{Reader, header};

/// One record whose checksum and number are right whatever is in it: it means what it is written as, and a part of it or
/// one with another bit means nothing.
///
/// # Panics
/// If it does not.
pub fn record(data: &[u8]) {
    let payload = data.get(..usize::from(u16::MAX)).unwrap_or(data);
    // The kind and the torrent belong to the front.
    let Some(length) = payload
        .len()
        .checked_sub(5)
        .and_then(|n| u16::try_from(n).ok())
    else {
        return;
    };
    let mut file = header(7);
    let begin = file.len();
    file.extend(length.to_le_bytes());
    file.extend_from_slice(payload);
    file.extend(7_u64.to_le_bytes());
    file.extend(crc32c::crc32c(&file[begin..]).to_le_bytes());
    let read = |file: &[u8]| Reader::new(file).expect("the header is good").next();
    if let Some(Ok(record)) = read(&file) {
        let mut again = header(7);
        match payload[0] & 0x80 {
            0 => record.encode(7, &mut again),
            _ => record.encode_behind_sync(7, &mut again),
        }
        assert_eq!(again, file, "it has one spelling");
    }
    for cut in [begin + 1, begin + payload.len() / 2, file.len() - 1] {
        let part = read(&file[..cut]);
        assert!(matches!(part, Some(Err(_))), "{cut} bytes of it: {part:?}");
    }
    let place = begin + payload.len() / 3;
    file[place] ^= 1;
    assert!(!matches!(read(&file), Some(Ok(_))), "a bit at {place}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_holds() {
        crate::fuzz::replay("client_record", 4, super::record);
    }
}
