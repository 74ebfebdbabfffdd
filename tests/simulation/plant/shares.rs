//! Falsified records of what the members of groups got.

use crate::clients::{LASTING_MEMBERS, MIXED_MEMBERS};
use crate::trace::{Ending, Event, Seen, Ticket, Trace};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// Who is found to have got what came while it was away.
const ABSENT: u32 = LASTING_MEMBERS.start;
/// After so long the log knows that a client is away.
const KNOWN_AFTER: Duration = Duration::from_millis(100);

/// Lets another member of the group get a message as well.
pub(super) fn doubled(trace: &mut Trace) {
    let Some((position, share)) = shares(trace, LASTING_MEMBERS).next() else { return };
    let (at, Event::Client { connection, seen, .. }) = &trace.events[position] else { return };
    let client = LASTING_MEMBERS.start + (share.client + 1 - LASTING_MEMBERS.start) % 3;
    let copy = (*at, Event::Client { client, connection: *connection, seen: seen.clone() });
    trace.events.insert(position + 1, copy);
}

/// Takes a message away from a member with a clean session who got another one behind it.
pub(super) fn lost(trace: &mut Trace) {
    let clean = MIXED_MEMBERS.start + 1..MIXED_MEMBERS.end;
    let all: Vec<Share> = shares(trace, clean).map(|(_, share)| share).collect();
    let lost = all.iter().enumerate().find(|(place, share)| {
        let mut behind = all[place + 1..].iter();
        behind.any(|it| (it.client, it.connection) == (share.client, share.connection))
    });
    if let Some((_, Share { ticket, .. })) = lost {
        trace.events.retain(|(_, event)| {
            Share::of(event, &MIXED_MEMBERS).is_none_or(|share| share.ticket != *ticket)
        });
    }
}

/// Lets a member get a message that came while it was away, instead of one that was there.
pub(super) fn misplaced(trace: &mut Trace) {
    let (mut away, mut offered) = (None, BTreeSet::new());
    for (at, event) in &mut trace.events {
        let share = Share::of(event, &LASTING_MEMBERS);
        let Event::Client { client, seen, .. } = event else { continue };
        match seen {
            Seen::Ended(Ending::Left | Ending::Broken) if *client == ABSENT => away = Some(*at),
            Seen::Connected { .. } if *client == ABSENT => {
                away = None;
                offered.clear();
            }
            Seen::Offered { ticket, .. } if away.is_some_and(|since| *at - since > KNOWN_AFTER) => {
                offered.insert(*ticket);
            }
            _ => {}
        }
        if share.is_some_and(|share| offered.contains(&share.ticket)) {
            *client = ABSENT;
            return;
        }
    }
}

/// A message that a member of a group got at QoS 1 or 2.
#[derive(Clone, Copy, Debug)]
struct Share {
    client: u32,
    connection: u32,
    ticket: Ticket,
}

impl Share {
    fn of(event: &Event, members: &Range<u32>) -> Option<Share> {
        let Event::Client { client, connection, seen: Seen::Received(reception) } = event else {
            return None;
        };
        let ticket = Ticket::of(&reception.payload).filter(|_| reception.qos > 0)?;
        let share = Share { client: *client, connection: *connection, ticket };
        members.contains(client).then_some(share)
    }
}

/// Returns what members got, each with its place in the trace.
fn shares(trace: &Trace, members: Range<u32>) -> impl Iterator<Item = (usize, Share)> {
    let events = trace.events.iter().enumerate();
    events.filter_map(move |(position, (_, event))| Some((position, Share::of(event, &members)?)))
}
