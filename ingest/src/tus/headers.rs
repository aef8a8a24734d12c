//! Header values of the protocol: read strictly, written as the RFCs say.

use axum::http::{HeaderMap, HeaderValue};
use lectern_domain::Timestamp;
use lectern_platform::http::Problem;
use time::macros::format_description;

/// A byte count: decimal digits and nothing else, within what the database can hold.
pub(super) fn byte_count(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let plain = values.next().is_none() && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| text.parse::<i64>().ok())
        .flatten()
        .map(|count| Some(count as u64))
        .ok_or_else(|| Problem::invalid(format!("{name}: expected one whole number of bytes")))
}

/// `Upload-Expires`: an HTTP date (RFC 9110, 5.6.7).
pub(super) fn http_date(time: Timestamp) -> HeaderValue {
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    let text = time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default();
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts() {
        let table = [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX as u64)),
            ("9223372036854775808", None),
            ("99999999999999999999999999", None),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
            ("1,1", None),
            ("١", None),
        ];
        for (text, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert("upload-length", HeaderValue::from_bytes(text.as_bytes()).unwrap());
            assert_eq!(byte_count(&headers, "upload-length").ok().flatten(), expected, "{text:?}");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(byte_count(&headers, "upload-length").ok(), Some(None));
        headers.append("upload-length", HeaderValue::from_static("1"));
        headers.append("upload-length", HeaderValue::from_static("1"));
        assert!(byte_count(&headers, "upload-length").is_err());
    }

    #[test]
    fn dates() {
        let time = Timestamp::from_unix_timestamp(784_111_777).unwrap();
        assert_eq!(http_date(time), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
