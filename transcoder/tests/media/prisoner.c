/*
 * A decoder that has been taken over: a GStreamer plugin that the media child loads once it has locked itself in, as it
 * loads any other. It is asked what kind of file the source is, tries everything that it should not be able to do, and
 * answers in the child's place with what worked.
 *
 * The source says where things are: a line of its own for each of the marker, the child's folder, a folder outside of it.
 */
#define _GNU_SOURCE
#define PACKAGE "lectern-tests"
#include <errno.h>
#include <fcntl.h>
#include <gst/gst.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define X32 0x40000000

static char answer[1 << 15];
static char folder[512], outside[512];

static void say(const char *what, int worked)
{
    size_t used = strlen(answer);
    snprintf(answer + used, sizeof answer - used, "%s: %s;", what, worked ? "works" : "denied");
}

static int opens(const char *path, int flags)
{
    int file = open(path, flags, 0600);
    if (file >= 0)
        close(file);
    return file >= 0;
}

static const char *in(const char *where, const char *name)
{
    static char path[2][1100];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", where, name);
    return path[turn];
}

static const char *of(pid_t process, const char *name)
{
    static char path[100];
    snprintf(path, sizeof path, "/proc/%d/%s", process, name);
    return path;
}

static int reads(const char *path)
{
    return opens(path, O_RDONLY);
}

static int makes_socket(int family, int type)
{
    int made = socket(family, type, 0);
    if (made >= 0)
        close(made);
    return made >= 0;
}

/* Whether a new process came of a call; the new one ends at once. */
static int splits(long result)
{
    if (result == 0)
        _exit(0);
    return result > 0;
}

static int maps(int flags, int file, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, file, 0);
    if (memory != MAP_FAILED)
        munmap(memory, bytes);
    return memory != MAP_FAILED;
}

static void *nothing(void *unused)
{
    return unused;
}

static int starts_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0;
}

static void what_it_needs(void)
{
    say("write into its folder", opens(in(folder, "segment"), O_WRONLY | O_CREAT | O_TRUNC));
    say("read it back", reads(in(folder, "segment")));
    say("remove it", unlink(in(folder, "segment")) == 0);
    say("start a thread", starts_thread());
    say("take 64 MiB", maps(MAP_PRIVATE | MAP_ANONYMOUS, -1, 64 << 20));
    say("signal itself", kill(getpid(), 0) == 0);
}

static void network(void)
{
    say("IPv4, TCP", makes_socket(AF_INET, SOCK_STREAM));
    say("IPv4, UDP", makes_socket(AF_INET, SOCK_DGRAM));
    say("IPv6", makes_socket(AF_INET6, SOCK_STREAM));
    say("a Unix socket", makes_socket(AF_UNIX, SOCK_STREAM));
    say("netlink", makes_socket(AF_NETLINK, SOCK_RAW));
    say("a packet socket", makes_socket(AF_PACKET, SOCK_RAW));
    say("a socket to the hypervisor", makes_socket(AF_VSOCK, SOCK_STREAM));
    say("a kernel cipher", makes_socket(AF_ALG, SOCK_SEQPACKET));
#ifdef __x86_64__
    say("a socket by x32", syscall(X32 | SYS_socket, AF_INET, SOCK_STREAM, 0) >= 0);
#endif
}

static void files(pid_t parent)
{
    say("the master key", reads(in(outside, "master.key")));
    say("/etc/passwd", reads("/etc/passwd"));
    say("/etc/shadow", reads("/etc/shadow"));
    say("the home folder", opens("/root", O_RDONLY | O_DIRECTORY));
    say("other homes", opens("/home", O_RDONLY | O_DIRECTORY));
    say("temporary files", opens("/tmp", O_RDONLY | O_DIRECTORY));
    say("programs' settings", opens("/usr/local/etc", O_RDONLY | O_DIRECTORY));
    say("its own memory as a file", opens("/proc/self/mem", O_RDWR));
    say("the parent's environment", reads(of(parent, "environ")));
    say("the parent's memory", reads(of(parent, "mem")));
    say("the parent's files", opens(of(parent, "fd"), O_RDONLY | O_DIRECTORY));
    say("the parent's command line", reads(of(parent, "cmdline")));
    say("through a link to a file", reads(in(folder, "link")));
    say("through a link to a folder", reads(in(folder, "way/master.key")));
    say("write through a link", opens(in(folder, "link"), O_WRONLY | O_TRUNC));
    say("upwards", reads(in(folder, "../outside/master.key")));
    say("write outside", opens(in(outside, "new"), O_WRONLY | O_CREAT));
    say("write beside its folder", opens(in(folder, "../new"), O_WRONLY | O_CREAT));
    say("shared memory files", opens("/dev/shm/lectern-prisoner", O_RDWR | O_CREAT));
    say("write to the source", opens(in(folder, "../source"), O_WRONLY));
    say("empty the source", opens(in(folder, "../source"), O_RDONLY | O_TRUNC));
    say("truncate the source", truncate(in(folder, "../source"), 0) == 0);
    say("truncate outside", truncate(in(outside, "master.key"), 0) == 0);
    say("remove the source", unlink(in(folder, "../source")) == 0);
    say("remove outside", unlink(in(outside, "master.key")) == 0);
    opens(in(folder, "mine"), O_WRONLY | O_CREAT);
    say("move a file out", rename(in(folder, "mine"), in(outside, "mine")) == 0);
    say("link a file in", link(in(outside, "master.key"), in(folder, "stolen")) == 0);
    say("make a link", symlink("/etc/passwd", in(folder, "passwd")) == 0);
    say("make a folder", mkdir(in(folder, "deeper"), 0700) == 0);
    say("make a pipe", mknod(in(folder, "pipe"), S_IFIFO | 0600, 0) == 0);
    say("open a key to others", chmod(in(outside, "master.key"), 0644) == 0);
    say("open its folder to others", chmod(folder, 0777) == 0);
    say("give a key away", chown(in(outside, "master.key"), 65534, 65534) == 0);
    say("change a file's times", utimes(in(outside, "master.key"), NULL) == 0);
    say("mark a file", setxattr(in(outside, "master.key"), "user.mark", "1", 1, 0) == 0);
    say("watch a folder", syscall(SYS_inotify_init1, 0) >= 0);
    say("watch a file system", syscall(SYS_fanotify_init, 0, 0) >= 0);
}

static void processes(pid_t parent)
{
    char *nobody[] = {"true", NULL};
    say("fork", splits(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
    say("clone3", splits(syscall(SYS_clone3, (unsigned long long[8]){0, 0, 0, 0, SIGCHLD}, 64)));
#ifdef __x86_64__
    say("fork by its old name", splits(syscall(SYS_fork)));
    say("fork by x32", splits(syscall(X32 | SYS_fork)));
#endif
    say("run a program", execve("/bin/true", nobody, nobody + 1) == 0);
    say("run an open program", syscall(SYS_execveat, AT_FDCWD, "/bin/true", nobody, nobody + 1, 0) == 0);
    char here[8];
    struct iovec into = {here, sizeof here}, from = {answer, sizeof here};
    say("trace the parent", ptrace(PTRACE_ATTACH, parent, NULL, NULL) == 0);
    say("seize the parent", ptrace(PTRACE_SEIZE, parent, NULL, NULL) == 0);
    say("read the parent", syscall(SYS_process_vm_readv, parent, &into, 1, &from, 1, 0) >= 0);
    say("write the parent", syscall(SYS_process_vm_writev, parent, &into, 1, &from, 1, 0) >= 0);
    long handle = syscall(SYS_pidfd_open, parent, 0);
    say("hold the parent", handle >= 0);
    say("take the parent's files", syscall(SYS_pidfd_getfd, handle, 0, 0) >= 0);
    say("signal by a handle", syscall(SYS_pidfd_send_signal, handle, 0, NULL, 0) == 0);
    say("signal the parent", kill(parent, 0) == 0);
    say("signal everybody", kill(-1, 0) == 0);
    say("signal its group", kill(0, 0) == 0);
    say("signal a thread of the parent", syscall(SYS_tgkill, parent, parent, 0) == 0);
    say("signal an unnamed thread", syscall(SYS_tkill, parent, 0) == 0);
    say("slow the parent down", setpriority(PRIO_PROCESS, parent, 19) == 0);
    struct sched_param idle = {0};
    say("let the parent wait", sched_setscheduler(parent, SCHED_IDLE, &idle) == 0);
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    say("move the parent", sched_setaffinity(parent, sizeof first, &first) == 0);
}

static void memory(void)
{
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    const size_t much = (size_t)2 << 30;
    void *block = malloc(much);
    say("memory past the limit", block != NULL);
    say("a mapping past the limit", maps(MAP_PRIVATE | MAP_ANONYMOUS, -1, much));
    say("shared memory", maps(MAP_SHARED | MAP_ANONYMOUS, -1, 1 << 20));
    say("shared memory, checked", maps(MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 1 << 20));
    say("a file in memory", syscall(SYS_memfd_create, "file", MFD_CLOEXEC) >= 0);
    say("secret memory", syscall(447 /* memfd_secret */, 0) >= 0);
    say("memory that outlives it", shmget(IPC_PRIVATE, 1 << 20, IPC_CREAT | 0600) >= 0);
    say("a raised limit", setrlimit(RLIMIT_DATA, &all) == 0);
    say("a raised limit of the parent", prlimit(getppid(), RLIMIT_DATA, &all, NULL) == 0);
}

static void kernel(void)
{
    say("mount", syscall(SYS_mount, "none", folder, "tmpfs", 0, NULL) == 0);
    say("a new mount", syscall(SYS_fsopen, "tmpfs", 0) >= 0);
    say("a copied mount", syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */) >= 0);
    say("another root", chroot(folder) == 0);
    say("a namespace of users", unshare(CLONE_NEWUSER) == 0);
    say("a namespace of mounts", unshare(CLONE_NEWNS) == 0);
    say("open by handle", syscall(SYS_open_by_handle_at, 0, NULL, 0) >= 0);
    say("io_uring", syscall(SYS_io_uring_setup, 1, (char[200]){0}) >= 0);
    say("userfaultfd", syscall(SYS_userfaultfd, 0) >= 0);
    say("counters", syscall(SYS_perf_event_open, (char[200]){0}, 0, -1, -1, 0) >= 0);
    say("kernel programs", syscall(SYS_bpf, 0, (char[200]){0}, 200) >= 0);
    say("kernel keys", syscall(SYS_keyctl, 0, -3, 0) >= 0);
    say("a module", syscall(SYS_init_module, NULL, 0, "") == 0);
    say("another personality", syscall(SYS_personality, 0x0040000) >= 0);
    say("a host name", sethostname("prison", 6) == 0);
    say("a clock", settimeofday(&(struct timeval){0}, NULL) == 0);
}

static void environment(void)
{
    extern char **environ;
    for (char **variable = environ; *variable; variable++) {
        size_t used = strlen(answer), name = strcspn(*variable, "=");
        snprintf(answer + used, sizeof answer - used, "variable %.*s;", (int)name, *variable);
    }
}

static void asked(GstTypeFind *find, gpointer unused)
{
    const guint8 *bytes = gst_type_find_peek(find, 0, 16);
    guint64 length = gst_type_find_get_length(find);
    (void)unused;
    if (!bytes || memcmp(bytes, "LECTERN PRISONER", 16) || length > 1000)
        return;
    char text[1001] = {0};
    memcpy(text, gst_type_find_peek(find, 0, length), length);
    if (sscanf(text, "LECTERN PRISONER\n%511[^\n]\n%511[^\n]", folder, outside) != 2)
        return;
    pid_t parent = getppid();
    what_it_needs();
    network();
    files(parent);
    processes(parent);
    memory();
    kernel();
    environment();
    printf("{\"event\":\"failed\",\"code\":\"internal\",\"detail\":\"%s\","
           "\"usage\":{\"cpu_ms\":0,\"peak_rss_bytes\":0}}\n",
           answer);
    fflush(stdout);
    _exit(0);
}

static gboolean begin(GstPlugin *plugin)
{
    GstCaps *caps = gst_caps_new_empty_simple("application/x-prisoner");
    gboolean done =
        gst_type_find_register(plugin, "prisoner", GST_RANK_PRIMARY + 100, asked, NULL, caps, NULL, NULL);
    gst_caps_unref(caps);
    return done;
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, prisoner, "tries to get out", begin, "1", "MIT", "lectern",
                  "https://example.org")
