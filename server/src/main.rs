//! The binary `hubbub`: reads the command line, answers in words and exit codes, and leaves the work to the library.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use hubbub_server::cli::{Cli, Command, ConfigArgs, SecretArgs, ServeArgs, SettingArgs, VerifyArgs};
use hubbub_server::config::{self, Config, Setting};
use hubbub_server::verify::verify;
use hubbub_server::{huge_pages, lifecycle, open_files, secret_file, telemetry, tls};

/// The exit code of what failed, a check included.
const FAILED: u8 = 1;
/// What to do about a store that is not in a folder.
const NOT_CHECKED_HERE: &str = "`hubbub verify` checks the embedded store, which is in a data folder; a cql store is \
    checked by its cluster: nodetool repair compares its copies, and nodetool scrub or verify looks at their files";

/// The exit code of mistakes in the configuration, as of mistakes on the command line.
const MISTAKEN: u8 = 2;

/// Chosen by measurement: docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => serve(cli.serve),
        Some(Command::Serve(args)) => serve(args),
        Some(Command::Verify(args)) => run_verify(&args),
        Some(Command::Config(args)) => show_config(args),
        Some(Command::Secret(args)) => make_secret(&args),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let check = args.check;
    let (config, _) = match load(args.settings) {
        Ok(loaded) => loaded,
        Err(_) if check => return ExitCode::from(FAILED),
        Err(code) => return code,
    };
    if check {
        return check_files(&config);
    }
    if let Err(error) = telemetry::start_logging(&config.log.level, config.log.format) {
        return fail(&error);
    }
    telemetry::log_panics();
    raise_open_files(&config);
    huge_pages::decline();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(lifecycle::run(&config)) {
        Ok(ended) => ExitCode::from(ended.code()),
        Err(error) => fail(&error),
    }
}

/// Opens what a start would open of files that the configuration names, as far as nothing has to be made for it.
fn check_files(config: &Config) -> ExitCode {
    match tls::check(&config.tls) {
        Ok(doubt) => {
            if let Some(doubt) = doubt {
                complain(&format!("warning: {doubt}"));
            }
            say("the configuration is right")
        }
        Err(error) => fail(&error),
    }
}

fn raise_open_files(config: &Config) {
    let limit = open_files::raise_limit();
    let wanted = u64::try_from(config.hub.max_connections).unwrap_or(u64::MAX);
    if let Some(limit) = limit.filter(|limit| *limit <= wanted) {
        tracing::info!(
            limit,
            wanted,
            "the system's limit of open files is below hub.max_connections, so it comes first"
        );
    }
}

fn run_verify(args: &VerifyArgs) -> ExitCode {
    if args.store == "cql" {
        return fail(&NOT_CHECKED_HERE);
    }
    let report = verify(&args.data);
    let said = say(&if args.json { report.as_json() } else { report.as_text() });
    if report.is_ok() { said } else { ExitCode::from(FAILED) }
}

fn make_secret(args: &SecretArgs) -> ExitCode {
    match secret_file::make(&args.file) {
        Ok(_) => say(&format!("made {}", args.file.display())),
        Err(error) => fail(&error),
    }
}

fn show_config(args: ConfigArgs) -> ExitCode {
    if args.example {
        return say(config::as_example().trim_end());
    }
    match load(args.settings) {
        Ok((_, settings)) => say(config::as_toml(&settings).trim_end()),
        Err(code) => code,
    }
}

fn load(settings: SettingArgs) -> Result<(Config, Vec<Setting>), ExitCode> {
    Config::load(settings.sources()).map_err(|mistakes| {
        complain(&mistakes);
        ExitCode::from(MISTAKEN)
    })
}

/// Answers on stdout. Whoever stopped reading has heard enough.
fn say(answer: &str) -> ExitCode {
    match writeln!(io::stdout(), "{answer}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(FAILED),
    }
}

/// Complains on stderr, and answers the exit code of failure.
fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    complain(error);
    ExitCode::from(FAILED)
}

/// Complains on stderr.
fn complain(error: &dyn std::fmt::Display) {
    eprintln!("hubbub: {error}");
}
