//! The ledger: what was sent against what was seen, judged by the names of the promises.
//!
//! Plain data, owned by whoever runs the clients; told of each act as it happens and of the histories at the end. It
//! holds about 48 bytes a message and 40 a reader and conversation, whatever the number of deliveries (BOUNDED).
//! A reader's stream is checked as it comes; the rest by [`Ledger::judge`].

mod judge;
mod outside;
mod rules;
mod stream;

use hubbub_protocol::{ClientMessageId, ConversationId, Sequence, UserId};

use self::outside::Outside;
pub use self::rules::{Findings, Kind, Rule, Violation};
use self::stream::Stream;
use crate::client::stamp::{self, Stamp};
use crate::client::{Change, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Unknown,
    Acked,
    Refused,
}

/// One message of ours.
#[derive(Debug, Clone)]
struct Sent {
    content: u64,
    invoked_ns: u64,
    settled_ns: u64,
    sequence: u64,
    conversation: u32,
    outcome: Outcome,
    /// It was written more than once, so that its place among the others is not promised.
    repeated: bool,
    /// It was found in the log.
    kept: bool,
}

/// One conversation.
#[derive(Debug, Clone)]
struct Log {
    id: ConversationId,
    /// What stood there before the run.
    base: u64,
    /// The fingerprint of what was seen at `base + 1 + index`; 0 for not seen.
    seen: Vec<u64>,
    highest_ack: u64,
    /// The last sequence of the history that was told.
    history_head: Option<u64>,
    /// Who is not a member at this place of the history.
    outside: Outside,
}

impl Log {
    fn index(&self, sequence: u64) -> Option<usize> {
        usize::try_from(sequence.checked_sub(self.base + 1)?).ok()
    }

    /// The newest sequence that a reader or the history showed.
    const fn highest_seen(&self) -> u64 {
        self.base + self.seen.len() as u64
    }

    /// The newest sequence that anything tells of.
    fn head(&self) -> u64 {
        self.highest_seen().max(self.highest_ack).max(self.history_head.unwrap_or(0))
    }
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages that were sent, each once however often it was repeated.
    pub sent: u64,
    /// Of these, acked.
    pub acked: u64,
    /// Refused for good.
    pub refused: u64,
    /// Of the acked, written more than once.
    pub repeated: u64,
    /// Events that readers got.
    pub delivered: u64,
    /// Of these, from a replay.
    pub replayed: u64,
    /// Removals of members, in the histories.
    pub removals: u64,
}

impl Counts {
    /// Neither acked nor refused.
    pub const fn unknown(&self) -> u64 {
        self.sent - self.acked - self.refused
    }
}

/// Sent against seen.
#[derive(Debug, Clone)]
pub struct Ledger {
    run: u32,
    logs: Vec<Log>,
    sent: Vec<Vec<Sent>>,
    streams: Vec<Stream>,
    /// Whose messages each sender's are, where it was told.
    people: Vec<Option<UserId>>,
    findings: Findings,
    counts: Counts,
}

impl Ledger {
    /// The ledger of a run; its number tells its messages from those of other runs.
    #[must_use]
    pub fn new(run: u32) -> Self {
        Self {
            run,
            logs: Vec::new(),
            sent: Vec::new(),
            streams: Vec::new(),
            people: Vec::new(),
            findings: Findings::default(),
            counts: Counts::default(),
        }
    }

    /// Enters a conversation whose log ends at `base`. Gives its number.
    pub fn conversation(&mut self, id: ConversationId, base: Sequence) -> usize {
        let base = base.get();
        self.logs.push(Log {
            id,
            base,
            seen: Vec::new(),
            highest_ack: 0,
            history_head: None,
            outside: Outside::default(),
        });
        self.logs.len() - 1
    }

    /// Enters a sender. Gives its number.
    pub fn sender(&mut self) -> u32 {
        self.sent.push(Vec::new());
        self.people.push(None);
        u32::try_from(self.sent.len() - 1).unwrap_or(u32::MAX)
    }

    /// Says whose device a sender is, so that its messages are compared with who is a member.
    pub fn sender_is(&mut self, sender: u32, user_id: UserId) {
        if let Some(person) = self.people.get_mut(sender as usize) {
            *person = Some(user_id);
        }
    }

    /// Whose message this is, if it is one of this run's.
    fn author(&self, seen: &Seen) -> Option<UserId> {
        let (run, sender, _) = stamp::read_id(seen.client_message_id?);
        (run == self.run).then(|| self.people.get(sender as usize).copied().flatten()).flatten()
    }

    /// Enters a reader of a conversation who holds its base. Gives the stream's number.
    pub fn reader(&mut self, conversation: usize) -> usize {
        let base = self.logs.get(conversation).map_or(0, |log| log.base);
        self.streams.push(Stream::new(conversation, base));
        self.streams.len() - 1
    }

    /// A message is sent: makes its id and its payload of `size` bytes.
    pub fn send(
        &mut self,
        sender: u32,
        conversation: usize,
        intended_ns: u64,
        now_ns: u64,
        size: usize,
    ) -> (ClientMessageId, bytes::Bytes) {
        let number = self.sent.get(sender as usize).map_or(0, |all| all.len() as u64);
        let stamp = Stamp { run: self.run, sender, number, intended_ns };
        let (id, payload) = (stamp.id(), stamp.payload(size));
        if let Some(all) = self.sent.get_mut(sender as usize) {
            all.push(Sent {
                content: stamp::content(Some(id), &payload),
                invoked_ns: now_ns,
                settled_ns: 0,
                sequence: 0,
                conversation: u32::try_from(conversation).unwrap_or(u32::MAX),
                outcome: Outcome::Unknown,
                repeated: false,
                kept: false,
            });
            self.counts.sent += 1;
        }
        (id, payload)
    }

    /// A message was acked, after being written `tries` times. `false` if that is not news.
    pub fn acked(&mut self, id: ClientMessageId, sequence: Sequence, tries: u32, now_ns: u64) -> bool {
        let sequence = sequence.get();
        let Some(sent) = find(&mut self.sent, self.run, id) else {
            self.findings.add(Rule::NothingForeign, 1, || format!("an ack of {id}, which nobody sent"));
            return false;
        };
        if sent.outcome == Outcome::Acked {
            let other = sent.sequence;
            let two = u64::from(other != sequence);
            self.findings.add(Rule::AckedOnce, two, || format!("{id} was acked at {other} and at {sequence}"));
            return false;
        }
        (sent.outcome, sent.sequence, sent.settled_ns) = (Outcome::Acked, sequence, now_ns);
        sent.repeated = tries > 1;
        self.counts.repeated += u64::from(tries > 1);
        self.counts.acked += 1;
        if let Some(log) = self.logs.get_mut(sent.conversation as usize) {
            log.highest_ack = log.highest_ack.max(sequence);
        }
        true
    }

    /// A message was refused for good.
    pub fn refused(&mut self, id: ClientMessageId, now_ns: u64) {
        if let Some(sent) = find(&mut self.sent, self.run, id).filter(|sent| sent.outcome == Outcome::Unknown) {
            (sent.outcome, sent.settled_ns) = (Outcome::Refused, now_ns);
            self.counts.refused += 1;
        }
    }

    /// A reader got an event.
    pub fn delivered(&mut self, stream: usize, seen: &Seen, replayed: bool) {
        self.counts.delivered += 1;
        self.counts.replayed += u64::from(replayed);
        let author = self.author(seen);
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let Some(log) = self.logs.get_mut(stream.conversation) else { return };
        stream.delivered(seen.sequence.get(), &mut self.findings, || log.id.to_string());
        stream.outside.passes(seen, author, &mut self.findings);
        compare(log, seen, &mut self.findings);
    }

    /// A reader was told that a range cannot be had.
    pub fn gap(&mut self, stream: usize, from: Sequence, to: Sequence) {
        let Some(stream) = self.streams.get_mut(stream) else { return };
        let id = self.logs.get(stream.conversation).map(|log| log.id);
        stream.gap(from.get(), to.get(), &mut self.findings, || format!("{id:?}"));
    }

    /// The next event of a conversation's history, which is told in order from its base. After the last, and if there
    /// is none at all, [`Ledger::history_ends`].
    pub fn history(&mut self, conversation: usize, seen: &Seen) {
        let author = self.author(seen);
        self.counts.removals += u64::from(matches!(seen.change, Some(Change::Left(_))));
        let Some(log) = self.logs.get_mut(conversation) else { return };
        log.outside.passes(seen, author, &mut self.findings);
        let (last, sequence) = (log.history_head.unwrap_or(log.base), seen.sequence.get());
        let hole = sequence.abs_diff(last + 1);
        self.findings.add(Rule::Dense, hole, || format!("{}: {sequence} follows {last} in the history", log.id));
        log.history_head = Some(sequence.max(last));
        compare(log, seen, &mut self.findings);
        self.keep(conversation, seen);
    }

    /// The history of a conversation is over.
    pub fn history_ends(&mut self, conversation: usize) {
        if let Some(log) = self.logs.get_mut(conversation) {
            log.history_head.get_or_insert(log.base);
        }
    }

    /// Finds a history's message among the sent.
    fn keep(&mut self, conversation: usize, seen: &Seen) {
        let Some(id) = seen.client_message_id else { return };
        let Some(log) = self.logs.get(conversation) else { return };
        let sequence = seen.sequence.get();
        let known = find(&mut self.sent, self.run, id)
            .filter(|sent| sent.conversation as usize == conversation)
            .filter(|sent| seen.fingerprint == stamp::mix(sent.content, sequence));
        let Some(sent) = known else {
            self.findings.add(Rule::NothingForeign, 1, || format!("{}: nobody sent what stands at {sequence}", log.id));
            return;
        };
        let again = u64::from(std::mem::replace(&mut sent.kept, true));
        self.findings.add(Rule::KeptOnce, again, || format!("{}: {id} stands again at {sequence}", log.id));
        let elsewhere = sent.outcome == Outcome::Acked && again == 0 && sent.sequence != sequence;
        self.findings.add(Rule::AckedWhereItStands, u64::from(elsewhere), || {
            format!("{}: {id} was acked at {} and stands at {sequence}", log.id, sent.sequence)
        });
    }

    /// How many of each, so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Streams that do not yet hold all that was acked or seen of their conversation.
    pub fn behind(&self) -> usize {
        self.streams.iter().filter(|s| self.logs.get(s.conversation).is_some_and(|log| s.cursor < log.head())).count()
    }
}

/// What stands at a place is the same for all.
fn compare(log: &mut Log, seen: &Seen, findings: &mut Findings) {
    // 0 stands for "not seen".
    let fingerprint = seen.fingerprint.max(1);
    let Some(index) = log.index(seen.sequence.get()) else { return };
    if index >= log.seen.len() {
        // Within reason: a sequence from nowhere must not take all memory.
        if index > log.seen.len() + MAX_LEAP {
            findings.add(Rule::Agreement, 1, || format!("{}: {} is far above all others", log.id, seen.sequence));
            return;
        }
        log.seen.resize(index + 1, 0);
    }
    let Some(known) = log.seen.get_mut(index) else { return };
    if *known == 0 {
        *known = fingerprint;
    }
    let differs = u64::from(*known != fingerprint);
    findings
        .add(Rule::Agreement, differs, || format!("{}: two readers saw different things at {}", log.id, seen.sequence));
}

/// How far above all others a sequence may be and still be believed.
const MAX_LEAP: usize = 1_000_000;

fn find(sent: &mut [Vec<Sent>], run: u32, id: ClientMessageId) -> Option<&mut Sent> {
    let (its_run, sender, number) = stamp::read_id(id);
    let sent = sent.get_mut(sender as usize)?.get_mut(usize::try_from(number).ok()?)?;
    (its_run == run).then_some(sent)
}
