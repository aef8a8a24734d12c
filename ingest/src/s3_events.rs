//! What a bucket says about its objects: `s3:ObjectCreated:*` notifications, read from an SQS queue. They finish direct
//! uploads whose client never told that it was done. Nothing relies on them: they may come twice, late, or not at all.

mod message;

use std::time::Duration;

use lectern_domain::ids::AssetId;
use lectern_platform::sqs::Inbox;
use lectern_store::uploads::{self, Protocol, UploadState};
use metrics::counter;

use crate::{
    IngestState,
    direct::complete::{Settled, settle},
    ending::EndingError,
    locks::Claim,
};

pub use message::{Ignored, Outcome, Place, read};

/// After a queue that did not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// Reads a queue until shutdown begins. A message is deleted once it was dealt with or judged to be of no use; one that
/// could not be dealt with comes again.
pub async fn listen(state: IngestState, inbox: Inbox, place: Place) {
    let soft = state.shutdown.soft().clone();
    loop {
        let received = tokio::select! {
            () = soft.cancelled() => return,
            received = inbox.receive() => received,
        };
        let messages = match received {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "no events of the bucket; will try again");
                tokio::select! {
                    () = soft.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => continue,
                }
            }
        };
        for message in messages {
            match take(&state, &place, &message.body).await {
                Ok(()) => {
                    if let Err(error) = inbox.delete(&message).await {
                        tracing::debug!(%error, "an event could not be deleted; it comes again and finds nothing to do");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "an event of the bucket could not be dealt with; it comes again");
                }
            }
        }
    }
}

/// Deals with one message. An error: not now.
pub async fn take(state: &IngestState, place: &Place, body: &str) -> Result<(), TakeError> {
    for outcome in read(place, body) {
        match outcome {
            Outcome::Stored(asset) => {
                counter!("lectern_s3_events_total", "outcome" => "stored").increment(1);
                stored(state, asset).await?;
            }
            Outcome::Ignored(why) => {
                counter!("lectern_s3_events_total", "outcome" => why.as_str()).increment(1);
                tracing::debug!(why = why.as_str(), "ignored an event of the bucket");
            }
        }
    }
    Ok(())
}

/// Why an event could not be dealt with at the moment.
#[derive(Debug)]
pub struct TakeError(String);

impl std::fmt::Display for TakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EndingError> for TakeError {
    fn from(error: EndingError) -> Self {
        Self(error.to_string())
    }
}

impl From<lectern_store::Error> for TakeError {
    fn from(error: lectern_store::Error) -> Self {
        Self(error.to_string())
    }
}

async fn stored(state: &IngestState, asset: AssetId) -> Result<(), TakeError> {
    let wanted = |upload: &uploads::Upload| {
        // Uploads by tus store their source themselves, and finish by themselves.
        upload.protocol == Protocol::S3Multipart && upload.state == UploadState::Open
    };
    let Some(upload) = uploads::find_of_asset(&state.db, asset).await?.filter(wanted) else { return Ok(()) };
    let Some(_hold) = state.locks.hold(upload.id, Claim::Resume).await else {
        return Err(TakeError(format!("another request holds the upload {}", upload.id)));
    };
    let Some(upload) = uploads::find(&state.db, upload.id).await?.filter(wanted) else { return Ok(()) };
    let settled = settle(state, &upload, None).await?;
    match settled {
        Settled::Finished | Settled::Deleted => {}
        // Not what the event is about; the client, or the sweep, goes on with it.
        other => {
            tracing::warn!(upload = %upload.id, %asset, ?other, "an event told of an object that is not complete");
        }
    }
    Ok(())
}
