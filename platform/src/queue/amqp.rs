//! RabbitMQ: a quorum queue for each class of work, one for what was put aside, a topic exchange for events. All of it is
//! declared here, again after every reconnection, so that a broker that lost everything is made whole.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ExchangeKind,
    message::Delivery as Message,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
        BasicRejectOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use lectern_domain::job::{WorkClass, trace_parent};
use tokio::{sync::Mutex, time::timeout};
use url::Url;

use super::{
    Announcement, DELIVERY_LIMIT, Deliveries, Delivery, Events, Queue, QueueError, Receipt, failed,
    take_prefix,
};
use crate::events::Event;

/// How long connecting, or confirming a batch, may take: a connection that is half open says nothing.
const PATIENCE: Duration = Duration::from_secs(15);
/// Seconds without a frame after which either side takes the other for gone (twice that).
const HEARTBEAT: u16 = 10;
/// Put-aside announcements that are kept: evidence, not work.
const KEPT_DEAD: i64 = 10_000;

/// Work and events over RabbitMQ. Cheap to clone.
#[derive(Clone)]
pub struct AmqpQueue(Arc<Shared>);

struct Shared {
    uri: AMQPUri,
    prefix: String,
    connection: Mutex<Option<Arc<Connection>>>,
    /// In confirm mode; whoever publishes holds it.
    publisher: Mutex<Option<Channel>>,
}

impl std::fmt::Debug for AmqpQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpQueue").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

impl AmqpQueue {
    /// Reads `amqp://USER:PASSWORD@HOST:PORT/VHOST?prefix=NAME`. Connects when first used.
    pub fn open(url: &Url) -> Result<Self, QueueError> {
        let mut url = url.clone();
        let prefix = take_prefix(&mut url)?;
        let wrong = |_: String| QueueError {
            action: "queue.url",
            detail: "expected amqp://USER:PASSWORD@HOST:PORT/VHOST?prefix=NAME".into(),
        };
        let mut uri: AMQPUri = url.as_str().parse().map_err(wrong)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        uri.query.connection_timeout.get_or_insert(PATIENCE.as_millis() as u64);
        Ok(Self(Arc::new(Shared { uri, prefix, connection: Mutex::default(), publisher: Mutex::default() })))
    }
}

impl Shared {
    fn queue(&self, class: WorkClass) -> String {
        format!("{}.work.{}", self.prefix, class.as_str())
    }

    fn dead(&self) -> String {
        format!("{}.dead", self.prefix)
    }

    fn exchange(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The connection, made anew if it is gone. Whoever asks meanwhile waits for the same one.
    async fn connection(&self) -> Result<Arc<Connection>, QueueError> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(connection.clone());
        }
        let name = format!("lectern {}", env!("CARGO_PKG_VERSION"));
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connect = async {
            let connection = Connection::connect_uri(self.uri.clone(), properties).await?;
            self.declare(&connection).await?;
            lapin::Result::Ok(connection)
        };
        let connection = timeout(PATIENCE, connect)
            .await
            .map_err(failed("connect to RabbitMQ"))?
            .map_err(failed("connect to RabbitMQ"))?;
        Ok(held.insert(Arc::new(connection)).clone())
    }

    async fn declare(&self, connection: &Connection) -> lapin::Result<()> {
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut dead = FieldTable::default();
        dead.insert("x-queue-type".into(), text("quorum"));
        dead.insert("x-max-length".into(), AMQPValue::LongLongInt(KEPT_DEAD));
        channel.queue_declare(self.dead().into(), durable, dead).await?;
        for class in WorkClass::ALL {
            let mut work = FieldTable::default();
            work.insert("x-queue-type".into(), text("quorum"));
            work.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT.into()));
            work.insert("x-dead-letter-exchange".into(), text(""));
            work.insert("x-dead-letter-routing-key".into(), text(&self.dead()));
            channel.queue_declare(self.queue(class).into(), durable, work).await?;
        }
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(self.exchange().into(), ExchangeKind::Topic, options, FieldTable::default())
            .await?;
        channel.close(200, "declared".into()).await
    }

    /// Publishes messages and waits until the broker has all of them: `(exchange, routing key, body, headers)`.
    async fn send(&self, messages: Vec<(String, String, Vec<u8>, FieldTable)>) -> Result<(), QueueError> {
        let mut held = self.publisher.lock().await;
        let sent = timeout(PATIENCE, self.send_on(&mut held, messages)).await;
        let result = sent.unwrap_or_else(|_| {
            Err(QueueError { action: "publish", detail: "no confirmation in time".into() })
        });
        if result.is_err() {
            // Nobody knows what of it arrived: the next one begins on a channel of its own.
            *held = None;
        }
        result
    }

    async fn send_on(
        &self,
        held: &mut Option<Channel>,
        messages: Vec<(String, String, Vec<u8>, FieldTable)>,
    ) -> Result<(), QueueError> {
        let channel = match held {
            Some(channel) if channel.status().connected() => channel.clone(),
            _ => {
                let channel =
                    self.connection().await?.create_channel().await.map_err(failed("open a channel"))?;
                channel
                    .confirm_select(ConfirmSelectOptions::default())
                    .await
                    .map_err(failed("ask for confirmations"))?;
                held.insert(channel).clone()
            }
        };
        let mut confirms = Vec::with_capacity(messages.len());
        for (exchange, key, body, headers) in messages {
            // Work that no queue takes comes back; an event that nobody listens to is lost by right.
            let options = BasicPublishOptions { mandatory: exchange.is_empty(), immediate: false };
            let properties = BasicProperties::default()
                .with_delivery_mode(2)
                .with_content_type("application/json".into())
                .with_headers(headers);
            let confirm =
                channel.basic_publish(exchange.into(), key.into(), options, &body, properties).await;
            confirms.push(confirm.map_err(failed("publish"))?);
        }
        for confirm in confirms {
            match confirm.await.map_err(failed("publish"))? {
                Confirmation::Ack(None) => {}
                Confirmation::Ack(Some(_)) => {
                    // Somebody deleted the queue: the next connection declares it again.
                    *self.connection.lock().await = None;
                    let detail = "the broker has no queue for it (any more)".into();
                    return Err(QueueError { action: "publish", detail });
                }
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    let detail = "the broker did not take it".into();
                    return Err(QueueError { action: "publish", detail });
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for AmqpQueue {
    async fn announce(&self, work: &[Announcement]) -> Result<(), QueueError> {
        let message = |one: &Announcement| {
            let mut headers = FieldTable::default();
            let trace = trace_parent(one.asset, one.job);
            headers.insert("traceparent".into(), AMQPValue::LongString(trace.into()));
            let body = serde_json::to_vec(one).expect("an announcement is plain data");
            (String::new(), self.0.queue(one.class), body, headers)
        };
        self.0.send(work.iter().map(message).collect()).await
    }

    async fn publish(&self, events: &[Event]) -> Result<(), QueueError> {
        let message = |event: &Event| {
            let body = event.body.to_string().into_bytes();
            (self.0.exchange(), event.topic.clone(), body, FieldTable::default())
        };
        self.0.send(events.iter().map(message).collect()).await
    }

    fn subscribe(&self, class: WorkClass, prefetch: u16) -> Box<dyn Deliveries> {
        let source = Source::Work { class, prefetch };
        Box::new(AmqpDeliveries(Subscription { shared: self.0.clone(), source, open: None }))
    }

    fn listen(&self) -> Option<Box<dyn Events>> {
        let subscription = Subscription { shared: self.0.clone(), source: Source::Events, open: None };
        Some(Box::new(AmqpEvents(subscription)))
    }

    async fn depth(&self, class: Option<WorkClass>) -> Result<u64, QueueError> {
        let name = class.map_or_else(|| self.0.dead(), |class| self.0.queue(class));
        let look = async {
            let channel = self.0.connection().await?.create_channel().await.map_err(failed("depth"))?;
            let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel
                .queue_declare(name.into(), passive, FieldTable::default())
                .await
                .map_err(failed("depth"))?;
            let _ = channel.close(200, "seen".into()).await;
            Ok(u64::from(queue.message_count()))
        };
        timeout(PATIENCE, look).await.map_err(failed("depth"))?
    }

    async fn check(&self) -> Result<(), QueueError> {
        self.0.connection().await.map(drop)
    }
}

/// What a subscription consumes.
#[derive(Clone, Copy)]
enum Source {
    Work { class: WorkClass, prefetch: u16 },
    Events,
}

/// A consumer that comes back.
struct Subscription {
    shared: Arc<Shared>,
    source: Source,
    open: Option<(Channel, Consumer)>,
}

impl Subscription {
    /// The next message. `None`: the consumer was lost and is there again.
    async fn next(&mut self) -> Option<Message> {
        let Some((_, consumer)) = &mut self.open else {
            self.reopen().await;
            return None;
        };
        match consumer.next().await {
            Some(Ok(message)) => Some(message),
            lost => {
                let detail = lost.and_then(Result::err).map(|error| error.to_string());
                tracing::warn!(source = self.name(), detail, "lost RabbitMQ; connecting again");
                self.open = None;
                self.reopen().await;
                tracing::info!(source = self.name(), "RabbitMQ is there again");
                None
            }
        }
    }

    fn name(&self) -> &'static str {
        match self.source {
            Source::Work { class, .. } => class.as_str(),
            Source::Events => "events",
        }
    }

    async fn reopen(&mut self) {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(10))
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            match timeout(PATIENCE, self.consume()).await {
                Ok(Ok(open)) => {
                    self.open = Some(open);
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(source = self.name(), %error, "no RabbitMQ; will try again");
                }
                Err(_) => tracing::warn!(source = self.name(), "RabbitMQ does not answer; will try again"),
            }
            tokio::time::sleep(waits.next().unwrap_or(Duration::from_secs(10))).await;
        }
    }

    async fn consume(&self) -> Result<(Channel, Consumer), QueueError> {
        let channel =
            self.shared.connection().await?.create_channel().await.map_err(failed("open a channel"))?;
        let consumer = match self.source {
            Source::Work { class, prefetch } => {
                let queue = self.shared.queue(class);
                channel
                    .basic_qos(prefetch, BasicQosOptions::default())
                    .await
                    .map_err(failed("set the prefetch"))?;
                channel
                    .basic_consume(
                        queue.into(),
                        "".into(),
                        BasicConsumeOptions::default(),
                        FieldTable::default(),
                    )
                    .await
            }
            Source::Events => {
                // A queue of this process alone, gone with its connection: what happens meanwhile is read elsewhere.
                let own = QueueDeclareOptions {
                    exclusive: true,
                    auto_delete: true,
                    ..QueueDeclareOptions::default()
                };
                let queue = channel
                    .queue_declare("".into(), own, FieldTable::default())
                    .await
                    .map_err(failed("declare a queue for events"))?;
                channel
                    .queue_bind(
                        queue.name().clone(),
                        self.shared.exchange().into(),
                        "#".into(),
                        QueueBindOptions::default(),
                        FieldTable::default(),
                    )
                    .await
                    .map_err(failed("bind a queue for events"))?;
                let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
                channel.basic_consume(queue.name().clone(), "".into(), no_ack, FieldTable::default()).await
            }
        };
        let consumer = consumer.map_err(failed("consume"))?;
        Ok((channel, consumer))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // What was handed out and not acknowledged goes back at once, not when the connection ends.
        if let (Some((channel, _)), Ok(runtime)) = (self.open.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { channel.close(200, "done".into()).await });
        }
    }
}

struct AmqpDeliveries(Subscription);

#[async_trait]
impl Deliveries for AmqpDeliveries {
    async fn next(&mut self) -> Delivery {
        loop {
            let Some(message) = self.0.next().await else { continue };
            match serde_json::from_slice::<Announcement>(&message.data) {
                Ok(announcement) => {
                    let redelivered = message.redelivered;
                    return Delivery { announcement, redelivered, receipt: Box::new(AmqpReceipt(message)) };
                }
                Err(error) => {
                    tracing::warn!(%error, source = self.0.name(), "an unreadable announcement was put aside");
                    // Not to be handed out again: the broker moves it to the dead-letter queue.
                    let _ = message.acker.reject(BasicRejectOptions { requeue: false }).await;
                }
            }
        }
    }
}

#[derive(Debug)]
struct AmqpReceipt(Message);

#[async_trait]
impl Receipt for AmqpReceipt {
    async fn done(self: Box<Self>) {
        if let Err(error) = self.0.acker.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "an acknowledgement was lost; the announcement comes again and finds nothing");
        }
    }

    async fn again(self: Box<Self>) {
        let options = BasicNackOptions { requeue: true, multiple: false };
        if let Err(error) = self.0.acker.nack(options).await {
            tracing::debug!(%error, "an announcement could not be given back; it goes back with the connection");
        }
    }
}

struct AmqpEvents(Subscription);

#[async_trait]
impl Events for AmqpEvents {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let message = self.0.next().await?;
            match serde_json::from_slice(&message.data) {
                Ok(body) => return Some(Event { topic: message.routing_key.to_string(), body }),
                Err(error) => tracing::warn!(%error, "an unreadable event was ignored"),
            }
        }
    }
}
