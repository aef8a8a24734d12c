//! Guarded edits: the version as an `ETag`, and `If-Match` (RFC 9110, 8.8.3 and 13.1.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use lectern_platform::http::Problem;

/// The `ETag` header of a version.
pub(crate) fn etag(version: i64) -> [(HeaderName, HeaderValue); 1] {
    let value = HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header value");
    [(header::ETAG, value)]
}

/// The version that an edit expects: `None` when it expects none in particular. 412 when it names another than `current`.
pub(crate) fn expected_version(headers: &HeaderMap, current: i64) -> Result<Option<i64>, Problem> {
    let mut given = headers.get_all(header::IF_MATCH).iter().peekable();
    if given.peek().is_none() {
        return Ok(None);
    }
    let wanted = format!("\"{current}\"");
    for value in given {
        for tag in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if tag == "*" {
                return Ok(None);
            }
            // Strong comparison: a weak tag (`W/"1"`) never matches.
            if tag == wanted {
                return Ok(Some(current));
            }
        }
    }
    Err(changed_meanwhile())
}

/// 412: what was to be edited is no longer what the caller saw.
pub(crate) fn changed_meanwhile() -> Problem {
    Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "precondition_failed",
        "it was changed since you read it; read it again and repeat your change",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match() {
        for (values, expected) in [
            (&[][..], Some(None)),
            (&["\"3\""], Some(Some(3))),
            (&["*"], Some(None)),
            (&["\"1\", \"3\""], Some(Some(3))),
            (&["\"1\"", "\"3\""], Some(Some(3))),
            (&["\"2\""], None),
            (&["3"], None),
            (&["W/\"3\""], None),
            (&[""], None),
            (&["\"33\""], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(expected_version(&headers, 3).ok(), expected, "{values:?}");
        }
    }
}
