//! From a request's body to the part file, until one of them ends.

use std::{io, time::Duration};

use axum::body::BodyDataStream;
use futures::StreamExt as _;
use metrics::counter;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{locks::Hold, part::PartWriter};

/// A body that brings nothing for this long is given up. What came is kept.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);

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
    /// The disk refused.
    Disk(io::Error),
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
            Self::Disk(_) => "disk error",
        }
    }
}

/// Appends a body to a part file of at most `length` bytes. Gives the file's length, all of it on disk, and why it ended.
pub(crate) async fn receive(
    mut writer: PartWriter,
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
            next = timeout(SILENCE, body.next()) => next,
        };
        let bytes = match next {
            Err(_) => break End::Silent,
            Ok(None) => break End::Whole,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, "a body broke off");
                break End::Broken;
            }
            Ok(Some(Ok(bytes))) => bytes,
        };
        if bytes.len() as u64 > length - writer.end() {
            break End::TooLong;
        }
        counter!("lectern_upload_bytes_total").increment(bytes.len() as u64);
        if let Err(error) = writer.push(bytes).await {
            return (writer.cut().await, End::Disk(error));
        }
    };
    hold.settled();
    let (length, done) = match end {
        End::TooLong => writer.undo().await,
        _ => writer.finish().await,
    };
    match done {
        Ok(()) => (length, end),
        Err(error) => (length, End::Disk(error)),
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
