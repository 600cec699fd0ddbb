//! A tiny server that speaks the plain room's wire, and fails on purpose, so that the harness itself is tested.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use super::kind::Kind;
use super::stage::Stage;

/// Frames that wait for one socket of a test.
const WAITING_MAX: usize = 4_096;

/// What the server does wrong to the delivery, or the acknowledgement, with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Loses(u64),
    Doubles(u64),
    Alters(u64),
}

type Outbox = mpsc::Sender<String>;

/// All who joined, by room; and how many frames went out.
struct House {
    fault: Fault,
    rooms: RefCell<HashMap<String, Vec<Outbox>>>,
    said: Cell<u64>,
}

impl House {
    /// Says something that counts, as the fault has it.
    async fn say(&self, to: &Outbox, frame: String) {
        let number = self.said.replace(self.said.get() + 1);
        let (times, frame) = match self.fault {
            Fault::Loses(at) if at == number => (0, frame),
            Fault::Doubles(at) if at == number => (2, frame),
            // The last digit of the filler.
            Fault::Alters(at) if at == number => (1, frame.replace("\"}", "?\"}")),
            _ => (1, frame),
        };
        for _ in 0..times {
            drop(to.send(frame.clone()).await);
        }
    }

    async fn heard(&self, frame: &serde_json::Value, own: &Outbox) {
        let room = frame["room"].as_str().unwrap_or_default().to_owned();
        if frame["do"] == "join" {
            self.rooms.borrow_mut().entry(room).or_default().push(own.clone());
            drop(own.send(r#"{"is":"joined"}"#.to_owned()).await);
            return;
        }
        let message = format!(r#"{{"is":"message","room":"{room}","data":{}}}"#, frame["data"]);
        let members = self.rooms.borrow().get(&room).cloned().unwrap_or_default();
        for member in members.iter().filter(|member| !member.same_channel(own)) {
            self.say(member, message.clone()).await;
        }
        if let Some(id) = frame["id"].as_u64() {
            self.say(own, format!(r#"{{"is":"ack","id":{id}}}"#)).await;
        }
    }
}

/// Serves in the background of this thread, and gives a stage on which it stands.
pub(super) async fn room(fault: Fault) -> Stage {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let house = Rc::new(House { fault, rooms: RefCell::default(), said: Cell::new(0) });
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(serve(stream, Rc::clone(&house)));
        }
    });
    let pid = Some(std::process::id());
    Stage { kind: Kind::Ws, target: address.into(), pid, round: 0, run: 5, cast: None }
}

async fn serve(stream: TcpStream, house: Rc<House>) {
    let Ok(socket) = accept_async(stream).await else { return };
    let (mut write, mut read) = socket.split();
    let (own, mut waiting) = mpsc::channel::<String>(WAITING_MAX);
    tokio::task::spawn_local(async move {
        while let Some(frame) = waiting.recv().await {
            if write.send(Message::Text(frame.into())).await.is_err() {
                return;
            }
        }
    });
    while let Some(Ok(message)) = read.next().await {
        if let Message::Text(text) = message {
            house.heard(&serde_json::from_str(&text).unwrap(), &own).await;
        }
    }
}
