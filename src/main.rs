//! The `lectern` program: subcommands, configuration, roles. The only place that names concrete backends.

mod admin;
mod config;
#[cfg(feature = "transcoder")]
mod demo;
mod doctor;
mod doors;
#[cfg(feature = "transcoder")]
mod encode;
#[cfg(feature = "transcoder")]
mod machine;
mod operations;
mod roles;
mod serve;
mod web;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use crate::{config::Config, roles::Roles};

/// Course video from upload to licensed playback.
#[derive(Debug, Parser)]
#[command(name = "lectern", version)]
struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct SettingsArgs {
    /// Configuration file (default: ./lectern.toml when it is there)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one setting, over every file and the environment; may be given often
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves: every role in one process, or some of them in one of many
    Serve {
        /// Some of api, ingest, transcoder, packager, license-server, separated by commas (default: all)
        #[arg(long, value_name = "ROLES")]
        roles: Option<Roles>,
    },
    /// Brings the database schema up to date and exits
    Migrate,
    /// Says what is missing on this machine and how to get it
    Doctor,
    /// Prints the configuration in force, secrets redacted
    Config,
    /// Administers accounts
    #[command(subcommand)]
    Admin(admin::Command),
    /// Transcodes and packages one file, with no server and no database
    #[cfg(feature = "transcoder")]
    Encode(encode::Arguments),
    /// Does the whole job through the public API on a sample lecture, and plays it back as an enrolled learner
    #[cfg(feature = "transcoder")]
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    // The media child locks itself in, which must happen before any thread starts.
    #[cfg(feature = "transcoder")]
    if std::env::args_os().nth(1).is_some_and(|argument| argument == lectern_transcoder::CHILD_SUBCOMMAND) {
        return lectern_transcoder::child::main();
    }
    // Keys are in this process's memory: it must not end up in a core file.
    if let Err(error) = rustix::process::setrlimit(
        rustix::process::Resource::Core,
        rustix::process::Rlimit { current: Some(0), maximum: Some(0) },
    ) {
        eprintln!("lectern: core dumps could not be turned off: {error}");
        return ExitCode::FAILURE;
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lectern: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lectern: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.settings.config.as_deref(), &cli.settings.set)?;
    let start_log = || {
        lectern_platform::telemetry::start(&config.log.filter, config.log.format).map_err(anyhow::Error::msg)
    };
    match cli.command {
        Command::Serve { roles } => {
            start_log()?;
            let server = serve::Server::start(&config, &roles.unwrap_or_else(Roles::all)).await?;
            println!("Lectern serves at {}", server.url);
            server.run(std::time::Duration::from_secs(config.shutdown.grace_s)).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate => {
            let db = serve::open_database(&config).await?;
            db.migrate().await?;
            println!("the schema is up to date");
            Ok(ExitCode::SUCCESS)
        }
        Command::Config => {
            print!("{}", toml::to_string(&config)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Doctor => doctor::run(&config).await,
        Command::Admin(command) => admin::run(&config, command).await,
        #[cfg(feature = "transcoder")]
        Command::Encode(arguments) => encode::run(&config, arguments).await,
        #[cfg(feature = "transcoder")]
        Command::Demo(arguments) => demo::run(&config, arguments).await,
    }
}
