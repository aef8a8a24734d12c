//! From a request's body to where bytes are kept, until one of them ends.

use std::time::Duration;

use axum::body::BodyDataStream;
use bytes::Bytes;
use futures::StreamExt as _;
use metrics::counter;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    kept::{KeptError, Writer},
    locks::Hold,
};

/// A body that brings nothing for this long is given up. What came is kept.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);
/// What an object store does not take within this time, once somebody waits for the upload or the process stops, does not
/// count. Shorter than [`crate::locks::PATIENCE`].
const HURRY: Duration = Duration::from_secs(5);

/// Why no more bytes were taken.
#[derive(Debug)]
pub(crate) enum End {
    /// The body ended.
    Whole,
    /// The connection broke, or the body did not keep to its framing.
    Broken,
    /// The client fell silent.
    Silent,
    /// Another request wants the upload.
    GaveWay,
    /// The process is about to stop.
    Stopping,
    /// The body brought more than was announced: nothing of it is kept.
    TooLong,
    /// Disk, object store or database refused, or another process has taken the upload.
    Failed(KeptError),
}

impl End {
    /// For the log.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Broken => "connection broke",
            Self::Silent => "client fell silent",
            Self::GaveWay => "gave way to another request",
            Self::Stopping => "server stops",
            Self::TooLong => "more than announced",
            Self::Failed(KeptError::Overtaken) => "overtaken by another process",
            Self::Failed(_) => "error",
        }
    }
}

/// Appends a body to an upload of `length` bytes. Gives the offset, up to which everything is durable, and why it ended.
pub(crate) async fn receive(
    mut writer: Writer,
    length: u64,
    body: &mut BodyDataStream,
    hold: &Hold,
    stop: &CancellationToken,
) -> (u64, End) {
    let end = loop {
        hold.receiving();
        let next = tokio::select! {
            biased;
            () = hold.must_give_way() => break End::GaveWay,
            () = stop.cancelled() => break End::Stopping,
            next = next(&mut writer, body) => next,
        };
        let bytes = match next {
            Ok(bytes) => bytes,
            Err(End::Failed(error)) => return (writer.cut().await, End::Failed(error)),
            Err(end) => break end,
        };
        if bytes.len() as u64 > length - writer.end() {
            break End::TooLong;
        }
        counter!("lectern_upload_bytes_total").increment(bytes.len() as u64);
        if let Err(error) = writer.push(bytes).await {
            return (writer.cut().await, End::Failed(error));
        }
    };
    hold.settled();
    let (length, done) = match end {
        End::TooLong => writer.undo().await,
        End::GaveWay | End::Stopping => writer.finish(Some(HURRY)).await,
        _ => writer.finish(None).await,
    };
    match done {
        Ok(()) => (length, end),
        Err(error) => (length, End::Failed(error)),
    }
}

/// The next piece of a body, once there is room for it.
async fn next(writer: &mut Writer, body: &mut BodyDataStream) -> Result<Bytes, End> {
    writer.ready().await.map_err(End::Failed)?;
    match timeout(SILENCE, body.next()).await {
        Err(_) => Err(End::Silent),
        Ok(None) => Err(End::Whole),
        Ok(Some(Err(error))) => {
            tracing::debug!(%error, "a body broke off");
            Err(End::Broken)
        }
        Ok(Some(Ok(bytes))) => Ok(bytes),
    }
}

/// Reads on for a while after the answer was given, so that a client that is still sending gets to read it instead of
/// a reset connection. Bounded: then the connection closes.
pub(crate) fn linger(mut body: BodyDataStream) {
    const TIME: Duration = Duration::from_secs(5);
    const BYTES: usize = 64 << 20;
    tokio::spawn(timeout(TIME, async move {
        let mut read = 0;
        while let Some(Ok(bytes)) = body.next().await {
            read += bytes.len();
            if read > BYTES {
                break;
            }
        }
    }));
}
