//! The text of a bucket's notification, in the shapes that there are: S3's own records, the same inside an SNS
//! notification, and `EventBridge`'s. A pure function: every record gives one outcome, an ignored one with its reason.

use lectern_domain::{ids::AssetId, storage_key};
use serde_json::Value;

/// Whose events are of use here.
#[derive(Debug, Clone)]
pub struct Place {
    /// The bucket of the object store.
    pub bucket: String,
    /// What its keys begin with: empty, or ending in `/`.
    pub prefix: String,
}

/// What one record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The source of this asset was stored.
    Stored(AssetId),
    /// Nothing that concerns an upload.
    Ignored(Ignored),
}

/// Why a record is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// Not JSON at all.
    NotJson,
    /// JSON of no known shape.
    UnknownShape,
    /// What S3 sends when notifications are set up.
    TestEvent,
    /// Something else happened than that an object was created.
    OtherEvent,
    /// Another bucket.
    OtherBucket,
    /// An object that is no asset's source.
    OtherKey,
}

impl Ignored {
    /// For metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::UnknownShape => "unknown_shape",
            Self::TestEvent => "test_event",
            Self::OtherEvent => "other_event",
            Self::OtherBucket => "other_bucket",
            Self::OtherKey => "other_key",
        }
    }
}

/// Reads a message. There is at least one outcome.
pub fn read(place: &Place, body: &str) -> Vec<Outcome> {
    let Ok(message) = serde_json::from_str::<Value>(body) else { return vec![ignored(Ignored::NotJson)] };
    // SNS wraps the text once.
    if message["Type"] == "Notification"
        && let Some(inner) = message["Message"].as_str()
    {
        return match serde_json::from_str::<Value>(inner) {
            Ok(inner) => read_value(place, &inner),
            Err(_) => vec![ignored(Ignored::NotJson)],
        };
    }
    read_value(place, &message)
}

fn ignored(why: Ignored) -> Outcome {
    Outcome::Ignored(why)
}

fn read_value(place: &Place, message: &Value) -> Vec<Outcome> {
    if message["Event"] == "s3:TestEvent" {
        return vec![ignored(Ignored::TestEvent)];
    }
    if message["source"] == "aws.s3" {
        return vec![bridged(place, message)];
    }
    match message["Records"].as_array() {
        Some(records) if !records.is_empty() => {
            records.iter().map(|record| recorded(place, record)).collect()
        }
        _ => vec![ignored(Ignored::UnknownShape)],
    }
}

/// A record of S3: the key is form-encoded.
fn recorded(place: &Place, record: &Value) -> Outcome {
    let Some(event) = record["eventName"].as_str() else { return ignored(Ignored::UnknownShape) };
    // Other services than AWS write the prefix.
    if !event.strip_prefix("s3:").unwrap_or(event).starts_with("ObjectCreated:") {
        return ignored(Ignored::OtherEvent);
    }
    let s3 = &record["s3"];
    match (s3["bucket"]["name"].as_str(), s3["object"]["key"].as_str()) {
        (Some(bucket), Some(key)) => source(place, bucket, &form_decoded(key)),
        _ => ignored(Ignored::UnknownShape),
    }
}

/// An event of `EventBridge`: the key is as it is.
fn bridged(place: &Place, event: &Value) -> Outcome {
    if event["detail-type"] != "Object Created" {
        return ignored(Ignored::OtherEvent);
    }
    let detail = &event["detail"];
    match (detail["bucket"]["name"].as_str(), detail["object"]["key"].as_str()) {
        (Some(bucket), Some(key)) => source(place, bucket, key),
        _ => ignored(Ignored::UnknownShape),
    }
}

fn form_decoded(key: &str) -> String {
    let one_name = key.replace('&', "%26").replace('=', "%3D");
    url::form_urlencoded::parse(one_name.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

fn source(place: &Place, bucket: &str, key: &str) -> Outcome {
    if bucket != place.bucket {
        return ignored(Ignored::OtherBucket);
    }
    let asset = || {
        let key = key.strip_prefix(&place.prefix)?;
        let asset: AssetId = key.split('/').nth(1)?.parse().ok()?;
        (storage_key::source(asset) == key).then_some(asset)
    };
    asset().map_or(ignored(Ignored::OtherKey), Outcome::Stored)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ASSET: &str = "ast_01890a5dac96774bbcceb302099a8057";

    fn place(prefix: &str) -> Place {
        Place { bucket: "videos".into(), prefix: prefix.into() }
    }

    fn record(event: &str, bucket: &str, key: &str) -> Value {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": event,
            "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 7, "eTag": "x", "sequencer": "0"}},
        })
    }

    #[test]
    fn every_record_has_an_outcome() {
        let asset: AssetId = ASSET.parse().unwrap();
        let stored = || vec![Outcome::Stored(asset)];
        let no = |why| vec![Outcome::Ignored(why)];
        let one = |event: &str, bucket: &str, key: &str| json!({"Records": [record(event, bucket, key)]});
        let multipart = "ObjectCreated:CompleteMultipartUpload";
        let (plain, encoded) = (format!("sources/{ASSET}/original"), format!("sources%2F{ASSET}%2Foriginal"));
        let bridge = |kind: &str, key: &str| {
            json!({"version": "0", "source": "aws.s3", "detail-type": kind,
                "detail": {"bucket": {"name": "videos"}, "object": {"key": key, "size": 7}}})
        };
        let wrapped = |inner: &str| json!({"Type": "Notification", "MessageId": "m", "Message": inner});
        let table = [
            (one(multipart, "videos", &plain), stored()),
            (one("ObjectCreated:Put", "videos", &plain), stored()),
            (one("s3:ObjectCreated:Put", "videos", &encoded), stored()),
            (wrapped(&one(multipart, "videos", &plain).to_string()), stored()),
            (wrapped("{"), no(Ignored::NotJson)),
            (bridge("Object Created", &plain), stored()),
            (bridge("Object Created", &encoded), no(Ignored::OtherKey)),
            (bridge("Object Deleted", &plain), no(Ignored::OtherEvent)),
            (json!({"source": "aws.s3", "detail-type": "Object Created"}), no(Ignored::UnknownShape)),
            (
                json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "videos"}),
                no(Ignored::TestEvent),
            ),
            (one("ObjectRemoved:Delete", "videos", &plain), no(Ignored::OtherEvent)),
            (one("ObjectCreated", "videos", &plain), no(Ignored::OtherEvent)),
            (one(multipart, "other", &plain), no(Ignored::OtherBucket)),
            (one(multipart, "videos", &format!("elsewhere/{plain}")), no(Ignored::OtherKey)),
            (one(multipart, "videos", &format!("work/{ASSET}/job-1/a.m4s")), no(Ignored::OtherKey)),
            (one(multipart, "videos", &format!("{plain}/more")), no(Ignored::OtherKey)),
            (
                one(multipart, "videos", &format!("sources/{}/original", ASSET.to_uppercase())),
                no(Ignored::OtherKey),
            ),
            (one(multipart, "videos", "sources/ast_x/original"), no(Ignored::OtherKey)),
            (one(multipart, "videos", ""), no(Ignored::OtherKey)),
            (one(multipart, "videos", "%ff%fe"), no(Ignored::OtherKey)),
            (json!({"Records": []}), no(Ignored::UnknownShape)),
            (json!({"Records": [{}]}), no(Ignored::UnknownShape)),
            (json!({"Records": [{"eventName": multipart, "s3": {}}]}), no(Ignored::UnknownShape)),
            (json!({"Records": "x"}), no(Ignored::UnknownShape)),
            (json!([]), no(Ignored::UnknownShape)),
            (json!(null), no(Ignored::UnknownShape)),
            (json!("s3:TestEvent"), no(Ignored::UnknownShape)),
        ];
        for (message, expected) in table {
            assert_eq!(read(&place(""), &message.to_string()), expected, "{message}");
        }
        assert_eq!(read(&place(""), ""), no(Ignored::NotJson));
        assert_eq!(read(&place(""), "not json"), no(Ignored::NotJson));

        // Each record for itself, in order.
        let several = json!({"Records": [
            record(multipart, "videos", &plain), record(multipart, "videos", "x"), record(multipart, "videos", &plain),
        ]});
        let expected =
            vec![Outcome::Stored(asset), Outcome::Ignored(Ignored::OtherKey), Outcome::Stored(asset)];
        assert_eq!(read(&place(""), &several.to_string()), expected);
    }

    #[test]
    fn keys_are_form_encoded_below_any_prefix() {
        let asset: AssetId = ASSET.parse().unwrap();
        for (prefix, key) in [
            ("lectern/", format!("lectern/sources/{ASSET}/original")),
            ("my videos/größe/", format!("my+videos/gr%C3%B6%C3%9Fe/sources/{ASSET}/original")),
            ("a+b&c=d%/", format!("a%2Bb%26c%3Dd%25/sources/{ASSET}/original")),
            ("a&b=c/", format!("a&b=c/sources/{ASSET}/original")),
        ] {
            let message = json!({"Records": [record("ObjectCreated:Put", "videos", &key)]}).to_string();
            assert_eq!(read(&place(prefix), &message), [Outcome::Stored(asset)], "{key}");
            assert_eq!(read(&place("other/"), &message), [Outcome::Ignored(Ignored::OtherKey)], "{key}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let words = [
            "Records",
            "eventName",
            "s3",
            "bucket",
            "name",
            "object",
            "key",
            "source",
            "detail",
            "Type",
            "Message",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
            Just(Value::from("aws.s3")),
            Just(Value::from("Notification")),
            Just(Value::from("ObjectCreated:Put")),
        ];
        leaf.prop_recursive(5, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((prop::sample::select(words.to_vec()), inner), 0..5).prop_map(
                    |pairs| pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_has_an_outcome(text in ".{0,200}") {
            prop_assert!(!read(&place(""), &text).is_empty());
        }

        #[test]
        fn any_json_has_an_outcome_and_none_is_a_source(value in json_value()) {
            let outcomes = read(&place(""), &value.to_string());
            prop_assert!(!outcomes.is_empty());
            prop_assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Ignored(_))));
        }

        #[test]
        fn every_prefix_and_asset_is_found_again(prefix in "[ -~äöü]{0,20}", bytes in any::<[u8; 10]>()) {
            let prefix = if prefix.is_empty() { prefix } else { format!("{prefix}/") };
            let asset = AssetId::generate(lectern_domain::Timestamp::UNIX_EPOCH, &bytes);
            let key = format!("{prefix}{}", storage_key::source(asset));
            let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            let message = json!({"Records": [record("ObjectCreated:Put", "videos", &encoded)]}).to_string();
            prop_assert_eq!(read(&place(&prefix), &message), [Outcome::Stored(asset)]);
        }
    }
}
