//! Arguments of statements: one enum that binds to both engines with their native types.

use lectern_domain::{
    Timestamp,
    ids::{
        AssetId, CaptionId, CourseId, JobId, Kid, LessonId, PackageId, ProcessId, SessionId, TokenFamilyId,
        UploadId, UserId,
    },
};
use sqlx::{Postgres, Sqlite, postgres::PgArguments, query::Query, sqlite::SqliteArguments};
use uuid::Uuid;

/// One argument, or a typed null.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Bool(Option<bool>),
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Time(Option<Timestamp>),
    Json(Option<serde_json::Value>),
}

/// Microseconds since the Unix epoch: how SQLite keeps time.
pub(crate) fn to_micros(time: Timestamp) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

impl Value {
    pub(crate) fn bind_sqlite(
        self,
        query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Query<'_, Sqlite, SqliteArguments> {
        match self {
            Self::Bool(v) => query.bind(v),
            Self::Int(v) => query.bind(v),
            Self::Real(v) => query.bind(v),
            Self::Text(v) => query.bind(v),
            Self::Bytes(v) => query.bind(v),
            Self::Uuid(v) => query.bind(v),
            Self::Time(v) => query.bind(v.map(to_micros)),
            Self::Json(v) => query.bind(v.map(|json| json.to_string())),
        }
    }

    pub(crate) fn bind_postgres(
        self,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Query<'_, Postgres, PgArguments> {
        match self {
            Self::Bool(v) => query.bind(v),
            Self::Int(v) => query.bind(v),
            Self::Real(v) => query.bind(v),
            Self::Text(v) => query.bind(v),
            Self::Bytes(v) => query.bind(v),
            Self::Uuid(v) => query.bind(v),
            Self::Time(v) => query.bind(v),
            Self::Json(v) => query.bind(v.map(sqlx::types::Json)),
        }
    }
}

/// What can be an argument.
pub(crate) trait Bind {
    fn bind(self) -> Value;
}

macro_rules! bind {
    ($($type:ty => $variant:ident($convert:expr);)*) => {$(
        impl Bind for $type {
            fn bind(self) -> Value { Value::$variant(Some($convert(self))) }
        }
        impl Bind for Option<$type> {
            fn bind(self) -> Value { Value::$variant(self.map($convert)) }
        }
    )*};
}

bind! {
    bool => Bool(|v| v);
    i64 => Int(|v| v);
    u32 => Int(i64::from);
    u64 => Int(|v| i64::try_from(v).unwrap_or(i64::MAX));
    f64 => Real(|v| v);
    String => Text(|v| v);
    &str => Text(str::to_owned);
    Vec<u8> => Bytes(|v| v);
    &[u8] => Bytes(<[u8]>::to_vec);
    Uuid => Uuid(|v| v);
    UserId => Uuid(UserId::uuid);
    CourseId => Uuid(CourseId::uuid);
    LessonId => Uuid(LessonId::uuid);
    AssetId => Uuid(AssetId::uuid);
    CaptionId => Uuid(CaptionId::uuid);
    UploadId => Uuid(UploadId::uuid);
    PackageId => Uuid(PackageId::uuid);
    JobId => Uuid(JobId::uuid);
    ProcessId => Uuid(ProcessId::uuid);
    SessionId => Uuid(SessionId::uuid);
    TokenFamilyId => Uuid(TokenFamilyId::uuid);
    Kid => Uuid(Kid::uuid);
    Timestamp => Time(|v| v);
    serde_json::Value => Json(|v| v);
}

/// The arguments of a statement, in the order of `$1`, `$2`, ….
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Bind::bind($value)),*] };
}
pub(crate) use args;
