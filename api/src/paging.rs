//! Cursor pagination: `?cursor=&limit=` in, `next_cursor` out. A cursor is opaque to clients; inside is the last id.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lectern_domain::ids::CourseId;
use lectern_platform::http::Problem;
use uuid::Uuid;

const DEFAULT: u32 = 20;
const MAX: u32 = 100;

/// How many entries a page has.
pub(crate) fn limit(given: Option<NonZeroU32>) -> Result<u32, Problem> {
    match given.map_or(DEFAULT, NonZeroU32::get) {
        limit @ 1..=MAX => Ok(limit),
        limit => Err(Problem::invalid(format!("limit: expected 1 to {MAX}, got {limit}"))),
    }
}

/// The cursor that goes on after a course.
pub(crate) fn cursor(last: CourseId) -> String {
    URL_SAFE_NO_PAD.encode(last.uuid().as_bytes())
}

/// The course that a cursor goes on after.
pub(crate) fn after(cursor: &str) -> Result<CourseId, Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .map(CourseId::from_uuid)
        .ok_or_else(|| Problem::invalid("cursor: expected the next_cursor of another answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_nonsense_is_refused() {
        let id = CourseId::from_uuid(Uuid::from_u128(7));
        assert_eq!(after(&cursor(id)).unwrap(), id);
        for bad in ["", "x", "AAAA", "../..", "\0", &"A".repeat(1_000)] {
            assert!(after(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits() {
        for (given, expected) in
            [(None, Some(20)), (Some(1), Some(1)), (Some(100), Some(100)), (Some(101), None)]
        {
            assert_eq!(limit(given.and_then(NonZeroU32::new)).ok(), expected);
        }
    }
}
