//! MQTT clients in scenarios: what they do, and what their connections have to do then.
//!
//! ```text
//! serve [LIMIT=N ..]     the node begins to serve clients (`serve off`: it ceases to)
//! client ID ACTION       a client did something, on its newest connection (`ID#N`: on its N-th)
//!
//! user NAME [gone|password=P] [role=R ..] [allow=RIGHTS:FILTER ..] [deny=RIGHTS:FILTER ..]
//! role NAME [gone] [allow=RIGHTS:FILTER ..] [deny=RIGHTS:FILTER ..]
//!
//! connect [kept] [expiry=SECONDS] [will=TOPIC=PAYLOAD] [delay=SECONDS] [retain] [user=NAME]
//!         [late=MS]      the client came so long ago; its CONNECT had to wait for the log
//! pub [qN] [id=N] [retain] [expires=SECONDS] TOPIC [PAYLOAD]
//! release ID
//! sub FILTER[:qN][:nl][:rap][:rhN][:idN] ..
//! unsub FILTER ..
//! ack ID ..              PUBACK or PUBCOMP
//! rec ID ..              PUBREC
//! leave [expiry=SECONDS] DISCONNECT
//! lose                   the connection breaks
//! ```

use gable_devices::{Millis, QoS, Timestamp};
use gable_rules::broker::{
    AccessChange, Ack, Answer, BrokerLimits, ClientAction, ClientInput, Connect, ConnectionId, Grant, Output,
    Publication, Published, RetainHandling, Sending, SubscribeOptions, User, Will,
};
use std::collections::BTreeMap;

/// The newest connection of each client.
#[derive(Default)]
pub(super) struct Clients(BTreeMap<String, u64>);

impl Clients {
    /// Reads what follows `client`.
    pub(super) fn read(&mut self, text: &str, now: Timestamp) -> ClientInput {
        let (client_id, text) = text.split_once(' ').unwrap();
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let newest = self.0.entry(client_id.to_owned()).or_default();
        let (client_id, connection) = match client_id.split_once('#') {
            Some((client_id, number)) => (client_id, number.parse().unwrap()),
            None if verb == "connect" => {
                *newest += 1;
                (client_id, *newest)
            }
            None => (client_id, *newest),
        };
        let client_id = client_id.to_owned();
        ClientInput { client_id, connection, action: action(verb, rest, now) }
    }
}

/// Reads what follows `serve`.
pub(super) fn limits(text: &str) -> Option<BrokerLimits> {
    let mut limits = BrokerLimits::default();
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=')?;
        let number: u32 = value.parse().unwrap();
        match name {
            "clients" => limits.clients_max = number,
            "subscriptions" => limits.subscriptions_max = number,
            "retained" => limits.retained_max = number,
            "queue" => limits.queue_max = number,
            "queue_bytes" => limits.queue_bytes_max = number.into(),
            "grace" => limits.grace = Millis::from_secs(number.into()),
            "patience" => limits.patience = Millis::from_secs(number.into()),
            _ => panic!("no limit: {name}"),
        }
    }
    Some(limits)
}

/// Reads what follows `user` or `role`.
pub(super) fn access(kind: &str, text: &str) -> AccessChange {
    let mut words = text.split(' ');
    let name = words.next().unwrap().to_owned();
    let mut user = User::default();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "gone" if kind == "user" => return AccessChange::RemoveUser { name },
            "gone" => return AccessChange::RemoveRole { name },
            "password" => user.password = Some(value.to_owned()),
            "role" => {
                user.roles.insert(value.to_owned());
            }
            "allow" | "deny" => {
                let (rights, filter) = value.split_once(':').unwrap();
                let (filter, rights) = (filter.to_owned(), rights.parse().unwrap());
                user.grants.push(Grant { filter, rights, denies: key == "deny" });
            }
            _ => panic!("no part of a {kind}: {word}"),
        }
    }
    match kind {
        "user" => AccessChange::SetUser { name, user },
        _ => AccessChange::SetRole { name, grants: user.grants },
    }
}

fn action(verb: &str, rest: &str, now: Timestamp) -> ClientAction {
    let words = || rest.split_whitespace();
    let ids = || words().map(|word| word.parse::<u16>().unwrap());
    match verb {
        "connect" => ClientAction::Connect(connect(rest, now)),
        "pub" => publish(rest),
        "release" => ClientAction::Release { packet_id: rest.parse().unwrap() },
        "sub" => ClientAction::Subscribe { subscriptions: words().map(subscription).collect() },
        "unsub" => ClientAction::Unsubscribe { filters: words().map(str::to_owned).collect() },
        "ack" => ClientAction::Acknowledge { acks: ids().map(|id| (id, Ack::Complete)).collect() },
        "rec" => ClientAction::Acknowledge { acks: ids().map(|id| (id, Ack::Received)).collect() },
        "leave" | "lose" => ClientAction::Disconnect {
            sends_will: verb == "lose",
            session_expiry_interval: rest.strip_prefix("expiry=").map(|seconds| seconds.parse().unwrap()),
        },
        _ => panic!("no action of a client: {verb}"),
    }
}

fn connect(text: &str, now: Timestamp) -> Connect {
    let mut connect = Connect { clean_start: true, protocol_version: 5, heard: now, ..Connect::default() };
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "kept" => connect.clean_start = false,
            "expiry" => connect.session_expiry_interval = value.parse().unwrap(),
            "will" => {
                let (topic, payload) = value.split_once('=').unwrap();
                let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
                let publication = Publication { topic, payload, ..Publication::default() };
                connect.will = Some(Will { publication, delay_interval: 0 });
            }
            "late" => connect.heard = Timestamp(now.0 - value.parse::<i64>().unwrap()),
            "user" => connect.username = Some(value.to_owned()),
            "delay" => connect.will.as_mut().unwrap().delay_interval = value.parse().unwrap(),
            "retain" => connect.will.as_mut().unwrap().publication.retain = true,
            _ => panic!("no option of connect: {word}"),
        }
    }
    connect
}

fn publish(text: &str) -> ClientAction {
    let mut publication = Publication::default();
    let (mut packet_id, mut dup) = (None, false);
    let mut rest = text;
    while let Some((word, after)) = rest.split_once(' ') {
        match word.split_once('=').unwrap_or((word, "")) {
            ("q1", _) => publication.qos = QoS::AtLeastOnce,
            ("q2", _) => publication.qos = QoS::ExactlyOnce,
            ("id", id) => packet_id = Some(id.parse().unwrap()),
            ("dup", _) => dup = true,
            ("retain", _) => publication.retain = true,
            ("expires", seconds) => {
                publication.properties.message_expiry_interval = Some(seconds.parse().unwrap());
            }
            _ => break,
        }
        rest = after;
    }
    let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
    (publication.topic, publication.payload) = (topic.to_owned(), payload.as_bytes().to_vec());
    ClientAction::Publish { publication, packet_id, dup }
}

fn subscription(text: &str) -> (String, SubscribeOptions) {
    let mut parts = text.split(':');
    let filter = parts.next().unwrap().to_owned();
    let mut options = SubscribeOptions::default();
    for part in parts {
        match part {
            "q1" => options.qos = QoS::AtLeastOnce,
            "q2" => options.qos = QoS::ExactlyOnce,
            "nl" => options.no_local = true,
            "rap" => options.retain_as_published = true,
            "rh1" => options.retain_handling = RetainHandling::SendIfNew,
            "rh2" => options.retain_handling = RetainHandling::DoNotSend,
            id => options.subscription_identifier = Some(id.trim_start_matches("id").parse().unwrap()),
        }
    }
    (filter, options)
}

/// Says what a connection has to do.
pub(super) fn describe(output: &Output) -> String {
    match output {
        Output::Answer(id, answer) => format!("{} <- {}", connection(*id), describe_answer(answer)),
        Output::Close(id, reason) => format!("{} closed: {reason:?}", connection(*id)),
        Output::Deliver(delivery) => {
            let queued =
                delivery.queued.iter().map(|(client_id, it)| format!("{client_id}: {}", sending(it)));
            let shared = delivery
                .shared
                .iter()
                .map(|(client_id, it)| format!("{client_id} (shared): {}", sending(it)));
            let to: Vec<String> = queued.chain(shared).collect();
            let payload = String::from_utf8_lossy(&delivery.publication.payload);
            format!("deliver {} {payload} [{}]", delivery.publication.topic, to.join("; "))
        }
    }
}

fn connection(id: ConnectionId) -> String {
    format!("@{}:{}#{}", id.node, id.boot, id.number)
}

fn describe_answer(answer: &Answer) -> String {
    let list = |sendings: &[Sending]| sendings.iter().map(sending).collect::<Vec<_>>().join("; ");
    match answer {
        Answer::Connected { session_present, session_expiry_interval, is_kept, waiting } => {
            let kept = if *is_kept { ", kept" } else { "" };
            let waiting = list(waiting);
            format!(
                "connected, present {session_present}, expiry {session_expiry_interval}{kept} [{waiting}]"
            )
        }
        Answer::ConnectRefused => "refused".to_owned(),
        Answer::Published(Published::Taken) => "published".to_owned(),
        Answer::Published(published) => format!("published: {published:?}"),
        Answer::Released { is_known } => format!("released, known {is_known}"),
        Answer::Subscribed { granted, retained } => format!("subscribed {granted:?} [{}]", list(retained)),
        Answer::Unsubscribed { existed } => format!("unsubscribed {existed:?}"),
        Answer::Acknowledged { received } => format!("acknowledged, to release {received:?}"),
        Answer::Gone => "gone".to_owned(),
    }
}

fn sending(sending: &Sending) -> String {
    let Publication { topic, payload, .. } = &*sending.publication;
    let mut text = format!("{topic} {} q{}", String::from_utf8_lossy(payload), sending.qos as u8);
    let mut add = |word: String| {
        text.push(' ');
        text.push_str(&word);
    };
    sending.packet_id.into_iter().for_each(|id| add(format!("id={id}")));
    sending.subscription_identifiers.iter().for_each(|id| add(format!("sub={id}")));
    for (is, word) in [(sending.retain, "retain"), (sending.dup, "dup"), (sending.is_received, "received")] {
        if is {
            add(word.to_owned());
        }
    }
    text
}
