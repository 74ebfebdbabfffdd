//! Which promised commands this node still has to bring to its broker. Pure: it is told what
//! happens and says what to publish and what to report.
//!
//! The outbox rows of the replicated state are the promise; this is one process's view of them and
//! its memory of what it has published. It holds at most as many commands as the outbox, and those
//! whose row went before they were published here: with a broker beside each node the first node's
//! report settles the row, and the device may sit on any of the brokers.

use gable_devices::{Publish, Timestamp};
use gable_rules::{COMMAND_DEADLINE, CommandId, OUTBOX_MAX, OutboxRow, Status};
use std::collections::{BTreeMap, VecDeque};
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
    /// Whether the row is still there.
    has_row: bool,
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
                stage: Stage::Waiting,
            },
        };
        self.insert(command_id, job);
    }

    /// Notes that some broker has a command. With `settled` that is all its row waited for.
    pub(super) fn sent(&mut self, command_id: CommandId, settled: bool) {
        if let Some(job) = self.jobs.get_mut(&command_id) {
            job.is_sent = true;
            job.has_row &= !settled;
            self.forget_if_done(command_id);
        }
    }

    /// Notes that a command is confirmed, given up or superseded: nobody shall send it any more.
    pub(super) fn settled(&mut self, command_id: CommandId) {
        if let Some(job) = self.jobs.get_mut(&command_id) {
            (job.is_sent, job.has_row) = (true, false);
            if matches!(job.stage, Stage::Waiting | Stage::Doubtful | Stage::Taken { .. }) {
                self.jobs.remove(&command_id);
            }
        }
    }

    /// Compares with all rows: at the start, after entries were missed, and when this node begins
    /// to lead. What this process has published is not published again; what another published and
    /// the device has not confirmed is, where that changes nothing.
    pub(super) fn sync<'a>(&mut self, rows: impl IntoIterator<Item = &'a OutboxRow>, now: Timestamp) {
        for job in self.jobs.values_mut() {
            job.has_row = false;
        }
        for row in rows {
            match self.jobs.get_mut(&row.command_id) {
                Some(job) => (job.has_row, job.is_sent) = (true, row.status == Status::Sent),
                None if row.deadline <= now => {}
                None if row.status == Status::Pending || row.repeatable => {
                    self.insert(row.command_id, Job::of(row));
                }
                None => {}
            }
        }
        let gone: Vec<_> =
            self.jobs.iter().filter(|(_, job)| !job.has_row).map(|(command_id, _)| *command_id).collect();
        gone.into_iter().for_each(|command_id| self.settled(command_id));
    }

    /// Forgets what is not published yet: another node leads now, and publishes it.
    pub(super) fn stand_down(&mut self) {
        self.jobs.retain(|_, job| job.stage != Stage::Waiting);
    }

    /// Notes that the link is up, and what of the last connection has to be sent again.
    pub(super) fn connected(&mut self) {
        self.is_up = true;
    }

    /// Notes that the link is down. What had no acknowledgement waits for the next connection.
    pub(super) fn disconnected(&mut self) {
        self.is_up = false;
        self.requested.clear();
        self.written.clear();
        for job in self.jobs.values_mut() {
            job.stage = match job.stage {
                Stage::Written if !job.repeatable => Stage::Doubtful,
                Stage::Requested | Stage::Written => Stage::Waiting,
                stage => stage,
            };
        }
        self.jobs.retain(|_, job| job.has_row || job.stage == Stage::Waiting);
    }

    /// Takes the next command to publish, while the link is up and has room.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<(CommandId, Publish)> {
        if !self.is_up || self.requested.len() + self.written.len() >= self.in_flight_max {
            return None;
        }
        self.jobs.retain(|_, job| job.stage != Stage::Waiting || job.deadline > now);
        let (command_id, job) = self.jobs.iter_mut().find(|(_, job)| job.stage == Stage::Waiting)?;
        job.stage = Stage::Requested;
        self.requested.push_back(*command_id);
        Some((*command_id, job.publish.clone()))
    }

    /// Takes back a command that could not be published and never will be, here.
    pub(super) fn unpublishable(&mut self, command_id: CommandId) {
        self.requested.retain(|requested| *requested != command_id);
        if let Some(job) = self.jobs.get_mut(&command_id) {
            job.stage = Stage::Doubtful;
        }
    }

    /// Notes that the oldest request was written under a packet id.
    pub(super) fn written(&mut self, packet_id: u16) {
        let Some(command_id) = self.requested.pop_front() else { return };
        self.written.insert(packet_id, command_id);
        if let Some(job) = self.jobs.get_mut(&command_id) {
            job.stage = Stage::Written;
        }
    }

    /// Notes that the broker took over what was written under a packet id, and returns the command.
    /// The leader reports at once.
    pub(super) fn taken(&mut self, packet_id: u16, now: Instant, is_leader: bool) -> Option<CommandId> {
        let command_id = self.written.remove(&packet_id)?;
        let patience = if is_leader { Duration::ZERO } else { REPORT_PATIENCE };
        if let Some(job) = self.jobs.get_mut(&command_id) {
            job.stage = Stage::Taken { report_at: (!job.is_sent).then(|| now + patience) };
            self.forget_if_done(command_id);
        }
        Some(command_id)
    }

    /// Takes a command whose report is due.
    pub(super) fn next_report(&mut self, now: Instant) -> Option<CommandId> {
        let due = self.jobs.iter_mut().find(|(_, job)| job.report_at().is_some_and(|at| at <= now));
        due.map(|(command_id, job)| {
            job.stage = Stage::Taken { report_at: None };
            *command_id
        })
    }

    /// When the next report is due.
    pub(super) fn next_report_at(&self) -> Option<Instant> {
        self.jobs.values().filter_map(Job::report_at).min()
    }

    fn insert(&mut self, command_id: CommandId, job: Job) {
        if self.jobs.len() == JOBS_MAX {
            self.jobs.pop_first();
        }
        self.jobs.insert(command_id, job);
    }

    fn forget_if_done(&mut self, command_id: CommandId) {
        let is_done = |job: &Job| !job.has_row && matches!(job.stage, Stage::Taken { .. } | Stage::Doubtful);
        if self.jobs.get(&command_id).is_some_and(is_done) {
            self.jobs.remove(&command_id);
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
            stage: Stage::Waiting,
        }
    }

    fn report_at(&self) -> Option<Instant> {
        match self.stage {
            Stage::Taken { report_at } if !self.is_sent => report_at,
            _ => None,
        }
    }
}
