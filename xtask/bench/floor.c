/* The floor: what the kernel itself costs for six namespaces, a root, and execve. Nothing else.
 *
 *   floor ROOTFS COMMAND [ARG ...]
 *
 * clone with pid, mount, uts, ipc, net and cgroup namespaces; overlay over ROOTFS; proc, /dev; pivot_root; exec; wait.
 * A control for the benchmarks: plain C, static, independent of hull. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
        _exit(125);
    }
}

static char stack[64 * 1024] __attribute__((aligned(16)));

static int child(void *arg)
{
    char **argv = arg;
    const char *root = argv[1];
    char options[4096];
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private /");
    must(mount("tmpfs", "/mnt", "tmpfs", 0, NULL) == 0, "tmpfs");
    must(mkdir("/mnt/u", 0755) == 0 && mkdir("/mnt/w", 0755) == 0 && mkdir("/mnt/r", 0755) == 0, "mkdir");
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=/mnt/u,workdir=/mnt/w", root);
    must(mount("overlay", "/mnt/r", "overlay", 0, options) == 0, "overlay");
    must(chdir("/mnt/r") == 0, "chdir");
    must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "proc");
    must(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) == 0, "sysfs");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755") == 0, "dev");
    must(mknod("dev/null", S_IFCHR | 0666, makedev(1, 3)) == 0, "null");
    must(mknod("dev/zero", S_IFCHR | 0666, makedev(1, 5)) == 0, "zero");
    must(mkdir("dev/pts", 0755) == 0, "mkdir pts");
    must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666") == 0, "devpts");
    must(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
    must(umount2(".", MNT_DETACH) == 0, "umount");
    must(sethostname("floor", 5) == 0, "sethostname");
    execv(argv[2], argv + 2);
    must(0, argv[2]);
    return 125;
}

int main(int argc, char **argv)
{
    int status;
    if (argc < 3) {
        fprintf(stderr, "usage: floor ROOTFS COMMAND [ARG ...]\n");
        return 125;
    }
    int flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD;
    pid_t pid = clone(child, stack + sizeof stack, flags, argv);
    must(pid > 0, "clone");
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
