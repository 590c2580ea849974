//! Keys that appear twice in dictionaries whose keys are not sorted.
//!
//! In a sorted dictionary equal keys are neighbors, and the validating pass sees them. This file
//! is for the others: lenient parsing only, and only after an unsorted key was found.

use crate::limits::MAX_DEPTH;
use crate::number;
use crate::options::Tally;
use crate::reader::Token;
use crate::walk::Walk;

/// Counts the keys that appeared before in the same dictionary, in all dictionaries of this
/// accepted value.
///
/// Needs four bytes for each key, which is never more than the length of the value: an entry
/// takes four bytes at the least. The time is that of sorting the keys.
pub(crate) fn count(accepted: &[u8]) -> Tally {
    // Offsets instead of slices keep the memory at a quarter; `MAX_BYTES` is why they fit.
    let mut keys: Vec<u32> = Vec::with_capacity(Walk::new(accepted).filter(|s| s.is_key).count());
    // Where in `keys` the keys of each open list or dictionary begin.
    let mut begins = [0_usize; MAX_DEPTH];
    let mut depth = 0_usize;
    let mut tally = Tally::default();
    for step in Walk::new(accepted) {
        match step.token {
            Token::Bytes(_) if step.is_key => {
                keys.push(u32::try_from(step.offset).unwrap_or(u32::MAX));
            }
            Token::Int(_) | Token::Bytes(_) => {}
            Token::ListStart | Token::DictStart => {
                if let Some(begin) = begins.get_mut(depth) {
                    *begin = keys.len();
                }
                depth += 1;
            }
            Token::End => {
                depth = depth.saturating_sub(1);
                let begin = begins.get(depth).copied().unwrap_or_default();
                let own = keys.get_mut(begin..).unwrap_or_default();
                // The offset decides between equal keys, so that the first one comes first.
                own.sort_unstable_by_key(|&offset| (key(accepted, offset), offset));
                for pair in own.windows(2) {
                    if let &[one, other] = pair
                        && key(accepted, one) == key(accepted, other)
                    {
                        tally.add(other as usize);
                    }
                }
                keys.truncate(begin);
            }
        }
    }
    tally
}

/// The key that stands at `offset`.
fn key(accepted: &[u8], offset: u32) -> &[u8] {
    let (first, end) = number::trusted_length(accepted, offset as usize);
    accepted.get(first..end).unwrap_or_default()
}
