//! The machine that the numbers belong to, and what its disk can do at best.

use super::samples::Samples;
use crate::cli::failure::{Exit, Failure};
use serde_json::{Value, json};
use std::fs::{File, read_to_string};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// About an event's size in the log.
const RECORD: [u8; 200] = [0x5a; 200];
/// The file's size. It is filled beforehand, as logs do it: a file that grows makes the file system
/// write its own journal each time.
const FILE_BYTES: usize = 4 << 20;
const RECORDS_MAX: usize = 100_000;
/// What one commit of the log writes: seven pages of its database.
const COMMIT_BYTES: usize = 7 * 4096;
const PACE: Duration = Duration::from_millis(20);
const RESTED_COUNT: usize = 100;

/// What was measured where.
#[derive(Debug)]
pub(super) struct Machine {
    cpu: String,
    cores: usize,
    memory_mb: u64,
    kernel: String,
    filesystem: String,
    /// The load average when the measurement began: what else the machine was doing.
    load: String,
    build: &'static str,
    pub(super) disk: Disk,
}

/// Events written to a plain file of fixed size, each made durable by itself.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) fsync: Samples,
    pub(super) per_second: f64,
    /// What a commit of the log writes, at the pace of a home: a disk that has rested answers later
    /// than one that is kept busy.
    pub(super) rested: Samples,
}

impl Machine {
    /// Looks at the machine, and measures the disk below `folder` for `span`.
    pub(super) fn examine(folder: &Path, span: Duration) -> Result<Machine, Failure> {
        let disk = Disk::measure(folder, span).map_err(|error| {
            let what = format!("cannot write in {}", folder.display());
            let error = anyhow::Error::new(error).context(what);
            Failure::new(Exit::Start, error, "choose another folder with --dir")
        })?;
        Ok(Machine {
            cpu: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mb: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
                .map_or(0, |kilobytes| kilobytes / 1024),
            kernel: line("/proc/sys/kernel/osrelease"),
            filesystem: filesystem(folder),
            load: line("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            disk,
        })
    }

    /// Lines for people.
    pub(super) fn shown(&self) -> String {
        let Machine { cpu, cores, memory_mb, kernel, filesystem, load, build, disk } = self;
        let mut shown = format!(
            "{cpu}, {cores} cores, {memory_mb} MB, Linux {kernel}, {filesystem}\n\
             fdatasync p50 {:.2} ms, p99 {:.2} ms, {:.0} writes synced a second; load average {load}\n",
            disk.fsync.percentile(50).unwrap_or(0.0),
            disk.fsync.percentile(99).unwrap_or(0.0),
            disk.per_second,
        );
        if *build == "debug" {
            shown += "This is a debug build: its numbers mean nothing (cargo run --release -- bench).\n";
        }
        shown
    }

    pub(super) fn to_json(&self) -> Value {
        let Machine { cpu, cores, memory_mb, kernel, filesystem, load, build, disk } = self;
        json!({
            "cpu": cpu,
            "cores": cores,
            "memory_mb": memory_mb,
            "kernel": kernel,
            "filesystem": filesystem,
            "load_average": load,
            "build": build,
            "version": env!("CARGO_PKG_VERSION"),
            "fsync_p50_ms": disk.fsync.percentile(50),
            "fsync_p99_ms": disk.fsync.percentile(99),
            "synced_writes_per_s": disk.per_second,
            "rested_commit_p50_ms": disk.rested.percentile(50),
        })
    }
}

impl Disk {
    fn measure(folder: &Path, span: Duration) -> io::Result<Disk> {
        let path = folder.join("write.probe");
        let mut file = File::create(&path)?;
        file.write_all(&vec![0; FILE_BYTES])?;
        file.sync_all()?;
        let begun = Instant::now();
        let mut took = Vec::new();
        while begun.elapsed() < span && took.len() < RECORDS_MAX {
            took.push(write(&mut file, &RECORD, took.len())?);
        }
        let per_second = took.len() as f64 / begun.elapsed().as_secs_f64();
        let mut rested = Vec::new();
        for count in 0..RESTED_COUNT {
            std::thread::sleep(PACE);
            rested.push(write(&mut file, &[0x5a; COMMIT_BYTES], count)?);
        }
        std::fs::remove_file(&path)?;
        Ok(Disk { fsync: Samples::new(took), per_second, rested: Samples::new(rested) })
    }
}

/// Writes at the next place and waits until it is on the disk.
fn write(file: &mut File, bytes: &[u8], count: usize) -> io::Result<Duration> {
    let begun = Instant::now();
    let place = count % (FILE_BYTES / bytes.len());
    file.seek(SeekFrom::Start((place * bytes.len()) as u64))?;
    file.write_all(bytes)?;
    file.sync_data()?;
    Ok(begun.elapsed())
}

fn line(path: &str) -> String {
    read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The first value of a `name: value` file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read_to_string(path).ok()?;
    let (_, value) =
        text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name))?;
    Some(value.trim().to_owned())
}

/// The type of the file system that holds `folder`: a measurement in memory is no measurement.
fn filesystem(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = read_to_string("/proc/self/mounts").unwrap_or_default();
    let holds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(at).then_some((at.len(), kind))
    });
    holds.max_by_key(|(length, _)| *length).map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
