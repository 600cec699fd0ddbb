//! A moment: milliseconds since 1970 in UTC; ISO 8601 text in JSON, the number in MessagePack.
//!
//! The calendar arithmetic is the days-from-civil pair of algorithms (Howard Hinnant, "chrono-Compatible Low-Level Date
//! Algorithms"), exact for the years that four digits can say.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MS_PER_DAY: i64 = 86_400_000;
/// 9999-12-31T23:59:59.999Z: the last moment whose year has four digits.
const LAST_MS: i64 = 253_402_300_799_999;

/// Milliseconds since 1970-01-01T00:00:00Z, never negative, never past the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `ms` milliseconds after 1970, held within the years 1970 to 9999.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        if ms < 0 {
            Self(0)
        } else if ms > LAST_MS {
            Self(LAST_MS)
        } else {
            Self(ms)
        }
    }

    /// Milliseconds since 1970.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The moment `ms` milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self::from_ms(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / MS_PER_DAY);
        let ms = self.0 % MS_PER_DAY;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A text that is no moment of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2026-01-31T12:00:00.000Z")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    /// Reads what `Display` writes, and nothing else: UTC, milliseconds, 24 characters.
    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        const SHAPE: &[u8; 24] = b"0000-00-00T00:00:00.000Z";
        let bytes = text.as_bytes();
        let fits = bytes.len() == SHAPE.len()
            && bytes.iter().zip(SHAPE).all(|(b, s)| if *s == b'0' { b.is_ascii_digit() } else { b == s });
        if !fits {
            return Err(BadTimestamp);
        }
        let number = |from: usize, to: usize| bytes[from..to].iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
        let days = days_from_civil(number(0, 4), number(5, 7), number(8, 10));
        let ms = number(11, 13) * 3_600_000 + number(14, 16) * 60_000 + number(17, 19) * 1000 + number(20, 23);
        let moment = Self::from_ms(days * MS_PER_DAY + ms);
        // A 31 February or a 25th hour reads as another day: it does not print as it came.
        if moment.to_string() == text { Ok(moment) } else { Err(BadTimestamp) }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(TimestampReader)
        } else {
            let ms = i64::deserialize(deserializer)?;
            let moment = Self::from_ms(ms);
            // Outside the years that can be said: damaged or hostile, so not bent into another moment.
            if moment.0 == ms { Ok(moment) } else { Err(de::Error::custom("not a time between 1970 and 9999")) }
        }
    }
}

struct TimestampReader;

impl Visitor<'_> for TimestampReader {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time like 2026-01-31T12:00:00.000Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_spelt_as_the_calendar_says() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_600_001, "2026-01-01T00:00:00.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            let moment = Timestamp::from_ms(ms);
            assert_eq!(moment.to_string(), text);
            assert_eq!(text.parse(), Ok(moment));
        }
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_refused() {
        for wrong in [
            "2025-02-29T00:00:00.000Z",
            "2100-02-29T00:00:00.000Z",
            "2026-00-10T00:00:00.000Z",
            "2026-13-10T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T23:60:00.000Z",
            "2026-01-01T23:59:60.000Z",
            "1969-12-31T23:59:59.999Z",
            "0000-01-01T00:00:00.000Z",
        ] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(BadTimestamp), "{wrong}");
        }
    }

    #[test]
    fn another_spelling_of_a_moment_is_refused() {
        for wrong in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:00.000+00:00",
            "2026-01-01t00:00:00.000z",
            "2026-01-01 00:00:00.000Z",
            "2026-01-01T00:00:00.0000Z",
            "2026-01-01T00:00:00.00\u{0660}",
        ] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(BadTimestamp), "{wrong}");
        }
    }

    #[test]
    fn a_moment_stays_within_the_years_that_four_digits_can_say() {
        assert_eq!(Timestamp::from_ms(-1).as_ms(), 0);
        assert_eq!(Timestamp::from_ms(i64::MAX).as_ms(), LAST_MS);
        assert_eq!(Timestamp::from_ms(LAST_MS).plus_ms(1).as_ms(), LAST_MS);
        assert_eq!(Timestamp::from_ms(5).plus_ms(i64::MIN).as_ms(), 0);
    }
}
