//! Where the cycles of a transfer go, on both sides, by what the functions are for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::content::{Content, Folder};
use crate::peers::{Peer, in_path};
use crate::process::Program;
use crate::setting::Setting;
use crate::tracker::Tracker;

const SIZE: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(120);

/// Samples per second; odd, so that nothing periodic hides between them.
const FREQUENCY: &str = "997";

/// Parts of function names, and what they are for; the first that fits counts.
const GROUPS: [(&str, &[&str]); 9] = [
    (
        "copies by the kernel",
        &["copy_user", "copy_to_iter", "copy_from_iter", "rep_movs"],
    ),
    ("hashing", &["sha1", "sha256", "lanes"]),
    (
        "TCP and sockets",
        &[
            "tcp", "skb", "sock", "inet", "ip_", "__ip", "net_", "netif", "loopback", "napi",
            "sk_", "csum", "dev_", "nf_", "xmit", "bbr", "cubic", "qdisc",
        ],
    ),
    (
        "page cache and memory",
        &[
            "shmem", "folio", "filemap", "page", "clear_", "vfs_", "xas_", "xa_", "lru", "charge",
            "file_", "fault", "mmap", "vm_", "zone", "pcp", "memcg", "cgroup", "dquot",
        ],
    ),
    (
        "scheduler and waiting",
        &[
            "sched",
            "futex",
            "epoll",
            "ep_",
            "wake",
            "idle",
            "timer",
            "switch",
            "rq_",
            "clockevent",
            "enqueue",
            "dequeue",
            "softirq",
        ],
    ),
    // In a virtual machine samples pile up where interrupts are let in again.
    (
        "locks and interrupts",
        &["spin_", "rcu", "irq", "preempt", "vcpu"],
    ),
    (
        "system calls as such",
        &[
            "syscall",
            "entry_",
            "exit_to_user",
            "thunk",
            "user_8",
            "fdget",
            "fput",
        ],
    ),
    (
        "allocators",
        &["malloc", "free", "kmem", "slab", "calloc", "realloc"],
    ),
    ("moves in our memory", &["memcpy", "memmove", "memset"]),
];

/// Groups that only functions of the kernel belong to; ours with such names are our code.
const KERNEL_ONLY: [&str; 6] = [
    "copies by the kernel",
    "page cache and memory",
    "TCP and sockets",
    "scheduler and waiting",
    "locks and interrupts",
    "system calls as such",
];

pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let Some(perf) = in_path("perf") else {
        println!("shares: left out: perf is not installed");
        return Ok(());
    };
    if setting.smoke {
        println!("shares: left out: samples of a short run say nothing");
        return Ok(());
    }
    let folder = Folder::new("shares")?;
    let tracker = Tracker::start().map_err(|error| error.to_string())?;
    let content = Content::make(&folder, setting.size(SIZE, SIZE), Some(&tracker.url))?;
    let home = folder.empty("home")?;
    let target = folder.empty("target")?;
    let mut seed = Peer::Ours.seed(&content, &home)?;
    seed.program
        .until(PATIENCE, "does not get ready", || tracker.has_seed())?;
    let mut leech = Peer::Ours.leech(&content, &target, &home, seed.port)?;
    let mut records = Vec::new();
    for (side, id) in [
        ("seeder", seed.program.id()),
        ("leecher", leech.program.id()),
    ] {
        let data = folder.path().join(side);
        let mut record = Command::new(&perf);
        record
            .args(["record", "-q", "-F", FREQUENCY, "-p", &id.to_string(), "-o"])
            .arg(&data);
        let log = folder.path().join(format!("{side}.log"));
        records.push((side, data, Program::start(&mut record, &log)?));
    }
    leech.program.finish(PATIENCE, || false)?;
    // perf writes its file when what it watches ends.
    drop((seed, leech));
    for (side, data, mut record) in records {
        record.finish(PATIENCE, || false)?;
        let shares = shares(&perf, &data)?;
        let shown: Vec<String> = shares
            .iter()
            .map(|(group, share)| format!("{group} {share:.0} %"))
            .collect();
        println!("shares: {side}: {}", shown.join(", "));
    }
    Ok(())
}

/// Per cent by group, the largest first.
fn shares(perf: &PathBuf, data: &Path) -> Result<Vec<(&'static str, f64)>, String> {
    let mut report = Command::new(perf);
    report.args([
        "report",
        "--stdio",
        "-q",
        "--sort",
        "symbol",
        "-F",
        "overhead,symbol",
        "-i",
    ]);
    let output = report
        .arg(data)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut shares: BTreeMap<&str, f64> = BTreeMap::new();
    for line in text.lines() {
        let Some((share, symbol)) = line.trim().split_once('%') else {
            continue;
        };
        let Ok(share) = share.parse::<f64>() else {
            continue;
        };
        *shares.entry(group_of(symbol)).or_default() += share;
    }
    if shares.is_empty() {
        return Err(
            "perf saw nothing; /proc/sys/kernel/perf_event_paranoid may forbid it".to_owned(),
        );
    }
    let mut shares: Vec<_> = shares.into_iter().collect();
    shares.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(shares)
}

/// What a function is for; `[k]` stands before those of the kernel.
fn group_of(symbol: &str) -> &'static str {
    let is_kernel = symbol.trim_start().starts_with("[k]");
    let fits = |parts: &[&str]| parts.iter().any(|part| symbol.contains(part));
    let found = GROUPS
        .iter()
        .find(|(_, parts)| fits(parts))
        .map(|(group, _)| *group);
    match found {
        Some(group) if is_kernel || !KERNEL_ONLY.contains(&group) => group,
        _ if is_kernel => "the rest of the kernel",
        _ => "our code and its runtime",
    }
}

#[cfg(test)]
mod tests {
    use super::group_of;

    #[test]
    fn a_function_counts_where_it_belongs() {
        assert_eq!(
            group_of(" [k] copy_user_enhanced_fast_string"),
            "copies by the kernel"
        );
        assert_eq!(group_of(" [k] tcp_recvmsg_locked"), "TCP and sockets");
        assert_eq!(group_of(" [.] bt_metainfo::lanes::sha1::x8"), "hashing");
        assert_eq!(
            group_of(" [.] bt_client::net::sock::read"),
            "our code and its runtime"
        );
        assert_eq!(group_of(" [k] something_else"), "the rest of the kernel");
    }
}
