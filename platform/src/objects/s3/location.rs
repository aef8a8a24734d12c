//! `s3://BUCKET/PREFIX?region=…&endpoint=…&public_endpoint=…&path_style=true&sse=…`, read strictly.

use url::Url;

use super::super::{ObjectsError, check_key};

/// Server-side encryption that every write asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// `AES256`: keys of the store.
    Aes256,
    /// `aws:kms`, with the key's id or the account's default.
    Kms(Option<String>),
}

/// Where objects are in an S3 service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Location {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with: empty, or ending in `/`.
    pub prefix: String,
    /// The region; absent: from the environment, `us-east-1` where an endpoint is given.
    pub region: Option<String>,
    /// Another service than AWS.
    pub endpoint: Option<Url>,
    /// How browsers reach that service, if otherwise: presigned URLs name it.
    pub public_endpoint: Option<Url>,
    /// `ENDPOINT/BUCKET/KEY` rather than `BUCKET.ENDPOINT/KEY`.
    pub path_style: bool,
    /// Encryption at rest.
    pub sse: Option<Sse>,
}

fn bad(what: impl std::fmt::Display) -> ObjectsError {
    ObjectsError::BadUrl(format!("objects.url: {what}"))
}

impl S3Location {
    /// Reads the URL. Errors name the part that is wrong and never repeat the whole.
    pub fn parse(text: &str) -> Result<Self, ObjectsError> {
        let url = Url::parse(text).map_err(|error| bad(format!("expected an s3://BUCKET URL: {error}")))?;
        if url.scheme() != "s3" {
            return Err(bad(format!("expected the scheme s3, got {}", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "expected no credentials in an s3: URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a \
                 role instead",
            ));
        }
        if url.port().is_some() || url.fragment().is_some() {
            return Err(bad(
                "expected s3://BUCKET/PREFIX?…; a port or host of a service goes into endpoint=",
            ));
        }
        let prefix = url.path().trim_matches('/');
        let mut location = Self {
            bucket: bucket(url.host_str().unwrap_or_default())?,
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            region: None,
            endpoint: None,
            public_endpoint: None,
            path_style: false,
            sse: None,
        };
        if !prefix.is_empty() && (prefix.contains('%') || check_key(prefix).is_err()) {
            return Err(bad(format!("expected a prefix of plain segments, got {prefix:?}")));
        }
        let mut seen = Vec::new();
        for (name, value) in url.query_pairs() {
            if seen.contains(&name) {
                return Err(bad(format!("expected {name} once, got it twice")));
            }
            match &*name {
                "region" if !value.is_empty() => location.region = Some(value.clone().into_owned()),
                "endpoint" => location.endpoint = Some(endpoint("endpoint", &value)?),
                "public_endpoint" => location.public_endpoint = Some(endpoint("public_endpoint", &value)?),
                "path_style" => {
                    location.path_style = value
                        .parse()
                        .map_err(|_| bad(format!("path_style: expected true or false, got {value:?}")))?;
                }
                "sse" => location.sse = Some(sse(&value)?),
                _ => {
                    return Err(bad(format!(
                        "expected region, endpoint, public_endpoint, path_style or sse with a value, got {name:?}"
                    )));
                }
            }
            seen.push(name);
        }
        Ok(location)
    }
}

/// The rules that every S3 service shares.
fn bucket(name: &str) -> Result<String, ObjectsError> {
    let plain = (3..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if plain {
        Ok(name.to_owned())
    } else {
        Err(bad(format!(
            "expected a bucket of 3 to 63 lower-case letters, digits, dots and hyphens, got {name:?}"
        )))
    }
}

fn endpoint(name: &str, value: &str) -> Result<Url, ObjectsError> {
    let url =
        Url::parse(value).map_err(|error| bad(format!("{name}: expected an http or https URL: {error}")))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        Ok(url)
    } else {
        Err(bad(format!("{name}: expected an http or https URL without credentials and query")))
    }
}

fn sse(value: &str) -> Result<Sse, ObjectsError> {
    match value {
        "AES256" => Ok(Sse::Aes256),
        "aws:kms" => Ok(Sse::Kms(None)),
        _ => match value.strip_prefix("aws:kms:") {
            Some(key) if !key.is_empty() => Ok(Sse::Kms(Some(key.to_owned()))),
            _ => Err(bad(format!("sse: expected AES256, aws:kms or aws:kms:KEY-ID, got {value:?}"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bucket: &str, prefix: &str) -> S3Location {
        S3Location {
            bucket: bucket.into(),
            prefix: prefix.into(),
            region: None,
            endpoint: None,
            public_endpoint: None,
            path_style: false,
            sse: None,
        }
    }

    #[test]
    fn well_formed() {
        let url = |text: &str| Some(Url::parse(text).unwrap());
        let table = [
            ("s3://videos", plain("videos", "")),
            ("s3://videos/", plain("videos", "")),
            ("s3://my.videos-1/lectern/prod/", plain("my.videos-1", "lectern/prod/")),
            (
                "s3://videos/a?region=eu-central-1&sse=aws:kms:arn:aws:kms:eu-central-1:1:key/2",
                S3Location {
                    region: Some("eu-central-1".into()),
                    sse: Some(Sse::Kms(Some("arn:aws:kms:eu-central-1:1:key/2".into()))),
                    ..plain("videos", "a/")
                },
            ),
            (
                "s3://videos?endpoint=http://127.0.0.1:3900&path_style=true&sse=AES256&public_endpoint=https%3A%2F%2Fs3.example.org",
                S3Location {
                    endpoint: url("http://127.0.0.1:3900"),
                    public_endpoint: url("https://s3.example.org"),
                    path_style: true,
                    sse: Some(Sse::Aes256),
                    ..plain("videos", "")
                },
            ),
            ("s3://videos?sse=aws:kms", S3Location { sse: Some(Sse::Kms(None)), ..plain("videos", "") }),
        ];
        for (text, expected) in table {
            assert_eq!(S3Location::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn malformed() {
        for (text, says) in [
            ("", "s3://BUCKET"),
            ("http://videos", "scheme"),
            ("s3:videos", "bucket"),
            ("s3:///prefix", "bucket"),
            ("s3://ab", "bucket"),
            ("s3://Videos", "bucket"),
            ("s3://vi_deos", "bucket"),
            ("s3://-videos", "bucket"),
            ("s3://AKIA:hunter2@videos", "credentials"),
            ("s3://videos:9000", "endpoint="),
            ("s3://videos#x", "endpoint="),
            ("s3://videos/a//b", "prefix"),
            ("s3://videos/a%2f..%2fb", "prefix"),
            ("s3://videos?regoin=x", "regoin"),
            ("s3://videos?region=", "region"),
            ("s3://videos?region=a&region=b", "twice"),
            ("s3://videos?endpoint=localhost:9000", "endpoint"),
            ("s3://videos?endpoint=http://AKIA:hunter2@h", "without credentials"),
            ("s3://videos?path_style=yes", "path_style"),
            ("s3://videos?sse=aes", "sse"),
            ("s3://videos?sse=aws:kms:", "sse"),
        ] {
            let error = S3Location::parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
