//! Reading an object: a stream that goes on at the byte it has reached when the connection breaks, as long as the object
//! is still the same one.

use std::{io, ops::Range, pin::Pin, time::Duration};

use aws_sdk_s3::{
    operation::get_object::{GetObjectError, GetObjectOutput},
    primitives::ByteStream,
};
use bytes::Bytes;
use futures::{Stream, stream};
use rand::RngExt as _;
use tokio::time::{Instant, sleep, timeout};

use super::{
    ATTEMPT, S3Objects, TimeoutConfig,
    errors::{self, as_io, chain, failed, status},
    within,
};
use crate::objects::{ObjectBody, ObjectsError};

/// A body that brings nothing for this long is given up and asked for again.
const SILENCE: Duration = Duration::from_secs(10);
/// A stream fails when it was asked for bytes this long and has none.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn open(
    store: &S3Objects,
    key: &str,
    full: String,
    range: Option<Range<u64>>,
) -> Result<Option<ObjectBody>, ObjectsError> {
    // HTTP knows no empty range.
    let header = match &range {
        Some(range) if range.start >= range.end => return empty(store, key).await,
        Some(range) => Some(format!("bytes={}-{}", range.start, range.end - 1)),
        None => None,
    };
    let request = store.client().get_object().bucket(store.bucket()).key(&full).set_range(header);
    let output = match request.send().await {
        Ok(output) => output,
        Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
            return Ok(None);
        }
        // The range begins behind the end.
        Err(error) if status(&error) == Some(416) => return empty(store, key).await,
        Err(error) => return Err(failed("open", key)(error)),
    };
    let length = output.content_length().unwrap_or_default().cast_unsigned();
    // `bytes 2-4/10`, or the whole.
    let (start, size) = match output.content_range() {
        None => (0, length),
        Some(text) => parse_content_range(text)
            .ok_or_else(|| errors::other("open", key, format!("expected a Content-Range, got {text:?}")))?,
    };
    let (start, end) = match range {
        // A service that ignores ranges sends everything from the start: what comes before is skipped below.
        Some(range) if start <= range.start => (range.start, range.end.min(size)),
        _ => (start, size),
    };
    let at = output.content_range().map_or(0, |_| start);
    let etag = output.e_tag().map(str::to_owned);
    let reader = Reader {
        store: store.clone(),
        key: full,
        etag,
        at,
        start,
        end,
        body: Some(output.body),
        whole: at == 0,
    };
    Ok(Some(ObjectBody { size, stream: reader.into_stream() }))
}

async fn empty(store: &S3Objects, key: &str) -> Result<Option<ObjectBody>, ObjectsError> {
    use super::super::Objects as _;
    let size = store.size(key).await?;
    Ok(size.map(|size| ObjectBody { size, stream: Box::pin(stream::empty()) }))
}

/// First byte and whole size.
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

struct Reader {
    store: S3Objects,
    /// As the bucket has it.
    key: String,
    etag: Option<String>,
    /// The next byte of the object that the body brings.
    at: u64,
    /// The first byte wanted.
    start: u64,
    /// Behind the last byte wanted.
    end: u64,
    body: Option<ByteStream>,
    /// The body is the whole object: behind its last byte the SDK compares the checksum that was stored with it.
    whole: bool,
}

/// Why a body could not be asked for again.
enum Reopening {
    /// It may work later.
    Later(String),
    /// It will not.
    Never(io::Error),
}

impl Reader {
    fn into_stream(self) -> Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> {
        Box::pin(stream::try_unfold(self, Self::next))
    }

    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.at >= self.end {
                return Ok(None);
            }
            let why = match &mut self.body {
                Some(body) => match timeout(SILENCE, body.next()).await {
                    Ok(Some(Ok(bytes))) => match self.take(bytes).await? {
                        Some(bytes) => return Ok(Some((bytes, self))),
                        None => continue,
                    },
                    Ok(Some(Err(error))) => chain(&error),
                    Ok(None) => "the body ended early".to_owned(),
                    Err(_) => "the body fell silent".to_owned(),
                },
                None => "there was no answer".to_owned(),
            };
            self.body = None;
            let left = deadline.saturating_duration_since(Instant::now());
            tracing::debug!(
                key = self.key,
                at = self.at,
                why,
                "reading from S3 broke off, asking for the rest"
            );
            if left.is_zero() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("reading from the S3 service broke off at byte {}: {why}", self.at),
                ));
            }
            match self.reopen(left).await {
                Ok(body) => self.body = Some(body),
                Err(Reopening::Never(error)) => return Err(error),
                Err(Reopening::Later(why)) => {
                    tracing::debug!(key = self.key, at = self.at, why, "asking for the rest failed");
                    let pause = rand::rng().random_range(100..1_000);
                    sleep(Duration::from_millis(pause)).await;
                }
            }
        }
    }

    /// Takes what the body brought, cut to what is wanted. `None`: nothing of it was.
    async fn take(&mut self, mut bytes: Bytes) -> io::Result<Option<Bytes>> {
        let skipped = self.start.saturating_sub(self.at).min(bytes.len() as u64);
        let wanted = (self.end - self.at).min(bytes.len() as u64);
        self.at += wanted;
        bytes.truncate(wanted as usize);
        let bytes = bytes.split_off(skipped.min(wanted) as usize);
        if self.at == self.end && self.whole {
            // Polled behind the last byte: that is where a checksum that differs is told.
            if let Some(body) = &mut self.body
                && let Ok(Some(Err(error))) = timeout(SILENCE, body.next()).await
            {
                return Err(io::Error::new(io::ErrorKind::InvalidData, chain(&error)));
            }
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    async fn reopen(&mut self, left: Duration) -> Result<ByteStream, Reopening> {
        self.at = self.at.max(self.start);
        self.whole = false;
        let Some(etag) = self.etag.clone() else {
            return Err(Reopening::Never(io::Error::other(
                "reading from the S3 service broke off, and the object has no ETag to go on with",
            )));
        };
        let limits = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT.min(left))
            .operation_timeout(left)
            .build();
        let request = self.store.client().get_object().bucket(self.store.bucket()).key(&self.key);
        let request = request.if_match(&etag).range(format!("bytes={}-{}", self.at, self.end - 1));
        let output = request.customize().config_override(within(limits)).send().await;
        let changed = || {
            Reopening::Never(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the object {} was replaced while it was read", self.key),
            ))
        };
        match output {
            Ok(output) => self.same(output, &etag).ok_or_else(changed),
            Err(error) if matches!(status(&error), Some(412 | 416)) => Err(changed()),
            // Deleted, or no longer ours to read.
            Err(error) if matches!(status(&error), Some(403 | 404)) => Err(Reopening::Never(as_io(&error))),
            Err(error) => Err(Reopening::Later(as_io(&error).to_string())),
        }
    }

    /// The body, if the service did what was asked.
    fn same(&self, output: GetObjectOutput, etag: &str) -> Option<ByteStream> {
        let at = output.content_range().and_then(parse_content_range).map(|(at, _)| at);
        (output.e_tag() == Some(etag) && at == Some(self.at)).then_some(output.body)
    }
}

#[cfg(test)]
mod tests {
    use super::parse_content_range;

    #[test]
    fn content_ranges() {
        let table = [
            ("bytes 2-4/10", Some((2, 10))),
            ("bytes 0-0/1", Some((0, 1))),
            ("bytes */10", None),
            ("bytes 2-4/*", None),
            ("2-4/10", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_content_range(text), expected, "{text}");
        }
    }
}
