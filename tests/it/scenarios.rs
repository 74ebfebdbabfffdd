//! Golden scenarios: a script of inputs, `----`, and the whole transcript of what followed.
//!
//! `UPDATE_SCENARIOS=1` rewrites the transcripts; commit a rewrite only if you can say why each line
//! changed. Every scenario runs on several replicas at once, some of which are restored from their
//! own snapshot before every input, with the cache off, tiny and large: effects and snapshots must
//! be equal after each input.
//!
//! A script is read line by line:
//!
//! ```text
//! # a comment
//! file NAME              the indented lines that follow are the file's text
//! remove NAME            takes a file away
//! configure              the files come into force
//! auto-send              from here on a broker takes every command over at once
//! echo SPAN              from here on what is published is heard, this much later
//! +SPAN                  log time moves on (`+0`, `+500ms`, `+5s`, `+2m`, `+1h`); what falls due is due
//! at INSTANT             log time moves on to that instant, and is told as such from there on
//! down SPAN              log time moves on while no node is up to say what falls due
//! calendar OFFSET [..]   the home's clock: seconds east of UTC, and `INSTANT+OFFSET` for each change; the
//!                        indented lines that follow are `INSTANT EVENT` for what the sun does, and perhaps
//!                        `from LATITUDE LONGITUDE` before them for where it is seen from
//! leading                a node begins to lead
//! msg TOPIC PAYLOAD      a message is heard
//! takeover TOPIC PAYLOAD a message is proposed in place of its silent owner
//! errand ID N OUTCOME    an HTTP call was tried the N-th time: done, refused, or another word for a failure
//! due ID, sent ID        a timer is due, a command was sent
//! link up|down           the node's link
//! release ID             an automation that is quarantined may fire again
//! seen NODE up|down      the leader hears a node, or misses it
//! heard -3ms COMMAND     what follows was heard so much before (or after, `+3ms`) log time
//! show WHAT [..]         entities, attributes, outbox, timers, runs, nodes, filters, problems, owner TOPIC,
//!                        trace ID, why-not ID (an automation), why ENTITY, quarantined
//! ```
//!
//! What MQTT clients do is described in `clients.rs`.
//!
//! `+SPAN` may stand before another command. `@NODE` before a command says which node proposes it,
//! `@NODE:BOOT:SEQUENCE` with which number; `&` puts it into the entry of the command before.

mod clients;

use clients::Clients;
use gable_devices::{Millis, Timestamp};
use gable_rules::broker::Output;
use gable_rules::{
    Calendar, Effect, Ended, ErrandId, ErrandOutcome, Hlc, Input, InputKind, LogIndex, Message, NodeId,
    OffsetChange, Origin, Place, Policy, Position, Refusal, SourceFile, State, Status, SunEvent, SunMoment,
    SunTable, TimerReason, Wait,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn scenarios_go_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(paths.len() >= 20, "only {} scenarios were found", paths.len());
    let failures: Vec<String> = paths.iter().filter_map(|path| check(path)).collect();
    assert!(failures.is_empty(), "{}\nUPDATE_SCENARIOS=1 rewrites transcripts", failures.join("\n"));
}

/// Runs one scenario; returns the first difference from its transcript.
fn check(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let (script, expected) = text.split_once("\n----\n").unwrap_or((text.trim_end(), ""));
    let transcript = Player::new(path).play(script);
    if transcript == expected {
        return None;
    }
    if env::var_os("UPDATE_SCENARIOS").is_some() {
        fs::write(path, format!("{script}\n----\n{transcript}")).unwrap();
        return None;
    }
    let place =
        transcript.lines().zip(expected.lines()).take_while(|(found, wanted)| found == wanted).count();
    let line = |text: &str| text.lines().nth(place).unwrap_or("(nothing)").to_owned();
    Some(format!(
        "{}, transcript line {}:\n  expected: {}\n  found:    {}",
        path.display(),
        place + 1,
        line(expected),
        line(&transcript)
    ))
}

/// A replica of the home, and how it is treated.
struct Replica {
    state: State,
    cache: (Policy, usize),
    is_restored: bool,
}

struct Player<'p> {
    path: &'p Path,
    replicas: Vec<Replica>,
    files: Vec<SourceFile>,
    now: i64,
    index: u64,
    /// The boot of each node, and the last number it used.
    numbers: BTreeMap<u64, (u64, u64)>,
    sends_at_once: bool,
    /// Whether times are told as dates.
    tells_dates: bool,
    /// How much later what is published is heard, and what is on its way.
    echo: Option<i64>,
    echoes: VecDeque<(i64, Message)>,
    clients: Clients,
    transcript: String,
}

/// Scenario time zero, far from the beginning of all times.
const START: i64 = 1_700_000_000_000;

/// What the words before a command say about its input.
#[derive(Clone, Copy, Default)]
struct Envelope {
    node: Option<u64>,
    number: Option<(u64, u64)>,
    is_same_entry: bool,
    /// How long after log time it was heard, in milliseconds.
    heard: i64,
}

impl Player<'_> {
    fn new(path: &Path) -> Player<'_> {
        let caches = [(Policy::Lru, 4096), (Policy::Lru, 1), (Policy::Fifo, 1), (Policy::Off, 0)];
        let replicas = caches.iter().flat_map(|&cache| {
            [false, true].map(|is_restored| {
                let mut state = State::new();
                state.set_cache(cache.0, cache.1);
                Replica { state, cache, is_restored }
            })
        });
        Player {
            path,
            replicas: replicas.collect(),
            files: Vec::new(),
            now: 0,
            index: 0,
            numbers: BTreeMap::new(),
            sends_at_once: false,
            tells_dates: false,
            echo: None,
            echoes: VecDeque::new(),
            clients: Clients::default(),
            transcript: String::new(),
        }
    }

    fn play(mut self, script: &str) -> String {
        let mut lines = script.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("file ") {
                let mut text = String::new();
                while let Some(line) = lines.next_if(|line| line.starts_with("    ") || line.is_empty()) {
                    text.push_str(line.strip_prefix("    ").unwrap_or(line));
                    text.push('\n');
                }
                self.files.retain(|file| file.name != name);
                self.files.push(SourceFile { name: name.to_owned(), text });
            } else if let Some(offsets) = line.strip_prefix("calendar ") {
                let mut sun = Vec::new();
                while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                    sun.push(line.trim());
                }
                let kind = InputKind::Calendar(calendar(offsets, &sun));
                self.propose(line, kind, Envelope::default());
            } else if !line.is_empty() && !line.starts_with('#') {
                self.command(line, Envelope::default());
            }
        }
        self.transcript
    }

    fn command(&mut self, line: &str, envelope: Envelope) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kind = match word {
            _ if word.starts_with('+') => {
                self.advance(self.span(&word[1..]));
                if !rest.is_empty() {
                    self.command(rest, envelope);
                }
                return;
            }
            _ if word.starts_with('@') => return self.command(rest, self.origin(&word[1..], envelope)),
            "heard" => {
                let (span, rest) = rest.split_once(' ').unwrap();
                let sign = if span.starts_with('-') { -1 } else { 1 };
                let heard = sign * self.span(&span[1..]);
                return self.command(rest, Envelope { heard, ..envelope });
            }
            "&" => return self.command(rest, Envelope { is_same_entry: true, ..envelope }),
            "at" => {
                self.tells_dates = true;
                return self.advance(instant(rest).0 - START - self.now);
            }
            "down" => {
                self.now += self.span(rest);
                return;
            }
            "remove" => return self.files.retain(|file| file.name != rest),
            "auto-send" => return self.sends_at_once = true,
            "boot" => {
                let number = self.numbers.entry(envelope.node.unwrap_or(1)).or_default();
                *number = (number.0 + 1, 0);
                return;
            }
            "echo" => {
                self.echo = Some(self.span(rest));
                return;
            }
            "show" => return self.show(rest),
            "configure" => InputKind::Configure(self.files.clone()),
            "msg" | "takeover" => {
                let (topic, payload) = rest.split_once(' ').unwrap_or((rest, ""));
                let (topic, payload) = (topic.to_owned(), payload.as_bytes().to_vec());
                let takeover = word == "takeover";
                InputKind::Message(Message { topic, payload, takeover, ..Message::default() })
            }
            "bytes" => {
                let (topic, hex) = rest.split_once(' ').unwrap();
                let payload = hex.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
                InputKind::Message(Message { topic: topic.to_owned(), payload, ..Message::default() })
            }
            "due" => InputKind::TimerDue(gable_rules::TimerId(rest.parse().unwrap())),
            "sent" => InputKind::CommandSent(gable_rules::CommandId(rest.parse().unwrap())),
            "leading" => InputKind::Leading,
            "errand" => errand(rest),
            "release" => InputKind::Release { automation: rest.to_owned() },
            "link" => InputKind::Link { up: rest == "up" },
            "serve" => InputKind::Serve(clients::limits(rest)),
            "user" | "role" => InputKind::Access(clients::access(word, rest)),
            "client" => InputKind::Client(self.clients.read(rest, Timestamp(START + self.now))),
            "seen" => {
                let (node, up) = rest.split_once(' ').unwrap();
                InputKind::NodeSeen { node: NodeId(node.parse().unwrap()), up: up == "up" }
            }
            _ => panic!("{}: unknown command `{line}`", self.path.display()),
        };
        self.propose(line, kind, envelope);
    }

    fn span(&self, text: &str) -> i64 {
        let digits = text.trim_end_matches(char::is_alphabetic);
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "" if digits == "0" => 0,
            _ => panic!("{}: `{text}` is no span", self.path.display()),
        };
        digits.parse::<i64>().unwrap() * unit
    }

    fn origin(&self, text: &str, envelope: Envelope) -> Envelope {
        let numbers: Vec<u64> = text.split(':').map(|number| number.parse().unwrap()).collect();
        match numbers[..] {
            [node] => Envelope { node: Some(node), ..envelope },
            [node, boot, sequence] => {
                Envelope { node: Some(node), number: Some((boot, sequence)), ..envelope }
            }
            _ => panic!("{}: `{text}` is no origin", self.path.display()),
        }
    }

    /// Lets log time pass, as a leader does: what falls due on the way is reported in its order.
    fn advance(&mut self, span: i64) {
        let target = self.now + span;
        loop {
            let heard = self.echoes.front().map(|(at, _)| *at).filter(|at| *at <= target);
            let due = self.state().next_deadline().map(|(at, timer_id)| (at.0 - START, timer_id));
            let due = due.filter(|(at, _)| *at <= target);
            if let Some(at) = heard.filter(|at| due.is_none_or(|(due, _)| *at <= due))
                && let Some((_, message)) = self.echoes.pop_front()
            {
                self.now = self.now.max(at);
                let line = format!("msg {} {}", message.topic, String::from_utf8_lossy(&message.payload));
                self.propose(line.trim_end(), InputKind::Message(message), Envelope::default());
                continue;
            }
            let Some((deadline, timer_id)) = due else { break };
            self.now = self.now.max(deadline);
            self.propose(&format!("due {timer_id}"), InputKind::TimerDue(timer_id), Envelope::default());
        }
        self.now = target;
    }

    fn propose(&mut self, line: &str, kind: InputKind, envelope: Envelope) {
        let node = envelope.node.unwrap_or(1);
        let number = self.numbers.entry(node).or_insert((1, 0));
        let (boot, sequence) = envelope.number.unwrap_or((number.0, number.1 + 1));
        if envelope.number.is_none() {
            number.1 += 1;
        }
        if !envelope.is_same_entry {
            self.index += 1;
        }
        let origin = Origin { node: NodeId(node), boot, sequence };
        let heard = Hlc { wall: Timestamp(START + self.now + envelope.heard), counter: 0 };
        let input = Input { at: Timestamp(START + self.now), origin, heard, kind };
        let (effects, outputs) = self.apply(&input);
        let heard = match envelope.heard {
            0 => String::new(),
            heard => format!("heard {heard:+}ms "),
        };
        let by = if node == 1 && envelope.number.is_none() { String::new() } else { format!("@{node} ") };
        writeln!(self.transcript, "{} #{} {by}{heard}{line}", self.time(START + self.now), self.index)
            .unwrap();
        for effect in &effects {
            let text = self.describe(effect);
            writeln!(self.transcript, "    {text}").unwrap();
        }
        for output in &outputs {
            writeln!(self.transcript, "    {}", clients::describe(output)).unwrap();
        }
        self.echo(&effects);
        if self.sends_at_once {
            for effect in effects {
                if let Effect::CommandQueued { command_id, .. } = effect
                    && self.state().command(command_id).is_some()
                {
                    self.propose(
                        &format!("sent {command_id}"),
                        InputKind::CommandSent(command_id),
                        Envelope::default(),
                    );
                }
            }
        }
    }

    /// What is published comes back from the broker, if it does in this script.
    fn echo(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let (Effect::CommandQueued { publish, .. }, Some(span)) = (effect, self.echo) {
                let (topic, payload) = (publish.topic.clone(), publish.payload.clone());
                let message = Message { topic, payload, ..Message::default() };
                self.echoes.push_back((self.now + span, message));
            }
        }
    }

    /// Applies an input on all replicas, which must agree.
    fn apply(&mut self, input: &Input) -> (Vec<Effect>, Vec<Output>) {
        let index = LogIndex(self.index);
        let mut first: Option<(Vec<Effect>, Vec<Output>, Vec<u8>)> = None;
        for replica in &mut self.replicas {
            if replica.is_restored {
                replica.state = State::restore(&replica.state.snapshot()).unwrap();
                replica.state.set_cache(replica.cache.0, replica.cache.1);
            }
            let effects = replica.state.apply(index, input);
            let found = (effects, replica.state.take_outputs(), replica.state.snapshot());
            let first = first.get_or_insert_with(|| found.clone());
            let who =
                format!("{}: {:?}, restored {}", self.path.display(), replica.cache, replica.is_restored);
            assert_eq!(found.0, first.0, "{who}: other effects of {input:?}");
            assert_eq!(found.1, first.1, "{who}: other outputs of {input:?}");
            assert!(found.2 == first.2, "{who}: another snapshot after {input:?}");
        }
        let (effects, outputs, _) = first.unwrap();
        (effects, outputs)
    }

    fn state(&self) -> &State {
        &self.replicas[0].state
    }

    fn time(&self, at: i64) -> String {
        if self.tells_dates {
            return format!("{:.3}", jiff::Timestamp::from_millisecond(at).unwrap());
        }
        let millis = at - START;
        format!("+{}.{:03}", millis / 1000, millis % 1000)
    }

    fn describe(&self, effect: &Effect) -> String {
        match effect {
            Effect::Refused(refusal) => match refusal {
                Refusal::Duplicate(_) => "refused: duplicate".to_owned(),
                Refusal::Gap { expected, .. } => format!("refused: gap, expected {expected}"),
                Refusal::Stale => "refused: stale".to_owned(),
                Refusal::AlreadyHeard => "refused: already heard".to_owned(),
                Refusal::Invalid(text) => format!("refused: {text}"),
            },
            Effect::EntityChanged { entity_id, from, to } => format!("{entity_id}: {from} -> {to}"),
            Effect::RunStarted { run_id, automation, trigger } => {
                format!("run {run_id} of {automation} started: {trigger}")
            }
            Effect::RunQueued { run_id, automation, trigger } => {
                format!("run {run_id} of {automation} queued: {trigger}")
            }
            Effect::RunSkipped { automation, reason } => format!("{automation} skipped: {reason}"),
            Effect::RunEnded { run_id, automation, ended } => match ended {
                Ended::Finished => format!("run {run_id} of {automation} finished"),
                Ended::Stopped => format!("run {run_id} of {automation} stopped"),
                Ended::Replaced => format!("run {run_id} of {automation} replaced"),
                Ended::Failed(text) => format!("run {run_id} of {automation} failed: {text}"),
            },
            Effect::CommandQueued { command_id, entity_id, publish, run_id } => {
                let whose = entity_id.as_ref().map_or(String::new(), |id| format!(" {id}"));
                let run = run_id.map_or(String::new(), |id| format!(" by {id}"));
                let retain = if publish.retain { " retained" } else { "" };
                let payload = String::from_utf8_lossy(&publish.payload);
                let qos = publish.qos as u8;
                format!("command {command_id}{whose}{run}: {} {payload} (qos {qos}{retain})", publish.topic)
            }
            Effect::CommandSent { command_id } => format!("command {command_id} sent"),
            Effect::CommandConfirmed { command_id, .. } => format!("command {command_id} confirmed"),
            Effect::CommandExpired { command_id, .. } => format!("command {command_id} expired"),
            Effect::CommandSuperseded { command_id, by } => {
                format!("command {command_id} superseded by {by}")
            }
            Effect::TimerSet { timer_id, deadline, reason } => {
                format!("timer {timer_id} set for {} {}", self.time(deadline.0), describe_reason(reason))
            }
            Effect::TimerFired { timer_id, .. } => format!("timer {timer_id} fired"),
            Effect::TimerCancelled { timer_id } => format!("timer {timer_id} cancelled"),
            Effect::Configured { entities, automations, broken } => {
                format!("configured: {entities} entities, {automations} automations, {broken} broken")
            }
            Effect::ErrandQueued { errand_id, service, run_id } => {
                let run = run_id.map_or(String::new(), |id| format!(" by {id}"));
                format!("errand {errand_id} queued{run}: {service}")
            }
            Effect::ErrandDone { errand_id, status } => format!("errand {errand_id} done ({status})"),
            Effect::ErrandFailed { errand_id, service, text } => {
                format!("errand {errand_id} of {service} given up: {text}")
            }
            Effect::Notice { subject, text } => format!("notice {subject}: {text}"),
            Effect::LeaderChanged { node } => format!("node {node} leads"),
            Effect::NodeChanged { node, up, link } => format!("node {node}: up {up}, link {link}"),
            Effect::Quarantined { automation, reason } => format!("{automation} quarantined: {reason}"),
            Effect::Released { automation } => format!("{automation} released"),
            Effect::EntityAnnounced { entity_id } => format!("{entity_id} announced"),
            Effect::EntityWithdrawn { entity_id } => format!("{entity_id} withdrawn"),
            Effect::ClientConnected { client_id, node, session_present } => {
                format!("client {client_id} connected to node {node}, session present {session_present}")
            }
            Effect::ClientDisconnected { client_id, departure } => {
                format!("client {client_id} disconnected: {departure:?}")
            }
        }
    }

    fn show(&mut self, what: &str) {
        let (word, rest) = what.split_once(' ').unwrap_or((what, ""));
        let state = self.state();
        let lines: Vec<String> = match word {
            "entities" => state
                .entities()
                .map(|(id, entity)| {
                    let changed = self.time(entity.last_changed.0);
                    format!("{id} {} ({:?}, since {changed})", entity.state(), entity.quality)
                })
                .collect(),
            "attributes" => {
                let entity = state.entity(&rest.parse().unwrap()).unwrap();
                let line =
                    |(name, data): (&String, &gable_devices::Data)| format!("{name}: {}", data.to_json());
                entity.value.attributes.iter().map(line).collect()
            }
            "outbox" => state
                .outbox()
                .map(|row| {
                    let status = match row.status {
                        Status::Pending => "pending",
                        Status::Sent => "sent",
                    };
                    format!(
                        "{} {status} {} until {}",
                        row.command_id,
                        row.property,
                        self.time(row.deadline.0)
                    )
                })
                .collect(),
            "timers" => {
                state.timers().map(|(id, timer)| format!("{id} {}", self.time(timer.deadline.0))).collect()
            }
            "runs" => state
                .runs()
                .map(|run| {
                    let wait = match run.wait {
                        Wait::Turn => "its turn".to_owned(),
                        Wait::Timer(timer_id) => format!("timer {timer_id}"),
                        Wait::Template(_) => "a template".to_owned(),
                        Wait::Trigger(_) => "a trigger".to_owned(),
                        Wait::Children => "other runs".to_owned(),
                        Wait::Ready => "nothing".to_owned(),
                    };
                    format!("{} of {} waits for {wait}", run.run_id, run.automation)
                })
                .collect(),
            "nodes" => {
                state.nodes().map(|(id, node)| format!("{id} up {}, link {}", node.up, node.link)).collect()
            }
            "errands" => state
                .due_errands(100, &BTreeSet::new())
                .into_iter()
                .map(|(id, attempt, request)| {
                    let body = String::from_utf8_lossy(&request.body).into_owned();
                    format!("{id} attempt {attempt}: {} {} {body}", request.method, request.url)
                })
                .collect(),
            "filters" => state.topic_filters().iter().cloned().collect(),
            "problems" => state.problems().iter().map(ToString::to_string).collect(),
            "trace" | "why" | "why-not" | "quarantined" => explain(state, word, rest),
            "owner" => vec![state.owner(rest).map_or("nobody".to_owned(), |node| node.to_string())],
            _ => panic!("{}: unknown `show {what}`", self.path.display()),
        };
        writeln!(self.transcript, "show {what}").unwrap();
        for line in lines {
            writeln!(self.transcript, "    {line}").unwrap();
        }
    }
}

/// Reads `+3600 2024-03-31T01:00:00Z+7200`, and lines such as `from 52.52 13.405` and
/// `2024-03-31T04:48:00Z rising`.
fn calendar(offsets: &str, sun: &[&str]) -> Calendar {
    let mut words = offsets.split(' ');
    let offset = words.next().unwrap().parse().unwrap();
    let change = |word: &str| {
        let (at, offset) = word.split_once('Z').unwrap();
        OffsetChange { at: instant(&format!("{at}Z")), offset: offset.parse().unwrap() }
    };
    let moment = |line: &&str| {
        let (at, event) = line.split_once(' ').unwrap();
        let event = match event {
            "dawn" => SunEvent::Dawn,
            "rising" => SunEvent::Rising,
            "noon" => SunEvent::Noon,
            "setting" => SunEvent::Setting,
            "dusk" => SunEvent::Dusk,
            "midnight" => SunEvent::Midnight,
            _ => panic!("the sun does not do `{event}`"),
        };
        SunMoment { at: instant(at), event }
    };
    let mut place = Place::default();
    let sun = match sun.first().and_then(|line| line.strip_prefix("from ")) {
        Some(from) => {
            let (latitude, longitude) = from.split_once(' ').unwrap();
            let (latitude, longitude) = (latitude.parse().unwrap(), longitude.parse().unwrap());
            place.position = Some(Position { latitude, longitude, elevation: 0.0 });
            &sun[1..]
        }
        None => sun,
    };
    let events = sun.iter().map(moment).collect();
    let sun = (!sun.is_empty()).then_some(SunTable { events, ..SunTable::default() });
    Calendar { place, offset, changes: words.map(change).collect(), sun, ..Calendar::default() }
}

fn instant(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// What the state says about why something happened, or did not.
fn explain(state: &State, word: &str, rest: &str) -> Vec<String> {
    let text = match word {
        "trace" => state.traces_of(rest).map(ToString::to_string).collect::<String>(),
        "why-not" => state.miss(rest).map_or("nothing kept it from running".to_owned(), ToString::to_string),
        "why" => {
            let entity = state.entity(&rest.parse().unwrap()).unwrap();
            let run = entity.change.run_id.and_then(|run_id| state.trace(run_id));
            format!("{}{}", entity.change, run.map_or(String::new(), ToString::to_string))
        }
        _ => state.quarantined().map(|(id, quarantine)| format!("{id}: {}\n", quarantine.reason)).collect(),
    };
    text.lines().map(str::to_owned).collect()
}

/// An HTTP call was tried: its id, how often it had failed, and how it went.
fn errand(text: &str) -> InputKind {
    let words: Vec<&str> = text.splitn(3, ' ').collect();
    let outcome = match words[2] {
        "done" => ErrandOutcome::Done { status: 200 },
        "refused" => ErrandOutcome::Refused { status: 404 },
        text => ErrandOutcome::Failed { text: text.to_owned() },
    };
    let errand_id = ErrandId(words[0].parse().unwrap());
    InputKind::ErrandDone { errand_id, attempt: words[1].parse().unwrap(), outcome }
}

fn describe_reason(reason: &TimerReason) -> String {
    match reason {
        TimerReason::TriggerFor { automation } => format!("(for of {automation})"),
        TimerReason::RunDelay { run_id } => format!("(delay of run {run_id})"),
        TimerReason::CommandExpiry { command_id } => format!("(expiry of command {command_id})"),
        TimerReason::OffDelay { entity_id } => format!("(off_delay of {entity_id})"),
        TimerReason::ExpireAfter { entity_id } => format!("(expire_after of {entity_id})"),
        TimerReason::Schedule { automation } => format!("(schedule of {automation})"),
        TimerReason::Sun => "(sun)".to_owned(),
        TimerReason::WaitTimeout { run_id } => format!("(timeout of run {run_id})"),
        TimerReason::Errand { errand_id } => format!("(next try of errand {errand_id})"),
        TimerReason::Will { client_id } => format!("(will of {client_id})"),
        TimerReason::SessionExpiry { client_id } => format!("(session of {client_id})"),
        TimerReason::Grace { node } => format!("(clients of node {node})"),
        TimerReason::MessageExpiry => "(messages expire)".to_owned(),
        TimerReason::Helper { entity_id } => format!("(end of {entity_id})"),
        TimerReason::Minute => "(templates that ask for the time)".to_owned(),
        TimerReason::Window { window } => format!("(order within {} ms)", window.0),
        TimerReason::Sequence { automation } => format!("(sequence of {automation})"),
        TimerReason::ForGap { automation } => format!("(for_gap of {automation})"),
    }
}

#[test]
fn spans_are_read() {
    let path = Path::new("test");
    let player = Player::new(path);
    assert_eq!(player.span("5m"), i64::try_from(Millis::from_secs(300).0).unwrap());
    assert_eq!((player.span("0"), player.span("500ms"), player.span("1h")), (0, 500, 3_600_000));
}
