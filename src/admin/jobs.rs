//! `lectern admin jobs` and `lectern admin workers`: what the API's `/admin` does, straight on the database.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use lectern_api::admin::{self, Ordered};
use lectern_domain::{
    ids::{AssetId, JobId, ProcessId},
    job::JobState,
};
use lectern_platform::clock::{Clock as _, SystemClock};
use lectern_store::{Db, jobs, processes};

use crate::{config::Config, serve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists jobs, latest first
    List {
        /// queued, leased, done, failed, parked or cancelled
        #[arg(long, value_parser = state)]
        state: Option<JobState>,
        /// Only those of this asset
        #[arg(long)]
        asset: Option<AssetId>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Shows a job and what happened to it
    Show {
        /// The job
        job: JobId,
    },
    /// Starts a failed or parked job's asset again; ends the wait of a queued job
    Retry {
        /// The job
        job: JobId,
    },
    /// Ends the work on a job's asset, which fails as cancelled and can be retried
    Cancel {
        /// The job
        job: JobId,
    },
    /// Asks a process to finish what it runs and to take no new job
    Drain {
        /// The process, as `lectern admin workers` shows it; without it, all of them
        worker: Option<ProcessId>,
        /// The opposite: take jobs again
        #[arg(long)]
        end: bool,
    },
}

fn state(text: &str) -> Result<JobState, String> {
    let words = JobState::ALL.map(JobState::as_str).join(", ");
    JobState::parse(text).ok_or_else(|| format!("expected one of {words}, got {text:?}"))
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    let db = serve::open_database(config).await?;
    let now = SystemClock.now();
    match command {
        Command::List { state, asset, limit } => {
            println!(
                "{:37} {:16} {:9} {:>4} {:>7} {:>5}  asset",
                "job", "kind", "state", "done", "attempt", "fails"
            );
            for job in jobs::list(&db, state, asset, None, limit).await? {
                println!(
                    "{:37} {:16} {:9} {:>3.0}% {:>7} {:>5}  {}",
                    job.id.to_string(),
                    job.payload.kind().as_str(),
                    job.state.as_str(),
                    job.progress * 100.0,
                    job.attempt,
                    job.failures,
                    job.payload.asset()
                );
            }
        }
        Command::Show { job } => {
            let found = admin::show(&db, job).await?.with_context(|| format!("there is no {job}"))?;
            println!("{}", serde_json::to_string_pretty(&found)?);
        }
        Command::Retry { job } => told(admin::retry(&db, job, now).await?, job, "retried")?,
        Command::Cancel { job } => told(admin::cancel(&db, job, now).await?, job, "cancelled")?,
        Command::Drain { worker, end } => drain(&db, worker, !end).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn told(ordered: Ordered, job: JobId, what: &str) -> anyhow::Result<()> {
    match ordered {
        Ordered::Done => {
            println!("{what} {job}");
            Ok(())
        }
        Ordered::Unknown => bail!("there is no {job}"),
        Ordered::NotNow(state) => {
            bail!("{job} is {} and cannot be {what}, or its asset cannot", state.as_str())
        }
    }
}

async fn drain(db: &Db, worker: Option<ProcessId>, drain: bool) -> anyhow::Result<()> {
    let all = processes::list(db).await?.into_iter().map(|process| process.id);
    let wanted: Vec<ProcessId> = worker.map_or_else(|| all.collect(), |worker| vec![worker]);
    for worker in wanted {
        if !processes::drain(db, worker, drain).await? {
            bail!("there is no {worker}; `lectern admin workers` lists those there are");
        }
        println!(
            "{worker} {}",
            if drain { "finishes what it runs and takes no new job" } else { "takes jobs again" }
        );
    }
    Ok(())
}

pub(crate) async fn workers(config: &Config) -> anyhow::Result<ExitCode> {
    let db = serve::open_database(config).await?;
    let now = SystemClock.now();
    for worker in admin::workers(&db).await? {
        let seen = (now - worker.seen_at).whole_seconds().max(0);
        let draining = if worker.draining { ", draining" } else { "" };
        println!(
            "{}  {}:{}  {}  {}  {}/{} jobs{draining}, seen {seen} s ago",
            worker.id,
            worker.host,
            worker.pid,
            worker.version,
            worker.roles.join(","),
            worker.jobs.len(),
            worker.slots
        );
        for job in worker.jobs {
            println!(
                "    {}  {} of {}, attempt {}, {:.0}%",
                job.id,
                serde_json::to_value(job.kind)?.as_str().unwrap_or_default(),
                job.asset_id,
                job.attempt,
                job.progress * 100.0
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
