//! The queue: who tells workers that there is work. The jobs table is the truth; a delivery only says "look again", so one
//! that is lost costs a worker's next look, one that comes twice finds nothing, and none names what must be done.
//!
//! A delivery is acknowledged when the job that was claimed through it has ended, so that a broker's count of what is
//! unacknowledged is the count of what is being done.

mod amqp;
mod local;
mod sqs;

use std::sync::Arc;

use async_trait::async_trait;
use lectern_domain::{
    ids::{AssetId, JobId},
    job::WorkClass,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

pub use amqp::AmqpQueue;
pub use local::LocalQueue;
pub use sqs::SqsQueue;

use crate::events::Event;

/// Times that a broker hands out one announcement before it is put aside in the dead-letter queue: only something that
/// takes every worker down comes that far, and the job's own attempts bound it sooner.
pub(crate) const DELIVERY_LIMIT: u32 = 50;

/// Why the broker did not do it. Addresses of brokers carry passwords, so none is in here.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {detail}")]
pub struct QueueError {
    /// What was being done.
    pub action: &'static str,
    /// What the broker, or the way to it, said.
    pub detail: String,
}

pub(crate) fn failed<E: std::fmt::Display>(action: &'static str) -> impl FnOnce(E) -> QueueError {
    move |error| QueueError { action, detail: error.to_string() }
}

/// "There is work": one job became ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Which queue.
    pub class: WorkClass,
    /// The job that became ready. Whoever hears of it claims the most urgent one of the class, perhaps another.
    pub job: JobId,
    /// Whose job.
    pub asset: AssetId,
    /// Attempts before this one.
    pub attempt: u32,
}

/// A way to tell workers of work.
#[async_trait]
pub trait Queue: Send + Sync + std::fmt::Debug {
    /// Announces work. When it succeeds every announcement is as durable as the broker makes things.
    async fn announce(&self, work: &[Announcement]) -> Result<(), QueueError>;
    /// Tells other processes of events, where the broker has a way to. Durable as above.
    async fn publish(&self, events: &[Event]) -> Result<(), QueueError>;
    /// Announcements of a class, at most `prefetch` of them unacknowledged. Connects when first asked.
    fn subscribe(&self, class: WorkClass, prefetch: u16) -> Box<dyn Deliveries>;
    /// Events from other processes, from the time of the first call on. None where there is no way.
    fn listen(&self) -> Option<Box<dyn Events>>;
    /// How many announcements of a class wait to be handed out; `None`: how many were put aside.
    async fn depth(&self, class: Option<WorkClass>) -> Result<u64, QueueError>;
    /// Whether the broker answers.
    async fn check(&self) -> Result<(), QueueError>;
}

/// A shared queue.
pub type SharedQueue = Arc<dyn Queue>;

/// Announcements as they come.
#[async_trait]
pub trait Deliveries: Send {
    /// The next one. Waits as long as it takes, over lost connections too.
    async fn next(&mut self) -> Delivery;
}

/// Events as they come.
#[async_trait]
pub trait Events: Send {
    /// The next one. Waits as long as it takes. `None`: the connection was lost, anything may have happened meanwhile.
    async fn next(&mut self) -> Option<Event>;
}

/// An announcement in a worker's hand. Dropped without a word it comes again, sooner or later.
#[derive(Debug)]
pub struct Delivery {
    /// What it says.
    pub announcement: Announcement,
    /// Whether it was handed out before.
    pub redelivered: bool,
    receipt: Box<dyn Receipt>,
}

impl Delivery {
    /// The work is done, or was not there.
    pub async fn done(self) {
        self.receipt.done().await;
    }

    /// Somebody else shall take it.
    pub async fn again(self) {
        self.receipt.again().await;
    }

    /// Still at it. To be said every [`HOLD`].
    pub async fn hold(&self) {
        self.receipt.hold().await;
    }
}

/// How often to say that a delivery is still being worked on: a third of what SQS waits.
pub const HOLD: std::time::Duration = std::time::Duration::from_secs(20);

/// A broker's side of a delivery. What fails is logged and forgotten: the announcement comes again and finds nothing.
#[async_trait]
pub(crate) trait Receipt: Send + Sync + std::fmt::Debug {
    async fn done(self: Box<Self>);
    async fn again(self: Box<Self>);
    async fn hold(&self) {}
}

/// Opens the queue that a URL names: `local:`, `amqp://…` or `amqps://…` (RabbitMQ), `sqs://REGION/…`.
pub async fn open(url: &SecretString) -> Result<SharedQueue, QueueError> {
    use secrecy::ExposeSecret as _;
    let wrong = |detail: &str| QueueError { action: "queue.url", detail: detail.to_owned() };
    let text = url.expose_secret();
    if text == "local:" {
        return Ok(Arc::new(LocalQueue::default()));
    }
    let url = Url::parse(text).map_err(|error| {
        wrong(&format!("expected local:, amqp://HOST/VHOST or sqs://REGION/PREFIX, got no URL ({error})"))
    })?;
    match url.scheme() {
        "amqp" | "amqps" => Ok(Arc::new(AmqpQueue::open(&url)?)),
        "sqs" => Ok(Arc::new(SqsQueue::open(&url).await?)),
        other => Err(wrong(&format!(
            "expected local:, amqp:, amqps: or sqs:, got a URL that begins with {other:?}"
        ))),
    }
}

/// A parameter of a broker's URL, removed from it.
pub(crate) fn take_parameter(url: &mut Url, name: &str) -> Option<String> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (taken, rest): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(key, _)| key == name);
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    taken.into_iter().next_back().map(|(_, value)| value)
}

/// The word before every name that Lectern gives in a broker, so that deployments can share one.
pub(crate) fn take_prefix(url: &mut Url) -> Result<String, QueueError> {
    let prefix = take_parameter(url, "prefix").unwrap_or_else(|| "lectern".into());
    let plain = (1..=40).contains(&prefix.len())
        && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain {
        return Ok(prefix);
    }
    let detail = format!("expected a prefix of 1 to 40 letters, digits, - and _, got {prefix:?}");
    Err(QueueError { action: "queue.url", detail })
}
