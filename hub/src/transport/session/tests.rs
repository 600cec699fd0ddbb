//! Sessions against rustls' own client, over a wire that takes and gives a few bytes at a time.

use std::cell::RefCell;
use std::io::{Read, Write};

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, SupportedProtocolVersion};

use super::super::kit;
use super::*;
use crate::connection::outbox::{Outbox, TryWrite};

const BOTH: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// A client and its session, and what is on the way to the client.
struct World {
    session: Session,
    scratch: Scratch,
    client: ClientConnection,
    wire: Vec<u8>,
    /// Bytes that one call takes or gives.
    most: usize,
    blocks: bool,
    said: Vec<u8>,
    heard: Vec<u8>,
}

/// Takes a few bytes, then blocks once.
fn drip(wire: &mut Vec<u8>, blocks: &mut bool, most: usize, bytes: &[u8]) -> io::Result<usize> {
    *blocks = !*blocks;
    if *blocks {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let taken = bytes.len().min(most);
    wire.extend_from_slice(&bytes[..taken]);
    Ok(taken)
}

impl World {
    fn new(version: &'static SupportedProtocolVersion, most: usize) -> Self {
        let (server, client) = kit::ends(&[version]);
        let session = Session::new(server).unwrap();
        let client = ClientConnection::new(client, kit::name()).unwrap();
        let (wire, said, heard) = (Vec::new(), Vec::new(), Vec::new());
        Self { session, scratch: Scratch::default(), client, wire, most, blocks: false, said, heard }
    }

    /// A world in which both ends have come to an understanding.
    fn met(version: &'static SupportedProtocolVersion, most: usize) -> Self {
        let mut world = Self::new(version, most);
        while world.client.is_handshaking() || world.session.is_handshaking() {
            world.hear().unwrap();
            world.deliver();
        }
        world
    }

    /// Brings what the client says to the session.
    fn hear(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        self.bring(&bytes)
    }

    fn bring(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 100];
        while !bytes.is_empty() {
            let most = self.most.min(1_000);
            let given = self.session.read(&mut self.scratch, &mut buffer, |room| {
                let length = room.len().min(most);
                bytes.read(&mut room[..length])
            });
            let mut given = Some(given?);
            while let Some(length) = given.filter(|length| *length > 0) {
                self.heard.extend_from_slice(&buffer[..length]);
                given = self.session.give(&mut buffer);
            }
        }
        Ok(())
    }

    /// Brings what the session says to the client, all of it.
    fn deliver(&mut self) {
        let Self { session, wire, blocks, most, .. } = self;
        while session.has_unsent() {
            drop(session.flush(|bytes| drip(wire, blocks, *most, bytes)));
        }
        let mut wire = &self.wire[..];
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).unwrap();
            self.client.process_new_packets().unwrap();
            let mut some = [0; 4_096];
            while let Ok(read @ 1..) = self.client.reader().read(&mut some) {
                self.said.extend_from_slice(&some[..read]);
            }
        }
        self.wire.clear();
    }
}

struct Dripping(RefCell<World>);

impl TryWrite for Dripping {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let World { session, scratch, wire, blocks, most, .. } = &mut *self.0.borrow_mut();
        let mut write = |bytes: &[u8]| drip(wire, blocks, *most, bytes);
        session.flush(&mut write)?;
        session.write(scratch, slices, write)
    }
}

#[test]
fn partial_writes_never_cut_a_frame_nor_a_record() {
    for version in BOTH {
        for most in [1, 2, 3, 5, 17, 64, 1_000, 100_000] {
            let socket = Dripping(RefCell::new(World::met(version, most)));
            let (mut outbox, mut expected) = (Outbox::new(1 << 20), Vec::new());
            for number in 0..40_u8 {
                let length = if number == 20 { 3 * MAX_PLAIN + 7 } else { 1 + usize::from(number) * 13 };
                expected.extend(std::iter::repeat_n(number, length));
                outbox.offer(vec![number; length].into(), None).unwrap();
                outbox.write_to(&socket).unwrap();
                let unsent = socket.0.borrow().session.unsent.len();
                assert!(unsent <= MAX_RECORD, "BOUNDED: nothing is encrypted ahead of what is sent: {unsent}");
            }
            while !outbox.is_empty() {
                outbox.write_to(&socket).unwrap();
            }
            let mut world = socket.0.into_inner();
            world.deliver();
            assert!(world.said == expected, "IN-ORDER: {version:?}, {most} bytes a write");
        }
    }
}

#[test]
fn what_comes_in_pieces_or_many_records_at_once_is_heard_whole() {
    for version in BOTH {
        for most in [1, 7, 1_000] {
            let mut world = World::met(version, most);
            let mut expected = Vec::new();
            for number in 0..30_u8 {
                let frame = vec![number; 1 + usize::from(number) * 97];
                world.client.writer().write_all(&frame).unwrap();
                expected.extend(frame);
                if number % 3 == 0 {
                    world.hear().unwrap();
                }
            }
            world.hear().unwrap();
            assert!(world.heard == expected, "IN-ORDER: {version:?}, {most} bytes a read");
        }
    }
}

#[test]
fn an_idle_session_owns_no_buffer() {
    for version in BOTH {
        let mut world = World::met(version, 1_000);
        world.client.writer().write_all(&[1; 5_000]).unwrap();
        world.hear().unwrap();
        let socket = Dripping(RefCell::new(world));
        let mut outbox = Outbox::new(1 << 20);
        outbox.offer(vec![2; 50_000].into(), None).unwrap();
        while !outbox.is_empty() {
            outbox.write_to(&socket).unwrap();
        }
        let mut world = socket.0.into_inner();
        world.deliver();
        let Session { partial, plain, unsent, .. } = &world.session;
        assert_eq!([partial.capacity(), plain.capacity(), unsent.capacity()], [0; 3], "{version:?}");
    }
}

#[test]
fn both_ends_are_told_from_a_cut() {
    for version in BOTH {
        let mut world = World::met(version, 10);
        world.client.send_close_notify();
        world.hear().unwrap();
        assert_eq!(world.session.give(&mut [0]), Some(0), "{version:?}: the client said that it says no more");
        let World { session, scratch, wire, blocks, most, .. } = &mut world;
        session.end(scratch, |bytes| drip(wire, blocks, *most, bytes)).unwrap();
        session.end(scratch, |_| panic!("it is said once")).unwrap();
        world.deliver();
        assert_eq!(world.client.reader().read(&mut [0]).unwrap(), 0, "{version:?}: the client knows that it has all");

        let mut world = World::met(version, 10);
        let cut = world.session.read(&mut world.scratch, &mut [0], |_| Ok(0)).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof, "{version:?}");
    }
}

#[test]
fn bounded_a_client_that_changes_its_keys_over_and_over_is_answered_and_heard() {
    let mut world = World::met(&TLS13, 1_000);
    for _ in 0..200 {
        world.client.refresh_traffic_keys().unwrap();
        world.client.writer().write_all(b"x").unwrap();
        world.hear().unwrap();
        assert!(world.session.unsent.len() < 1_024, "BOUNDED: {} bytes wait", world.session.unsent.len());
    }
    assert_eq!(world.heard, [b'x'; 200]);
    let World { session, scratch, wire, .. } = &mut world;
    let write = |bytes: &[u8]| {
        wire.extend_from_slice(bytes);
        Ok(bytes.len())
    };
    session.flush(write).unwrap();
    let write = |bytes: &[u8]| {
        wire.extend_from_slice(bytes);
        Ok(bytes.len())
    };
    session.write(scratch, &[IoSlice::new(b"still here")], write).unwrap();
    world.deliver();
    assert_eq!(world.said, b"still here");
}

#[test]
fn what_is_no_tls_is_refused_and_told_so() {
    let random: Vec<u8> = (0..600_u32).map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    for garbage in [&b"\x16\x03\x01\x00\x05hello"[..], &[&b"\x16"[..], &random].concat(), b"\x16\x03\x01\xff\xff"] {
        let mut world = World::new(&TLS13, 1_000);
        world.bring(garbage).unwrap_err();
        assert_eq!(world.bring(b"more").unwrap_err().kind(), io::ErrorKind::NotConnected, "{garbage:?}");
    }
    for version in BOTH {
        let mut world = World::met(version, 1_000);
        let mut record = vec![0x17, 3, 3, 0, 200];
        record.extend([7; 200]);
        world.bring(&record).unwrap_err();
        assert!(world.session.has_unsent(), "an alert: {version:?}");
        let World { session, scratch, .. } = &mut world;
        let mut unsent = session.unsent.len();
        session
            .flush(|bytes| {
                unsent -= bytes.len();
                Ok(bytes.len())
            })
            .unwrap();
        assert_eq!(unsent, 0);
        let nothing_more = session.write(scratch, &[IoSlice::new(b"x")], |_| panic!("nothing goes out after an alert"));
        assert_eq!(nothing_more.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(world.bring(b"more").unwrap_err().kind(), io::ErrorKind::NotConnected);
    }
}

#[test]
fn bounded_a_hello_that_does_not_end_is_given_up() {
    let mut world = World::new(&TLS13, 1_000);
    // A ClientHello of 60,000 bytes, in records of 1,000.
    let mut result = world.bring(&[0x16, 3, 1, 0, 4, 1, 0, 0xea, 0x60]);
    for _ in 0..60 {
        if result.is_err() {
            break;
        }
        let mut record = vec![0x16, 3, 1, 0x03, 0xe8];
        record.extend([0; 1_000]);
        result = world.bring(&record);
    }
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData, "BOUNDED");
    assert!(world.session.partial.len() <= MAX_RECORD, "BOUNDED");
}
