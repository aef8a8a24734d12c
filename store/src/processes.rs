//! The processes of a deployment: who is there, what each may do, who does what only one may do at a time.

use lectern_domain::{Timestamp, ids::ProcessId};

use crate::{
    Db, Error,
    row::{FromRow, Row},
    statement::statements,
    value::args,
};

statements! {
    ENTER = both(
        "INSERT INTO processes (id, host, pid, version, roles, slots, memory_mib, drain, started_at, seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8, $8)"
    );
    SEEN = both("UPDATE processes SET seen_at = $2 WHERE id = $1 RETURNING drain");
    LEAVE = both("DELETE FROM processes WHERE id = $1");
    FORGET = both("DELETE FROM processes WHERE seen_at < $1");
    LIST = both(
        "SELECT id, host, pid, version, roles, slots, memory_mib, drain, started_at, seen_at FROM processes \
         ORDER BY started_at, id"
    );
    DRAIN = both("UPDATE processes SET drain = $2 WHERE id = $1");
    // Taken when free, run out, or one's own.
    HOLD = both(
        "INSERT INTO duties (name, holder, expires_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE \
         SET holder = excluded.holder, expires_at = excluded.expires_at \
         WHERE duties.holder = excluded.holder OR duties.expires_at <= $4"
    );
    RELEASE = both("DELETE FROM duties WHERE name = $1 AND holder = $2");
    MAKE_MONTHS = split(
        "SELECT 0 * $2 AS made WHERE $1 IS NOT NULL",
        "SELECT make_months($1, $2) AS made",
    );
}

/// A process of the deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    /// The owner of leases.
    pub id: ProcessId,
    /// The machine's name.
    pub host: String,
    /// Its number there.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// What it does.
    pub roles: Vec<String>,
    /// Jobs it runs at once.
    pub slots: u64,
    /// Memory that these may take together, MiB.
    pub memory_mib: u64,
    /// Whether it was asked to take no new job.
    pub drain: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last said that it lives.
    pub seen_at: Timestamp,
}

impl FromRow for Process {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.get("id")?,
            host: row.get("host")?,
            pid: row.get("pid")?,
            version: row.get("version")?,
            roles: row.json("roles")?,
            slots: row.get("slots")?,
            memory_mib: row.get("memory_mib")?,
            drain: row.get("drain")?,
            started_at: row.get("started_at")?,
            seen_at: row.get("seen_at")?,
        })
    }
}

/// A process begins.
pub async fn enter(db: &Db, process: &Process) -> Result<(), Error> {
    let roles = serde_json::Value::from(process.roles.clone());
    let args = args![
        process.id,
        process.host.as_str(),
        process.pid,
        process.version.as_str(),
        roles,
        process.slots,
        process.memory_mib,
        process.started_at,
    ];
    db.execute(ENTER, args).await.map(drop)
}

/// A process lives. Whether it shall drain; none: it is not registered (any more).
pub async fn seen(db: &Db, id: ProcessId, now: Timestamp) -> Result<Option<bool>, Error> {
    struct Drain(bool);
    impl FromRow for Drain {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.get("drain").map(Self)
        }
    }
    Ok(db.fetch_optional::<Drain>(SEEN, args![id, now]).await?.map(|drain| drain.0))
}

/// A process ends.
pub async fn leave(db: &Db, id: ProcessId) -> Result<(), Error> {
    db.execute(LEAVE, args![id]).await.map(drop)
}

/// Forgets processes that were not seen since. How many.
pub async fn forget(db: &Db, since: Timestamp) -> Result<u64, Error> {
    db.execute(FORGET, args![since]).await
}

/// All of them, oldest first.
pub async fn list(db: &Db) -> Result<Vec<Process>, Error> {
    db.fetch_all(LIST, args![]).await
}

/// Asks a process to take no new job, or to take jobs again. False: there is none such.
pub async fn drain(db: &Db, id: ProcessId, drain: bool) -> Result<bool, Error> {
    Ok(db.execute(DRAIN, args![id, drain]).await? == 1)
}

/// Takes or renews a duty. False: another process has it.
pub async fn hold(
    db: &Db,
    duty: &str,
    holder: ProcessId,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(db.execute(HOLD, args![duty, holder, until, now]).await? == 1)
}

/// Gives a duty up.
pub async fn release(db: &Db, duty: &str, holder: ProcessId) -> Result<(), Error> {
    db.execute(RELEASE, args![duty, holder]).await.map(drop)
}

/// Makes the partitions of logs for this month and some ahead. How many were missing.
pub async fn make_months(db: &Db, now: Timestamp, ahead: u32) -> Result<u64, Error> {
    struct Made(u64);
    impl FromRow for Made {
        fn from_row(row: &Row) -> Result<Self, Error> {
            row.get("made").map(Self)
        }
    }
    Ok(db.fetch_optional::<Made>(MAKE_MONTHS, args![now, ahead]).await?.map_or(0, |made| made.0))
}
