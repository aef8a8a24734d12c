//! Rows of either engine, read by column name.

use lectern_domain::{
    Timestamp,
    ids::{
        AssetId, CaptionId, CourseId, JobId, Kid, LessonId, PackageId, ProcessId, SessionId, TokenFamilyId,
        UploadId, UserId,
    },
};
use serde::de::DeserializeOwned;
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::Error;

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What a row can be turned into.
pub(crate) trait FromRow: Sized {
    fn from_row(row: &Row) -> Result<Self, Error>;
}

/// What a column can be read as.
pub(crate) trait Column: Sized {
    fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error>;
}

impl Row {
    /// A column that is never null.
    pub(crate) fn get<T: Column>(&self, name: &str) -> Result<T, Error> {
        self.maybe(name)?.ok_or_else(|| corrupt(name, "expected a value, got null"))
    }

    /// A column that may be null.
    pub(crate) fn maybe<T: Column>(&self, name: &str) -> Result<Option<T>, Error> {
        T::read(self, name).map_err(|error| corrupt(name, error))
    }

    /// A JSON column, read into a type.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let value: serde_json::Value = self.get(name)?;
        serde_json::from_value(value).map_err(|error| corrupt(name, error))
    }

    /// A JSON column that may be null.
    pub(crate) fn maybe_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let value: Option<serde_json::Value> = self.maybe(name)?;
        value.map(|value| serde_json::from_value(value).map_err(|error| corrupt(name, error))).transpose()
    }

    /// A text column from a closed vocabulary.
    pub(crate) fn word<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        let text: String = self.get(name)?;
        parse(&text).ok_or_else(|| corrupt(name, format!("unknown word {text:?}")))
    }
}

/// A [`Error::Corrupt`] for a column.
pub(crate) fn corrupt(column: &str, detail: impl std::fmt::Display) -> Error {
    Error::Corrupt { column: column.to_owned(), detail: detail.to_string() }
}

macro_rules! native {
    ($($type:ty),*) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
                match row {
                    Row::Sqlite(row) => row.try_get(name),
                    Row::Postgres(row) => row.try_get(name),
                }
            }
        }
    )*};
}
native!(bool, i64, f64, String, Vec<u8>, Uuid);

impl Column for u32 {
    fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
        let value = i64::read(row, name)?;
        value.map(|v| Self::try_from(v).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
    }
}

impl Column for u64 {
    fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
        let value = i64::read(row, name)?;
        value.map(|v| Self::try_from(v).map_err(|error| sqlx::Error::Decode(error.into()))).transpose()
    }
}

impl Column for Timestamp {
    fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
        match row {
            Row::Sqlite(row) => row
                .try_get::<Option<i64>, _>(name)?
                .map(|micros| {
                    Self::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
                        .map_err(|error| sqlx::Error::Decode(error.into()))
                })
                .transpose(),
            Row::Postgres(row) => row.try_get(name),
        }
    }
}

impl Column for serde_json::Value {
    fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
        match row {
            Row::Sqlite(row) => row
                .try_get::<Option<String>, _>(name)?
                .map(|text| serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into())))
                .transpose(),
            Row::Postgres(row) => row.try_get(name),
        }
    }
}

macro_rules! ids {
    ($($type:ident),*) => {$(
        impl Column for $type {
            fn read(row: &Row, name: &str) -> Result<Option<Self>, sqlx::Error> {
                Ok(Uuid::read(row, name)?.map(Self::from_uuid))
            }
        }
    )*};
}
ids!(
    UserId,
    CourseId,
    LessonId,
    AssetId,
    CaptionId,
    UploadId,
    PackageId,
    JobId,
    ProcessId,
    SessionId,
    TokenFamilyId,
    Kid
);
