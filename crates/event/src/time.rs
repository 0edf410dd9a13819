//! Packet time as RFC 3339 text.

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Appends nanoseconds since 1970-01-01 UTC as `2023-11-14T22:13:20.000000000Z`: always UTC, always nine digits, so
/// that text order is time order.
pub fn write_rfc3339(time_ns: u64, out: &mut Vec<u8>) {
    SecondText::default().write_rfc3339(time_ns, out);
}

/// The same as a text of its own.
pub fn rfc3339(time_ns: u64) -> String {
    let mut out = Vec::with_capacity(30);
    write_rfc3339(time_ns, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Reads what [`write_rfc3339`] has written; `None` if it is anything else.
pub fn read_rfc3339(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<u64>().ok()
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second, nanos) = (number(11..13)?, number(14..16)?, number(17..19)?, number(20..29)?);
    // Days since 1970 (Hinnant's days_from_civil): the year begins in March, so that a leap day is its last.
    let from_march = year.checked_sub(u64::from(month < 3))?;
    let (era, of_era) = (from_march / 400, from_march % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.checked_sub(1)?;
    let days = (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)?;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let time_ns = seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(nanos)?;
    // Days of no calendar, leap seconds and other marks do not come back.
    (rfc3339(time_ns) == text).then_some(time_ns)
}

/// The text of one second: events of a worker come in time order, some thousand a second.
#[derive(Clone, Debug)]
pub(crate) struct SecondText {
    second: u64,
    text: [u8; 30],
}

impl Default for SecondText {
    fn default() -> Self {
        SecondText { second: 0, text: *b"1970-01-01T00:00:00.000000000Z" }
    }
}

impl SecondText {
    /// As [`write_rfc3339`].
    #[inline]
    pub(crate) fn write_rfc3339(&mut self, time_ns: u64, out: &mut Vec<u8>) {
        let second = time_ns / NANOS_PER_SECOND;
        let nanos = (time_ns % NANOS_PER_SECOND) as u32;
        if second != self.second {
            self.begin(second);
        }
        let text = &mut self.text;
        put2(text, 20, nanos / 10_000_000);
        put2(text, 22, nanos / 100_000 % 100);
        put2(text, 24, nanos / 1000 % 100);
        put2(text, 26, nanos / 10 % 100);
        text[28] = b'0' + (nanos % 10) as u8;
        out.extend_from_slice(text);
    }

    #[cold]
    fn begin(&mut self, second: u64) {
        let days = (second / 86_400) as u32; // ≤ 213,503 for any u64 of nanoseconds
        let of_day = (second % 86_400) as u32;
        let (year, month, day) = civil_from_days(days);
        let text = &mut self.text;
        put2(text, 0, year / 100);
        put2(text, 2, year % 100);
        put2(text, 5, month);
        put2(text, 8, day);
        put2(text, 11, of_day / 3600);
        put2(text, 14, of_day / 60 % 60);
        put2(text, 17, of_day % 60);
        self.second = second;
    }
}

/// The digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + value as u8 / 10, b'0' + value as u8 % 10];
        value += 1;
    }
    pairs
};

/// The two digits of a number below 100.
#[inline]
pub(crate) fn pair(value: u32) -> [u8; 2] {
    PAIRS[value as usize % 100]
}

/// `value` is below 100.
#[inline]
fn put2(text: &mut [u8; 30], at: usize, value: u32) {
    let [tens, ones] = pair(value);
    text[at] = tens;
    text[at + 1] = ones;
}

/// Days since 1970-01-01 to year, month, day in the proleptic Gregorian calendar: years start in March, so the leap
/// day is a year's last and every 400 years are alike.
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time_ns: u64) -> String {
        let mut out = Vec::new();
        write_rfc3339(time_ns, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for time_ns in (0..2_000).map(|n| n * 9_223_372_036_854_321).chain([u64::MAX, 951_827_696_123_456_789]) {
            assert_eq!(read_rfc3339(&rfc3339(time_ns)), Some(time_ns));
        }
        for wrong in [
            "",
            "1970-01-01T00:00:00Z",
            "1970-02-30T00:00:00.000000000Z",
            "1970-01-01T00:00:60.000000000Z",
            "1970-01-00T00:00:00.000000000Z",
            "1969-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999Z",
            "0000-01-01T00:00:00.000000000Z",
            "1970-99-01T00:00:00.000000000Z",
            "1970-01-01T00:00:00.00000000éZ",
        ] {
            assert_eq!(read_rfc3339(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn known_times() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(951_827_696_123_456_789), "2000-02-29T12:34:56.123456789Z");
        assert_eq!(text(1_709_251_199_999_999_999), "2024-02-29T23:59:59.999999999Z");
        assert_eq!(text(4_107_542_400_000_000_001), "2100-03-01T00:00:00.000000001Z");
        assert_eq!(text(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn a_second_is_kept_and_left() {
        let mut kept = SecondText::default();
        for time_ns in
            [0, 1, 999_999_999, 1_000_000_000, 1_709_251_199_999_999_999, 1_709_251_200_000_000_000, 7, u64::MAX]
        {
            let mut out = Vec::new();
            kept.write_rfc3339(time_ns, &mut out);
            assert_eq!(String::from_utf8(out).unwrap_or_default(), text(time_ns));
        }
    }

    /// Walks every day to 2554 beside a naive calendar.
    #[test]
    fn every_day() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=213_503 {
            assert_eq!(civil_from_days(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }
}
