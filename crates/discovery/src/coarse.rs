//! What becomes of a service with more endpoints than are kept: further ones share coarse routes (F070).

/// Coarse routes of one service that keep their first segment; past it none does.
pub(crate) const WITH_FIRST: usize = 256;
/// Coarse routes of one service.
pub(crate) const COARSE: usize = 1024;

/// How a variable is called of which nothing is known.
const VARIABLE: &[u8] = b"{value}";

/// Makes variables of all segments of the route in a key but the first `keep`; variables stay as they are, and so do what follows a
/// zero byte, and a route that is no path.
pub(crate) fn coarsen(key: &mut Vec<u8>, route_start: usize, keep: usize) {
    let end = key.iter().skip(route_start).position(|&byte| byte == 0).map_or(key.len(), |len| route_start + len);
    let Some(route) = key.get(route_start..end).filter(|route| route.first() == Some(&b'/')) else { return };
    let mut coarse = Vec::with_capacity(route.len());
    for (number, segment) in route.split(|&byte| byte == b'/').skip(1).enumerate() {
        coarse.push(b'/');
        let stays = number < keep || segment.is_empty() || segment.starts_with(b"{") || segment == b"...";
        coarse.extend_from_slice(if stays { segment } else { VARIABLE });
    }
    key.splice(route_start..end, coarse);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_become_variables() {
        for (key, keep, expected) in [
            ("h\0GET\0/files/a/{id}/b", 1, "h\0GET\0/files/{value}/{id}/{value}"),
            ("h\0GET\0/files/a/\0query x", 1, "h\0GET\0/files/{value}/\0query x"),
            ("h\0GET\0/files/a", 0, "h\0GET\0/{value}/{value}"),
            ("h\0GET\0/", 0, "h\0GET\0/"),
            ("h\0GET\0*", 0, "h\0GET\0*"),
        ] {
            let mut text = key.as_bytes().to_vec();
            coarsen(&mut text, 6, keep);
            assert_eq!(String::from_utf8_lossy(&text), expected);
        }
    }
}
