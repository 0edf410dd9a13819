//! Room in lists of which there are very many, or that are very long.

/// Room for one more. Most such lists hold one entry, where the standard growth begins with four; the long ones are a large part of
/// all memory, and half of it would be unused after they have doubled. In between they double, as others do.
pub(crate) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(match list.len() {
            0 => 1,
            1 => 3,
            len @ ..256 => len,
            len => len / 8,
        });
    }
}
