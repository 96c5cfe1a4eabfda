/*
 * Preload object of uv-devices: /dev/uv, /dev/kvm and /sys/firmware/uv for the program it is loaded into.
 *
 * It knows no structure and no request: it forwards opens, ioctls and closes to the daemon, and does for the daemon what a
 * kernel does with a process: copy from and to its memory, change the access to its pages, share them, give it a file
 * descriptor. The messages are those of src/line.rs. One source for s390x and x86-64.
 *
 * UV_DEVICES_SOCKET: the daemon's socket. UV_DEVICES_SYSFS: the folder that stands for /sys/firmware/uv.
 * UV_DEVICES_BIG_ENDIAN: the program's structures are those of s390.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum kind { HELLO = 1, OPEN, IOCTL, CLOSE, TOUCH, SIGNAL, DONE, READ = 16, WRITE, PROTECT, SHARE, RETURN };

/* All numbers are big endian. */
struct message { uint64_t kind, a, b, c, length; };

#define FDS 4096
#define PAGE 4096ul
static uint64_t handles[FDS];          /* by file descriptor: the daemon's object, 0 for none */
static int process_line = -1;          /* says by its end that the process has ended */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end;
static struct sigaction segv_before;
static volatile int guarded;           /* pages were closed */
static __thread int line = -1;         /* of this thread, for ioctls */
static __thread int touch_line = -1;   /* of this thread, for pages it touches */
static __thread int bounce = -1;       /* through which user memory is copied: a bad address is EFAULT, no signal */

static void ended(const char *why)
{
    dprintf(2, "uv-devices: %s\n", why);
    _exit(1);
}

static void put(int fd, const void *from, size_t length)
{
    for (const char *at = from; length > 0;) {
        ssize_t done = send(fd, at, length, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) ended("the daemon has ended");
        at += done;
        length -= done;
    }
}

static void say(int fd, enum kind kind, uint64_t a, uint64_t b, uint64_t c, const void *bytes, size_t length)
{
    struct message m = { htobe64(kind), htobe64(a), htobe64(b), htobe64(c), htobe64(length) };
    put(fd, &m, sizeof m);
    put(fd, bytes, length);
}

/* Receives; the first bytes may bring a file descriptor. With `interruptible`, a signal is told to the daemon. */
static void get(int fd, void *into, size_t length, int *brought, int interruptible)
{
    char control[CMSG_SPACE(sizeof(int))];
    for (char *at = into; length > 0;) {
        struct iovec part = { at, length };
        struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
        if (brought) header.msg_control = control, header.msg_controllen = sizeof control;
        ssize_t done = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
        if (done < 0 && errno == EINTR) {
            if (interruptible) say(fd, SIGNAL, 0, 0, 0, NULL, 0);
            continue;
        }
        if (done <= 0) ended("the daemon has ended");
        struct cmsghdr *c = brought ? CMSG_FIRSTHDR(&header) : NULL;
        if (c && c->cmsg_type == SCM_RIGHTS) memcpy(brought, CMSG_DATA(c), sizeof(int));
        at += done;
        length -= done;
    }
}

/* Structures are the program's own, unless it is one that keeps to s390's wherever it runs. */
static int big_endian(void)
{
    return __BYTE_ORDER == __BIG_ENDIAN || getenv("UV_DEVICES_BIG_ENDIAN");
}

static int connected(uint64_t whole_process)
{
    const char *path = getenv("UV_DEVICES_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (!path || strlen(path) >= sizeof address.sun_path) { errno = ENODEV; return -1; }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address)) ended("no daemon answers");
    say(fd, HELLO, big_endian(), getpid(), whole_process, NULL, 0);
    return fd;
}

static void thread_ends(void *unused)
{
    (void)unused;
    if (line >= 0) syscall(SYS_close, line);
    if (touch_line >= 0) syscall(SYS_close, touch_line);
    if (bounce >= 0) syscall(SYS_close, bounce);
}

static void forked(void)
{
    line = touch_line = bounce = process_line = -1;
    once = (pthread_once_t)PTHREAD_ONCE_INIT;
}

/* A machine that is switched off takes its programs with it, whatever they are at. */
static void *watch(void *unused)
{
    char byte;
    (void)unused;
    while (recv(process_line, &byte, 1, 0) < 0 && errno == EINTR) {}
    ended("the daemon has ended");
    return NULL;
}

static void begin(void)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_key_create(&at_thread_end, thread_ends);
    pthread_atfork(NULL, NULL, forked);
    process_line = connected(1);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (!pthread_create(&thread, NULL, watch, NULL)) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int own_line(void)
{
    pthread_once(&once, begin);
    if (line < 0) {
        line = connected(0);
        pthread_setspecific(at_thread_end, &line);
    }
    return line;
}

/* ---- what the daemon asks a process to do ---- */

static int copy_in(void *into, uint64_t from, size_t length)
{
    if (bounce < 0) bounce = syscall(SYS_memfd_create, "uv-devices", 1u);
    ssize_t done = syscall(SYS_pwrite64, bounce, (void *)from, length, 0l);
    return done == (ssize_t)length && pread(bounce, into, length, 0) == done ? 0 : EFAULT;
}

static int copy_out(uint64_t to, const void *from, size_t length)
{
    if (bounce < 0) bounce = syscall(SYS_memfd_create, "uv-devices", 1u);
    if (pwrite(bounce, from, length, 0) != (ssize_t)length) return EFAULT;
    return syscall(SYS_pread64, bounce, (void *)to, length, 0l) == (ssize_t)length ? 0 : EFAULT;
}

static void on_fault(int signal, siginfo_t *info, void *context);

static int protect(uint64_t at, size_t length, int open)
{
    if (!open && !guarded) {
        struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
        guarded = 1;
        sigaction(SIGSEGV, &action, &segv_before);
    }
    return mprotect((void *)at, length, open ? PROT_READ | PROT_WRITE : PROT_NONE) ? errno : 0;
}

/* Replaces private memory by the daemon's file, with what is in it. */
static int share(uint64_t at, size_t length, int fd)
{
    static const char zeros[PAGE];
    for (size_t page = 0; page < length; page += PAGE)
        if (memcmp((char *)at + page, zeros, PAGE) && pwrite(fd, (char *)at + page, PAGE, page) != (ssize_t)PAGE) return EIO;
    void *shared = mmap((void *)at, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    syscall(SYS_close, fd);
    return shared == MAP_FAILED ? errno : 0;
}

/* Serves the daemon until it returns from what was asked for. */
static long converse(int fd, int interruptible)
{
    for (;;) {
        struct message m;
        int brought = -1, error = 0;
        get(fd, &m, sizeof m, &brought, interruptible);
        uint64_t a = be64toh(m.a), b = be64toh(m.b), c = be64toh(m.c);
        size_t length = be64toh(m.length);
        char *bytes = length ? malloc(length) : NULL;
        get(fd, bytes, length, NULL, 0);
        switch (be64toh(m.kind)) {
        case READ:
            bytes = malloc(b);
            error = copy_in(bytes, a, b);
            say(fd, DONE, error, 0, 0, bytes, error ? 0 : b);
            break;
        case WRITE: say(fd, DONE, copy_out(a, bytes, length), 0, 0, NULL, 0); break;
        case PROTECT: say(fd, DONE, protect(a, b, c), 0, 0, NULL, 0); break;
        case SHARE: say(fd, DONE, share(a, b, brought), 0, 0, NULL, 0); break;
        case RETURN:
            free(bytes);
            if (b) { errno = b; return -1; }
            if (!c) return a;
            if (brought < 0 || brought >= FDS) { errno = EMFILE; return -1; }
            __atomic_store_n(&handles[brought], c, __ATOMIC_RELEASE);
            if (!a) return brought;
            *(uint32_t *)a = big_endian() ? htobe32(brought) : (uint32_t)brought;
            return 0;
        default: ended("the daemon and the preload object do not fit together");
        }
        free(bytes);
    }
}

/* Whether the page is one of the daemon's, which is open now. */
static int touched(const void *at)
{
    if (touch_line < 0) touch_line = connected(0);
    say(touch_line, TOUCH, (uintptr_t)at, 0, 0, NULL, 0);
    return converse(touch_line, 0) == 1;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    int saved = errno;
    /* A fault of the program itself comes again, as if this handler were not there. */
    if (!touched(info->si_addr)) sigaction(SIGSEGV, &segv_before, NULL);
    errno = saved;
}

/* After a system call that met a closed page, where a kernel would have exported it. */
static int touched_any(const void *from, size_t length)
{
    int any = 0;
    if (errno != EFAULT || !guarded) return 0;
    for (uintptr_t at = (uintptr_t)from & -PAGE; at < (uintptr_t)from + length; at += PAGE) any |= touched((void *)at);
    if (!any) errno = EFAULT;
    return any;
}

/* ---- what is interposed ---- */

static const char *redirected(const char *path, char *buffer)
{
    static const char sysfs[] = "/sys/firmware/uv";
    const char *to = getenv("UV_DEVICES_SYSFS");
    size_t n = sizeof sysfs - 1;
    if (!to || !path || strncmp(path, sysfs, n) || (path[n] && path[n] != '/')) return path;
    return snprintf(buffer, PATH_MAX, "%s%s", to, path + n) < PATH_MAX ? buffer : path;
}

static int is_device(const char *path)
{
    return path && getenv("UV_DEVICES_SOCKET") && (!strcmp(path, "/dev/uv") || !strcmp(path, "/dev/kvm"));
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    if (!is_device(path)) return syscall(SYS_openat, at, redirected(path, buffer), flags, mode);
    say(own_line(), OPEN, 0, 0, 0, path, strlen(path));
    return converse(line, 0);
}

#define MODE_OF(flags) mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list l; va_start(l, flags); mode = va_arg(l, int); va_end(l); }
int open(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags) return open_at(at, path, flags, mode); }
int __open_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_at(AT_FDCWD, path, flags, 0); }

#define NEXT(type, name, ...) ((type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))
#define PLACE char buffer[PATH_MAX]; if (is_device(path)) path = "/dev/null"; else path = redirected(path, buffer)
FILE *fopen(const char *path, const char *mode) { PLACE; return NEXT(FILE *, "fopen", const char *, const char *)(path, mode); }
FILE *fopen64(const char *path, const char *mode) { PLACE; return NEXT(FILE *, "fopen64", const char *, const char *)(path, mode); }
DIR *opendir(const char *path) { PLACE; return NEXT(DIR *, "opendir", const char *)(path); }
int access(const char *path, int how) { PLACE; return NEXT(int, "access", const char *, int)(path, how); }
int stat(const char *path, struct stat *to) { PLACE; return NEXT(int, "stat", const char *, struct stat *)(path, to); }
int stat64(const char *path, struct stat64 *to) { PLACE; return NEXT(int, "stat64", const char *, struct stat64 *)(path, to); }
int statx(int at, const char *path, int flags, unsigned mask, struct statx *to)
{
    PLACE;
    return NEXT(int, "statx", int, const char *, int, unsigned, struct statx *)(at, path, flags, mask, to);
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list list;
    va_start(list, request);
    unsigned long argument = va_arg(list, unsigned long);
    va_end(list);
    uint64_t handle = fd >= 0 && fd < FDS ? __atomic_load_n(&handles[fd], __ATOMIC_ACQUIRE) : 0;
    if (!handle) return syscall(SYS_ioctl, fd, request, argument);
    say(own_line(), IOCTL, handle, (uint32_t)request, argument, NULL, 0);
    return converse(line, 1);
}

int close(int fd)
{
    uint64_t handle = fd >= 0 && fd < FDS ? __atomic_exchange_n(&handles[fd], 0, __ATOMIC_ACQ_REL) : 0;
    if (handle) {
        say(own_line(), CLOSE, handle, 0, 0, NULL, 0);
        converse(line, 0);
    }
    return syscall(SYS_close, fd);
}

#define AGAIN(call, at, length) ssize_t r; do r = call; while (r < 0 && touched_any(at, length)); return r
ssize_t write(int fd, const void *from, size_t n) { AGAIN(syscall(SYS_write, fd, from, n), from, n); }
ssize_t read(int fd, void *into, size_t n) { AGAIN(syscall(SYS_read, fd, into, n), into, n); }
ssize_t pwrite64(int fd, const void *from, size_t n, off64_t at) { AGAIN(syscall(SYS_pwrite64, fd, from, n, at), from, n); }
ssize_t pread64(int fd, void *into, size_t n, off64_t at) { AGAIN(syscall(SYS_pread64, fd, into, n, at), into, n); }
