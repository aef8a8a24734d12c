//! A bucket of a test's own, on the S3 server of the tests.

use aws_sdk_s3::types::{CorsConfiguration, CorsRule, Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;

use super::service;
use crate::objects::{ObjectsError, S3Credentials, S3Objects};

/// An S3 service that tests may make buckets in.
#[derive(Debug, Clone)]
pub struct S3Service {
    /// Its endpoint.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// Who may do everything there.
    pub credentials: S3Credentials,
}

impl S3Service {
    /// Garage: signatures, ranges, multipart, CORS as on a real one.
    pub fn garage() -> Self {
        Self {
            endpoint: service("LECTERN_TEST_S3_ENDPOINT"),
            region: service("LECTERN_TEST_S3_REGION"),
            credentials: S3Credentials {
                access_key: service("LECTERN_TEST_S3_ACCESS_KEY"),
                secret_key: service("LECTERN_TEST_S3_SECRET_KEY").into(),
            },
        }
    }

    /// moto: events, and headers that it repeats. Checks no signatures.
    pub fn moto() -> Self {
        Self {
            endpoint: service("LECTERN_TEST_MOTO_ENDPOINT"),
            region: "us-east-1".into(),
            credentials: S3Credentials { access_key: "test".into(), secret_key: "test".to_owned().into() },
        }
    }

    /// The same service, reached at another address.
    pub fn at(&self, address: impl std::fmt::Display) -> Self {
        Self { endpoint: format!("http://{address}"), ..self.clone() }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.endpoint.trim_start_matches("http://").to_owned()
    }

    /// The SDK's client, for what a test does behind the program's back.
    pub fn client(&self) -> aws_sdk_s3::Client {
        use secrecy::ExposeSecret as _;
        let S3Credentials { access_key, secret_key } = &self.credentials;
        let keys =
            aws_sdk_s3::config::Credentials::new(access_key, secret_key.expose_secret(), None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_s3::config::Region::new(self.region.clone()))
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .credentials_provider(keys)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Makes a bucket with a name of its own.
    pub async fn make_bucket(&self) -> String {
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        self.client().create_bucket().bucket(&name).send().await.expect("the test account may make buckets");
        name
    }

    /// The URL of a bucket here, with more parameters.
    pub fn url(&self, bucket: &str, more: &str) -> String {
        format!("s3://{bucket}?endpoint={}&region={}&path_style=true{more}", self.endpoint, self.region)
    }

    /// Opens a bucket.
    pub async fn open(&self, bucket: &str) -> Result<S3Objects, ObjectsError> {
        S3Objects::open(&self.url(bucket, ""), Some(self.credentials.clone())).await
    }

    /// Lets browsers of any origin send parts to a bucket and read their tags.
    pub async fn allow_browsers(&self, bucket: &str) {
        let rule = CorsRule::builder()
            .allowed_origins("*")
            .allowed_methods("PUT")
            .allowed_headers("*")
            .expose_headers("ETag")
            .build()
            .expect("a rule with origins and methods");
        let rules = CorsConfiguration::builder().cors_rules(rule).build().expect("a rule");
        self.client()
            .put_bucket_cors()
            .bucket(bucket)
            .cors_configuration(rules)
            .send()
            .await
            .expect("CORS is set");
    }

    /// Makes an SQS queue that a bucket tells of the objects created in it (moto only). Gives its `sqs:` URL.
    pub async fn make_events_queue(&self, bucket: &str) -> String {
        let sqs = self.sqs();
        // Short, so that a test meets messages that come again.
        let made = sqs
            .create_queue()
            .queue_name(format!("{bucket}-events"))
            .attributes(QueueAttributeName::VisibilityTimeout, "2")
            .send()
            .await
            .expect("a queue");
        let url = made.queue_url.expect("a queue has a URL");
        let attributes =
            sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::QueueArn);
        let attributes =
            attributes.send().await.expect("the queue's attributes").attributes.unwrap_or_default();
        let queue = QueueConfiguration::builder()
            .queue_arn(&attributes[&QueueAttributeName::QueueArn])
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .expect("a queue and events");
        let notifications = NotificationConfiguration::builder().queue_configurations(queue).build();
        let set = self.client().put_bucket_notification_configuration().bucket(bucket);
        set.notification_configuration(notifications).send().await.expect("notifications are set");
        format!("sqs:{url}")
    }

    /// Messages in a queue, those that are hidden at the moment included.
    pub async fn messages(&self, url: &str) -> usize {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let request = self.sqs().get_queue_attributes().queue_url(url.trim_start_matches("sqs:"));
        let request = request.set_attribute_names(Some(names.to_vec()));
        let attributes = request.send().await.expect("the queue's attributes").attributes.unwrap_or_default();
        names.iter().map(|name| attributes[name].parse::<usize>().expect("a number")).sum()
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        use secrecy::ExposeSecret as _;
        let S3Credentials { access_key, secret_key } = &self.credentials;
        let keys =
            aws_sdk_sqs::config::Credentials::new(access_key, secret_key.expose_secret(), None, None, "test");
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version_latest()
            .region(aws_sdk_sqs::config::Region::new(self.region.clone()))
            .endpoint_url(&self.endpoint)
            .credentials_provider(keys)
            .build();
        aws_sdk_sqs::Client::from_conf(config)
    }
}
