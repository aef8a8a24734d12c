//! Completing a direct upload: what the object store has is held against what was announced, the parts are joined, and
//! the probe is queued. Safe to repeat, by whoever hears of it, from any point of a crash.

use std::time::Duration;

use axum::http::StatusCode;
use lectern_domain::{ids::AssetId, storage_key};
use lectern_platform::{
    http::Problem,
    objects::{Completion, MultipartId, ObjectsError, StoredPart},
};
use lectern_store::uploads::{Upload, UploadState};
use serde::{Deserialize, Serialize};

use crate::{
    IngestState,
    ending::{self, EndingError},
    transfer,
};

/// Pauses between looks at an object that should be there.
const LOOKS: [Duration; 3] = [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];

/// What a client says that it sent. Without a list, everything that is there is meant.
#[derive(Debug, Deserialize)]
pub(super) struct Told {
    parts: Option<Vec<ToldPart>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ToldPart {
    #[serde(rename = "PartNumber")]
    number: u32,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Completed {
    location: String,
    key: String,
    asset_id: AssetId,
}

/// How far completing came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The source is stored and its probe queued, now or before.
    Finished,
    /// The asset was deleted meanwhile.
    Deleted,
    /// Bytes or parts are missing; the upload is as it was.
    Incomplete(String),
    /// There are more bytes than were announced; the upload is as it was.
    TooLong(u64),
    /// The object store does not take these parts; the upload is as it was.
    Refused(String),
    /// The object store has neither parts nor object: it removed them, or somebody did; or another process is joining
    /// them just now. The upload is as it was.
    Vanished,
    /// The object that is there has another size than was announced.
    WrongSize(u64),
}

pub(super) async fn complete(state: &IngestState, upload: &Upload, told: Told) -> Result<Completed, Problem> {
    if upload.state != UploadState::Finished {
        let settled = settle(state, upload, told.parts.as_deref()).await;
        match settled.map_err(|error| transfer::not_finished(upload, &error))? {
            Settled::Finished => {}
            other => return Err(refuse(state, upload, other).await?),
        }
    }
    Ok(Completed {
        location: format!("/api/v1/assets/{}", upload.asset),
        key: storage_key::source(upload.asset),
        asset_id: upload.asset,
    })
}

/// What to tell a client. An upload that cannot become complete any more is ended.
async fn refuse(state: &IngestState, upload: &Upload, settled: Settled) -> Result<Problem, Problem> {
    Ok(match settled {
        Settled::Finished | Settled::Deleted | Settled::Vanished => transfer::gone(),
        Settled::Incomplete(why) => Problem::new(
            StatusCode::CONFLICT,
            "upload_incomplete",
            format!("{why}; send what is missing, then complete again"),
        ),
        Settled::TooLong(bytes) => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "longer_than_announced",
            format!("expected the announced {} bytes, the parts have {bytes}", upload.length_bytes),
        ),
        Settled::Refused(why) => Problem::new(
            StatusCode::CONFLICT,
            "parts_refused",
            format!("{why}; every part but the last needs 5 MiB: send the parts anew, then complete again"),
        ),
        Settled::WrongSize(bytes) => {
            ending::abandon(state, upload, UploadState::Terminated).await.map_err(Problem::internal)?;
            Problem::new(
                StatusCode::CONFLICT,
                "wrong_size",
                format!(
                    "expected an object of the announced {} bytes, it has {bytes}; the upload was ended, start a new one",
                    upload.length_bytes
                ),
            )
        }
    })
}

/// Brings an open direct upload to its end if everything of it is there. Whoever calls this holds the upload.
pub(crate) async fn settle(
    state: &IngestState,
    upload: &Upload,
    told: Option<&[ToldPart]>,
) -> Result<Settled, EndingError> {
    let key = storage_key::source(upload.asset);
    if let (Some(store), Some(id)) = (state.objects.multipart(), &upload.multipart_id) {
        let id = MultipartId(id.clone());
        // None: joined before, perhaps by a process that died then, or by the client itself.
        if let Some(stored) = store.parts(&key, &id).await? {
            let parts = match chosen(upload.length_bytes, stored, told) {
                Ok(parts) => parts,
                Err(settled) => return Ok(settled),
            };
            if let Completion::Refused(why) = store.complete(&key, &id, &parts).await? {
                return Ok(Settled::Refused(why));
            }
        }
    }
    match stored_size(state, &key).await? {
        Some(size) if size == upload.length_bytes => {
            let finished = ending::finish(state, upload).await?;
            Ok(if finished { Settled::Finished } else { Settled::Deleted })
        }
        Some(size) => Ok(Settled::WrongSize(size)),
        None => Ok(Settled::Vanished),
    }
}

/// The size of the object that the parts were joined to. A service may take its time between the two: the parts are gone
/// already, the object is not there yet.
async fn stored_size(state: &IngestState, key: &str) -> Result<Option<u64>, ObjectsError> {
    for pause in LOOKS {
        if let Some(size) = state.objects.size(key).await? {
            return Ok(Some(size));
        }
        tokio::time::sleep(pause).await;
    }
    state.objects.size(key).await
}

/// The parts to join: those that the client named, or all, if they make up what was announced.
fn chosen(
    length_bytes: u64,
    stored: Vec<StoredPart>,
    told: Option<&[ToldPart]>,
) -> Result<Vec<StoredPart>, Settled> {
    let mut parts = match told {
        None => stored,
        Some(told) => told
            .iter()
            .map(|told| {
                let same =
                    |part: &&StoredPart| part.number == told.number && bare(&part.etag) == bare(&told.etag);
                stored.iter().find(same).cloned().ok_or_else(|| {
                    Settled::Incomplete(format!(
                        "part {} is not stored with the ETag that you name",
                        told.number
                    ))
                })
            })
            .collect::<Result<_, _>>()?,
    };
    parts.sort_by_key(|part| part.number);
    if let Some((expected, _)) = (1..).zip(&parts).find(|(expected, part)| *expected != part.number) {
        return Err(Settled::Incomplete(format!(
            "expected each part from 1 on once; look at part {expected}"
        )));
    }
    let bytes: u64 = parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add);
    match bytes.cmp(&length_bytes) {
        std::cmp::Ordering::Equal => Ok(parts),
        std::cmp::Ordering::Greater => Err(Settled::TooLong(bytes)),
        std::cmp::Ordering::Less => Err(Settled::Incomplete(format!(
            "expected the announced {length_bytes} bytes, the {} parts have {bytes}",
            parts.len()
        ))),
    }
}

/// Some clients drop the quotes of an entity tag.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(parts: &[(u32, u64)]) -> Vec<StoredPart> {
        parts
            .iter()
            .map(|(number, bytes)| StoredPart {
                number: *number,
                etag: format!("\"{number}-{bytes}\""),
                bytes: *bytes,
            })
            .collect()
    }

    fn told(parts: &[(u32, &str)]) -> Vec<ToldPart> {
        parts.iter().map(|(number, etag)| ToldPart { number: *number, etag: (*etag).into() }).collect()
    }

    #[test]
    fn parts_are_held_against_what_was_announced() {
        let whole = || stored(&[(1, 5), (2, 5), (3, 2)]);
        let numbers = |result: Result<Vec<StoredPart>, Settled>| -> Result<Vec<u32>, Settled> {
            Ok(result?.iter().map(|part| part.number).collect())
        };
        assert_eq!(numbers(chosen(12, whole(), None)), Ok(vec![1, 2, 3]));
        assert_eq!(numbers(chosen(12, stored(&[(3, 2), (1, 5), (2, 5)]), None)), Ok(vec![1, 2, 3]));
        // As the client names them: any order, with quotes or without; more may be stored than it names.
        let named = told(&[(2, "2-5"), (1, "\"1-5\"")]);
        assert_eq!(numbers(chosen(10, whole(), Some(&named))), Ok(vec![1, 2]));

        let incomplete = |result| matches!(result, Err(Settled::Incomplete(_)));
        assert!(incomplete(chosen(12, stored(&[]), None)));
        assert!(incomplete(chosen(12, stored(&[(1, 5), (3, 7)]), None)), "a gap");
        assert!(incomplete(chosen(13, whole(), None)));
        assert!(incomplete(chosen(12, whole(), Some(&named))));
        assert!(incomplete(chosen(10, whole(), Some(&told(&[(1, "1-5"), (2, "other")])))));
        assert!(incomplete(chosen(10, whole(), Some(&told(&[(1, "1-5"), (1, "1-5")])))), "twice");
        assert!(incomplete(chosen(10, whole(), Some(&told(&[(1, "1-5"), (9, "9-5")])))));
        assert!(incomplete(chosen(10, whole(), Some(&[]))));
        assert_eq!(numbers(chosen(11, whole(), None)), Err(Settled::TooLong(12)));
        assert_eq!(
            numbers(chosen(5, stored(&[(1, u64::MAX), (2, u64::MAX)]), None)),
            Err(Settled::TooLong(u64::MAX))
        );
    }
}
