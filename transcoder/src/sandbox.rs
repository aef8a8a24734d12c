//! What the child does to itself before it looks at a source: it gives up the network, other programs, other files and
//! other processes, and accepts bounds on memory, time and size. A decoder that is taken over by a crafted file then
//! holds a process that can read that file, write into one folder, and nothing more.
//!
//! The order matters: GStreamer has read its plugin registry, no thread has been started (Landlock binds the calling
//! thread and the threads it starts), and nothing of the source has been read.

use std::{collections::BTreeMap, path::Path};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use crate::child::Limits;

/// Where shared libraries and plugins live, and what they read besides. Plugins are opened when they are first used, so these
/// stay readable. Not all of `/usr`: what is installed by hand may keep its settings below it.
const LIBRARIES: [&str; 11] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/local/share",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/nix/store",
];
/// Harmless things that libraries look at.
const LOOKED_AT: [&str; 4] = ["/dev/null", "/dev/urandom", "/dev/zero", "/sys/devices/system/cpu"];
/// Open files: the source, a segment of each rung, libraries, GStreamer's wake-up descriptors.
const OPEN_FILES: u64 = 512;
/// Threads of its user, those of all other processes among them: far more than media work has, far fewer than it takes to
/// bring a machine down. The kernel does not hold root to it.
const THREADS: u64 = 8_192;

/// Why the child refused to start working.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    #[error("expected one thread before the sandbox closes, found {0}")]
    Threads(usize),
    #[error(
        "this kernel has no Landlock, so a decoder could read every file; use a kernel with Landlock (5.13 or later), or \
         accept the risk with allow_without_landlock (setting LECTERN__TRANSCODE__ALLOW_UNCONFINED=true)"
    )]
    NoLandlock,
    #[error("{0}: {1}")]
    Refused(&'static str, String),
}

fn refused<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> SandboxError {
    move |error| SandboxError::Refused(what, error.to_string())
}

/// Locks the process in: `read` may be read and `write`, a folder, may be written, besides the system's libraries.
pub(crate) fn lock_in(read: &Path, write: Option<&Path>, limits: &Limits) -> Result<(), SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(refused("/proc/self/task"))?.count();
    if threads != 1 {
        return Err(SandboxError::Threads(threads));
    }
    bound(limits)?;
    rustix::thread::set_no_new_privs(true).map_err(refused("no_new_privs"))?;
    leave_the_network();
    if fence(read, write)?.ruleset == RulesetStatus::NotEnforced && !limits.allow_without_landlock {
        return Err(SandboxError::NoLandlock);
    }
    filter_calls()
}

fn bound(limits: &Limits) -> Result<(), SandboxError> {
    let set = |resource, value: u64| {
        setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(refused("rlimit"))
    };
    set(Resource::Core, 0)?;
    set(Resource::Data, limits.memory_bytes)?;
    set(Resource::Fsize, limits.file_bytes)?;
    set(Resource::Nofile, OPEN_FILES)?;
    let threads = getrlimit(Resource::Nproc).maximum.map_or(THREADS, |most| most.min(THREADS));
    set(Resource::Nproc, threads)?;
    // The first limit's signal says which limit it was; the second, which kills, says nothing.
    let processor = Rlimit { current: Some(limits.cpu_seconds), maximum: Some(limits.cpu_seconds + 5) };
    setrlimit(Resource::Cpu, processor).map_err(refused("rlimit"))
}

/// An empty network namespace, where permitted. The call filter forbids sockets anyway; this is a second wall.
fn leave_the_network() {
    // The function is deprecated because of a flag that is not used here (FILES).
    use rustix::thread::UnshareFlags;
    #[allow(deprecated)]
    use rustix::thread::unshare;
    // Without privilege this needs a user namespace, which many systems forbid; then the filter stands alone.
    #[allow(deprecated)]
    let _ = unshare(UnshareFlags::NEWNET).or_else(|_| unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET));
}

fn fence(read: &Path, write: Option<&Path>) -> Result<RestrictionStatus, SandboxError> {
    let abi = ABI::V6;
    let see = AccessFs::ReadFile | AccessFs::ReadDir;
    let change = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        .map_err(refused("landlock"))?;
    let plugins = std::env::var_os("GST_PLUGIN_PATH").unwrap_or_default();
    let system = std::env::var_os("GST_PLUGIN_SYSTEM_PATH_1_0").unwrap_or_default();
    let libraries = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let named =
        [&plugins, &system, &libraries].into_iter().flat_map(std::env::split_paths).collect::<Vec<_>>();
    let fixed = LIBRARIES.iter().chain(&LOOKED_AT).map(Path::new);
    for path in fixed.chain(named.iter().map(std::path::PathBuf::as_path)) {
        // What does not exist on this system needs no rule.
        if let Ok(handle) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(handle, see)).map_err(refused("landlock"))?;
        }
    }
    let source = PathFd::new(read).map_err(refused("source"))?;
    rules = rules.add_rule(PathBeneath::new(source, AccessFs::ReadFile)).map_err(refused("landlock"))?;
    if let Some(write) = write {
        let folder = PathFd::new(write).map_err(refused("output folder"))?;
        rules = rules.add_rule(PathBeneath::new(folder, change)).map_err(refused("landlock"))?;
    }
    rules.restrict_self().map_err(refused("landlock"))
}

/// System calls that media work never needs and that a taken-over decoder would want.
const FORBIDDEN: &[libc::c_long] = &[
    // The network and other processes' sockets. A pair of connected sockets reaches nobody and wakes GStreamer's bus.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_setpriority,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_ioprio_set,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // What Landlock leaves to everybody: what a file's owner may do to it by its name.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_utimensat,
    // Landlock knows it from Linux 6.2 on.
    libc::SYS_truncate,
    // What others do with their files.
    libc::SYS_inotify_init1,
    libc::SYS_fanotify_init,
    // Memory that the limit on memory does not count, or that outlives the process.
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
    // The system.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_personality,
    libc::SYS_prlimit64,
    libc::SYS_setrlimit,
];

/// `fchmodat2`, which libc has no name for yet; the number is the same on every architecture.
const SYS_FCHMODAT2: libc::c_long = 452;

/// Calls that only some architectures have.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_HERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_inotify_init,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_HERE: &[libc::c_long] = &[];

/// Set in the numbers of the x32 calls, which a kernel may offer beside its own.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// Calls with numbers of their own there, `execve` and `ptrace` among them.
#[cfg(target_arch = "x86_64")]
const X32_ONLY: std::ops::RangeInclusive<i64> = 512..=547;

fn filter_calls() -> Result<(), SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        FORBIDDEN.iter().chain(FORBIDDEN_HERE).map(|call| (*call, Vec::new())).collect();
    // A new thread is fine, a new process is not.
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![when(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
    // Signals are for itself: Landlock keeps them in from Linux 6.12 on only.
    let own = getpid().as_raw_nonzero().get() as u64;
    for call in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.insert(call, vec![when(0, SeccompCmpOp::Ne, own)?]);
    }
    // Where it may run is its own affair only.
    rules.insert(libc::SYS_sched_setaffinity, vec![when(0, SeccompCmpOp::Ne, 0)?]);
    // Shared memory is not counted by the limit on memory; a file that is mapped is.
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;
    rules.insert(libc::SYS_mmap, vec![when(3, SeccompCmpOp::MaskedEq(shared), shared)?]);
    // A file that may be read may be emptied by opening it for reading, before Linux 6.2.
    let emptied = (libc::O_TRUNC | libc::O_ACCMODE) as u64;
    let empties = |argument| when(argument, SeccompCmpOp::MaskedEq(emptied), libc::O_TRUNC as u64);
    rules.insert(libc::SYS_openat, vec![empties(2)?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![empties(1)?]);
    apply(rules, libc::EPERM)?;
    // The arguments of these lie in memory where a filter cannot look: say they do not exist, and libc uses the old ones.
    let unseen = [libc::SYS_clone3, libc::SYS_openat2];
    apply(unseen.map(|call| (call, Vec::new())).into(), libc::ENOSYS)
}

/// A rule for calls of which an argument is such.
fn when(argument: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, SandboxError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(refused("seccomp"))
}

fn apply(mut rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<(), SandboxError> {
    #[cfg(target_arch = "x86_64")]
    {
        let again: Vec<_> = rules.iter().map(|(call, rule)| (call | X32, rule.clone())).collect();
        rules.extend(again.into_iter().chain(X32_ONLY.map(|call| (call | X32, Vec::new()))));
    }
    let architecture = std::env::consts::ARCH.try_into().map_err(refused("seccomp"))?;
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), architecture)
            .and_then(TryInto::try_into)
            .map_err(refused("seccomp"))?;
    seccompiler::apply_filter_all_threads(&program).map_err(refused("seccomp"))
}
