//! What this machine has for media jobs.

/// Share of what is free that jobs may take: the rest is for the page cache and the system's own work.
const SHARE: u64 = 80;

/// Memory that media jobs may take together, MiB: of what is available now, or of what the control group still allows.
/// 0 where the system does not say.
pub(crate) fn memory_for_jobs_mib() -> u32 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let bytes = available_bytes(
        &read("/proc/meminfo"),
        &read("/sys/fs/cgroup/memory.max"),
        &read("/sys/fs/cgroup/memory.current"),
    );
    u32::try_from((bytes / 100 * SHARE) >> 20).unwrap_or(u32::MAX)
}

/// From `/proc/meminfo` (proc(5)) and the control group's `memory.max` and `memory.current` (cgroup v2), any of which may
/// be missing.
fn available_bytes(meminfo: &str, max: &str, current: &str) -> u64 {
    let system = meminfo
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map(|kib| kib * 1_024);
    let group =
        max.trim().parse::<u64>().ok().map(|max| max.saturating_sub(current.trim().parse().unwrap_or(0)));
    system.into_iter().chain(group).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_of_system_and_control_group_counts() {
        let meminfo = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n";
        let table = [
            ((meminfo, "", ""), 8_000_000 * 1_024),
            ((meminfo, "max\n", "5\n"), 8_000_000 * 1_024),
            ((meminfo, "3000\n", "1000\n"), 2_000),
            ((meminfo, "3000\n", "9000\n"), 0),
            (("", "3000", ""), 3_000),
            (("", "", ""), 0),
            (("MemAvailable: lots", "", ""), 0),
        ];
        for ((meminfo, max, current), expected) in table {
            assert_eq!(available_bytes(meminfo, max, current), expected, "{meminfo:?} {max:?} {current:?}");
        }
    }
}
