//! Creating a direct upload: checked as a tus creation is, then begun in the object store and announced.

use lectern_domain::{
    Timestamp,
    account::Role,
    ids::{AssetId, UploadId},
    storage_key,
    trim::{IN_POINT, OUT_POINT, Trim},
};
use lectern_platform::{
    clock::new_id,
    http::{Caller, Problem},
    objects::MultipartId,
};
use lectern_store::uploads::Protocol;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{store, unavailable};
use crate::{
    IngestState,
    announce::{Announced, Wanted, announce, fits, lesson_owner},
    metadata::shown_name,
};

/// What Uppy's plugins send, and the size, which version 6 has no field for: it may be among the metadata.
#[derive(Debug, Deserialize)]
pub(super) struct Creation {
    #[serde(default)]
    filename: String,
    size: Option<u64>,
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
}

#[derive(Debug, Serialize)]
pub(super) struct Created {
    #[serde(rename = "uploadId")]
    upload_id: UploadId,
    key: String,
    pub(super) asset_id: AssetId,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: Timestamp,
}

pub(super) async fn create(
    state: &IngestState,
    caller: Caller,
    creation: Creation,
) -> Result<Created, Problem> {
    let store = store(state)?;
    let wanted = wanted(&creation)?;
    fits(state, wanted.length_bytes)?;
    caller.at_least(Role::Instructor)?;
    let owner = lesson_owner(state, caller, wanted.lesson).await?;
    // First in the object store: a multipart upload that no row names is swept, a row that names none would be of no use.
    let asset = new_id(&*state.clock, AssetId::generate);
    let key = storage_key::source(asset);
    let MultipartId(id) = store.create(&key).await.map_err(|error| unavailable(&error))?;
    let announced = Announced {
        id: new_id(&*state.clock, UploadId::generate),
        asset,
        protocol: Protocol::S3Multipart,
        multipart_id: Some(id.clone()),
    };
    let upload = match announce(state, caller, owner, wanted, announced).await {
        Ok(upload) => upload,
        Err(problem) => {
            if let Err(error) = store.abort(&key, &MultipartId(id)).await {
                tracing::warn!(key, %error, "aborting a multipart upload that was refused failed");
            }
            return Err(problem);
        }
    };
    Ok(Created { upload_id: upload.id, key, asset_id: asset, expires_at: upload.expires_at })
}

fn wanted(creation: &Creation) -> Result<Wanted, Problem> {
    let lesson = match creation.metadata.get("lesson_id") {
        Some(Value::String(lesson)) => {
            lesson.parse().map_err(|error| Problem::invalid(format!("metadata.lesson_id: {error}")))?
        }
        _ => {
            return Err(Problem::invalid(
                "metadata.lesson_id: expected the id of the lesson this file is for",
            ));
        }
    };
    let size = creation.size.or_else(|| match creation.metadata.get("size")? {
        Value::String(text) => text.parse().ok(),
        size => size.as_u64(),
    });
    let length_bytes = size
        .filter(|size| (1..=i64::MAX.cast_unsigned()).contains(size))
        .ok_or_else(|| Problem::invalid("size: expected the size of the file in bytes, at least 1"))?;
    let points = [IN_POINT, OUT_POINT].map(|name| match creation.metadata.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        // Whatever else it is, only a whole number reads.
        Some(other) => Some(other.to_string()),
    });
    let trim = Trim::parse(points[0].as_deref(), points[1].as_deref())
        .map_err(|error| Problem::invalid(format!("metadata.{}", error.named(IN_POINT, OUT_POINT))))?;
    let filename = shown_name(&creation.filename);
    Ok(Wanted { length_bytes, lesson, filename, trim, metadata: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn creations() {
        let lesson = "les_01890a5dac96774bbcceb302099a8057";
        let parse = |text: &str| -> Result<(u64, String), String> {
            let creation = serde_json::from_str(text).map_err(|error| error.to_string())?;
            let wanted = wanted(&creation).map_err(|problem| problem.detail)?;
            Ok((wanted.length_bytes, wanted.filename))
        };
        let with = |fields: &str, metadata: &str| {
            parse(&format!(r#"{{{fields} "metadata": {{{metadata}"lesson_id": "{lesson}"}}}}"#))
        };
        assert_eq!(with(r#""filename": "../a.mp4", "size": 5,"#, ""), Ok((5, "a.mp4".into())));
        assert_eq!(with("", r#""size": "7", "#), Ok((7, "untitled".into())));
        assert_eq!(
            with(r#""type": "video/mp4", "#, r#""size": 7, "name": null, "#),
            Ok((7, "untitled".into()))
        );
        for (fields, metadata, says) in [
            (r#""size": 5,"#, r#""trim_in_ms": -1, "#, "metadata.trim_in_ms: expected whole milliseconds"),
            (
                r#""size": 5,"#,
                r#""trim_out_ms": "4:00", "#,
                "metadata.trim_out_ms: expected whole milliseconds",
            ),
            (r#""size": 5,"#, r#""trim_in_ms": 1.5, "#, "metadata.trim_in_ms"),
            (r#""size": 5,"#, r#""trim_in_ms": [], "#, "metadata.trim_in_ms"),
            (r#""size": 5,"#, r#""trim_in_ms": 5000, "trim_out_ms": "5999", "#, "at least 1000 ms after"),
            ("", "", "size"),
            (r#""size": 0,"#, "", "size"),
            (r#""size": -1,"#, "", "invalid value"),
            (r#""size": 9223372036854775808,"#, "", "size"),
            ("", r#""size": "7 bytes", "#, "size"),
        ] {
            let error = with(fields, metadata).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        for text in [
            r#"{"size": 1}"#,
            r#"{"size": 1, "metadata": {"lesson_id": 5}}"#,
            r#"{"size": 1, "metadata": {"lesson_id": "x"}}"#,
        ] {
            assert!(parse(text).unwrap_err().contains("lesson_id"), "{text}");
        }
    }
}
