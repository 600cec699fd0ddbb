//! The devices that live through the crashes: those that send, and those that follow.
//!
//! A device outlives its connections. Each new server gets a new client, made from what the device holds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hubbub_loadtest::client::stamp::mix;
use hubbub_loadtest::client::{Client, Following, Happening, Options, Via};
use hubbub_protocol::frame::server::GapReason;
use hubbub_protocol::{ClientMessageId, ConversationId, Sequence};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Books, Phase};
use crate::wire::Person;

/// Sends of one device that are under way at once.
const IN_FLIGHT: usize = 4;
/// Between an ack and the next send, up to this long: a person, not a machine.
const PAUSE_MS: u64 = 40;
/// Of so many sends one goes where the sender is no member.
const STRAY_EVERY: u64 = 25;

/// A send that is not settled.
struct Unsettled {
    stray: bool,
    id: ClientMessageId,
    payload: Bytes,
    /// An earlier client had it already.
    carried: bool,
}

/// A device that sends.
pub(super) struct Sender {
    person: Person,
    books: Arc<Books>,
    /// Its number, and its conversation's, in the ledger.
    number: u32,
    place: usize,
    conversation: ConversationId,
    /// A conversation that it is not in.
    closed: Option<ConversationId>,
    unsettled: VecDeque<Unsettled>,
    sent: u64,
}

impl Sender {
    pub(super) fn new(
        person: Person,
        place: usize,
        conversation: ConversationId,
        closed: Option<ConversationId>,
        books: Arc<Books>,
    ) -> Self {
        let number = books.ledger.lock().unwrap().sender();
        Self { person, books, number, place, conversation, closed, unsettled: VecDeque::new(), sent: 0 }
    }

    /// Sends while there is load, and settles everything at the end.
    pub(super) async fn live(mut self, mut phase: watch::Receiver<Phase>) {
        loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Load(_) | Phase::Settle => self.connect(now, &mut phase).await,
                Phase::Down | Phase::Over => {}
            }
            if *phase.borrow() == Phase::Settle && self.unsettled.is_empty() {
                return;
            }
            phase.wait_for(|next| *next != now).await.expect("the test goes on");
        }
    }

    /// One client, for as long as the phase lasts.
    async fn connect(&mut self, now: Phase, phase: &mut watch::Receiver<Phase>) {
        let mut options = Options::new(Arc::clone(&self.person.account), self.person.target.clone());
        (options.following, options.max_in_flight) = (Following::Nothing, IN_FLIGHT);
        options.seed = mix(u64::from(self.number), self.sent);
        let mut client = Client::new(options);
        let slots = [client.slot(self.conversation), client.slot(self.closed.unwrap_or(self.conversation))];
        for Unsettled { stray, id, payload, carried } in &mut self.unsettled {
            *carried = true;
            client.send(slots[usize::from(*stray)], *id, payload.clone());
        }
        let mut next_send = Instant::now();
        loop {
            let may_send = matches!(now, Phase::Load(_)) && self.unsettled.len() < IN_FLIGHT;
            tokio::select! {
                biased;
                happening = client.next() => self.note(&happening),
                changed = phase.changed() => return changed.expect("the test goes on"),
                () = sleep_until(next_send), if may_send => {
                    let Unsettled { stray, id, payload, .. } = self.make();
                    client.send(slots[usize::from(*stray)], *id, payload.clone());
                    let pause = mix(u64::from(self.number), self.sent) % PAUSE_MS;
                    next_send = Instant::now() + Duration::from_millis(pause);
                }
            }
            if now == Phase::Settle && self.unsettled.is_empty() {
                return;
            }
        }
    }

    /// Makes a message, which is unsettled from now on.
    fn make(&mut self) -> &Unsettled {
        self.sent += 1;
        let stray = self.closed.is_some() && self.sent.is_multiple_of(STRAY_EVERY);
        let (now, size) = (self.books.now_ns(), usize::try_from(32 + mix(self.sent, 7) % 400).unwrap());
        let mut ledger = self.books.ledger.lock().unwrap();
        // The closed conversation is the ledger's last.
        let place = if stray { super::PEOPLE } else { self.place };
        let (id, payload) = ledger.send(self.number, place, now, now, size);
        drop(ledger);
        self.unsettled.push_back(Unsettled { stray, id, payload, carried: false });
        self.unsettled.back().expect("it was just put there")
    }

    fn note(&mut self, happening: &Happening) {
        let now = self.books.now_ns();
        match happening {
            Happening::Acked { id, sequence, tries, .. } => {
                let unsettled = self.settle(*id);
                assert!(!unsettled.stray, "MEMBERS-ONLY: a stranger's message was taken");
                self.books.journal.note(self.conversation, *id, *sequence);
                // A client that was made anew counts its own tries alone.
                let tries = *tries + u32::from(unsettled.carried);
                self.books.ledger.lock().unwrap().acked(*id, *sequence, tries, now);
            }
            Happening::Refused { id, error, .. } => {
                let unsettled = self.settle(*id);
                assert!(unsettled.stray, "a member's message was refused: {error}");
                assert_eq!(error.code.as_str(), "not_found", "{error}");
                self.books.ledger.lock().unwrap().refused(*id, now);
            }
            // Of its own conversations a sender hears nothing; that a server comes and goes is the test.
            Happening::Heard { .. }
            | Happening::Deferred { .. }
            | Happening::Frame(_)
            | Happening::Gap { .. }
            | Happening::Live { .. }
            | Happening::Connected
            | Happening::Disconnected { .. }
            | Happening::Failed(_) => {}
        }
    }

    fn settle(&mut self, id: ClientMessageId) -> Unsettled {
        let at = self.unsettled.iter().position(|unsettled| unsettled.id == id).expect("it was under way");
        self.unsettled.remove(at).expect("it is there")
    }
}

/// A device that follows every conversation.
pub(super) struct Follower {
    person: Person,
    books: Arc<Books>,
    /// Each conversation, what this device holds of it, and its stream in the ledger.
    held: Vec<(ConversationId, Sequence, usize)>,
}

impl Follower {
    pub(super) fn new(person: Person, open: &[ConversationId], books: Arc<Books>) -> Self {
        let mut ledger = books.ledger.lock().unwrap();
        let held = open.iter().enumerate().map(|(place, id)| (*id, Sequence::new(1), ledger.reader(place))).collect();
        drop(ledger);
        Self { person, books, held }
    }

    /// Follows until all is over.
    pub(super) async fn live(mut self, mut phase: watch::Receiver<Phase>) {
        loop {
            let now = *phase.borrow_and_update();
            match now {
                Phase::Load(_) | Phase::Settle => self.connect(&mut phase).await,
                Phase::Over => return,
                Phase::Down => {}
            }
            if *phase.borrow() == now {
                phase.changed().await.expect("the test goes on");
            }
        }
    }

    async fn connect(&mut self, phase: &mut watch::Receiver<Phase>) {
        let mut client = Client::new(Options::new(Arc::clone(&self.person.account), self.person.target.clone()));
        for (slot, (id, after, _)) in self.held.iter().enumerate() {
            assert_eq!(client.hold(*id, *after), slot);
        }
        loop {
            tokio::select! {
                biased;
                happening = client.next() => self.note(&happening),
                changed = phase.changed() => {
                    changed.expect("the test goes on");
                    // From under load to the end the server stays, and so may this connection.
                    if *phase.borrow() != Phase::Settle {
                        return;
                    }
                }
            }
        }
    }

    fn note(&mut self, happening: &Happening) {
        match happening {
            // Of the conversation that only the first person is in nothing is held, and nothing is counted.
            Happening::Heard { slot, seen, via, .. } if *slot < self.held.len() => {
                let (_, held, stream) = &mut self.held[*slot];
                self.books.ledger.lock().unwrap().delivered(*stream, seen, *via == Via::Replay);
                *held = seen.sequence;
            }
            // All is retained and nobody leaves, so each gap is a finding.
            Happening::Gap { slot, gap } if *slot < self.held.len() => {
                let (_, held, stream) = &mut self.held[*slot];
                self.books.ledger.lock().unwrap().gap(*stream, gap.from, gap.to);
                *held = if gap.reason == GapReason::AheadOfLog { gap.from.previous() } else { gap.to };
            }
            Happening::Heard { .. }
            | Happening::Gap { .. }
            | Happening::Live { .. }
            | Happening::Acked { .. }
            | Happening::Refused { .. }
            | Happening::Deferred { .. }
            | Happening::Frame(_)
            | Happening::Connected
            | Happening::Disconnected { .. }
            | Happening::Failed(_) => {}
        }
    }
}
