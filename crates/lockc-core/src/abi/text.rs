//! Text in the pinned maps: cut, and padded with zeros.

/// The bytes of a text in an array: cut if they are too many, padded with zeros if they are too
/// few.
pub fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(text) {
        *to = *from;
    }
    bytes
}

/// The text in a padded array: everything before the first zero. It may end in the middle of a
/// character, and file names and processes' names may be any bytes.
pub fn unpadded(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_or_padded() {
        assert_eq!(padded::<4>(b"abcdef"), *b"abcd");
        assert_eq!(padded::<4>(b"ab"), *b"ab\0\0");
        assert_eq!(unpadded(b"abcd"), b"abcd");
        assert_eq!(unpadded(b"ab\0d"), b"ab");
        assert_eq!(unpadded(b"\0"), b"");
        assert_eq!(unpadded(b""), b"");
    }
}
