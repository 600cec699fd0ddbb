//! The command line: what can be asked for, in words, and what each flag sets.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Sources;

/// A realtime-first messaging hub for people and agents.
///
/// Without a command it serves: sockets and REST on one port, with everything it keeps in one folder.
#[derive(Debug, Parser)]
#[command(name = "hubbub", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `serve` takes.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Accept sockets and HTTP requests until told to stop (the default).
    ///
    /// Prints one line with its URL once it accepts connections; logs go to stderr. SIGTERM or Ctrl-C stops it softly, a
    /// second one at once. Exit codes: 0 stopped softly, 1 could not start or ended early, 2 mistakes in the
    /// configuration, 3 the store stopped (a disk failed or is full).
    Serve(ServeArgs),
    /// Check a stopped store from the first byte to the last; changes nothing.
    ///
    /// Exit codes: 0 all is sound, 1 something is wrong, or the folder could not be checked.
    Verify(VerifyArgs),
    /// Print the configuration in force, as a TOML file with comments.
    Config(ConfigArgs),
    /// Make a file with a new random secret, for its owner alone: for `keys.file` and `cluster.secret_file`.
    ///
    /// Make each once and copy it to every process that shares it. A file that is there is left alone. Exit codes: 0 it is
    /// made, 1 it is not.
    Secret(SecretArgs),
}

/// What `serve` takes.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Tell all mistakes in the configuration and stop there: exit code 0 without any, else 1
    #[arg(long)]
    pub check: bool,
}

/// What `secret` takes.
#[derive(Debug, Args)]
pub struct SecretArgs {
    /// The file to make
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Where truth is kept; only the embedded store can be checked
    #[arg(long, value_name = "STORE", env = "HUBBUB_STORE", default_value = "sqlite")]
    pub store: String,
    /// The data folder
    #[arg(long, value_name = "DIR", env = "HUBBUB_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What `config` takes.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Where the configuration comes from.
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Print the example file instead: every setting at its default
    #[arg(long)]
    pub example: bool,
}

/// Flags that set something. They stay text here: the configuration judges them with all else, so that all mistakes are
/// told at once.
#[derive(Debug, Default, Args)]
pub struct SettingArgs {
    /// A configuration file in TOML (or `HUBBUB_CONFIG`)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen, as ADDRESS:PORT; port 0 takes any free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The folder of everything that must stay [default: ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Where truth is kept: sqlite, memory or cql [default: sqlite]
    #[arg(long, value_name = "STORE")]
    store: Option<String>,
    /// What this process does: all, hub or rest [default: all]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// What is logged: error, warn, info, debug or trace, and exceptions such as `info,hubbub_hub=debug` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// The form of log lines: auto, text or json [default: auto]
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
    /// Nodes of the cql store's cluster to begin with, with commas between them
    #[arg(long, value_name = "HOST:PORT,…")]
    cql: Option<String>,
    /// The Redis by which the processes over one cql store tell each other what is new
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Any setting by its key, such as hub.shards=4; `hubbub config` shows all
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl SettingArgs {
    /// These flags over the environment over the file.
    pub fn sources(self) -> Sources {
        let mut sources = Sources::default();
        if let Some(path) = self.config {
            sources = sources.file(path);
        }
        sources = sources.environment(std::env::vars_os());
        for assignment in self.set {
            // Without a `=` there is no such key, and so it will be told.
            let (key, value) = assignment.split_once('=').unwrap_or((&assignment, ""));
            sources = sources.flag("--set", key.trim(), value);
        }
        let named = [
            ("--listen", "listen", self.listen),
            ("--data", "data", self.data),
            ("--store", "store", self.store),
            ("--role", "role", self.role),
            ("--cql", "cql.nodes", self.cql),
            ("--redis", "redis.url", self.redis),
            ("--log-level", "log.level", self.log_level),
            ("--log-format", "log.format", self.log_format),
        ];
        for (flag, key, value) in named {
            if let Some(value) = value {
                sources = sources.flag(flag, key, value);
            }
        }
        sources
    }
}
