//! One peer's turn: found or started, measured, and left or stopped.
//!
//! The order is part of the measurement: memory first, in a process that did nothing before, then connections, then the
//! rooms. A measurement that fails is a sample that says so; the next is made all the same.

use std::fs;
use std::path::Path;

use super::args::{Args, What};
use super::cast::Cast;
use super::fan::Hall;
use super::kind::Kind;
use super::link::Link;
use super::report::Comparison;
use super::sample::{Measure, Sample};
use super::stage::Stage;
use super::start::{Plan, Started};
use super::{ack, crowd, found};
use crate::client::http::Target;
use crate::client::stamp::run_number;
use crate::host::cores::Cores;

/// A peer that can be measured.
pub(super) enum Peer {
    /// It runs already.
    Running { kind: Kind, target: Target, pid: Option<u32> },
    /// It is started for each of its turns.
    Planned(Plan),
}

impl Peer {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Running { kind, .. } => *kind,
            Self::Planned(plan) => plan.kind,
        }
    }
}

/// Looks for a peer: where it is said to be, where it usually is, or as a program.
pub(super) async fn find(kind: Kind, args: &Args) -> anyhow::Result<Option<Peer>> {
    let (url, pid) = args.places.given(kind);
    if url.is_none() && args.start {
        let plan = args.places.program(kind).map(|program| {
            fs::create_dir_all(&args.folder)?;
            Plan::new(kind, program, &args.places.node_folder, &args.folder)
        });
        return Ok(plan.transpose()?.map(Peer::Planned));
    }
    let Some(place) = url.or(kind.usual()) else { return Ok(None) };
    let target = Target::resolve(place).await?;
    let pid = pid.or_else(|| found::listener(target.address));
    if std::net::TcpStream::connect(target.address).is_err() {
        anyhow::ensure!(url.is_none(), "nobody listens at {place}");
        return Ok(None);
    }
    // Ours is let in only with an account; whoever else may be there does not answer as this peer does.
    if !kind.is_hubbub() {
        let stage = Stage { kind, target: target.clone(), pid, round: 0, run: 0, cast: None };
        let visit = Link::open(&target, stage.visitor(0)(), 4_096).await;
        if let Err(error) = visit {
            anyhow::ensure!(url.is_none(), "{place} is not {}: {error}", kind.title());
            eprintln!("who listens at {place} is not {}: {error}", kind.title());
            return Ok(None);
        }
    }
    Ok(Some(Peer::Running { kind, target, pid }))
}

/// Takes all samples of a peer's turn.
pub(super) async fn measure(peer: &Peer, args: &Args, round: usize, comparison: &mut Comparison) {
    if let Err(error) = turn(peer, args, round, comparison).await {
        let kind = peer.kind();
        eprintln!("  {}: {error:#}", kind.title());
        comparison.samples.push(Sample::failed(kind, Measure::Connects, round, format!("{error:#}")));
    }
}

async fn turn(peer: &Peer, args: &Args, round: usize, comparison: &mut Comparison) -> anyhow::Result<()> {
    let (mut started, target, pid) = match peer {
        Peer::Running { target, pid, .. } => (None, target.clone(), *pid),
        Peer::Planned(plan) => {
            plan.clear()?;
            let started = plan.start()?;
            let pid = started.pid();
            (Some(started), Target::from(plan.address()), Some(pid))
        }
    };
    let mut stage = Stage { kind: peer.kind(), target, pid, round, run: run_number(), cast: None };
    if stage.kind.is_hubbub() {
        stage.cast = Some(Cast::gather(&stage.target, args.people as usize, stage.run).await?);
    }
    // Again, as what it took to register all those people is not what connections take. Memory alone forgets them.
    if let (Peer::Planned(plan), Kind::Hubbub) = (peer, stage.kind) {
        drop(started.take());
        let anew = plan.start()?;
        stage.pid = Some(anew.pid());
        started = Some(anew);
    }
    remember(comparison, stage.kind, started.as_ref());
    let pids: Vec<u32> = stage.pid.into_iter().collect();
    let cores = Cores::part(&pids);
    comparison.conditions.cores = cores.words().or(comparison.conditions.cores.take());
    let taken = samples(&mut stage, args, started.is_some()).await;
    comparison.samples.extend(taken);
    drop(cores);
    drop(started);
    Ok(())
}

fn remember(comparison: &mut Comparison, kind: Kind, started: Option<&Started>) {
    let version = started.map_or_else(|| "as it was found".to_owned(), |started| started.version.clone());
    // One that has not said it yet has said it in another round.
    if !version.is_empty() && !comparison.versions.iter().any(|(known, said)| *known == kind && *said == version) {
        comparison.versions.push((kind, version));
    }
}

/// All that is asked for, in its order.
async fn samples(stage: &mut Stage, args: &Args, started: bool) -> Vec<Sample> {
    let mut taken = Vec::new();
    let wanted = |what: What| args.measure.contains(&what);
    // In memory, it could not be started anew with its people.
    if wanted(What::Idle) && stage.kind != Kind::HubbubMemory {
        let sample = crowd::idle(stage, args.idle as usize).await;
        taken.push(or_failed(sample, stage, Measure::Idle));
    }
    if wanted(What::Connects) {
        taken.push(crowd::connects(stage, args.seconds).await);
    }
    if let Some(cast) = &mut stage.cast {
        let rooms = if wanted(What::Ack) { args.senders as usize } else { 0 };
        if let Err(error) = cast.open_rooms(rooms).await {
            taken.push(Sample::failed(stage.kind, Measure::FanOut(1), stage.round, format!("{error:#}")));
            return taken;
        }
    }
    if wanted(What::FanOut) {
        taken.extend(fan_out(stage, args).await);
    }
    if wanted(What::Ack) {
        let load = ack::Load {
            senders: args.senders as usize,
            depth: args.depth as usize,
            size: args.payload,
            seconds: args.seconds,
        };
        for kept in stage.kind.kept(started) {
            refresh(stage).await;
            let sample = ack::measure(stage, *kept, load).await;
            taken.push(or_failed(sample, stage, Measure::Ack(*kept)));
        }
    }
    taken
}

async fn fan_out(stage: &mut Stage, args: &Args) -> Vec<Sample> {
    let windows: Vec<usize> = args.window.iter().map(|window| *window as usize).collect();
    refresh(stage).await;
    match Hall::assemble(stage, args.receivers as usize, args.payload).await {
        Ok(mut hall) => {
            let mut taken = Vec::new();
            for window in windows {
                taken.push(hall.measure(stage, window, args.seconds).await);
            }
            hall.dismiss().await;
            taken
        }
        Err(error) => {
            let failed =
                |window| Sample::failed(stage.kind, Measure::FanOut(window), stage.round, format!("{error:#}"));
            windows.into_iter().map(failed).collect()
        }
    }
}

/// Tokens end; where one cannot be renewed, the measurement says so.
async fn refresh(stage: &mut Stage) {
    if let Some(cast) = &mut stage.cast
        && let Err(error) = cast.refresh().await
    {
        eprintln!("  tokens could not be renewed: {error:#}");
    }
}

fn or_failed(sample: anyhow::Result<Sample>, stage: &Stage, measure: Measure) -> Sample {
    sample.unwrap_or_else(|error| Sample::failed(stage.kind, measure, stage.round, format!("{error:#}")))
}

/// The kind of file system that a folder is on, as the system calls it.
pub(super) fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let kinds = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        folder.starts_with(place).then(|| (place.len(), kind.to_owned()))
    });
    kinds.max_by_key(|(depth, _)| *depth).map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind)
}
