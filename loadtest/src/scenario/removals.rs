//! An admin removes a member on one node while that member sends from all of them, and takes them in again: round after
//! round (MEMBERS-ONLY).
//!
//! Whether a message is taken or refused is a matter of moments, but never where it stands: the ledger holds every
//! reader's stream and the history against the removals and joinings among the messages.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{join, try_join_all};
use hubbub_protocol::UserId;
use serde_json::json;

use crate::client::Following;
use crate::client::account::Account;
use crate::client::http::Http;
use crate::options::Common;
use crate::pacer::Seeded;
use crate::report::Report;
use crate::run::{Conversation, Crew, Order, Part, People, Run};

/// People of each group: who removes, who watches, and who is removed.
const PEOPLE: usize = 3;
/// Between two sends of a burst, up to this long.
const PAUSE_US: usize = 4_000;

/// The options of `removals`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Removals, over all groups. They take as long as they take: `--seconds` has no say.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Groups in which this goes on at one time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=500))]
    groups: u32,
    /// Sockets of each member who is removed, over all nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    sockets: u32,
    /// Sends of each of them while they are removed, and again while they are taken in.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=50))]
    sends: u32,
}

/// One group in which somebody is removed again and again.
struct Group {
    owner: Arc<Account>,
    conversation: Conversation,
    member: UserId,
    /// The players that are sockets of the member.
    sockets: Vec<usize>,
    seeded: Seeded,
}

/// Runs it.
pub(super) async fn run(args: &Args, common: &Common) -> anyhow::Result<Report> {
    let mut common = common.clone();
    // No schedule is kept here, so nothing can be late.
    common.max_late = 100.0;
    let run = Run::new(&common).await?;
    let groups = args.groups as usize;
    let people = People::register(&run, groups * PEOPLE).await?;
    let plan = (0..groups).map(|group| (group * PEOPLE..(group + 1) * PEOPLE).collect()).collect();
    let conversations = people.converse(plan).await?;
    let mut crew = Crew::new(&run);
    let mut stages = Vec::new();
    for (number, conversation) in conversations.iter().enumerate() {
        stages.push(cast(&people, &mut crew, args, &common, number, conversation)?);
    }
    crew.assemble().await?;
    let left = Cell::new(args.rounds);
    let work = try_join_all(stages.into_iter().map(|group| rounds(&run, &crew, args, group, &left)));
    run.measure("removing", u64::from(args.rounds), work).await?;
    let mut report = crew.finish("removals", &conversations).await?;
    let removals = run.ledger.borrow().counts().removals;
    report.extra.insert("removals".to_owned(), json!(removals));
    if removals < u64::from(args.rounds) {
        report.invalid(format!("only {removals} of {} removals are in the histories", args.rounds));
    }
    if report.refused == 0 || report.acked == 0 {
        report.invalid("nothing raced: all sends were taken, or none".to_owned());
    }
    Ok(report)
}

/// Puts the players of one group to work.
fn cast(
    people: &People,
    crew: &mut Crew,
    args: &Args,
    common: &Common,
    number: usize,
    conversation: &Conversation,
) -> anyhow::Result<Group> {
    let first = number * PEOPLE;
    let mut add = |person: usize, following: Following| {
        let player = crew.len();
        let mut options = people.options(player, person).context("there are as many people as places")?;
        options.following = following;
        let timed = following == Following::All;
        crew.add(Part { options, conversations: vec![conversation.clone()], depth: 0, timed });
        anyhow::Ok(player)
    };
    for watcher in first..first + PEOPLE - 1 {
        add(watcher, Following::All)?;
    }
    let member = first + PEOPLE - 1;
    let sockets = (0..args.sockets).map(|_| add(member, Following::Nothing)).collect::<anyhow::Result<_>>()?;
    let account = |person: usize| people.accounts.get(person).cloned().context("there are as many people as places");
    Ok(Group {
        owner: account(first)?,
        conversation: conversation.clone(),
        member: account(member)?.user_id,
        sockets,
        seeded: Seeded::new(common.seed ^ number as u64),
    })
}

/// Removes and takes in again, for as long as there are rounds left.
async fn rounds(run: &Run, crew: &Crew, args: &Args, mut group: Group, left: &Cell<u32>) -> anyhow::Result<()> {
    let owner = Arc::clone(&group.owner);
    let (id, member) = (group.conversation.id, group.member);
    // One caller at each node, who are asked by turns.
    let mut callers: Vec<Http> = (0..run.rest.len()).map(|node| owner.http_at(node)).collect();
    let mut turn = group.seeded.below(callers.len());
    while left.get() > 0 {
        left.set(left.get() - 1);
        for removes in [true, false] {
            turn = (turn + 1) % callers.len();
            let http = callers.get_mut(turn).context("no server is named")?;
            let act = async {
                if removes {
                    owner.remove_member(http, id, member).await
                } else {
                    owner.add_member(http, id, member).await
                }
            };
            let (done, ()) = join(act, burst(run, crew, args, &mut group)).await;
            done.context("a member could not be removed or taken in")?;
        }
    }
    Ok(())
}

/// All sockets of the member send, at moments of no order.
async fn burst(run: &Run, crew: &Crew, args: &Args, group: &mut Group) {
    for _ in 0..args.sends {
        for socket in &group.sockets {
            crew.order(*socket, Order::Send { slot: 0, intended_ns: run.clock.now_ns() });
        }
        let pause = u64::try_from(group.seeded.below(PAUSE_US)).unwrap_or(0);
        tokio::time::sleep(Duration::from_micros(pause)).await;
    }
}
