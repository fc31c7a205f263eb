/*
 * The floor: what has to be done for one keyboard, and nothing else, from a native program. The same system calls on the
 * same kinds of files as agent/seat/{journal,grants,directory,announcer}.ts make, in the order of promise 2:
 *
 *   plug:    intent (two journal files), grant, node, two links, two records, a tag, two messages
 *   unplug:  deny, node made root's and unlinked, links, records, tag, intent and message twice, two journal files unlinked
 *
 * No seat, no policy, nothing compared, nothing looked up, no audit trail, no log.
 *
 * floor COUNT: prints for each keyboard how long a plug and an unplug took, ns. In mounts and a network of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define MUST(call) must((long)(call), #call, __LINE__)

static long must(long result, const char *what, int line) {
  if (result >= 0) return result;
  fprintf(stderr, "floor.c:%d: %s: %m\n", line, what);
  exit(1);
}

static long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000L + at.tv_nsec;
}

static char text[1024], message[1024];

static int beneath(int directory, const char *name, int flags, int mode) {
  struct open_how how = {.flags = flags | O_NOFOLLOW | O_CLOEXEC,
                         .mode = mode,
                         .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
  return MUST(syscall(SYS_openat2, directory, name, &how, sizeof how));
}

static int directory_in(int parent, const char *name) {
  mkdirat(parent, name, 0755);
  return beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
}

static void rename_in(int directory, const char *from, const char *to) {
  MUST(syscall(SYS_renameat2, directory, from, directory, to, 0));
}

static void journal(const char *file, const char *new, int length) {
  int fd = MUST(open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  MUST(write(fd, text, length));
  close(fd);
  MUST(rename(new, file));
}

static void record(int directory, const char *name, int length) {
  int fd = beneath(directory, ".new", O_WRONLY | O_CREAT | O_EXCL, 0644);
  MUST(fchown(fd, 0, 0));
  MUST(fchmod(fd, 0644));
  if (length > 0) MUST(write(fd, text, length));
  rename_in(directory, ".new", name);
  close(fd);
}

static void link_in(int parent, const char *directory, const char *name) {
  int fd = directory_in(parent, directory);
  MUST(symlinkat("../event0", fd, ".new"));
  rename_in(fd, ".new", name);
  close(fd);
}

static void unlink_in(int parent, const char *directory, const char *name) {
  int fd = directory_in(parent, directory);
  MUST(unlinkat(fd, name, 0));
  close(fd);
}

/* struct msghdr as agent/kernel/netlink.ts fills it: to libudev's group, from the container's root. */
static void announce(int socket) {
  struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 2};
  struct iovec vector = {message, 700};
  union {
    char space[CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr header;
  } control = {.header = {CMSG_LEN(sizeof(struct ucred)), SOL_SOCKET, SCM_CREDENTIALS}};
  struct ucred credentials = {getpid(), 0, 0};
  memcpy(CMSG_DATA(&control.header), &credentials, sizeof credentials);
  struct msghdr header = {&to, sizeof to, &vector, 1, &control, sizeof control, 0};
  sendmsg(socket, &header, 0); /* ECONNREFUSED when nobody listens, as in the measured containers */
}

static int map;

static void element(int command, uint64_t cgroup, uint64_t *value, int may_fail) {
  struct {
    uint64_t cgroup;
    uint32_t major, minor;
  } key = {cgroup, 13, 64};
  union bpf_attr attr = {.map_fd = map, .key = (uintptr_t)&key, .value = (uintptr_t)value};
  long result = syscall(SYS_bpf, command, &attr, sizeof attr);
  if (!may_fail) MUST(result);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 100;
  memset(text, 'x', sizeof text);
  memset(message, 'x', sizeof message);
  MUST(unshare(CLONE_NEWNS | CLONE_NEWNET));
  MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
  /* Two file systems, as the journal and a seat have: /run, and the seat's own without nodev. */
  MUST(mount("tmpfs", "/run", "tmpfs", 0, NULL));
  MUST(mkdir("/run/journal", 0700));
  MUST(mkdir("/run/seat", 0755));
  MUST(mount("tmpfs", "/run/seat", "tmpfs", 0, "size=4m"));
  int seat = MUST(open("/run/seat", O_RDONLY | O_DIRECTORY));
  int input = directory_in(seat, "input"), data = directory_in(seat, "data"), tags = directory_in(seat, "tags");
  MUST(mkdir("/run/sys", 0755));
  MUST(mkdir("/run/sys/event0", 0755));
  MUST(symlink("/run/sys/event0", "/run/sys/13:64"));
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_HASH, .key_size = 16, .value_size = 8, .max_entries = 40960};
  map = MUST(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
  int socket_fd = MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT));
  umask(0);
  for (int done = 0; done < count; done++) {
    uint64_t generation = 1;
    char path[256];
    struct stat stat_buffer;

    long began = now();
    journal("/run/journal/head.json", "/run/journal/head.json.new", 830);
    journal("/run/journal/event.json", "/run/journal/event.json.new", 1000);
    element(BPF_MAP_UPDATE_ELEM, 0, &generation, 0);
    MUST(readlink("/run/sys/13:64", path, sizeof path));
    MUST(stat("/run/sys/event0", &stat_buffer));
    element(BPF_MAP_UPDATE_ELEM, 7, &generation, 0);
    MUST(mknodat(input, ".new", S_IFCHR | 0660, makedev(13, 64)));
    MUST(fchownat(input, ".new", 0, 106, AT_SYMLINK_NOFOLLOW));
    rename_in(input, ".new", "event0");
    link_in(input, "by-path", "pci-0000:00:14.0-usb-0:0:1.0-event-kbd");
    link_in(input, "by-id", "usb-Maker_Keys_0-event-kbd");
    record(data, "+input:input1", 400);
    int tag = directory_in(tags, "seat");
    record(tag, "+input:input1", 0);
    close(tag);
    record(data, "c13:64", 400);
    announce(socket_fd);
    announce(socket_fd);
    long plugged = now();

    /* What was told, on record: behind the announcement. */
    journal("/run/journal/head.json", "/run/journal/head.json.new", 850);
    journal("/run/journal/event.json", "/run/journal/event.json.new", 1020);

    long pulled = now();
    element(BPF_MAP_DELETE_ELEM, 7, NULL, 0);
    int node = beneath(input, "event0", O_PATH, 0);
    MUST(fstatat(node, "", &stat_buffer, AT_EMPTY_PATH));
    snprintf(path, sizeof path, "/proc/self/fd/%d", node);
    MUST(chown(path, 0, 0));
    MUST(chmod(path, 0));
    close(node);
    MUST(unlinkat(input, "event0", 0));
    unlink_in(input, "by-path", "pci-0000:00:14.0-usb-0:0:1.0-event-kbd");
    MUST(unlinkat(input, "by-path", AT_REMOVEDIR));
    unlink_in(input, "by-id", "usb-Maker_Keys_0-event-kbd");
    MUST(unlinkat(input, "by-id", AT_REMOVEDIR));
    MUST(unlinkat(data, "c13:64", 0));
    MUST(unlinkat(data, "+input:input1", 0));
    unlink_in(tags, "seat", "+input:input1");
    journal("/run/journal/event.json", "/run/journal/event.json.new", 995);
    announce(socket_fd);
    journal("/run/journal/head.json", "/run/journal/head.json.new", 826);
    announce(socket_fd);
    MUST(unlink("/run/journal/event.json"));
    MUST(unlink("/run/journal/head.json"));
    long gone = now();
    element(BPF_MAP_DELETE_ELEM, 0, NULL, 1);
    printf("%ld %ld\n", plugged - began, gone - pulled);
    /* As the agent has between two: the processor does something else. */
    usleep(500);
  }
  return 0;
}
