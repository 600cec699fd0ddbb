//! The home of conversations: decides acts in order, hands them to the log, and tells the edges what was committed.
//!
//! Plain data without I/O, owned by [`super::task`]: an input or the end of some work goes in, outputs come out.
//!
//! * One append of a conversation is in flight at a time; what arrives meanwhile waits in its queue and is decided
//!   together, against a state with everything earlier folded in (GAPLESS).
//! * What is not an act (a wish to follow, a mark) stands in the same queue and is looked at only between appends, when
//!   the state is the committed one (MEMBERS-ONLY, IN-ORDER).
//! * When an append does not end as hoped, the state is dropped and loaded again, and what was not stored is decided
//!   anew (HONEST).
//! * Where there are other nodes, [`abroad`] hears of their commits and hands acts to whichever is home to a conversation.

mod abroad;
mod append;
mod batch;
mod conversation;
mod follow;
mod order;
mod presence;

use std::collections::HashMap;
use std::sync::Arc;

use hubbub_domain::cluster::{View, Word};
use hubbub_domain::conversation::ConversationState;
use hubbub_domain::conversations::{MarkOutcome, Stored};
use hubbub_protocol::frame::server::MessageRead;
use hubbub_protocol::{ConversationId, ErrorBody, ErrorCode, Record, Sequence, Timestamp, UserId};
use hubbub_storage::bus::Topic;
use hubbub_storage::error::StoreError;

use self::abroad::Abroad;
use self::conversation::{Asked, Asking, Conversation, Target, Watch, Work};
pub(crate) use self::order::{AppendFailure, Done, HomeOutput, HomeWork, Loaded};
use self::presence::PRESENCE_MAX_MEMBERS;
use super::ring::Ring;
use crate::directory::Directory;
use crate::frame::SharedFrame;
use crate::message::{Class, EdgeInput, HomeInput, ReplyTo, Subscribe};
use crate::table::Table;

/// So long after somebody asked for a conversation, or the last who followed it went, what comes is kept for those who
/// resume, in milliseconds: whoever reads a busy log up to where it was would else never catch up, and those who all lost
/// their sockets at once come back to what they missed.
const KEPT_MS: i64 = 5_000;
/// Works that may wait for one conversation. Full: refused as `overloaded`.
const MAX_QUEUE: usize = 8_192;

/// The conversations of one shard.
pub(crate) struct HomeCore {
    conversations: Table<ConversationId, Conversation>,
    /// Conversations in which something is to be done, each once.
    due: Vec<ConversationId>,
    ring: Ring,
    directory: Arc<Directory>,
    max_idle: usize,
    /// The time as it was told last: at most a tick ago.
    now: Timestamp,
    /// Conversations of which the store could not tell what is above the committed records.
    again: Vec<ConversationId>,
    /// `None` where there are no other nodes, ever.
    abroad: Option<Abroad>,
}

impl HomeCore {
    /// A home without conversations; `view`: of the cluster it is part of, if there can be one.
    pub(crate) fn new(directory: Arc<Directory>, max_idle: usize, view: Option<View>) -> Self {
        let abroad = view.map(Abroad::new);
        let (conversations, due, again) = (Table::default(), Vec::new(), Vec::new());
        let (ring, now) = (Ring::default(), Timestamp::default());
        Self { conversations, due, ring, directory, max_idle, now, again, abroad }
    }

    /// Takes one input. What follows from it comes with [`HomeCore::go_on`], so that what came at once is decided at once.
    pub(crate) fn take(&mut self, input: HomeInput, out: &mut Vec<HomeOutput>) {
        let id = input.conversation();
        match input {
            HomeInput::Act { act, reply, way, .. } => {
                self.enqueue(id, |look| Work::Act(Asked::new(act, reply, way, look)), out);
            }
            HomeInput::Read { user, seq, reply, .. } => {
                self.enqueue(id, |look| Work::Read { user, seq, reply, look }, out);
            }
            HomeInput::Subscribe(wish) => {
                self.enqueue(id, |look| Work::Subscribe { wish, look }, out);
                self.keep_for_a_while(id);
            }
            HomeInput::Follow { shard, .. } => {
                if let Some(conversation) = self.conversations.get_mut(&id) {
                    conversation.follow(shard);
                }
            }
            HomeInput::Unsubscribe { shard, .. } => {
                if let Some(conversation) = self.conversations.get_mut(&id) {
                    conversation.unfollow(shard);
                }
                self.keep_for_a_while(id);
            }
            HomeInput::Typing { user, active, .. } => self.typing(id, user, active, out),
            HomeInput::Presence { .. } => self.presence(id),
            HomeInput::Heard { from, word, .. } => self.heard(id, from, *word, out),
        }
        if let Some(conversation) = self.conversations.get_mut(&id).filter(|conversation| !conversation.is_due) {
            conversation.is_due = true;
            self.due.push(id);
        }
    }

    fn keep_for_a_while(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.kept_until = self.now.plus_ms(KEPT_MS);
        }
    }

    /// Goes on wherever something was taken, as far as it can without waiting.
    pub(crate) fn go_on(&mut self, now: Timestamp, out: &mut Vec<HomeOutput>) {
        self.now = now;
        for id in std::mem::take(&mut self.due) {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.is_due = false;
                self.pump(id, now, out);
            }
        }
    }

    /// Takes the end of some work.
    pub(crate) fn done(&mut self, done: Done, now: Timestamp, out: &mut Vec<HomeOutput>) {
        self.now = now;
        match done {
            Done::Loaded { conversation, result } => {
                self.loaded(conversation, result, out);
                self.pump(conversation, now, out);
            }
            Done::TargetRead { conversation, result } => {
                self.target_read(conversation, result, out);
                self.pump(conversation, now, out);
            }
            Done::Appended { conversation, result } => {
                self.appended(conversation, result, out);
                self.pump(conversation, now, out);
            }
            Done::Watched { conversation } => {
                self.watched(conversation);
                self.pump(conversation, now, out);
            }
            Done::CaughtUp { conversation, result } => {
                self.caught_up(conversation, result, out);
                self.pump(conversation, now, out);
            }
            Done::Forwarded { conversation, results } => {
                self.answered(conversation, results, out);
                self.pump(conversation, now, out);
            }
            Done::Marked { conversation, user, reply, result } => self.marked(conversation, user, reply, result, out),
            Done::Answered { reply, result } => out.push(HomeOutput::Reply { to: reply, result }),
            Done::Nothing => {}
        }
    }

    fn enqueue(&mut self, id: ConversationId, work: impl FnOnce(u32) -> Work, out: &mut Vec<HomeOutput>) {
        let conversation = self.conversations.entry(id).or_default();
        let work = work(conversation.looks);
        if conversation.queue.len() >= MAX_QUEUE {
            let busy = ErrorBody::new(ErrorCode::Overloaded, "this conversation is too busy: try again later")
                .with("limit", "conversation_queue")
                .with("max", MAX_QUEUE);
            work.refuse(id, &busy, out);
            return;
        }
        conversation.queue.push_back(work);
    }

    /// Goes on with a conversation as far as it can without waiting.
    fn pump(&mut self, id: ConversationId, now: Timestamp, out: &mut Vec<HomeOutput>) {
        loop {
            self.show_presence(id, out);
            let Some(conversation) = self.conversations.get_mut(&id) else { return };
            if conversation.is_waiting() || self.abroad_first(id, out) {
                return;
            }
            let Some(conversation) = self.conversations.get_mut(&id) else { return };
            // Whoever follows it hears of what was committed without this home's knowing by the load.
            let wants_load = conversation.state.is_none() && conversation.behind;
            if conversation.queue.is_empty() && !wants_load {
                return;
            }
            conversation.touched |= !conversation.queue.is_empty();
            if conversation.state.is_none() {
                conversation.behind = false;
                conversation.asking = Asking::State;
                conversation.looks = conversation.looks.wrapping_add(1);
                let since = conversation.committed;
                out.push(HomeOutput::Work(HomeWork::Load { conversation: id, since }));
                return;
            }
            match conversation.queue.front() {
                Some(Work::Act(Asked { act, target: Target::Unread, .. })) if act.command.target().is_some() => {
                    // Read in its turn, so that acts are decided in the order in which they came, and against the
                    // target as it is then.
                    let target = act.command.target().unwrap_or_default();
                    conversation.asking = Asking::Target;
                    out.push(HomeOutput::Work(HomeWork::ReadTarget { conversation: id, target }));
                    return;
                }
                Some(Work::Act(_)) => self.start_batch(id, now, out),
                Some(Work::Subscribe { .. } | Work::Read { .. }) => self.between_appends(id, out),
                None => return,
            }
        }
    }

    /// Handles one work that is not an act, against the committed state.
    fn between_appends(&mut self, id: ConversationId, out: &mut Vec<HomeOutput>) {
        let Some(work) = self.conversations.get_mut(&id).and_then(|conversation| conversation.queue.pop_front()) else {
            return;
        };
        let may_refuse = match &work {
            Work::Subscribe { look, .. } | Work::Read { look, .. } => self.may_refuse(id, *look),
            Work::Act(_) => true,
        };
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(state) = &conversation.state else { return };
        match work {
            Work::Subscribe { wish, look } if !may_refuse && !follow::is_plain(state, &wish) => {
                conversation.behind = true;
                conversation.queue.push_front(Work::Subscribe { wish, look });
            }
            Work::Subscribe { wish, .. } => self.subscribe(id, *wish, out),
            Work::Read { user, seq, reply, look } => match read(state, &conversation.marks, user, seq) {
                Some(Err(_)) if !may_refuse => {
                    conversation.behind = true;
                    conversation.queue.push_front(Work::Read { user, seq, reply, look });
                }
                Some(result) => out.push(HomeOutput::Reply { to: reply, result }),
                None => out.push(HomeOutput::Work(HomeWork::Mark { conversation: id, user, seq, reply })),
            },
            act @ Work::Act(_) => conversation.queue.push_front(act),
        }
    }

    /// Answers a wish to follow.
    fn subscribe(&mut self, id: ConversationId, wish: Subscribe, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(state) = &conversation.state else { return };
        let (followed, input) = follow::answer(&self.ring, state, &wish);
        if followed && state.member_count() <= PRESENCE_MAX_MEMBERS {
            // Who asks from a cursor may have been live before.
            conversation.introduce(state, (wish.user, wish.key, wish.after.is_some()), out);
        }
        // The others hear who came.
        conversation.whereabouts.doubt();
        if let Some(conversation) = self.conversations.get_mut(&id).filter(|_| followed) {
            conversation.follow(wish.key.shard);
        }
        let subscribed = follow::subscribed(wish, input);
        let shard = subscribed.key.shard;
        out.push(HomeOutput::ToEdge { shard, input: EdgeInput::Subscribed(Box::new(subscribed)) });
        self.ask_who_is_where(id, out);
    }

    /// The target of the act at the front of the queue is here.
    fn target_read(
        &mut self,
        id: ConversationId,
        result: Result<Option<Record>, StoreError>,
        out: &mut Vec<HomeOutput>,
    ) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.asking = Asking::Nothing;
        let Some(mut work) = conversation.queue.pop_front() else { return };
        match result {
            Ok(record) => {
                if let Work::Act(asked) = &mut work {
                    asked.target = Target::Read(record.map(Box::new));
                }
                conversation.queue.push_front(work);
            }
            Err(error) => work.refuse(id, &hubbub_domain::refusal::never_stored(&error), out),
        }
    }

    fn loaded(&mut self, id: ConversationId, result: Result<Loaded, StoreError>, out: &mut Vec<HomeOutput>) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        conversation.asking = Asking::Nothing;
        match result {
            Ok(Loaded { state: None, missed }) => {
                // More was missed than is read at once: these are told, and then it is loaded again.
                conversation.behind = true;
                self.tell(id, &missed, out);
                self.publish(id, missed.into_iter(), out);
            }
            Ok(Loaded { state: Some(state), missed }) => {
                conversation.committed = Some(state.head());
                conversation.untold.take_if(|head| *head < state.head());
                conversation.snapshot_at = state.head();
                conversation.state = Some(*state);
                conversation.whereabouts.doubt();
                // Perhaps they are this node's, and nobody else knows.
                self.tell(id, &missed, out);
                self.publish(id, missed.into_iter(), out);
            }
            Err(error) => self.could_not_look(id, &error, out),
        }
    }

    fn marked(
        &mut self,
        id: ConversationId,
        user: UserId,
        reply: ReplyTo,
        result: Result<MarkOutcome, ErrorBody>,
        out: &mut Vec<HomeOutput>,
    ) {
        if let (Ok(outcome), Some(conversation)) = (&result, self.conversations.get_mut(&id)) {
            let known = conversation.marks.get(&user).copied().unwrap_or_default();
            // Two marks of one person can end in either order: only what moves the highest is told. Their own devices are
            // told too: that is how unread counts agree.
            if outcome.moved && outcome.read_seq > known {
                let frame = MessageRead { conversation_id: id, user_id: user, seq: outcome.read_seq };
                conversation.notify(id, &SharedFrame::new(frame), None, Class::State, out);
            }
            conversation.marks.insert(user, outcome.read_seq.max(known));
            if outcome.moved {
                self.say(Topic::Conversation(id), || Word::Marked { user_id: user, seq: outcome.read_seq }, out);
            }
        }
        let result = result.map(|outcome| marked_at(outcome.read_seq, outcome.moved));
        out.push(HomeOutput::Reply { to: reply, result });
    }

    /// Forgets conversations that nobody follows and nobody touched since the last sweep, when there are too many.
    pub(crate) fn sweep(&mut self, out: &mut Vec<HomeOutput>) {
        if self.conversations.len() <= self.max_idle {
            return;
        }
        self.conversations.retain(|id, conversation| {
            let stays = !conversation.is_idle() || std::mem::take(&mut conversation.touched);
            if !stays && conversation.watch != Watch::Off {
                conversation.whereabouts.farewell(*id, out);
                out.push(HomeOutput::Unwatch(*id));
            }
            stays
        });
        self.ring.keep(|id| self.conversations.contains_key(id));
    }
}

/// The answer to a read mark, unless it is to be moved in the store.
fn read(
    state: &ConversationState,
    marks: &HashMap<UserId, Sequence>,
    user: UserId,
    seq: Sequence,
) -> Option<Result<Stored, ErrorBody>> {
    if !state.is_member(user) {
        return Some(Err(hubbub_domain::conversation::not_found()));
    }
    if seq > state.head() {
        let message = format!("seq {seq} is above the conversation's head {}", state.head());
        let refusal = ErrorBody::new(ErrorCode::ValidationFailed, message);
        return Some(Err(refusal.with("field", "seq").with("max", state.head().get())));
    }
    let known = marks.get(&user).filter(|known| **known >= seq)?;
    Some(Ok(marked_at(*known, false)))
}

fn marked_at(read_seq: Sequence, moved: bool) -> Stored {
    Stored { first: read_seq, last: read_seq, created_at: Timestamp::default(), duplicate: !moved }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use hubbub_domain::conversation::{Act, Command, evolve};
    use hubbub_protocol::member::{ConversationKind, Member, Role, SenderType};
    use hubbub_protocol::record::{Author, Message, Opened};
    use hubbub_protocol::{Payload, RecordBody};
    use hubbub_storage::log::Appended;

    use super::*;
    use crate::message::{Answer, ConnectionKey, OpenCount, Way};

    const ALICE: UserId = UserId::from_bytes([1; 16]);
    const ROOM: ConversationId = ConversationId::from_bytes([2; 16]);

    /// A home with a conversation of one member, opened and no more.
    fn home_with_room() -> HomeCore {
        let mut home = HomeCore::new(Arc::default(), 1, None);
        let mut state = ConversationState::default();
        let members = vec![Member { user_id: ALICE, role: Role::Owner }];
        let opened = Opened { kind: ConversationKind::Group, name: String::new(), members };
        evolve(&mut state, Sequence::new(1), &author(), &RecordBody::Opened(opened));
        home.conversations.entry(ROOM).or_default().state = Some(state);
        home
    }

    fn author() -> Author {
        Author { sender_id: ALICE, sender_type: SenderType::Human, device_id: None }
    }

    const SOON: Timestamp = Timestamp::from_ms(1_000);
    const LATER: Timestamp = Timestamp::from_ms(1_000 + KEPT_MS + 1);

    /// Alice sends a message, and the log stores it.
    fn send(home: &mut HomeCore, now: Timestamp) {
        let (open, mut out) = (Arc::default(), Vec::new());
        let payload = Payload::from(vec![1]);
        let message = Message { content_type: "text".to_owned(), payload, reply_to: None, epoch: None };
        let act = Box::new(Act { author: author(), client_message_id: None, command: Command::Send(message.into()) });
        let reply = ReplyTo::Caller { answer: oneshot::channel().0, open: OpenCount::new(&open) };
        home.take(HomeInput::Act { conversation: ROOM, act, reply, way: Way::Home }, &mut out);
        home.go_on(now, &mut out);
        let last = head(home);
        let result = Ok(Appended::Committed { first: last, last });
        home.done(Done::Appended { conversation: ROOM, result }, now, &mut out);
    }

    fn head(home: &HomeCore) -> Sequence {
        home.conversations[&ROOM].state.as_ref().unwrap().head()
    }

    /// The answer to Alice's wish to follow from there on.
    fn follow(home: &mut HomeCore, after: Sequence) -> Answer {
        let mut out = Vec::new();
        let key = ConnectionKey { shard: 0, slot: 0, tenant: 0 };
        let wish = Subscribe { conversation: ROOM, user: ALICE, key, wish: 0, after: Some(after), command: None };
        home.take(HomeInput::Subscribe(Box::new(wish)), &mut out);
        home.go_on(home.now, &mut out);
        let answer = out.into_iter().find_map(|output| match output {
            HomeOutput::ToEdge { input: EdgeInput::Subscribed(subscribed), .. } => Some(subscribed.answer),
            _ => None,
        });
        answer.unwrap()
    }

    fn unfollow(home: &mut HomeCore) {
        home.take(HomeInput::Unsubscribe { conversation: ROOM, shard: 0 }, &mut Vec::new());
    }

    #[test]
    fn resumable_whoever_reads_a_busy_log_that_nobody_follows_catches_up_also_when_the_ring_is_full_of_it() {
        for before in [3, 12_500] {
            let mut home = home_with_room();
            follow(&mut home, Sequence::new(1));
            (0..before).for_each(|_| send(&mut home, SOON));
            unfollow(&mut home);
            (0..3).for_each(|_| send(&mut home, LATER));
            let Answer::Behind { head: read, .. } = follow(&mut home, Sequence::new(2)) else {
                panic!("kept for ever")
            };
            // More comes while it reads up to there.
            (0..3).for_each(|_| send(&mut home, LATER));
            let answer = follow(&mut home, read);
            let Answer::Caught { recent, .. } = answer else { panic!("RESUMABLE: it never catches up: {answer:?}") };
            assert_eq!(recent.first().map(|delivery| delivery.sequence()), Some(read.next()));
            assert_eq!(recent.last().map(|delivery| delivery.sequence()), Some(head(&home)));
        }
    }

    #[test]
    fn resumable_who_comes_back_soon_finds_what_nobody_followed_and_who_comes_late_finds_no_hole() {
        let mut home = home_with_room();
        follow(&mut home, Sequence::new(1));
        send(&mut home, SOON);
        unfollow(&mut home);
        send(&mut home, SOON);
        assert!(matches!(follow(&mut home, Sequence::new(1)), Answer::Caught { .. }), "it was gone for a moment");
        unfollow(&mut home);
        send(&mut home, LATER);
        assert!(matches!(follow(&mut home, Sequence::new(4)), Answer::Caught { .. }));
        send(&mut home, LATER);
        for (after, whole) in [(1, false), (3, false), (4, true), (5, true)] {
            let answer = follow(&mut home, Sequence::new(after));
            assert_eq!(matches!(answer, Answer::Caught { .. }), whole, "RESUMABLE: after {after}");
        }
    }

    #[test]
    fn bounded_what_waits_for_one_conversation_is_refused_above_the_limit_and_by_its_name() {
        let mut home = HomeCore::new(Arc::default(), 1, None);
        let (conversation, user) = (ConversationId::generate(), UserId::generate());
        let (open, mut out) = (Arc::default(), Vec::new());
        // The conversation is never loaded, so all of it waits.
        for _ in 0..=MAX_QUEUE {
            let reply = ReplyTo::Caller { answer: oneshot::channel().0, open: OpenCount::new(&open) };
            let input = HomeInput::Read { conversation, user, seq: Sequence::new(1), reply };
            home.take(input, &mut out);
            home.go_on(Timestamp::from_ms(0), &mut out);
        }
        let refusal = |output: &HomeOutput| match output {
            HomeOutput::Reply { result: Err(refusal), .. } => Some(refusal.clone()),
            _ => None,
        };
        let refused: Vec<ErrorBody> = out.iter().filter_map(refusal).collect();
        assert_eq!(refused.len(), 1, "BOUNDED: the one above the limit is refused, and no other");
        assert_eq!(refused[0].code, ErrorCode::Overloaded);
        assert_eq!(refused[0].params["limit"], "conversation_queue".into(), "BOUNDED, by name");
    }
}
