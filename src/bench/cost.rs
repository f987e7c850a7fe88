//! What this process costs: CPU time and memory, as Linux counts them.

use std::{fs, time::Duration};

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};

/// CPU that this process has used, user and system.
///
/// # Errors
/// The kernel does not say.
pub(super) fn own_cpu() -> anyhow::Result<Duration> {
    used(UsageWho::RUSAGE_SELF)
}

/// CPU that the calling thread has used, user and system.
///
/// # Errors
/// The kernel does not say.
pub(super) fn thread_cpu() -> anyhow::Result<Duration> {
    used(UsageWho::RUSAGE_THREAD)
}

fn used(who: UsageWho) -> anyhow::Result<Duration> {
    let usage = getrusage(who).context("getrusage")?;
    let of = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        let micros = u64::try_from(time.tv_usec()).unwrap_or(0);
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    Ok(of(usage.user_time()) + of(usage.system_time()))
}

/// Bytes of memory that this process has at the moment.
///
/// # Errors
/// This is not Linux.
pub(super) fn own_memory() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .context("/proc/self/status has no VmRSS")?
        .parse()?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use super::*;

    #[test]
    fn work_costs_cpu_and_memory_and_waiting_neither() {
        let (process, thread) = (own_cpu().unwrap(), thread_cpu().unwrap());
        while thread_cpu().unwrap() - thread < Duration::from_millis(30) {
            black_box((0..10_000_u64).sum::<u64>());
        }
        assert!(own_cpu().unwrap() - process >= Duration::from_millis(30));
        let before = own_memory().unwrap();
        let block = black_box(vec![1_u8; 64 << 20]);
        assert!(own_memory().unwrap() >= before + (block.len() as u64) / 2);
    }
}
