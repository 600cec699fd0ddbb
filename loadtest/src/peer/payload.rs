//! The messages that peers carry: text that no wire has to escape, the same number of bytes on all of them.
//!
//! A message tells its run and its number, and the rest follows from them, so that a reader knows one that nobody sent.

use std::fmt::Write as _;

use crate::client::stamp::mix;

/// What every message begins with.
const MARK: &str = "hub";
/// The mark, the run in 8 digits and the number in 16: no message is smaller.
pub(super) const SMALLEST: usize = MARK.len() + 8 + 16;
/// The digits of the filler: as base64 has them, without what is escaped anywhere.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The message of this run with this number, of `size` bytes.
pub(super) fn payload(run: u32, number: u64, size: usize) -> String {
    let mut text = String::with_capacity(size.max(SMALLEST));
    // Writing into a string cannot fail.
    let _written = write!(text, "{MARK}{run:08x}{number:016x}");
    let mut state = mix(u64::from(run), number);
    while text.len() < size {
        let left = (size - text.len()).min(10);
        text.extend(digits(state).take(left));
        state = mix(state, number);
    }
    text
}

/// Ten digits of a number, six bits each.
fn digits(word: u64) -> impl Iterator<Item = char> {
    (0..10).map(move |turn| {
        let index = usize::try_from(word >> (6 * turn) & 63).unwrap_or(0);
        char::from(DIGITS[index])
    })
}

/// The number of a message of this run.
pub(super) fn number(run: u32, payload: &[u8]) -> Option<u64> {
    let text = str::from_utf8(payload.get(..SMALLEST)?).ok()?.strip_prefix(MARK)?;
    let (its_run, number) = text.split_at_checked(8)?;
    (u32::from_str_radix(its_run, 16).ok()? == run).then_some(())?;
    u64::from_str_radix(number, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_its_number_to_its_own_run_alone() {
        for number_sent in [0, 1, 77, u64::MAX] {
            let text = payload(9, number_sent, 128);
            assert_eq!(text.len(), 128);
            assert_eq!(number(9, text.as_bytes()), Some(number_sent));
            assert_eq!(number(8, text.as_bytes()), None);
        }
        assert_eq!(number(9, b"hub"), None);
    }

    #[test]
    fn no_wire_has_to_escape_a_message() {
        let text = payload(u32::MAX, 3, 4_096);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
        assert_ne!(text, payload(u32::MAX, 4, 4_096));
    }
}
