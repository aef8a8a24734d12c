//! What the SDK says, as this crate's errors: the service's code and sentence, or the chain of causes. The SDK's own
//! debug output has whole requests in it, with signatures.

use std::{error::Error, io};

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

use super::super::ObjectsError;

/// Longest sentence taken over from a service, bytes.
const LONGEST: usize = 300;

/// An error of a request, for `map_err`.
pub(super) fn failed<E>(
    action: &'static str,
    key: &str,
) -> impl FnOnce(SdkError<E, HttpResponse>) -> ObjectsError + use<E>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let key = key.to_owned();
    move |error| ObjectsError::Io { action, key, source: as_io(&error) }
}

/// An error of this side.
pub(super) fn other(
    action: &'static str,
    key: &str,
    error: impl Into<Box<dyn Error + Send + Sync>>,
) -> ObjectsError {
    io(action, key, io::Error::other(error))
}

/// An error of a file or a stream.
pub(super) fn io(action: &'static str, key: &str, source: io::Error) -> ObjectsError {
    ObjectsError::Io { action, key: key.to_owned(), source }
}

/// The status of the service's answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn as_io<E>(error: &SdkError<E, HttpResponse>) -> io::Error
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => {
            io::Error::new(io::ErrorKind::TimedOut, "the S3 service did not answer in time")
        }
        // An answer of success is here when it could not be read.
        SdkError::ServiceError(refusal) if !refusal.raw().status().is_success() => {
            let status = refusal.raw().status().as_u16();
            let kind = match status {
                403 => io::ErrorKind::PermissionDenied,
                404 => io::ErrorKind::NotFound,
                _ => io::ErrorKind::Other,
            };
            let said = refusal.err();
            let mut text = format!("the S3 service answered {status}");
            // The answer to a HEAD has no words.
            for words in [said.code(), said.message()].into_iter().flatten() {
                text.push_str(": ");
                text.push_str(&words[..words.floor_char_boundary(LONGEST)]);
            }
            io::Error::new(kind, text)
        }
        other => {
            let timed_out = matches!(other, SdkError::DispatchFailure(failure) if failure.is_timeout());
            let kind = if timed_out { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
            io::Error::new(kind, format!("asking the S3 service: {}", chain(other)))
        }
    }
}

/// An error and its causes, in one line.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
