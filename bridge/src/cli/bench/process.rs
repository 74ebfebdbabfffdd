//! What the system knows about a node's process.

use std::fs::read_to_string;

/// The resident memory in megabytes.
pub(super) fn resident_mb(process_id: u32) -> Option<f64> {
    number(process_id, "status", "VmRSS:").map(|kilobytes| kilobytes / 1024.0)
}

/// The bytes that the process made the system write to its disks.
pub(super) fn written_bytes(process_id: u32) -> Option<f64> {
    number(process_id, "io", "write_bytes:")
}

/// The seconds that the process has kept a processor busy, to a hundredth.
pub(super) fn processor_seconds(process_id: u32) -> Option<f64> {
    /// Linux shows times to programs in this unit on every machine that Gable runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let text = read_to_string(format!("/proc/{process_id}/stat")).ok()?;
    // The second field, the program's name, may hold blanks; it ends with the last bracket.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / TICKS_PER_SECOND)
}

fn number(process_id: u32, file: &str, name: &str) -> Option<f64> {
    let text = read_to_string(format!("/proc/{process_id}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_resident_and_has_written() {
        let own = std::process::id();
        assert!(resident_mb(own).unwrap() > 0.1);
        assert!(written_bytes(own).is_some());
        assert!(processor_seconds(own).is_some());
    }
}
