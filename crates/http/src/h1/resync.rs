//! Finding the next message where the place in the stream is lost (F022, F027).
//!
//! A request begins where a line ends in `SP HTTP/1.x` and has a method before its target; a response where `HTTP/1.x SP
//! 3DIGIT` stands. Either may begin in the middle of a line: the body before it need not end with one.

use memchr::memmem;

use super::start_line::{is_known_method, is_token, strip_line_end};

/// Where in a line (with its end) a request line begins. `at_start`: the line begins where a message is likely to begin, so
/// any method will do there.
pub(super) fn find_request(line: &[u8], at_start: bool) -> Option<usize> {
    let line = strip_line_end(line);
    let line = line.strip_suffix(b" HTTP/1.1").or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    let target = line.iter().rposition(|byte| *byte == b' ')? + 1;
    let target_bytes = line.get(target..)?;
    if !target_bytes.iter().all(|byte| byte.is_ascii_graphic()) || target_bytes.is_empty() {
        return None;
    }
    let before = line.get(..target - 1)?;
    let method = before.iter().rposition(|byte| !is_token(*byte)).map_or(0, |at| at + 1);
    if at_start && method == 0 && !before.is_empty() {
        return Some(0);
    }
    // The body's last bytes may look like the beginning of the method: the longest known one counts.
    (method..before.len()).find(|start| before.get(*start..).is_some_and(is_known_method))
}

/// Where in a line a status line begins: the last place that looks like one.
pub(super) fn find_response(line: &[u8]) -> Option<usize> {
    let line = strip_line_end(line);
    let mut end = line.len();
    loop {
        let at = memmem::rfind(line.get(..end)?, b"HTTP/1.")?;
        if let Some([_, _, _, _, _, _, _, b'0' | b'1', b' ', b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', rest @ ..]) =
            line.get(at..)
            && matches!(rest.first(), None | Some(b' '))
        {
            return Some(at);
        }
        // The needle does not overlap itself.
        end = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_lines() {
        assert_eq!(find_request(b"GET /a HTTP/1.1\r\n", false), Some(0));
        assert_eq!(find_request(b"{\"a\":1}POST /b HTTP/1.0\n", false), Some(7));
        assert_eq!(find_request(b"xxGET /b HTTP/1.0\n", false), Some(2));
        assert_eq!(find_request(b"FROB /b HTTP/1.1\r\n", false), None);
        assert_eq!(find_request(b"FROB /b HTTP/1.1\r\n", true), Some(0));
        assert_eq!(find_request(b"see HTTP/1.1\r\n", false), None);
        assert_eq!(find_request(b" HTTP/1.1\r\n", true), None);
    }

    #[test]
    fn responses_in_lines() {
        assert_eq!(find_response(b"HTTP/1.1 200 OK\r\n"), Some(0));
        assert_eq!(find_response(b"abcHTTP/1.0 404\r\n"), Some(3));
        assert_eq!(find_response(b"HTTP/1.1 2000\r\n"), None);
        assert_eq!(find_response(b"HTTP/1.1 200 HTTP/1.1 x\r\n"), Some(0));
    }
}
