//! Which promised commands this node still has to bring to its broker. Pure: it is told what
//! happens and says what to publish and what to report.
//!
//! The outbox rows of the replicated state are the promise; this is one process's view of them and
//! its memory of what it has published. It holds at most as many commands as the outbox, and those
//! whose row went before they were published here: with a broker beside each node the first node's
//! report settles the row, and the device may sit on any of the brokers.

use gable_devices::{Publish, Timestamp};
use gable_rules::{COMMAND_DEADLINE, CommandId, OUTBOX_MAX, OutboxRow, Status};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// A follower reports a command only if the leader has not done so by then: one report is enough,
/// and each is an entry in the log.
const REPORT_PATIENCE: Duration = Duration::from_millis(250);

/// How many commands are remembered at most: the outbox, and as many whose rows are gone. When one
/// more comes the oldest is forgotten; a row that is still there brings it back at the next sync.
const JOBS_MAX: usize = 2 * OUTBOX_MAX;

/// The commands on their way to the broker.
#[derive(Debug)]
pub(super) struct Outgoing {
    jobs: BTreeMap<CommandId, Job>,
    /// The jobs that wait, in the order of their promises.
    waiting: BTreeSet<CommandId>,
    /// The jobs whose report is due some time.
    reports: BTreeSet<(Instant, CommandId)>,
    /// Requested, not yet written: rumqttc gives the packet ids in this order.
    requested: VecDeque<CommandId>,
    /// Written under these packet ids, not yet taken over.
    written: BTreeMap<u16, CommandId>,
    in_flight_max: usize,
    is_up: bool,
}

#[derive(Clone, Debug)]
struct Job {
    publish: Publish,
    deadline: Timestamp,
    repeatable: bool,
    /// Whether the log knows already that some broker has it.
    is_sent: bool,
    /// Whether the row is still there. Without it the command is published here all the same if
    /// nothing but another broker's taking it over has settled it.
    has_row: bool,
    /// Whether nobody shall have it any more.
    is_void: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Requested,
    Written,
    /// The broker has it. The report is due at this time, if nobody else makes it.
    Taken {
        report_at: Option<Instant>,
    },
    /// It may or may not have reached the broker, and must not be sent twice.
    Doubtful,
}

impl Outgoing {
    pub(super) fn new(in_flight_max: usize) -> Outgoing {
        Outgoing {
            jobs: BTreeMap::new(),
            waiting: BTreeSet::new(),
            reports: BTreeSet::new(),
            requested: VecDeque::new(),
            written: BTreeMap::new(),
            in_flight_max,
            is_up: false,
        }
    }

    /// Takes a command that was just promised. `row` is its row, unless that is gone already.
    pub(super) fn queued(
        &mut self,
        command_id: CommandId,
        publish: &Publish,
        row: Option<&OutboxRow>,
        now: Timestamp,
    ) {
        if self.jobs.contains_key(&command_id) {
            return;
        }
        let job = match row {
            Some(row) => Job::of(row),
            // Taken from the state a moment too late: another node's report has settled it.
            None => Job {
                publish: publish.clone(),
                deadline: now.after(COMMAND_DEADLINE),
                repeatable: false,
                is_sent: true,
                has_row: false,
                is_void: false,
                stage: Stage::Waiting,
            },
        };
        self.insert(command_id, job);
    }

    /// Notes that some broker has a command. With `settled` that is all its row waited for.
    pub(super) fn sent(&mut self, command_id: CommandId, settled: bool) {
        self.change(command_id, |job| {
            job.is_sent = true;
            job.has_row &= !settled;
        });
    }

    /// Notes that a command is confirmed, given up or superseded: nobody shall send it any more.
    pub(super) fn settled(&mut self, command_id: CommandId) {
        self.change(command_id, |job| (job.is_sent, job.has_row, job.is_void) = (true, false, true));
    }

    /// Compares with all rows: at the start, after entries were missed, and when this node begins
    /// to lead. What this process has published is not published again; what another published and
    /// the device has not confirmed is, where that changes nothing.
    pub(super) fn sync<'a>(&mut self, rows: impl IntoIterator<Item = &'a OutboxRow>, now: Timestamp) {
        let mut gone: BTreeSet<CommandId> =
            self.jobs.iter().filter(|(_, job)| job.has_row).map(|(command_id, _)| *command_id).collect();
        for row in rows {
            gone.remove(&row.command_id);
            if self.jobs.contains_key(&row.command_id) {
                self.change(row.command_id, |job| job.is_sent = row.status == Status::Sent);
            } else if row.deadline > now && (row.status == Status::Pending || row.repeatable) {
                self.insert(row.command_id, Job::of(row));
            }
        }
        gone.into_iter().for_each(|command_id| self.settled(command_id));
    }

    /// Forgets what is not published yet: another node leads now, and publishes it.
    pub(super) fn stand_down(&mut self) {
        for command_id in std::mem::take(&mut self.waiting) {
            self.jobs.remove(&command_id);
        }
    }

    /// Notes that the link is up, and what of the last connection has to be sent again.
    pub(super) fn connected(&mut self) {
        self.is_up = true;
    }

    /// Notes that the link is down. What had no acknowledgement waits for the next connection.
    pub(super) fn disconnected(&mut self) {
        self.is_up = false;
        let on_their_way: Vec<CommandId> =
            self.requested.drain(..).chain(std::mem::take(&mut self.written).into_values()).collect();
        for command_id in on_their_way {
            self.change(command_id, |job| {
                job.stage = match job.stage {
                    Stage::Written if !job.repeatable => Stage::Doubtful,
                    Stage::Requested | Stage::Written => Stage::Waiting,
                    stage => stage,
                };
            });
        }
    }

    /// Takes the next command to publish, while the link is up and has room.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(CommandId, Publish)> {
        while self.is_up && self.requested.len() + self.written.len() < self.in_flight_max {
            let command_id = *self.waiting.first()?;
            let Some(job) = self.jobs.get(&command_id).filter(|job| job.deadline > now) else {
                self.remove(command_id);
                continue;
            };
            let publish = job.publish.clone();
            self.change(command_id, |job| job.stage = Stage::Requested);
            self.requested.push_back(command_id);
            return Some((command_id, publish));
        }
        None
    }

    /// Takes back a command that could not be published and never will be, here.
    pub(super) fn unpublishable(&mut self, command_id: CommandId) {
        self.requested.retain(|requested| *requested != command_id);
        self.change(command_id, |job| job.stage = Stage::Doubtful);
    }

    /// Notes that the oldest request was written under a packet id.
    pub(super) fn written(&mut self, packet_id: u16) {
        let Some(command_id) = self.requested.pop_front() else { return };
        self.written.insert(packet_id, command_id);
        self.change(command_id, |job| job.stage = Stage::Written);
    }

    /// Notes that the broker took over what was written under a packet id, and returns the command.
    /// The leader reports at once.
    pub(super) fn taken(&mut self, packet_id: u16, now: Instant, is_leader: bool) -> Option<CommandId> {
        let command_id = self.written.remove(&packet_id)?;
        let patience = if is_leader { Duration::ZERO } else { REPORT_PATIENCE };
        self.change(command_id, |job| job.stage = Stage::Taken { report_at: Some(now + patience) });
        Some(command_id)
    }

    /// Takes a command whose report is due.
    pub(super) fn next_report(&mut self, now: Instant) -> Option<CommandId> {
        let (_, command_id) = *self.reports.first().filter(|(at, _)| *at <= now)?;
        self.change(command_id, |job| job.stage = Stage::Taken { report_at: None });
        Some(command_id)
    }

    /// When the next report is due.
    pub(super) fn next_report_at(&self) -> Option<Instant> {
        self.reports.first().map(|(at, _)| *at)
    }

    fn insert(&mut self, command_id: CommandId, job: Job) {
        if self.jobs.len() >= JOBS_MAX
            && let Some(oldest) = self.jobs.keys().next().copied()
        {
            self.remove(oldest);
        }
        self.jobs.insert(command_id, job);
        self.change(command_id, |_| ());
    }

    /// Changes a job, forgets it if it is done, and keeps the indexes in step.
    fn change(&mut self, command_id: CommandId, change: impl FnOnce(&mut Job)) {
        let Some(job) = self.jobs.get_mut(&command_id) else { return };
        if let Some(report_at) = job.report_at() {
            self.reports.remove(&(report_at, command_id));
        }
        change(job);
        if job.is_done() {
            self.remove(command_id);
            return;
        }
        if let Some(report_at) = job.report_at() {
            self.reports.insert((report_at, command_id));
        }
        match job.stage {
            Stage::Waiting => self.waiting.insert(command_id),
            _ => self.waiting.remove(&command_id),
        };
    }

    fn remove(&mut self, command_id: CommandId) {
        self.waiting.remove(&command_id);
        if let Some(report_at) = self.jobs.remove(&command_id).and_then(|job| job.report_at()) {
            self.reports.remove(&(report_at, command_id));
        }
    }
}

impl Job {
    fn of(row: &OutboxRow) -> Job {
        Job {
            publish: row.publish.clone(),
            deadline: row.deadline,
            repeatable: row.repeatable,
            is_sent: row.status == Status::Sent,
            has_row: true,
            is_void: false,
            stage: Stage::Waiting,
        }
    }

    fn report_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Taken { report_at } if !self.is_sent => report_at,
            _ => None,
        }
    }

    /// Whether nothing is left to remember. While the broker has a request it is remembered.
    fn is_done(&self) -> bool {
        match self.stage {
            Stage::Requested | Stage::Written => false,
            Stage::Waiting => self.is_void,
            Stage::Taken { .. } | Stage::Doubtful => !self.has_row,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gable_devices::QoS;
    use gable_rules::{Id, LogIndex};
    use serde_json::json;

    fn id(n: u64) -> CommandId {
        CommandId(Id { index: LogIndex(n), n: 0 })
    }

    fn publish(n: u64) -> Publish {
        Publish { topic: "t".into(), payload: n.to_string().into(), qos: QoS::AtLeastOnce, retain: false }
    }

    /// Plays `script`, one step a line, at time 0 with deadlines at 30 s, and compares what is
    /// published and reported, and how many commands are remembered at the end.
    ///
    /// `up`, `down`, `lead`, `follow`, `queued N`, `gone N` (queued, its row is gone), `sent N`,
    /// `confirmed N` (by a report), `settled N`, `written PACKET`, `taken PACKET`, `later` (past the
    /// patience with the leader), `late` (past the deadlines), `sync ROW..`: a row is `p1` (pending),
    /// `s1` (sent), with a `!` if it must not be repeated.
    #[track_caller]
    fn check(script: &str, expected: &[&str], remembered: usize) {
        let mut outgoing = Outgoing::new(2);
        let (mut at, mut now, mut is_leader) = (Instant::now(), Timestamp(0), true);
        let mut answers = Vec::new();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (verb, rest) = (words.next().unwrap(), words.collect::<Vec<_>>());
            let number = || rest[0].trim_end_matches('!').parse::<u64>().unwrap();
            match verb {
                "up" => outgoing.connected(),
                "down" => outgoing.disconnected(),
                "lead" => is_leader = true,
                "follow" => is_leader = false,
                "stand-down" => outgoing.stand_down(),
                "queued" => {
                    let row = row(&format!("p{}", rest[0]));
                    outgoing.queued(id(number()), &publish(number()), Some(&row), now);
                }
                "gone" => outgoing.queued(id(number()), &publish(number()), None, now),
                "sent" => outgoing.sent(id(number()), false),
                "confirmed" => outgoing.sent(id(number()), true),
                "settled" => outgoing.settled(id(number())),
                "written" => outgoing.written(number() as u16),
                "taken" => drop(outgoing.taken(number() as u16, at, is_leader)),
                "later" => at += REPORT_PATIENCE,
                "late" => now = Timestamp(30_000),
                "sync" => outgoing.sync(&rest.iter().map(|text| row(text)).collect::<Vec<_>>(), now),
                _ => panic!("{line}"),
            }
            while let Some((command_id, _)) = outgoing.next(now) {
                answers.push(format!("publish {}", command_id.0.index));
            }
            while let Some(command_id) = outgoing.next_report(at) {
                answers.push(format!("report {}", command_id.0.index));
            }
        }
        assert_eq!(answers, expected, "{script}");
        assert_eq!(outgoing.jobs.len(), remembered, "{script}");
    }

    fn row(text: &str) -> OutboxRow {
        let (status, number) = text.trim_end_matches('!').split_at(1);
        let number = number.parse().unwrap();
        // Only the core makes rows; what it stores of one is enough here.
        serde_json::from_value(json!({
            "command_id": id(number),
            "entity_id": null,
            "property": "",
            "publish": publish(number),
            "status": if status == "p" { Status::Pending } else { Status::Sent },
            "queued_at": 0,
            "deadline": 30_000,
            "repeatable": !text.ends_with('!'),
            "run_id": null,
            "expect": "None",
            "is_met": false,
            "expiry": id(number),
        }))
        .unwrap()
    }

    #[test]
    fn a_command_is_published_and_reported_once() {
        check("up\nqueued 1\nwritten 7\ntaken 7\nsync s1\nsync s1", &["publish 1", "report 1"], 1);
        check("up\nqueued 1\nwritten 7\ntaken 7\nconfirmed 1", &["publish 1", "report 1"], 0);
        check("up\nqueued 1\nqueued 1\nsync p1", &["publish 1"], 1);
    }

    #[test]
    fn no_more_are_in_flight_than_the_broker_takes() {
        check(
            "up\nqueued 1\nqueued 2\nqueued 3\nwritten 1\nwritten 2\ntaken 1",
            &["publish 1", "publish 2", "publish 3", "report 1"],
            3,
        );
    }

    #[test]
    fn without_a_link_commands_wait_until_their_deadline() {
        check("queued 1\nup", &["publish 1"], 1);
        check("queued 1\nlate\nup", &[], 0);
    }

    #[test]
    fn what_was_not_acknowledged_is_published_anew() {
        check("up\nqueued 1\nwritten 7\ndown\nup\nsync p1", &["publish 1", "publish 1"], 1);
        check("up\nqueued 1\ndown\nup", &["publish 1", "publish 1"], 1);
        check("up\nqueued 1\nwritten 7\ntaken 7\ndown\nup\nsync s1", &["publish 1", "report 1"], 1);
        // A pulse is sent again only if it never reached the socket.
        check("up\nqueued 1!\nwritten 7\ndown\nup\nsync p1!", &["publish 1"], 1);
        check("up\nqueued 1!\ndown\nup\nsync p1!", &["publish 1", "publish 1"], 1);
    }

    #[test]
    fn a_settled_command_is_published_no_more() {
        check("queued 1\nsettled 1\nup", &[], 0);
        check("up\nqueued 1\nwritten 7\nsettled 1\ndown\nup", &["publish 1"], 0);
        check("up\nqueued 1\nwritten 7\nsettled 1\ntaken 7", &["publish 1"], 0);
    }

    #[test]
    fn another_nodes_report_does_not_keep_a_command_from_this_broker() {
        check("queued 1\nsent 1\nup\nwritten 7\ntaken 7", &["publish 1"], 1);
        check("queued 1\nconfirmed 1\nup\nwritten 7\ntaken 7", &["publish 1"], 0);
        check("queued 1\nconfirmed 1\nsync\nup\nwritten 7\ndown\nup", &["publish 1", "publish 1"], 1);
        check("up\ngone 1\nwritten 7\ntaken 7", &["publish 1"], 0);
        check("gone 1\nlate\nup", &[], 0);
    }

    #[test]
    fn a_follower_reports_only_what_the_leader_does_not() {
        check("follow\nup\nqueued 1\nwritten 7\ntaken 7\nsent 1\nlater", &["publish 1"], 1);
        check("follow\nup\nqueued 1\nwritten 7\ntaken 7\nlater", &["publish 1", "report 1"], 1);
    }

    #[test]
    fn a_new_leader_sends_what_is_unconfirmed_and_may_be_repeated() {
        check("up\nsync p1 s2", &["publish 1", "publish 2"], 2);
        check("up\nsync p1! s2!", &["publish 1"], 1);
        check("late\nup\nsync p1 s2", &[], 0);
        check("queued 1\nstand-down\nup", &[], 0);
    }

    #[test]
    fn memory_is_bounded() {
        let mut outgoing = Outgoing::new(2);
        for n in 0..=JOBS_MAX as u64 {
            outgoing.queued(id(n), &publish(n), None, Timestamp(0));
        }
        assert_eq!(outgoing.jobs.len(), JOBS_MAX);
        assert!(!outgoing.jobs.contains_key(&id(0)));
    }
}
