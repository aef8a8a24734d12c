//! `GET /media/{asset_id}/{package_id}/{file}`: published packages, the same bytes for everybody, cacheable for ever; but for the
//! playlists of an asset that is still being made, which grow and are good for a second.
//!
//! Segments are encrypted and manifests hold no secret, so nobody is asked who they are. What is under the package
//! prefix is served; a deleted asset is gone because its objects are.

use std::{ops::Range, str::FromStr as _};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use axum_extra::{
    TypedHeader,
    headers::{ETag, HeaderMapExt as _, IfNoneMatch, IfRange},
};
use http_range_header::{EndPosition, StartPosition, parse_range_header};
use lectern_domain::{
    ids::{AssetId, PackageId},
    storage_key,
};
use lectern_platform::{http::Problem, objects::ObjectsError};

use crate::{LicenseState, decision::unavailable};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// One answer for all who look again in the same second.
const BRIEF: HeaderValue = HeaderValue::from_static("public, max-age=1");

pub(crate) async fn file(
    State(state): State<LicenseState>,
    Path((asset, package, file)): Path<(String, String, String)>,
    method: Method,
    if_none_match: Option<TypedHeader<IfNoneMatch>>,
    if_range: Option<TypedHeader<IfRange>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("media file");
    let asset = AssetId::from_str(&asset).map_err(|_| missing())?;
    let package = PackageId::from_str(&package).map_err(|_| missing())?;
    if !is_plain(&file) {
        return Err(missing());
    }
    let key = format!("{}{file}", storage_key::package_prefix(asset, package));
    let size = state.objects.size(&key).await.map_err(|error| unreadable(&error))?.ok_or_else(missing)?;

    let mut answer = HeaderMap::new();
    // Content never changes under a versioned storage key, so the version is its tag; the size tells what has grown, and guards a
    // store that was written to by hand.
    let tag: ETag = format!("\"{}-{size:x}\"", package.uuid().simple())
        .parse()
        .expect("hexadecimal digits and a dash in quotes are an entity tag");
    answer.typed_insert(tag.clone());
    answer.insert(header::CACHE_CONTROL, if storage_key::is_growing(&file) { BRIEF } else { IMMUTABLE });
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if if_none_match.is_some_and(|condition| !condition.precondition_passes(&tag)) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(&file)));

    let ranged =
        method == Method::GET && if_range.is_none_or(|condition| !condition.is_modified(Some(&tag), None));
    let range = headers.get(header::RANGE).filter(|_| ranged);
    let (status, range) = match range.map_or(Asked::Whole, |value| asked(value, size)) {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(range) => {
            let value = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            answer.insert(header::CONTENT_RANGE, value.parse().map_err(Problem::internal)?);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Asked::Nothing => {
            let mut response = Problem::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                format!("the file has {size} bytes; the range asked for begins after them"),
            )
            .into_response();
            let value = format!("bytes */{size}").parse().map_err(Problem::internal)?;
            response.headers_mut().insert(header::CONTENT_RANGE, value);
            return Ok(response);
        }
    };
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if method == Method::HEAD {
        return Ok((status, answer).into_response());
    }
    let part = (status == StatusCode::PARTIAL_CONTENT).then_some(range);
    let body =
        state.objects.open(&key, part).await.map_err(|error| unreadable(&error))?.ok_or_else(missing)?;
    Ok((status, answer, Body::from_stream(body.stream)).into_response())
}

fn unreadable(error: &ObjectsError) -> Problem {
    tracing::error!(%error, "a media file could not be read");
    unavailable()
}

/// Whether a file name is made of plain folder and file names, as the packager writes them: nothing hidden, nothing
/// that leads elsewhere, nothing that means something to a file system or a URL.
pub(crate) fn is_plain(file: &str) -> bool {
    file.len() <= 512
        && file.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        })
}

/// Media types: RFC 8216bis clause 4 (playlists), RFC 4337 (MP4), ISO/IEC 23009-1 annex C (MPD).
fn content_type(file: &str) -> &'static str {
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mpd") => "application/dash+xml",
        Some("m4s" | "mp4") => "video/mp4",
        Some("m4a") => "audio/mp4",
        Some("vtt") => "text/vtt; charset=utf-8",
        Some("jpg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

/// What a Range header asks of a file (RFC 9110, clause 14).
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// No range, several ranges or none that can be read: the whole file, as the clause allows.
    Whole,
    Part(Range<u64>),
    /// A range that has no byte of the file in it.
    Nothing,
}

fn asked(value: &HeaderValue, size: u64) -> Asked {
    let Ok(parsed) = value.to_str().map_err(|_| ()).and_then(|text| parse_range_header(text).map_err(|_| ()))
    else {
        return Asked::Whole;
    };
    let [one] = parsed.ranges.as_slice() else { return Asked::Whole };
    let start = match one.start {
        StartPosition::Index(start) => start,
        // A suffix longer than the file is the whole file.
        StartPosition::FromLast(length) => size.saturating_sub(length),
    };
    let end = match one.end {
        // Last before first is no range at all.
        EndPosition::Index(last) if last < start => return Asked::Whole,
        EndPosition::Index(last) => last.saturating_add(1).min(size),
        EndPosition::LastByte => size,
    };
    if start < end { Asked::Part(start..end) } else { Asked::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let table = [
            ("bytes=0-0", Asked::Part(0..1)),
            ("bytes=0-", Asked::Part(0..100)),
            ("bytes=10-19", Asked::Part(10..20)),
            ("bytes=90-1000", Asked::Part(90..100)),
            ("bytes=99-99", Asked::Part(99..100)),
            ("bytes=-1", Asked::Part(99..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=0-18446744073709551615", Asked::Part(0..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200", Asked::Nothing),
            ("bytes=18446744073709551615-", Asked::Nothing),
            ("bytes=20-10", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-0", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes", Asked::Whole),
            ("items=0-1", Asked::Whole),
            ("bytes=18446744073709551616-", Asked::Whole),
            ("", Asked::Whole),
        ];
        for (text, expected) in table {
            assert_eq!(asked(&HeaderValue::from_static(text), 100), expected, "{text}");
        }
        assert_eq!(asked(&HeaderValue::from_static("bytes=0-"), 0), Asked::Nothing);
    }

    #[test]
    fn plain_names() {
        for good in ["multivariant.m3u8", "720p/seg-00000.m4s", "audio-0/init.mp4", "a/b/c_d.vtt"] {
            assert!(is_plain(good), "{good}");
        }
        let long = "a/".repeat(400) + "b";
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".partial/x",
            "a/.b",
            "a\\b",
            "a%2fb",
            "a b",
            "a\0b",
            "ä",
            "a:b",
            "a?b",
            "a#b",
            &long,
        ] {
            assert!(!is_plain(bad), "{bad:?}");
        }
    }
}
