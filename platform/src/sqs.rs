//! A queue that somebody else fills: messages are taken from SQS one by one and deleted once they were dealt with.
//! Lectern's own jobs go through [`crate::queue`].

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use url::Url;

use crate::objects::S3Credentials;

/// How long a request for messages waits for one: the most that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Messages in one request: the most that SQS allows.
const BATCH: i32 = 10;

/// Why messages could not be had or removed.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {detail}")]
pub struct InboxError {
    action: &'static str,
    detail: String,
}

/// A message, hidden from others for the queue's visibility timeout. It comes again unless it is deleted.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its text.
    pub body: String,
    receipt: String,
}

/// An SQS queue to read from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    url: String,
}

/// The queue's own address, and the region that its host names.
fn parse(text: &str) -> Result<(Url, Option<String>), String> {
    let address = text.strip_prefix("sqs:").ok_or("expected \"sqs:\" and the queue's URL")?;
    let url =
        Url::parse(address).map_err(|error| format!("expected \"sqs:\" and the queue's URL: {error}"))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.path_segments().is_some_and(|mut path| path.next_back().is_some_and(|name| !name.is_empty()));
    if !plain {
        return Err("expected sqs:https://HOST/ACCOUNT/QUEUE without credentials and query".into());
    }
    let region =
        url.host_str().and_then(|host| host.strip_prefix("sqs.")?.split('.').next().map(str::to_owned));
    Ok((url, region))
}

fn failed<E: ProvideErrorMetadata, R>(action: &'static str) -> impl FnOnce(SdkError<E, R>) -> InboxError {
    move |error| {
        let detail = match &error {
            SdkError::ServiceError(refusal) => format!(
                "SQS answered {}: {}",
                refusal.err().code().unwrap_or("without a code"),
                refusal.err().message().unwrap_or_default()
            ),
            SdkError::TimeoutError(_) => "SQS did not answer in time".to_owned(),
            _ => "SQS could not be asked: no connection, or no credentials".to_owned(),
        };
        InboxError { action, detail }
    }
}

impl Inbox {
    /// Opens the queue of an `sqs:https://…` URL. Asks it nothing yet. Credentials come the way of the AWS tools unless
    /// they are given.
    pub async fn open(url: &str, credentials: Option<S3Credentials>) -> Result<Self, InboxError> {
        let (url, region) =
            parse(url).map_err(|detail| InboxError { action: "uploads.s3_events_url", detail })?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(3))
            .operation_attempt_timeout(LONG_POLL + Duration::from_secs(10))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .endpoint_url(url.origin().ascii_serialization());
        let set = std::env::var_os("AWS_REGION").or_else(|| std::env::var_os("AWS_DEFAULT_REGION")).is_some();
        if let Some(region) = region.or_else(|| (!set).then(|| "us-east-1".to_owned())) {
            loader = loader.region(Region::new(region));
        }
        if let Some(credentials) = credentials {
            loader = loader.credentials_provider(Credentials::from(credentials));
        }
        let client = Client::new(&loader.load().await);
        Ok(Self(Arc::new(Inner { client, url: url.into() })))
    }

    /// Waits up to 20 s for messages; there may be none.
    pub async fn receive(&self) -> Result<Vec<Message>, InboxError> {
        let request = self.0.client.receive_message().queue_url(&self.0.url);
        let request = request.max_number_of_messages(BATCH).wait_time_seconds(LONG_POLL.as_secs() as i32);
        let received = request.send().await.map_err(failed("receive"))?;
        let messages = received.messages.unwrap_or_default().into_iter();
        Ok(messages
            .filter_map(|message| Some(Message { body: message.body?, receipt: message.receipt_handle? }))
            .collect())
    }

    /// Removes a message that was dealt with.
    pub async fn delete(&self, message: &Message) -> Result<(), InboxError> {
        let request = self.0.client.delete_message().queue_url(&self.0.url).receipt_handle(&message.receipt);
        request.send().await.map(drop).map_err(failed("delete"))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn urls() {
        for (text, url, region) in [
            (
                "sqs:https://sqs.eu-central-1.amazonaws.com/123456789012/uploads",
                "https://sqs.eu-central-1.amazonaws.com/123456789012/uploads",
                Some("eu-central-1"),
            ),
            ("sqs:http://127.0.0.1:5000/123456789012/q", "http://127.0.0.1:5000/123456789012/q", None),
        ] {
            let (parsed, found) = parse(text).unwrap();
            assert_eq!((parsed.as_str(), found.as_deref()), (url, region));
        }
        for text in [
            "",
            "https://sqs.eu-central-1.amazonaws.com/1/q",
            "sqs:",
            "sqs:uploads",
            "sqs:amqp://host/queue",
            "sqs:https://host/",
            "sqs:https://key:hunter2@host/1/q",
        ] {
            let error = parse(text).expect_err(text);
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
