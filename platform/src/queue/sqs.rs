//! SQS: a queue for each class of work and one for what was put aside. A message that is being worked on is hidden from
//! others for [`VISIBILITY`], and again every [`super::HOLD`]; it is deleted when the work has ended. There is no way to tell other
//! processes of events: they look at the database.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Region, timeout::TimeoutConfig},
    error::DisplayErrorContext,
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use lectern_domain::job::WorkClass;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::{
    Announcement, DELIVERY_LIMIT, Deliveries, Delivery, Events, Queue, QueueError, Receipt, failed,
    take_parameter, take_prefix,
};
use crate::events::Event;

/// How long a message that was handed out is hidden from others.
const VISIBILITY: Duration = Duration::from_mins(1);
/// How long a request for messages waits for one: the most that SQS allows.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Messages in one request: the most that SQS allows.
const BATCH: usize = 10;

/// Work over SQS. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqsQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    prefix: String,
    visibility: Duration,
    urls: OnceCell<Urls>,
}

#[derive(Debug)]
struct Urls {
    work: [String; WorkClass::ALL.len()],
    dead: String,
}

fn said<E: std::error::Error>(action: &'static str) -> impl FnOnce(E) -> QueueError {
    move |error| QueueError { action, detail: DisplayErrorContext(&error).to_string() }
}

impl SqsQueue {
    /// Reads `sqs://REGION?prefix=NAME&endpoint=URL&visibility_s=SECONDS`; credentials come the way of the AWS tools
    /// (environment, profile, instance). Queues are made when first used.
    pub async fn open(url: &Url) -> Result<Self, QueueError> {
        let wrong = |detail: String| QueueError { action: "queue.url", detail };
        let mut url = url.clone();
        let prefix = take_prefix(&mut url)?;
        let endpoint = take_parameter(&mut url, "endpoint");
        let visibility = match take_parameter(&mut url, "visibility_s") {
            None => VISIBILITY,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (1..=43_200).contains(seconds))
                .map(Duration::from_secs)
                .ok_or_else(|| {
                    wrong(format!("expected visibility_s to be 1 to 43200 seconds, got {text:?}"))
                })?,
        };
        if let Some((name, _)) = url.query_pairs().next() {
            return Err(wrong(format!("expected prefix, endpoint or visibility_s, got {name:?}")));
        }
        let region = url.host_str().filter(|host| !host.is_empty());
        let region = region.ok_or_else(|| wrong("expected sqs://REGION?prefix=NAME".into()))?.to_owned();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(LONG_POLL + Duration::from_secs(10))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region))
            .timeout_config(timeouts);
        if let Some(endpoint) = endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let client = Client::new(&loader.load().await);
        Ok(Self(Arc::new(Shared { client, prefix, visibility, urls: OnceCell::new() })))
    }
}

impl Shared {
    /// The queues, made if they are missing.
    async fn urls(&self) -> Result<&Urls, QueueError> {
        self.urls.get_or_try_init(|| self.declare()).await
    }

    async fn declare(&self) -> Result<Urls, QueueError> {
        let dead = self.make(&format!("{}-dead", self.prefix), &[]).await?;
        let attributes = self
            .client
            .get_queue_attributes()
            .queue_url(&dead)
            .attribute_names(QueueAttributeName::QueueArn)
            .send()
            .await
            .map_err(said("look at the dead-letter queue"))?;
        let arn = attributes
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::QueueArn))
            .cloned()
            .unwrap_or_default();
        let redrive =
            serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": DELIVERY_LIMIT }).to_string();
        let visibility = self.visibility.as_secs().to_string();
        let mut work = Vec::new();
        for class in WorkClass::ALL {
            let attributes = [
                (QueueAttributeName::VisibilityTimeout, visibility.as_str()),
                (QueueAttributeName::RedrivePolicy, redrive.as_str()),
            ];
            work.push(self.make(&format!("{}-work-{}", self.prefix, class.as_str()), &attributes).await?);
        }
        let work = work.try_into().map_err(|_| QueueError {
            action: "declare",
            detail: "expected a queue for each class".into(),
        })?;
        Ok(Urls { work, dead })
    }

    async fn make(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> Result<String, QueueError> {
        let request =
            attributes.iter().fold(self.client.create_queue().queue_name(name), |request, (key, value)| {
                request.attributes(key.clone(), *value)
            });
        let made = request.send().await.map_err(said("make a queue"))?;
        made.queue_url.ok_or_else(|| QueueError { action: "make a queue", detail: "no URL came".into() })
    }

    async fn url(&self, class: WorkClass) -> Result<&str, QueueError> {
        let position =
            WorkClass::ALL.iter().position(|one| *one == class).expect("every class is among them");
        Ok(&self.urls().await?.work[position])
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn announce(&self, work: &[Announcement]) -> Result<(), QueueError> {
        for class in WorkClass::ALL {
            let of_class: Vec<_> = work.iter().filter(|one| one.class == class).collect();
            for batch in of_class.chunks(BATCH) {
                let entries = batch.iter().enumerate().map(|(index, one)| {
                    SendMessageBatchRequestEntry::builder()
                        .id(index.to_string())
                        .message_body(serde_json::to_string(one).expect("an announcement is plain data"))
                        .build()
                });
                let entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed("announce"))?;
                let url = self.0.url(class).await?;
                let request = self.0.client.send_message_batch().queue_url(url).set_entries(Some(entries));
                let sent = request.send().await.map_err(said("announce"))?;
                if let Some(refused) = sent.failed().first() {
                    return Err(QueueError {
                        action: "announce",
                        detail: format!("SQS refused: {}", refused.code()),
                    });
                }
            }
        }
        Ok(())
    }

    async fn publish(&self, _: &[Event]) -> Result<(), QueueError> {
        Ok(())
    }

    fn subscribe(&self, class: WorkClass, prefetch: u16) -> Box<dyn Deliveries> {
        let free = Arc::new(Semaphore::new(prefetch.into()));
        Box::new(SqsDeliveries { shared: self.0.clone(), class, free, ready: Vec::new() })
    }

    fn listen(&self) -> Option<Box<dyn Events>> {
        None
    }

    async fn depth(&self, class: Option<WorkClass>) -> Result<u64, QueueError> {
        let url = match class {
            Some(class) => self.0.url(class).await?,
            None => &self.0.urls().await?.dead,
        };
        let request = self
            .0
            .client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages);
        let answer = request.send().await.map_err(said("depth"))?;
        let text = answer
            .attributes()
            .and_then(|all| all.get(&QueueAttributeName::ApproximateNumberOfMessages))
            .cloned()
            .unwrap_or_default();
        text.parse().map_err(failed("depth"))
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.depth(None).await.map(drop)
    }
}

struct SqsDeliveries {
    shared: Arc<Shared>,
    class: WorkClass,
    free: Arc<Semaphore>,
    ready: Vec<Delivery>,
}

#[async_trait]
impl Deliveries for SqsDeliveries {
    async fn next(&mut self) -> Delivery {
        loop {
            if let Some(delivery) = self.ready.pop() {
                return delivery;
            }
            if let Err(error) = self.receive().await {
                tracing::warn!(%error, class = self.class.as_str(), "no announcements from SQS; will try again");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}

impl SqsDeliveries {
    async fn receive(&mut self) -> Result<(), QueueError> {
        let mut permits = vec![self.free.clone().acquire_owned().await.expect("it is never closed")];
        while permits.len() < BATCH
            && let Ok(permit) = self.free.clone().try_acquire_owned()
        {
            permits.push(permit);
        }
        let url = self.shared.url(self.class).await?.to_owned();
        let request = self
            .shared
            .client
            .receive_message()
            .queue_url(&url)
            .max_number_of_messages(permits.len() as i32)
            .wait_time_seconds(LONG_POLL.as_secs() as i32)
            .message_system_attribute_names(
                aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount,
            );
        let answer = request.send().await.map_err(said("receive"))?;
        for message in answer.messages.unwrap_or_default() {
            let (Some(body), Some(handle)) = (message.body, message.receipt_handle) else { continue };
            let count = message.attributes.and_then(|all| {
                all.get(&aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount)?
                    .parse::<u32>()
                    .ok()
            });
            let Some(permit) = permits.pop() else { break };
            let receipt =
                SqsReceipt { shared: self.shared.clone(), url: url.clone(), handle, _permit: permit };
            match serde_json::from_str(&body) {
                Ok(announcement) => {
                    let redelivered = count.is_some_and(|count| count > 1);
                    self.ready.push(Delivery { announcement, redelivered, receipt: Box::new(receipt) });
                }
                // Left alone: after some deliveries SQS itself puts it aside.
                Err(error) => {
                    tracing::warn!(%error, class = self.class.as_str(), "an unreadable announcement was ignored");
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct SqsReceipt {
    shared: Arc<Shared>,
    url: String,
    handle: String,
    _permit: OwnedSemaphorePermit,
}

impl SqsReceipt {
    async fn hide_for(&self, time: Duration) {
        let request = self
            .shared
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(&self.handle)
            .visibility_timeout(time.as_secs() as i32);
        if let Err(error) = request.send().await {
            let error = DisplayErrorContext(&error).to_string();
            tracing::debug!(error, "SQS did not take it; the announcement comes again and finds nothing");
        }
    }
}

#[async_trait]
impl Receipt for SqsReceipt {
    async fn done(self: Box<Self>) {
        let request = self.shared.client.delete_message().queue_url(&self.url).receipt_handle(&self.handle);
        if let Err(error) = request.send().await {
            let error = DisplayErrorContext(&error).to_string();
            tracing::debug!(
                error,
                "an acknowledgement was lost; the announcement comes again and finds nothing"
            );
        }
    }

    async fn again(self: Box<Self>) {
        self.hide_for(Duration::ZERO).await;
    }

    async fn hold(&self) {
        self.hide_for(self.shared.visibility).await;
    }
}
