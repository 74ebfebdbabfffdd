//! One line of the history, and its place.

use crate::store::{Error, tables};
use gable_devices::Timestamp;
use gable_rules::broker::{AccessChange, ClientAction, User};
use gable_rules::{Calendar, Effect, Hlc, Input, InputKind, LogIndex, Message, NodeId, Refusal, SourceFile};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The place of a row: which log entry, which of its inputs, and which row of that input.
///
/// It follows from the log alone, so it is the same on every node, whatever was restarted, restored
/// or removed in between. Row 0 of an input is the input itself; its effects follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    pub log_index: u64,
    slot: u32,
}

/// Bits of a message's index that hold the number of its input within the log entry.
const INPUT_BITS: u32 = 16;

impl Position {
    /// Before every row.
    pub const START: Position = Position { log_index: 0, slot: 0 };

    pub(super) fn new(log_index: u64, input: u16, row: u16) -> Position {
        Position { log_index, slot: u32::from(input) << INPUT_BITS | u32::from(row) }
    }

    pub(super) fn from_key((log_index, slot): (u64, u32)) -> Position {
        Position { log_index, slot }
    }

    pub(super) fn key(self) -> (u64, u32) {
        (self.log_index, self.slot)
    }

    /// Before every row of log entry `log_index`.
    pub fn before(log_index: u64) -> Position {
        Position { log_index, slot: 0 }.previous()
    }

    /// Returns the number under which users know the input: it grows with every message, with
    /// holes, and is the same on every node. It stays below 2^53, which JSON readers keep exactly,
    /// for the first 137 thousand million log entries.
    pub fn index(self) -> u64 {
        self.log_index << INPUT_BITS | u64::from(self.slot >> INPUT_BITS)
    }

    /// After every row of the input with the number `index`, and before the next input's.
    pub fn after_index(index: u64) -> Position {
        let input = (index & u64::from(u16::MAX)) as u16;
        if index == 0 { Position::START } else { Position::new(index >> INPUT_BITS, input, u16::MAX) }
    }

    fn previous(self) -> Position {
        match (self.log_index, self.slot) {
            (0, 0) => self,
            (log_index, 0) => Position { log_index: log_index - 1, slot: u32::MAX },
            (log_index, slot) => Position { log_index, slot: slot - 1 },
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log_index, self.slot)
    }
}

/// Why a text is not a [`Position`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a place in the history: expected `LOG_INDEX:SLOT`")]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Position, PositionError> {
        text.split_once(':')
            .and_then(|(index, slot)| {
                Some(Position { log_index: index.parse().ok()?, slot: slot.parse().ok()? })
            })
            .ok_or_else(|| PositionError(text.to_owned()))
    }
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub position: Position,
    /// The home's time.
    pub at: Timestamp,
    /// When and where the input was heard.
    pub heard: Hlc,
    pub node: NodeId,
    pub kind: Kind,
}

/// What a row tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    Message(Message),
    Effect(Effect),
    /// Any other input that no effect tells of. Of a home's files only the names are kept.
    Input(InputKind),
}

/// What is kept of a row beside its key.
#[derive(Serialize, Deserialize)]
struct Body<'r> {
    at: Timestamp,
    heard: Hlc,
    node: NodeId,
    kind: Cow<'r, Kind>,
}

impl Row {
    pub(super) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message(_))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        let body = Body { at: self.at, heard: self.heard, node: self.node, kind: Cow::Borrowed(&self.kind) };
        tables::encode("a history row", &key_bytes(self.position), &body)
    }

    pub(super) fn decode(position: Position, bytes: &[u8]) -> Result<Row, Error> {
        let what = || format!("history row {position}");
        let Body { at, heard, node, kind } = tables::decode(what, &key_bytes(position), bytes)?;
        Ok(Row { position, at, heard, node, kind: kind.into_owned() })
    }
}

/// Returns the rows that an applied log entry leaves. An input that was not taken leaves none: its
/// other copy has, or will.
pub(super) fn rows(
    log_index: LogIndex,
    inputs: &[Input],
    effects: &[Vec<Effect>],
) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for (number, (input, effects)) in inputs.iter().zip(effects).enumerate() {
        let number = u16::try_from(number)
            .map_err(|_| Error::Misused(format!("log entry {log_index} carries more than 65,536 inputs")))?;
        let row = |n: u16, kind: Kind| Row {
            position: Position::new(log_index.0, number, n),
            at: input.at,
            heard: input.heard,
            node: input.origin.node,
            kind,
        };
        if let [Effect::Refused(refusal)] = effects.as_slice() {
            if let Refusal::Invalid(_) = refusal {
                rows.push(row(1, Kind::Effect(Effect::Refused(refusal.clone()))));
            }
            continue;
        }
        rows.extend(to_kind(&input.kind).map(|kind| row(0, kind)));
        rows.extend((1..u16::MAX).zip(effects).map(|(n, effect)| row(n, Kind::Effect(effect.clone()))));
    }
    Ok(rows)
}

fn to_kind(kind: &InputKind) -> Option<Kind> {
    match kind {
        InputKind::Message(message) => Some(Kind::Message(message.clone())),
        InputKind::Configure(files) => {
            let name = |file: &SourceFile| SourceFile { name: file.name.clone(), text: String::new() };
            Some(Kind::Input(InputKind::Configure(files.iter().map(name).collect())))
        }
        // Of the tables only whose they are and how far they reach.
        InputKind::Calendar(calendar) => {
            let (place, until) = (calendar.place.clone(), calendar.until);
            Some(Kind::Input(InputKind::Calendar(Calendar { place, until, ..Calendar::default() })))
        }
        // The effects `TimerFired`, `CommandSent` and `LeaderChanged` say the same.
        InputKind::TimerDue(_) | InputKind::CommandSent(_) | InputKind::Leading => None,
        InputKind::Client(client) => match &client.action {
            ClientAction::Publish { publication, .. } => Some(Kind::Message(Message {
                topic: publication.topic.clone(),
                payload: publication.payload.clone(),
                qos: publication.qos,
                retain: publication.retain,
                ..Message::default()
            })),
            ClientAction::Subscribe { .. } | ClientAction::Unsubscribe { .. } => {
                Some(Kind::Input(InputKind::Client(client.clone())))
            }
            // Effects tell of connections; the rest says nothing to people.
            ClientAction::Connect(_)
            | ClientAction::Disconnect { .. }
            | ClientAction::Release { .. }
            | ClientAction::Acknowledge { .. } => None,
        },
        // Hashes of passwords have no place here.
        InputKind::Access(AccessChange::SetUser { name, .. }) => {
            let (name, user) = (name.clone(), User::default());
            Some(Kind::Input(InputKind::Access(AccessChange::SetUser { name, user })))
        }
        // Success and giving up are effects; a failure says why.
        other => Some(Kind::Input(other.clone())),
    }
}

fn key_bytes(position: Position) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&position.log_index.to_be_bytes());
    key[8..].copy_from_slice(&position.slot.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_numbers_grow_and_lead_back() {
        let positions = [(1, 0), (1, 1), (1, u16::MAX), (2, 0), (900, 7)];
        let indices: Vec<u64> =
            positions.iter().map(|(log, input)| Position::new(*log, *input, 0).index()).collect();
        assert!(indices.is_sorted_by(|a, b| a < b), "{indices:?}");
        for ((log, input), index) in positions.into_iter().zip(indices) {
            let after = Position::after_index(index);
            assert!(Position::new(log, input, 0) < after);
            assert_eq!(after.index(), index);
        }
        assert_eq!(Position::after_index(0), Position::START);
    }

    #[test]
    fn a_position_survives_its_text() {
        let position = Position::new(57, 3, 2);
        assert_eq!(position.to_string().parse(), Ok(position));
        assert!("57".parse::<Position>().is_err());
    }

    #[test]
    fn before_an_entry_lies_after_the_one_before() {
        assert!(Position::before(5) < Position::new(5, 0, 0));
        assert!(Position::before(5) > Position::new(4, u16::MAX, 9));
        assert_eq!(Position::before(0), Position::START);
    }
}
