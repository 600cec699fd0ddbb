//! A way to the server that loses things: requests, answers, whole connections; and one that is slow to a fault.
//!
//! Stands between the driver and a real server and knows of CQL only where a frame ends and whether it is a write or a
//! read. A request that is *held* reaches the server after its sender has given up on it: a late apply, for real.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const HEADER: usize = 9;
/// Frames on their way, at most.
const QUEUE: usize = 1024;
const EXECUTE: u8 = 0x0A;
const BATCH: u8 = 0x0D;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Lost,
    AnswerLost,
    Held(Duration),
    Cut,
}

/// The way, and how rough it is.
#[derive(Clone)]
pub(super) struct Proxy(Arc<Shared>);

struct Shared {
    server: String,
    state: AtomicU64,
    rough: AtomicBool,
    faults: AtomicU64,
}

impl Proxy {
    /// Listens, and takes whoever comes to the server. Ends with the set. Stands at the server's own address and a port
    /// of its own, as a driver looks for nodes at the addresses that they tell; `None` where that is on another machine.
    pub(super) async fn start(server: String, seed: u64, tasks: &mut JoinSet<()>) -> Option<(Self, SocketAddr)> {
        let (host, _) = server.rsplit_once(':').unwrap();
        let listener = TcpListener::bind((host, 0)).await.ok()?;
        let address = listener.local_addr().unwrap();
        let (rough, faults) = (AtomicBool::new(false), AtomicU64::new(0));
        let proxy = Self(Arc::new(Shared { server, state: AtomicU64::new(seed), rough, faults }));
        let accepting = proxy.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let proxy = accepting.clone();
                connections.spawn(async move { drop(proxy.connection(client).await) });
            }
        });
        Some((proxy, address))
    }

    /// From here on things are lost, or not.
    pub(super) fn rough(&self, rough: bool) {
        self.0.rough.store(rough, Ordering::SeqCst);
    }

    pub(super) fn faults(&self) -> u64 {
        self.0.faults.load(Ordering::SeqCst)
    }

    fn draw(&self, below: u64) -> u64 {
        let state = self.0.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    }

    fn fate(&self, opcode: u8) -> Fate {
        let odds = match opcode {
            BATCH => 4,
            EXECUTE => 12,
            _ => return Fate::Passes,
        };
        if !self.0.rough.load(Ordering::SeqCst) || self.draw(odds) != 0 {
            return Fate::Passes;
        }
        self.0.faults.fetch_add(1, Ordering::SeqCst);
        match self.draw(9) {
            0 | 1 => Fate::Lost,
            2..=4 => Fate::AnswerLost,
            5..=7 => Fate::Held(Duration::from_millis(200 + self.draw(900))),
            _ => Fate::Cut,
        }
    }

    async fn connection(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.0.server).await?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (unanswered, lost) = mpsc::channel(QUEUE);
        let (frames, outgoing) = mpsc::channel(QUEUE);
        // Whichever ends first ends the connection on both sides.
        tokio::select! {
            ended = self.requests(from_client, frames, unanswered) => ended,
            ended = write(to_server, outgoing) => ended,
            ended = answers(from_server, to_client, lost) => ended,
        }
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        frames: mpsc::Sender<Vec<u8>>,
        unanswered: mpsc::Sender<i16>,
    ) -> io::Result<()> {
        let mut held = JoinSet::new();
        loop {
            let frame = read(&mut from).await?;
            match self.fate(frame[4]) {
                Fate::Passes => frames.send(frame).await.map_err(io::Error::other)?,
                Fate::Lost => {}
                Fate::AnswerLost => {
                    unanswered.send(stream(&frame)).await.map_err(io::Error::other)?;
                    frames.send(frame).await.map_err(io::Error::other)?;
                }
                Fate::Held(by) => {
                    // The answer comes too late, if anybody waits for it still.
                    let frames = frames.clone();
                    held.spawn(async move {
                        tokio::time::sleep(by).await;
                        drop(frames.send(frame).await);
                    });
                }
                Fate::Cut => return Ok(()),
            }
        }
    }
}

async fn write(mut to: OwnedWriteHalf, mut frames: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        to.write_all(&frame).await?;
    }
    Ok(())
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut lost: mpsc::Receiver<i16>) -> io::Result<()> {
    let mut unanswered = Vec::new();
    loop {
        let frame = read(&mut from).await?;
        while let Ok(stream) = lost.try_recv() {
            unanswered.push(stream);
        }
        match unanswered.iter().position(|lost| *lost == stream(&frame)) {
            Some(place) => drop(unanswered.swap_remove(place)),
            None => to.write_all(&frame).await?,
        }
    }
}

async fn read(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    from.read_exact(&mut frame).await?;
    let length = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]) as usize;
    frame.resize(HEADER + length, 0);
    from.read_exact(&mut frame[HEADER..]).await?;
    Ok(frame)
}

fn stream(frame: &[u8]) -> i16 {
    i16::from_be_bytes([frame[2], frame[3]])
}
