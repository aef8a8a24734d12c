//! Parts of a direct upload: signing them, and what the object store has of them.

use std::{collections::BTreeMap, time::Duration};

use lectern_domain::storage_key;
use lectern_platform::{http::Problem, objects::MultipartId};
use lectern_store::uploads::Upload;
use serde::Serialize;

use super::{store, unavailable};
use crate::{IngestState, transfer};

/// A part must begin to be sent within this time; clients ask for its URL just before.
const LIVES: Duration = Duration::from_mins(15);
/// The most parts that a multipart upload has.
const MOST_PARTS: u32 = 10_000;
/// URLs in one answer.
const BATCH: usize = 100;

/// A URL that takes one part, for as long as it lives.
#[derive(Serialize)]
pub(super) struct Signed {
    url: String,
    /// Seconds.
    expires: u64,
}

#[derive(Serialize)]
pub(super) struct Batch {
    #[serde(rename = "presignedUrls")]
    presigned_urls: BTreeMap<u32, String>,
}

pub(super) fn batch(numbers: &[u32], signed: Vec<Signed>) -> Batch {
    Batch {
        presigned_urls: numbers.iter().copied().zip(signed.into_iter().map(|signed| signed.url)).collect(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    part_number: u32,
    size: u64,
    #[serde(rename = "ETag")]
    etag: String,
}

/// A part's number out of a path.
pub(super) fn number(text: &str) -> Result<u32, Problem> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| (1..=MOST_PARTS).contains(number))
        .ok_or_else(|| Problem::invalid(format!("part number: expected 1 to {MOST_PARTS}")))
}

/// Several of them, separated by commas.
pub(super) fn numbers(text: &str) -> Result<Vec<u32>, Problem> {
    let numbers: Vec<u32> = text.split(',').map(|text| number(text.trim())).collect::<Result<_, _>>()?;
    if numbers.len() > BATCH {
        return Err(Problem::invalid(format!(
            "partNumbers: expected at most {BATCH}, got {}",
            numbers.len()
        )));
    }
    Ok(numbers)
}

pub(super) async fn sign(
    state: &IngestState,
    upload: &Upload,
    numbers: &[u32],
) -> Result<Vec<Signed>, Problem> {
    let (store, key, id) = (store(state)?, storage_key::source(upload.asset), multipart_id(upload)?);
    let mut signed = Vec::with_capacity(numbers.len());
    for number in numbers {
        let url = store.presign_part(&key, &id, *number, LIVES).await.map_err(|error| unavailable(&error))?;
        signed.push(Signed { url: url.expose().to_owned(), expires: LIVES.as_secs() });
    }
    transfer::announce(state, upload).await?;
    transfer::extend(state, upload).await?;
    Ok(signed)
}

pub(super) async fn list(state: &IngestState, upload: &Upload) -> Result<Vec<Listed>, Problem> {
    let (store, key, id) = (store(state)?, storage_key::source(upload.asset), multipart_id(upload)?);
    let parts = store.parts(&key, &id).await.map_err(|error| unavailable(&error))?;
    transfer::extend(state, upload).await?;
    let parts = parts.unwrap_or_default().into_iter();
    Ok(parts.map(|part| Listed { part_number: part.number, size: part.bytes, etag: part.etag }).collect())
}

/// The object store's name of it. Every direct upload was announced with one.
pub(super) fn multipart_id(upload: &Upload) -> Result<MultipartId, Problem> {
    upload
        .multipart_id
        .clone()
        .map(MultipartId)
        .ok_or_else(|| Problem::internal(format!("the direct upload {} has no multipart upload", upload.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_numbers() {
        for (text, expected) in [("1", Some(1)), ("10000", Some(10_000)), ("007", Some(7))] {
            assert_eq!(number(text).ok(), expected, "{text}");
        }
        for text in ["", "0", "10001", "-1", "+1", "1.5", "x", "99999999999999999999"] {
            assert_eq!(number(text).err().map(|problem| problem.code), Some("invalid_request"), "{text}");
        }
        assert_eq!(numbers("3, 1,2").ok(), Some(vec![3, 1, 2]));
        for text in ["", "1,", "1,,2", "1;2", &vec!["1"; BATCH + 1].join(",")] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
