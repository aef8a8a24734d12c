//! The outbox: what other processes must hear of, written by triggers in the transaction that makes it true (PostgreSQL;
//! see migration 0002) and relayed after it committed. What is relayed twice does no harm: it is news, not truth.

use lectern_domain::Timestamp;

use crate::{
    Db, Error,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

statements! {
    DUE = both("SELECT id, topic, body FROM outbox WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2");
    RELAYED = split(
        "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each($1))",
        "DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT jsonb_array_elements_text($1)::bigint))",
    );
    COUNT = both("SELECT COUNT(*) AS rows FROM outbox");
}

/// Something to relay.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Its place.
    pub id: i64,
    /// `job.CLASS`, `asset.STATE`, `entitlement.changed`, `key.revoked`.
    pub topic: String,
    /// Ids of what it is about, as UUIDs.
    pub body: serde_json::Value,
}

impl FromRow for Outgoing {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self { id: row.get("id")?, topic: row.get("topic")?, body: row.get("body")? })
    }
}

/// What is due, oldest first.
pub async fn due(db: &Db, now: Timestamp, limit: u64) -> Result<Vec<Outgoing>, Error> {
    db.fetch_all(DUE, args![now, limit]).await
}

/// Forgets what was relayed.
pub async fn relayed(db: &Db, ids: &[i64]) -> Result<(), Error> {
    db.execute(RELAYED, args![serde_json::Value::from(ids)]).await.map(drop)
}

/// How much waits, due or not.
pub async fn count(db: &Db) -> Result<u64, Error> {
    struct Rows(u64);
    impl FromRow for Rows {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.get("rows").map(Self)
        }
    }
    Ok(db.fetch_optional::<Rows>(COUNT, args![]).await?.map_or(0, |rows| rows.0))
}
