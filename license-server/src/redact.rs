//! Takes tokens out of request paths before they are logged.

use std::borrow::Cow;

use url::form_urlencoded;

const REDACTED: &str = "redacted";

/// A request's path and query as it may be logged: without the token of `/playback/{token}/…`, without `?token=`,
/// and without anything else that looks like a signed token.
pub fn redact_path(path_and_query: &str) -> String {
    let (path, query) = match path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path_and_query, None),
    };
    let mut after_playback = false;
    let mut first = true;
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            let plain = decoded(segment);
            let secret = after_playback || looks_signed(&plain);
            // Only at the root: `/api/v1/playback/{session_id}` names a session, which is no secret.
            after_playback =
                after_playback && segment.is_empty() || first && plain.eq_ignore_ascii_case("playback");
            first = first && segment.is_empty();
            if secret && !segment.is_empty() { REDACTED } else { segment }
        })
        .collect();
    let mut clean = segments.join("/");
    if let Some(query) = query {
        clean.push('?');
        let pairs: Vec<Cow<'_, str>> = query.split('&').map(redact_pair).collect();
        clean.push_str(&pairs.join("&"));
    }
    clean
}

fn redact_pair(pair: &str) -> Cow<'_, str> {
    let Some((name, value)) = pair.split_once('=') else {
        return if looks_signed(&decoded(pair)) { REDACTED.into() } else { pair.into() };
    };
    let is_token = decoded(name).eq_ignore_ascii_case("token") || looks_signed(&decoded(value));
    let name = if looks_signed(&decoded(name)) { REDACTED } else { name };
    if is_token || name == REDACTED { format!("{name}={REDACTED}").into() } else { pair.into() }
}

/// Percent-decoded, as the routes see it.
fn decoded(text: &str) -> Cow<'_, str> {
    // A value without `&` or `=` before it decodes as a whole; those inside become part of a name, which is fine here.
    form_urlencoded::parse(text.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name)
}

/// A JWT begins with `{"` in base64.
fn looks_signed(text: &str) -> bool {
    text.contains("eyJ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_and_all_else_stays() {
        const T: &str = "eyJhbGciOiJFZERTQSJ9.eyJzaWQiOiJ4In0.c2lnbmF0dXJl";
        let table = [
            ("/", "/"),
            ("", ""),
            ("/livez", "/livez"),
            ("/keys/kid_01?x=1", "/keys/kid_01?x=1"),
            (&format!("/keys/kid_01?token={T}"), "/keys/kid_01?token=redacted"),
            (&format!("/keys/kid_01?a=b&token={T}&c"), "/keys/kid_01?a=b&token=redacted&c"),
            ("/keys/kid_01?token=not-a-jwt", "/keys/kid_01?token=redacted"),
            ("/keys/kid_01?%74oken=hidden", "/keys/kid_01?%74oken=redacted"),
            ("/keys/kid_01?TOKEN=hidden", "/keys/kid_01?TOKEN=redacted"),
            ("/keys/kid_01?token=a?token=b", "/keys/kid_01?token=redacted"),
            ("/keys/kid_01?token=a=b&token=c", "/keys/kid_01?token=redacted&token=redacted"),
            (&format!("/keys/kid_01?{T}"), "/keys/kid_01?redacted"),
            (&format!("/keys/kid_01?x={T}"), "/keys/kid_01?x=redacted"),
            (&format!("/keys/{T}"), "/keys/redacted"),
            (&format!("/playback/{T}/multivariant.m3u8"), "/playback/redacted/multivariant.m3u8"),
            ("/playback/not-a-jwt/720p/index.m3u8?x", "/playback/redacted/720p/index.m3u8?x"),
            ("/playback/only", "/playback/redacted"),
            ("/playback/", "/playback/"),
            ("//playback//abc/x", "//playback//redacted/x"),
            ("/%70layback/abc/x.m3u8", "/%70layback/redacted/x.m3u8"),
            ("/Playback/abc/x.m3u8", "/Playback/redacted/x.m3u8"),
            ("/playback/%65yJhbGci.a.b/x.m3u8", "/playback/redacted/x.m3u8"),
            ("/elsewhere/%65yJhbGci.a.b/x", "/elsewhere/redacted/x"),
            ("/api/v1/playback/ses_01/heartbeat", "/api/v1/playback/ses_01/heartbeat"),
            ("/media/ast_1/pkg_1/720p/seg-00000.m4s", "/media/ast_1/pkg_1/720p/seg-00000.m4s"),
        ];
        for (path, expected) in table {
            assert_eq!(redact_path(path), expected, "{path}");
        }
    }
}
