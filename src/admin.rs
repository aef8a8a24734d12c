//! `lectern admin`: what only an operator may do.

mod jobs;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use lectern_domain::account::Role;
use lectern_platform::clock::SystemClock;
use secrecy::SecretString;

use crate::{config::Config, serve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account of any role; the password is read from standard input
    CreateUser {
        /// Sign-in address
        #[arg(long)]
        email: String,
        /// Shown to others
        #[arg(long)]
        name: String,
        /// student, instructor or admin
        #[arg(long, default_value = "student", value_parser = role)]
        role: Role,
    },
    /// Sees and orders jobs
    #[command(subcommand)]
    Jobs(jobs::Command),
    /// Lists the processes of the deployment and what each is doing
    Workers,
}

fn role(text: &str) -> Result<Role, String> {
    Role::parse(text).ok_or_else(|| format!("expected student, instructor or admin, got {text:?}"))
}

pub(crate) async fn run(config: &Config, command: Command) -> anyhow::Result<ExitCode> {
    let (email, name, role) = match command {
        Command::Jobs(command) => return jobs::run(config, command).await,
        Command::Workers => return jobs::workers(config).await,
        Command::CreateUser { email, name, role } => (email, name, role),
    };
    // Not an argument: those are seen by every user of the machine.
    let password = tokio::task::spawn_blocking(|| {
        use std::io::{BufRead as _, IsTerminal as _};
        if std::io::stdin().is_terminal() {
            eprint!("password (it will be visible): ");
        }
        let mut line = String::new();
        std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map(|_| SecretString::from(line.trim_end_matches(['\r', '\n'])))
    })
    .await?
    .context("reading the password from standard input")?;
    let db = serve::open_database(config).await?;
    db.migrate().await?;
    let user = lectern_api::create_user(&db, &SystemClock, &email, &name, password, role).await?;
    println!("made {}, {} <{email}>", user.id, role.as_str());
    Ok(ExitCode::SUCCESS)
}
