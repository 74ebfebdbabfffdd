//! From the first bytes of a connection to a session: CONNECT, who may come in, what the log says.

use super::Context;
use super::mailbox::Mailbox;
use super::net::{Accepted, Claim, Stream};
use super::password::{Verdict, WRONG_DELAY};
use super::rights::ClientRights;
use super::session::{Event, Rights, Session};
use super::wire::{Connack, Connect, Detail, Encoder, Framer, Level, Outgoing, ReasonCode, decode_connect};
use bytes::BytesMut;
use gable_devices::Timestamp;
use gable_rules::InputKind;
use gable_rules::broker::{self, Answer, ClientAction, ClientInput, Right, Sending};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

/// How long the answer to a refused CONNECT may take to be sent.
const REFUSAL_MAX: Duration = Duration::from_secs(2);

/// How long a client that comes back waits for the end of its older connection to this node, and how
/// often that is looked at.
const FAREWELL_MAX: Duration = Duration::from_millis(20);
const FAREWELL_STEP: Duration = Duration::from_millis(2);

/// How many bytes a client may send before it is let in. With that many no more is read from it.
const AHEAD_MAX: usize = 16 << 10;

/// A client that was let in.
pub(super) struct Admitted {
    pub(super) client_id: String,
    pub(super) number: u64,
    /// In seconds; 0 stands for ever.
    pub(super) keep_alive: u16,
    pub(super) rights: Box<dyn Rights + Send + Sync>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) session: Session,
    pub(super) encoder: Encoder,
    pub(super) framer: Framer,
    /// What came behind the CONNECT.
    pub(super) input: BytesMut,
    /// The CONNACK.
    pub(super) output: BytesMut,
    pub(super) stream: Box<dyn Stream>,
}

/// What the log granted.
struct Granted {
    session_present: bool,
    session_expiry_interval: u32,
    is_kept: bool,
    waiting: Vec<Sending>,
}

/// Lets a client in, or turns it away with the reason that its level knows.
pub(super) async fn admit(context: &Context, accepted: Accepted) -> Option<Admitted> {
    let Accepted { mut stream, peer, deadline, claim, identity, may_be_anonymous, .. } = accepted;
    let mut framer = Framer::default();
    let mut input = BytesMut::new();
    let connect = match timeout_at(deadline, read_connect(&mut stream, &mut framer, &mut input)).await {
        Ok(Some(Ok(connect))) => connect,
        Ok(Some(Err(refusal))) => {
            debug!(%peer, refusal = %refusal.refusal, "a CONNECT was refused");
            let (encoder, answer) = refusal.answer()?;
            refuse(&mut stream, &encoder, &answer).await;
            return None;
        }
        Ok(None) | Err(_) => return None,
    };
    let encoder = Encoder::for_client(&connect);
    let visitor = Visitor { address: peer.ip(), identity, may_be_anonymous, claim };
    match enter(context, &connect, &visitor, &mut stream, &mut input).await {
        Ok((client_id, number, rights, mailbox, granted)) => {
            framer.set_packet_size_max(context.packet_size_max);
            let mut output = BytesMut::new();
            let connack = connack(context, &connect, &client_id, &granted);
            encoder.encode(&Outgoing::Connack(Box::new(connack)), &mut output).ok()?;
            let session = Session::new(&connect, granted.is_kept, granted.waiting, &context.quotas);
            let keep_alive = granted_keep_alive(context, &connect);
            Some(Admitted {
                client_id,
                number,
                keep_alive,
                rights,
                mailbox,
                session,
                encoder,
                framer,
                input,
                output,
                stream,
            })
        }
        Err((reason, text)) => {
            debug!(%peer, client_id = connect.client_id, %reason, text, "a client was turned away");
            let detail = if text.is_empty() { Detail::default() } else { Detail::text(text) };
            let connack = Connack { detail, ..Connack::new(reason) };
            refuse(&mut stream, &encoder, &Outgoing::Connack(Box::new(connack))).await;
            None
        }
    }
}

/// Reads until the first packet is there; none if the client went, or its first bytes are no packet
/// that could be answered.
async fn read_connect(
    stream: &mut Box<dyn Stream>,
    framer: &mut Framer,
    input: &mut BytesMut,
) -> Option<Result<Connect, super::wire::ConnectRefusal>> {
    loop {
        match framer.next(input) {
            Ok(Some(frame)) => return Some(decode_connect(frame)),
            Ok(None) => {}
            Err(refusal) => {
                debug!(%refusal, "the first bytes of a connection are no CONNECT");
                return None;
            }
        }
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return None;
        }
    }
}

/// What is known of a client besides its CONNECT.
struct Visitor {
    address: IpAddr,
    /// Whom its certificate names.
    identity: Option<String>,
    may_be_anonymous: bool,
    claim: Claim,
}

type TurnedAway = (ReasonCode, &'static str);

/// Finds out who a client is; none is somebody without a name.
async fn authenticate(
    context: &Context,
    connect: &Connect,
    visitor: &Visitor,
    client_id: &str,
) -> Result<Option<String>, TurnedAway> {
    // As long as nobody has a name, the one that a client gives says nothing.
    let has_users = context.replica.read(|state| state.broker().access().users().next().is_some());
    if visitor.may_be_anonymous && !has_users {
        return Ok(None);
    }
    let user = |name: &str| context.replica.read(|state| state.broker().access().user(name).cloned());
    let (name, user) = match (&connect.username, &visitor.identity) {
        // A certificate says who it is; another name needs its own password.
        (name, Some(identity)) if name.as_ref().is_none_or(|name| name == identity) => {
            let user = user(identity).ok_or((ReasonCode::NOT_AUTHORIZED, ""))?;
            (identity.clone(), user)
        }
        (Some(name), _) => {
            let user = user(name);
            let hash = user.as_ref().and_then(|user| user.password.as_deref());
            let password = connect.password.as_ref().map_or(&[][..], |password| &password.0);
            match context.passwords.check(hash, password, visitor.address).await {
                Verdict::Right => (name.clone(), user.unwrap_or_default()),
                Verdict::Waits => return Err((ReasonCode::BANNED, "")),
                Verdict::Wrong => {
                    tokio::time::sleep(WRONG_DELAY).await;
                    return Err((ReasonCode::BAD_USER_NAME_OR_PASSWORD, ""));
                }
            }
        }
        (None, _) if visitor.may_be_anonymous => return Ok(None),
        (None, _) => return Err((ReasonCode::NOT_AUTHORIZED, "")),
    };
    if user.client_id.is_some_and(|bound| bound != client_id) {
        return Err((ReasonCode::CLIENT_IDENTIFIER_NOT_VALID, ""));
    }
    Ok(Some(name))
}

type Entered = (String, u64, Box<dyn Rights + Send + Sync>, Arc<Mailbox>, Granted);

async fn enter(
    context: &Context,
    connect: &Connect,
    visitor: &Visitor,
    stream: &mut Box<dyn Stream>,
    input: &mut BytesMut,
) -> Result<Entered, TurnedAway> {
    let (heard, deadline) = (context.replica.home_time(), Instant::now() + context.patience);
    if connect.authentication.is_some() {
        return Err((ReasonCode::BAD_AUTHENTICATION_METHOD, ""));
    }
    if !context.hub.is_open() {
        return Err((ReasonCode::SERVER_UNAVAILABLE, NO_MAJORITY));
    }
    let client_id = match connect.client_id.as_str() {
        "" => assigned_client_id(),
        client_id => client_id.to_owned(),
    };
    let authenticating = authenticate(context, connect, visitor, &client_id);
    let username = attended(stream, input, deadline, authenticating).await.ok_or(CROWDED)??;
    let rights = ClientRights {
        replica: context.replica.clone(),
        username: username.clone(),
        client_id: client_id.clone(),
        classes: context.classes.clone(),
    };
    let will = connect.will.as_ref();
    if will.is_some_and(|will| !rights.allow(Right::Write, &will.publication.topic)) {
        return Err((ReasonCode::NOT_AUTHORIZED, "the will's topic may not be written"));
    }
    if !visitor.claim.settle() {
        return Err(CROWDED);
    }
    farewell(context, &client_id).await;
    let rights: Box<dyn Rights + Send + Sync> = Box::new(rights);
    let number = context.next_number();
    let mailbox = Arc::new(Mailbox::new(context.backlog_max));
    context.hub.add(number, &client_id, username.clone(), mailbox.clone());
    let action = ClientAction::Connect(to_connect(connect, username, heard));
    let client_input =
        |action| InputKind::Client(ClientInput { client_id: client_id.clone(), connection: number, action });
    let entering = async {
        context.replica.submit(client_input(action)).await.ok()?;
        connected(&mailbox).await
    };
    match attended(stream, input, deadline, entering).await.flatten() {
        Some(Ok(granted)) => Ok((client_id, number, rights, mailbox, granted)),
        Some(Err(refused)) => {
            context.hub.remove(number);
            Err(refused)
        }
        None => {
            context.hub.remove(number);
            // The CONNECT may yet be committed; this follows it. Its client was not let in and leaves no
            // will. It fails only when the node stops.
            let farewell = ClientAction::Disconnect { sends_will: false, session_expiry_interval: None };
            let _ = timeout(context.patience, context.replica.submit(client_input(farewell))).await;
            Err((ReasonCode::SERVER_UNAVAILABLE, NO_MAJORITY))
        }
    }
}

/// Lets the log hear of a client's DISCONNECT before its next CONNECT. One that says goodbye and comes
/// back at once may be read here first, since connections are read side by side; and then its will would
/// be published [MQTT-3.14.4-3].
async fn farewell(context: &Context, client_id: &str) {
    let _ = timeout(FAREWELL_MAX, async {
        while context.hub.holds(client_id) {
            tokio::time::sleep(FAREWELL_STEP).await;
        }
    })
    .await;
}

/// What the log has to know of a CONNECT, which came at log time `heard`.
fn to_connect(connect: &Connect, username: Option<String>, heard: Timestamp) -> broker::Connect {
    let to_will = |will: super::wire::Will| broker::Will {
        publication: will.publication,
        delay_interval: will.delay_interval,
    };
    broker::Connect {
        clean_start: connect.clean_start,
        session_expiry_interval: connect.session_expiry_interval,
        will: connect.will.clone().map(to_will),
        username,
        protocol_version: match connect.level {
            Level::V31 => 3,
            Level::V311 => 4,
            Level::V5 => 5,
        },
        heard,
    }
}

const NO_MAJORITY: &str = "no majority of the nodes can be reached";

const CROWDED: TurnedAway = (ReasonCode::SERVER_BUSY, "too many clients connect at the same time");

/// Waits for something as long as the client does, and not beyond `deadline`.
async fn attended<T>(
    stream: &mut Box<dyn Stream>,
    input: &mut BytesMut,
    deadline: Instant,
    awaited: impl Future<Output = T>,
) -> Option<T> {
    let attended = async {
        tokio::select! {
            biased;
            it = awaited => Some(it),
            () = gone(stream, input) => None,
        }
    };
    timeout_at(deadline, attended).await.ok().flatten()
}

/// Waits until the client closes its connection. What it sends meanwhile is kept for its session.
async fn gone(stream: &mut Box<dyn Stream>, input: &mut BytesMut) {
    while input.len() < AHEAD_MAX {
        if !matches!(stream.read_buf(input).await, Ok(1..)) {
            return;
        }
    }
    std::future::pending().await
}

/// Waits for what the log says to a CONNECT.
async fn connected(mailbox: &Mailbox) -> Option<Result<Granted, TurnedAway>> {
    loop {
        mailbox.notified().await;
        let mut events = mailbox.take();
        match events.pop_front() {
            Some(Event::Answer(Answer::Connected {
                session_present,
                session_expiry_interval,
                is_kept,
                waiting,
            })) => {
                // What came behind the answer is for the session.
                events.into_iter().for_each(|event| mailbox.push(event));
                return Some(Ok(Granted { session_present, session_expiry_interval, is_kept, waiting }));
            }
            Some(Event::Answer(Answer::ConnectRefused)) => {
                return Some(Err((ReasonCode::QUOTA_EXCEEDED, "there are as many clients as there may be")));
            }
            // It waited here for too long, or until the client had gone to another node.
            Some(Event::Answer(Answer::Gone)) => {
                return Some(Err((ReasonCode::SERVER_BUSY, "the CONNECT reached the log too late")));
            }
            Some(_) => return None,
            None => {}
        }
    }
}

fn connack(context: &Context, connect: &Connect, client_id: &str, granted: &Granted) -> Connack {
    let is_shortened = granted.session_expiry_interval != connect.session_expiry_interval;
    Connack {
        session_present: granted.session_present,
        session_expiry_interval: is_shortened.then_some(granted.session_expiry_interval),
        receive_maximum: NonZeroU16::new(context.quotas.receive_maximum),
        maximum_packet_size: std::num::NonZeroU32::new(context.packet_size_max),
        assigned_client_identifier: connect.client_id.is_empty().then(|| client_id.to_owned()),
        server_keep_alive: Some(granted_keep_alive(context, connect)).filter(|it| *it != connect.keep_alive),
        topic_alias_maximum: context.quotas.topic_aliases_max,
        ..Connack::new(ReasonCode::SUCCESS)
    }
}

/// [MQTT-3.1.2-21] A client of level 5 is told; older ones keep what they asked for.
fn granted_keep_alive(context: &Context, connect: &Connect) -> u16 {
    let (asked, max) = (connect.keep_alive, context.keep_alive_max);
    let is_longer = asked == 0 || asked > max;
    if max > 0 && is_longer && connect.level == Level::V5 { max } else { asked }
}

/// A client id that nobody else has.
fn assigned_client_id() -> String {
    let mut bytes = [0; 10];
    // Without randomness of the system the instant has to do.
    if getrandom::fill(&mut bytes).is_err() {
        bytes[..8].copy_from_slice(&Instant::now().elapsed().as_nanos().to_le_bytes()[..8]);
    }
    bytes.iter().fold("auto-".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

async fn refuse(stream: &mut Box<dyn Stream>, encoder: &Encoder, answer: &Outgoing<'_>) {
    let mut output = BytesMut::new();
    if encoder.encode(answer, &mut output).is_ok() {
        let sending = async {
            stream.write_all_buf(&mut output).await?;
            stream.shutdown().await
        };
        // A client that does not take its refusal is refused all the same.
        let _ = timeout(REFUSAL_MAX, sending).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::io::{DuplexStream, duplex};

    fn connection() -> (Box<dyn Stream>, DuplexStream) {
        let (server, client) = duplex(64 << 10);
        (Box::new(server), client)
    }

    #[tokio::test]
    async fn what_a_client_waits_for_ends_with_it_and_with_its_time() {
        let at = |millis| Instant::now() + Duration::from_millis(millis);
        let mut input = BytesMut::new();
        let (mut stream, mut client) = connection();
        client.write_all(b"ahead").await.unwrap();
        assert_eq!(attended(&mut stream, &mut input, at(60_000), async { 7 }).await, Some(7));
        assert_eq!(attended(&mut stream, &mut input, at(20), pending::<()>()).await, None);
        assert_eq!(&input[..], b"ahead");
        drop(client);
        let gone = attended(&mut stream, &mut input, at(60_000), pending::<()>());
        assert_eq!(timeout(Duration::from_secs(10), gone).await, Ok(None));
    }

    #[tokio::test]
    async fn a_client_that_is_not_in_yet_is_not_read_without_end() {
        let (mut stream, mut client) = connection();
        client.write_all(&[0; 2 * AHEAD_MAX]).await.unwrap();
        let (mut input, deadline) = (BytesMut::new(), Instant::now() + Duration::from_millis(100));
        assert_eq!(attended(&mut stream, &mut input, deadline, pending::<()>()).await, None);
        assert!((AHEAD_MAX..2 * AHEAD_MAX).contains(&input.len()), "{}", input.len());
    }
}
