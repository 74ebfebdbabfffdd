//! The task of one connection: bytes in and out, deadlines, and the session between them.

use super::Context;
use super::admission::{self, Admitted};
use super::mailbox::Mailbox;
use super::net::{Accepted, Stream};
use super::session::{Class, End, Event, Farewell, Item, Parcel, Reply, Rights, Session, Todo};
use super::wire::{
    Delivery, Detail, Disconnect, EncodeError, Encoder, Framer, Level, Outgoing, Packet, ReasonCode, Refusal,
    decode,
};
use crate::raft::{Audience, ProposeError, Relayed};
use bytes::BytesMut;
use gable_devices::QoS;
use gable_rules::InputKind;
use gable_rules::broker::{Ack, ClientAction, ClientInput, Publication, Sending};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

/// How many of a client's packets may wait for the log, and how many bytes. With that many no more is
/// read from it.
const OPEN_MAX: usize = 256;
const OPEN_BYTES_MAX: usize = 1 << 20;

/// How many packets may wait to be written before no more is read that could be answered.
const READY_MAX: usize = 1_024;

/// How many bytes are gathered for one write.
const WRITE_BYTES: usize = 32 << 10;

/// How many bytes are read at once.
const READ_BYTES: usize = 8 << 10;

/// How long a client may take none of the bytes that wait for it.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long the last bytes of a connection may take.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// How many acknowledgements are told to the log at once, and how long they may wait for others. What
/// is not told is sent again if the node dies.
const ACKS_MAX: usize = 64;
const ACKS_DELAY: Duration = Duration::from_millis(50);

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error(transparent)]
    Session(#[from] End),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client closed the connection without a DISCONNECT")]
    Closed,
    #[error("nothing was heard for one and a half times the keep alive")]
    KeepAlive,
    #[error("no majority of the nodes took what the client sent")]
    NoMajority,
    #[error("the client takes no bytes")]
    Stuck,
    #[error("this node stops")]
    Stopping,
}

impl Ended {
    /// What the client is told at level 5.
    fn reason(&self) -> Option<ReasonCode> {
        match self {
            Ended::Session(End::Refused(refusal)) => Some(refusal.reason),
            Ended::Session(End::TakenOver) => Some(ReasonCode::SESSION_TAKEN_OVER),
            Ended::Session(End::NodeLost | End::Missed) | Ended::NoMajority => Some(ReasonCode::SERVER_BUSY),
            Ended::Session(End::Expelled) => Some(ReasonCode::ADMINISTRATIVE_ACTION),
            Ended::Session(End::Overrun) => Some(ReasonCode::QUOTA_EXCEEDED),
            Ended::KeepAlive => Some(ReasonCode::KEEP_ALIVE_TIMEOUT),
            Ended::Stopping => Some(ReasonCode::SERVER_SHUTTING_DOWN),
            Ended::Session(End::Left(_)) | Ended::Broken(_) | Ended::Closed | Ended::Stuck => None,
        }
    }

    /// What the client's people are told besides. Of a client's own faults the reason says enough.
    fn detail(&self) -> Detail {
        match self {
            Ended::Session(End::NodeLost | End::Missed | End::Overrun)
            | Ended::NoMajority
            | Ended::Stopping => Detail::text(self.to_string()),
            Ended::Session(End::Refused(_) | End::TakenOver | End::Left(_) | End::Expelled)
            | Ended::Broken(_)
            | Ended::Closed
            | Ended::KeepAlive
            | Ended::Stuck => Detail::default(),
        }
    }

    /// What the log is told; nothing if it knows.
    fn farewell(&self) -> Option<Farewell> {
        match self {
            Ended::Session(End::Left(farewell)) => Some(*farewell),
            // The log has ended it, or the node's end will: clients may come back elsewhere first.
            Ended::Session(End::TakenOver | End::NodeLost | End::Expelled) | Ended::Stopping => None,
            Ended::Session(End::Refused(_) | End::Overrun | End::Missed)
            | Ended::Broken(_)
            | Ended::Closed
            | Ended::KeepAlive
            | Ended::NoMajority
            | Ended::Stuck => Some(Farewell { sends_will: true, session_expiry_interval: None }),
        }
    }
}

/// Serves one client from its CONNECT to its end.
pub(super) async fn run(context: Arc<Context>, accepted: Accepted) {
    let peer = accepted.peer;
    let Some(admitted) = admission::admit(&context, accepted).await else { return };
    let client_id = admitted.client_id.clone();
    debug!(%peer, client_id, "an MQTT client is connected");
    let number = admitted.number;
    let (mut connection, stream) = Connection::new(&context, admitted);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let ended = connection.serve(&mut reader, &mut writer).await;
    debug!(%peer, client_id, %ended, "an MQTT client's connection has ended");
    let acks = connection.session.take_acks();
    // The log need not wait for a client that is slow to go.
    let goodbye = connection.say_goodbye(&ended, &mut reader, &mut writer);
    let telling = async {
        tell(&context, &client_id, number, &ended, acks).await;
        // Not before: until then the client's next connection waits.
        context.hub.remove(number);
    };
    let (_, ()) = tokio::join!(timeout(FAREWELL_MAX, goodbye), telling);
}

/// Tells the log how a connection has ended.
async fn tell(context: &Context, client_id: &str, number: u64, ended: &Ended, acks: Vec<(u16, Ack)>) {
    let acks = (!acks.is_empty()).then_some(ClientAction::Acknowledge { acks });
    let farewell = ended.farewell().map(|farewell| ClientAction::Disconnect {
        sends_will: farewell.sends_will,
        session_expiry_interval: farewell.session_expiry_interval,
    });
    for action in acks.into_iter().chain(farewell) {
        let input = ClientInput { client_id: client_id.to_owned(), connection: number, action };
        // It fails only when the node stops; then its clients have some time to come back.
        if context.replica.submit(InputKind::Client(input)).await.is_err() {
            return;
        }
    }
}

struct Connection<'c> {
    context: &'c Context,
    client_id: String,
    number: u64,
    rights: Box<dyn Rights + Send + Sync>,
    mailbox: Arc<Mailbox>,
    session: Session,
    encoder: Encoder,
    framer: Framer,
    input: BytesMut,
    output: BytesMut,
    /// Bytes of packets that wait for the log; forgotten when none does.
    open_bytes: usize,
    deadlines: Deadlines,
    rate: Rate,
    /// Whether the socket may hold back what was written to it.
    is_unflushed: bool,
}

/// When patience ends.
struct Deadlines {
    keep_alive: Option<Duration>,
    heard: Instant,
    /// Since when the log has settled nothing that the client waits for.
    open: Option<Instant>,
    /// Since when the client has taken no byte that waits for it.
    unwritten: Option<Instant>,
    /// When acknowledgements are told to the log.
    acks: Option<Instant>,
    /// Until when nothing is read from a client that sends too many messages.
    throttled: Option<Instant>,
}

/// How many messages a client sent within the second that began then.
struct Rate {
    since: Instant,
    count: u32,
}

/// What a connection waited for.
enum Occurrence {
    Stop,
    Written(io::Result<usize>),
    Flushed(io::Result<()>),
    Mail,
    Read(io::Result<usize>),
    Deadline,
}

impl<'c> Connection<'c> {
    fn new(context: &'c Context, admitted: Admitted) -> (Connection<'c>, Box<dyn Stream>) {
        // [MQTT-3.1.2-22]
        let keep_alive = Duration::from_millis(u64::from(admitted.keep_alive) * 1_500);
        context.counters.admitted();
        let connection = Connection {
            context,
            client_id: admitted.client_id,
            number: admitted.number,
            rights: admitted.rights,
            mailbox: admitted.mailbox,
            session: admitted.session,
            encoder: admitted.encoder,
            framer: admitted.framer,
            input: admitted.input,
            output: admitted.output,
            open_bytes: 0,
            deadlines: Deadlines {
                keep_alive: (!keep_alive.is_zero()).then_some(keep_alive),
                heard: Instant::now(),
                open: None,
                unwritten: None,
                acks: None,
                throttled: None,
            },
            rate: Rate { since: Instant::now(), count: 0 },
            is_unflushed: false,
        };
        (connection, admitted.stream)
    }

    /// Serves the client until the connection ends; says why it did.
    async fn serve(
        &mut self,
        reader: &mut ReadHalf<Box<dyn Stream>>,
        writer: &mut WriteHalf<Box<dyn Stream>>,
    ) -> Ended {
        loop {
            if let Err(ended) = self.step(reader, writer).await {
                return ended;
            }
        }
    }

    async fn step(
        &mut self,
        reader: &mut ReadHalf<Box<dyn Stream>>,
        writer: &mut WriteHalf<Box<dyn Stream>>,
    ) -> Result<(), Ended> {
        self.take_packets().await?;
        self.tell_acks().await?;
        self.fill()?;
        match self.wait(reader, writer).await {
            Occurrence::Stop => Err(Ended::Stopping),
            Occurrence::Written(written) => {
                let written = written?;
                self.context.counters.written(written);
                self.deadlines.unwritten = (!self.output.is_empty()).then(Instant::now);
                self.is_unflushed = true;
                if written == 0 { Err(Ended::Closed) } else { Ok(()) }
            }
            Occurrence::Flushed(flushed) => {
                self.is_unflushed = false;
                Ok(flushed?)
            }
            Occurrence::Mail => {
                for event in self.mailbox.take() {
                    self.hear(event).await?;
                }
                Ok(())
            }
            Occurrence::Read(read) => {
                let read = read?;
                self.context.counters.read(read);
                self.deadlines.heard = Instant::now();
                if read == 0 { Err(Ended::Closed) } else { Ok(()) }
            }
            Occurrence::Deadline => self.check_deadlines(),
        }
    }

    async fn wait(
        &mut self,
        reader: &mut ReadHalf<Box<dyn Stream>>,
        writer: &mut WriteHalf<Box<dyn Stream>>,
    ) -> Occurrence {
        let can_read = self.has_room();
        let deadline = self.deadlines.next(self.context.patience, can_read);
        let mut stop = self.context.stop.clone();
        self.input.reserve(READ_BYTES);
        tokio::select! {
            biased;
            // The sender is gone when the server is.
            _ = stop.wait_for(|is_stopping| *is_stopping) => Occurrence::Stop,
            sent = send(writer, &mut self.output), if !self.output.is_empty() || self.is_unflushed => sent,
            () = self.mailbox.notified() => Occurrence::Mail,
            read = reader.read_buf(&mut self.input), if can_read => Occurrence::Read(read),
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Occurrence::Deadline,
        }
    }

    /// Whether more may be read that would have to be answered.
    fn has_room(&self) -> bool {
        self.deadlines.throttled.is_none()
            && self.session.open() < OPEN_MAX
            && self.open_bytes < OPEN_BYTES_MAX
            && self.session.ready_len() < READY_MAX
    }

    /// Takes the packets that have come in whole.
    async fn take_packets(&mut self) -> Result<(), Ended> {
        while self.has_room() {
            let Some(frame) = self.framer.next(&mut self.input).map_err(End::Refused)? else { return Ok(()) };
            let size = frame.size();
            let packet = decode(self.session.level(), frame).map_err(End::Refused)?;
            self.context.counters.packet_received();
            if let Packet::Publish(publish) = &packet {
                self.context.counters.message_received(publish.publication.payload.len());
                self.deadlines.throttled = self.rate.count(self.context.messages_per_second_max);
            }
            let todos = self.session.receive(packet, &*self.rights)?;
            self.open_bytes += size;
            self.act(todos).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, event: Event) -> Result<(), Ended> {
        let open = self.session.open();
        let todos = self.session.hear(event)?;
        self.act(todos).await?;
        if self.session.open() < open {
            self.deadlines.open = None;
        }
        Ok(())
    }

    /// Does what the session wishes.
    async fn act(&mut self, todos: Vec<Todo>) -> Result<(), Ended> {
        let mut todos = VecDeque::from(todos);
        while let Some(todo) = todos.pop_front() {
            let answer = match todo {
                Todo::Propose(action) => {
                    if let ClientAction::Subscribe { subscriptions } = &action {
                        self.context.hub.ask(self.number, subscriptions);
                    }
                    self.propose(action).await?;
                    continue;
                }
                Todo::Relay(publication, class) => {
                    self.relay(publication, class);
                    continue;
                }
                Todo::Subscribe(subscriptions) => self.context.replica.read(|state| {
                    let max = self.context.quotas.subscriptions_max as usize;
                    self.context.hub.subscribe(self.number, subscriptions, max, state)
                }),
                Todo::Unsubscribe(filters) => self.context.hub.unsubscribe(self.number, &filters),
            };
            todos.extend(self.session.hear(Event::Answer(answer))?);
        }
        if self.session.open() == 0 {
            (self.open_bytes, self.deadlines.open) = (0, None);
        } else {
            self.deadlines.open.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Hands a message on without the log, at QoS 0: nobody could repeat it.
    fn relay(&self, mut publication: Publication, class: Class) {
        publication.qos = QoS::AtMostOnce;
        let relayed = Arc::new(Relayed { publisher: Some(self.client_id.clone()), publication });
        self.context.replica.read(|state| self.context.hub.relayed(&relayed, state));
        if class == Class::Relay {
            let missed = self.context.replica.relay(&relayed);
            (0..missed).for_each(|_| self.context.counters.dropped());
        }
    }

    async fn propose(&self, action: ClientAction) -> Result<(), Ended> {
        let input = ClientInput { client_id: self.client_id.clone(), connection: self.number, action };
        let submitted = self.context.replica.submit(InputKind::Client(input));
        match timeout(self.context.patience, submitted).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(ProposeError::TooLarge { .. })) => Err(End::Refused(Refusal::new(
                ReasonCode::PACKET_TOO_LARGE,
                "the message is larger than an entry of the log may be",
            ))
            .into()),
            Ok(Err(ProposeError::Stopped)) => Err(Ended::Stopping),
            Ok(Err(ProposeError::Busy)) | Err(_) => Err(Ended::NoMajority),
        }
    }

    /// Tells the log of acknowledgements: soon if one is waited for, else together with others.
    async fn tell_acks(&mut self) -> Result<(), Ended> {
        let (count, is_urgent) = self.session.acks();
        if count == 0 {
            self.deadlines.acks = None;
            return Ok(());
        }
        let deadline = *self.deadlines.acks.get_or_insert_with(|| Instant::now() + ACKS_DELAY);
        if is_urgent || count >= ACKS_MAX || deadline <= Instant::now() {
            self.deadlines.acks = None;
            let acks = self.session.take_acks();
            self.propose(ClientAction::Acknowledge { acks }).await?;
        }
        Ok(())
    }

    /// Writes what is ready into the buffer, as far as it may grow.
    fn fill(&mut self) -> Result<(), Ended> {
        while self.output.len() < WRITE_BYTES {
            match self.session.next_item() {
                Some(Item::Reply(reply)) => {
                    #[cfg(feature = "simulation")]
                    self.tell_acknowledged(&reply);
                    self.write(&to_outgoing(reply))?;
                }
                Some(Item::Send(parcel)) => self.send(&parcel)?,
                None => break,
            }
        }
        if !self.output.is_empty() {
            self.deadlines.unwritten.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Tells of a message of the client that counts as taken from here on.
    #[cfg(feature = "simulation")]
    fn tell_acknowledged(&self, reply: &Reply) {
        if let Reply::Puback(ack) | Reply::Pubrec(ack) = reply
            && !ack.reason.is_failure()
        {
            let (client_id, packet_id) = (self.client_id.clone(), ack.packet_id.get());
            crate::simulation::tell(self.context.replica.node(), || crate::simulation::Sight::Acknowledges {
                client_id,
                packet_id,
            });
        }
    }

    fn write(&mut self, packet: &Outgoing<'_>) -> Result<(), Ended> {
        match self.encoder.encode(packet, &mut self.output) {
            Ok(()) => {
                self.context.counters.packet_sent();
                Ok(())
            }
            // A client that takes no SUBACK of the size it asked for gets none.
            Err(EncodeError::TooLarge(_)) => Ok(()),
            Err(error) => Err(End::Refused(Refusal::new(
                ReasonCode::UNSPECIFIED_ERROR,
                format!("a packet could not be written: {error}"),
            ))
            .into()),
        }
    }

    fn send(&mut self, parcel: &Parcel) -> Result<(), Ended> {
        let Parcel { sending, weight } = parcel;
        self.mailbox.lighten(*weight);
        let Some(message_expiry_interval) = self.left(sending) else {
            self.session.skip(sending, None);
            return Ok(());
        };
        let alias = self.session.alias(&sending.publication.topic);
        let delivery = Delivery {
            publication: &sending.publication,
            qos: sending.qos,
            retain: sending.retain,
            dup: sending.dup,
            packet_id: sending.packet_id.and_then(NonZeroU16::new),
            message_expiry_interval,
            topic_alias: alias.map(|alias| alias.number),
            is_alias_known: alias.is_some_and(|alias| alias.is_known),
            subscription_identifiers: &sending.subscription_identifiers,
        };
        match self.encoder.encode(&Outgoing::Publish(delivery), &mut self.output) {
            Ok(()) => {
                self.context.counters.packet_sent();
                self.context.counters.message_sent(sending.publication.payload.len());
            }
            // [MQTT-3.1.2-25] Then it counts as sent. Nor can a text be sent that is longer than a field.
            Err(error) => {
                debug!(client_id = self.client_id, topic = sending.publication.topic, %error, "not sent");
                self.session.skip(sending, alias);
            }
        }
        Ok(())
    }

    /// What is left of a message's expiry interval, in seconds, if it has one; none if it is over.
    fn left(&self, sending: &Sending) -> Option<Option<u32>> {
        let Some(interval) = sending.publication.properties.message_expiry_interval else {
            return Some(None);
        };
        let waited = self.context.replica.home_time().since(sending.at).0 / 1_000;
        let left = interval.checked_sub(u32::try_from(waited).unwrap_or(u32::MAX))?;
        (left > 0).then_some(Some(left))
    }

    fn check_deadlines(&mut self) -> Result<(), Ended> {
        let now = Instant::now();
        let is_over = |since: Option<Instant>, patience| since.is_some_and(|since| since + patience <= now);
        self.deadlines.throttled.take_if(|until| *until <= now);
        let deadlines = &self.deadlines;
        if deadlines.keep_alive.is_some_and(|keep_alive| deadlines.heard + keep_alive <= now)
            && self.has_room()
        {
            return Err(Ended::KeepAlive);
        }
        if is_over(deadlines.open, self.context.patience) {
            return Err(Ended::NoMajority);
        }
        if is_over(deadlines.unwritten, WRITE_PATIENCE) {
            return Err(Ended::Stuck);
        }
        Ok(())
    }

    async fn say_goodbye(
        &mut self,
        ended: &Ended,
        reader: &mut ReadHalf<Box<dyn Stream>>,
        writer: &mut WriteHalf<Box<dyn Stream>>,
    ) -> io::Result<()> {
        if let Some(reason) = ended.reason().filter(|_| self.session.level() == Level::V5) {
            let disconnect = Outgoing::Disconnect(Disconnect::new(reason, ended.detail()));
            // Without it the closed connection says enough.
            let _ = self.encoder.encode(&disconnect, &mut self.output);
        }
        writer.write_all_buf(&mut self.output).await?;
        writer.shutdown().await?;
        // A socket that closes with bytes unread resets its connection, and the client would not read why
        // it ended.
        loop {
            self.input.clear();
            if reader.read_buf(&mut self.input).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// Writes some of what waits, or sees to it that the socket keeps nothing back.
async fn send(writer: &mut WriteHalf<Box<dyn Stream>>, output: &mut BytesMut) -> Occurrence {
    if output.is_empty() {
        Occurrence::Flushed(writer.flush().await)
    } else {
        Occurrence::Written(writer.write_buf(output).await)
    }
}

impl Rate {
    /// Counts a message; returns until when the client has to wait, if it sent too many.
    fn count(&mut self, max: u32) -> Option<Instant> {
        const SECOND: Duration = Duration::from_secs(1);
        if self.since.elapsed() >= SECOND {
            *self = Rate { since: Instant::now(), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        (max > 0 && self.count >= max).then(|| self.since + SECOND)
    }
}

impl Deadlines {
    fn next(&self, patience: Duration, reads: bool) -> Option<Instant> {
        // Who is not read from can not be heard.
        let keep_alive = self.keep_alive.filter(|_| reads).map(|keep_alive| self.heard + keep_alive);
        let open = self.open.map(|since| since + patience);
        let unwritten = self.unwritten.map(|since| since + WRITE_PATIENCE);
        [keep_alive, open, unwritten, self.acks, self.throttled].into_iter().flatten().min()
    }
}

fn to_outgoing(reply: Reply) -> Outgoing<'static> {
    match reply {
        Reply::Puback(ack) => Outgoing::Puback(ack),
        Reply::Pubrec(ack) => Outgoing::Pubrec(ack),
        Reply::Pubrel(ack) => Outgoing::Pubrel(ack),
        Reply::Pubcomp(ack) => Outgoing::Pubcomp(ack),
        Reply::Suback(suback) => Outgoing::Suback(suback),
        Reply::Unsuback(suback) => Outgoing::Unsuback(suback),
        Reply::Pingresp => Outgoing::Pingresp,
    }
}
