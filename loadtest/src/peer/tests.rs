//! The harness against a server that does what is wanted, and against ones that do not.

use super::ack::{self, Load};
use super::fan::Hall;
use super::kind::Kept;
use super::sample::Sample;
use super::testing::{Fault, room};
use super::{crowd, start};

fn on_this_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// A room of five, three messages out at a time, for a second.
fn fan_out(fault: Fault) -> Sample {
    on_this_thread(async {
        let stage = room(fault).await;
        let mut hall = Hall::assemble(&stage, 5, 128).await.unwrap();
        let sample = hall.measure(&stage, 3, 1).await;
        hall.dismiss().await;
        sample
    })
}

fn acks(fault: Fault) -> Sample {
    on_this_thread(async {
        let stage = room(fault).await;
        let load = Load { senders: 3, depth: 4, size: 128, seconds: 1 };
        ack::measure(&stage, Kept::Nowhere, load).await.unwrap()
    })
}

#[test]
fn every_delivery_of_an_honest_room_is_counted_once() {
    let sample = fan_out(Fault::None);
    assert!(sample.is_clean(), "{sample:?}");
    assert_eq!(sample.ledger.due, sample.ledger.sent * 5);
    assert_eq!(sample.ledger.came, sample.ledger.due);
    assert!(sample.rate.is_some_and(|rate| rate > 0.0) && sample.server_us.is_some(), "{sample:?}");
}

#[test]
fn a_delivery_that_is_lost_doubled_or_altered_is_found() {
    let lost = fan_out(Fault::Loses(7));
    assert_eq!((lost.ledger.lost, lost.is_clean()), (1, false), "{lost:?}");
    let doubled = fan_out(Fault::Doubles(7));
    assert_eq!((doubled.ledger.doubled, doubled.is_clean()), (1, false), "{doubled:?}");
    let altered = fan_out(Fault::Alters(7));
    assert_eq!((altered.ledger.foreign, altered.ledger.lost), (1, 1), "{altered:?}");
}

#[test]
fn every_acknowledgement_is_counted_and_one_that_is_lost_or_doubled_is_found() {
    let honest = acks(Fault::None);
    assert!(honest.is_clean() && honest.ledger.came == honest.ledger.sent, "{honest:?}");
    let lost = acks(Fault::Loses(7));
    assert_eq!((lost.ledger.lost, lost.is_clean()), (1, false), "{lost:?}");
    let doubled = acks(Fault::Doubles(7));
    assert_eq!((doubled.ledger.doubled, doubled.is_clean()), (1, false), "{doubled:?}");
}

#[test]
fn connections_come_and_stay() {
    on_this_thread(async {
        let stage = room(Fault::None).await;
        let connects = crowd::connects(&stage, 1).await;
        assert!(connects.is_clean() && connects.ledger.came > 0, "{connects:?}");
        let idle = crowd::idle(&stage, 20).await.unwrap();
        assert!(idle.is_clean() && idle.kib.is_some(), "{idle:?}");
        assert_eq!(idle.ledger.came, 20);
    });
}

#[test]
fn scripts_and_settings_can_be_shown() {
    for name in start::names() {
        assert!(start::shown(name).is_some_and(|text| text.len() > 100), "{name}");
    }
    assert_eq!(start::shown("else"), None);
}
