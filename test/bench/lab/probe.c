/*
 * Looks in the lab's PC at the way of a keyboard: the kernel's uevent, udevd's word, and the moment at which a program in a
 * container has heard of the node and opened it.
 *
 * probe PID GROUP one COUNT NAME     makes so many keyboards by uinput, one after the other
 * probe PID GROUP burst COUNT NAME   makes so many at once
 * probe PID GROUP watch COUNT -      waits for so many that somebody else plugs and pulls
 *
 * PID: of the container's init; GROUP: its control group. `bare` as a further word: nobody tells the container anything, so
 * that its program looks at /dev/input itself (inotify(7)).
 *
 * Prints lines of `WHAT NODE MICROSECONDS` (CLOCK_MONOTONIC): kernel-add, udev-add, opened, kernel-remove, udev-remove, told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/uinput.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 800
static long limit_ms = 30000;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000L + at.tv_nsec / 1000;
}

static int uevents(int group) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT), size = 32 << 20;
  struct sockaddr_nl at = {.nl_family = AF_NETLINK, .nl_groups = group};
  if (fd < 0) die("netlink");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) die("bind");
  return fd;
}

/* Of a message of either format: what happened to which event node. Returns 0 when it is about something else. */
static int heard(int fd, char *action, char *node) {
  static char buffer[16384];
  ssize_t length = recv(fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
  if (length <= 0) return -1;
  buffer[length] = 0;
  char *from = buffer;
  if (!strcmp(buffer, "libudev")) from = buffer + *(unsigned *)(buffer + 16);
  action[0] = node[0] = 0;
  for (char *line = from; line < buffer + length; line += strlen(line) + 1) {
    if (!strncmp(line, "ACTION=", 7)) snprintf(action, 16, "%s", line + 7);
    if (!strncmp(line, "DEVNAME=", 8)) {
      char *name = strstr(line, "event");
      if (strstr(line, "input/") && name) snprintf(node, 16, "%s", name);
    }
  }
  return node[0] && (!strcmp(action, "add") || !strcmp(action, "remove"));
}

static int opens(const char *node) {
  char path[64];
  snprintf(path, sizeof path, "/dev/input/%s", node);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

/* The program in the container. Writes to `out` what it has seen. */
static void inside(int socket, FILE *out, int bare) {
  /* A node is made, and then its rights are set: two events, of which the first that lets it be opened counts. */
  static char is_open[MOST + 64];
  char action[16], node[16];
  struct pollfd ears[2] = {{.fd = socket, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (bare) {
    mkdir("/dev/input", 0755);
    ears[1].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (inotify_add_watch(ears[1].fd, "/dev/input", IN_CREATE | IN_ATTRIB | IN_MOVED_TO | IN_DELETE) < 0) die("inotify");
  }
  fprintf(out, "ready - 0\n");
  fflush(out);
  while (poll(ears, 2, -1) > 0) {
    int said;
    while ((said = heard(socket, action, node)) >= 0) {
      if (!said || bare) continue;
      int add = !strcmp(action, "add");
      if (add && !opens(node)) fprintf(out, "refused %s %ld\n", node, now());
      else fprintf(out, "%s %s %ld\n", add ? "opened" : "told", node, now());
      fflush(out);
    }
    char buffer[4096] __attribute__((aligned(8)));
    ssize_t length = bare ? read(ears[1].fd, buffer, sizeof buffer) : 0;
    for (char *at = buffer; at < buffer + length; at += sizeof(struct inotify_event) + ((struct inotify_event *)at)->len) {
      struct inotify_event *event = (struct inotify_event *)at;
      unsigned number;
      if (sscanf(event->name, "event%u", &number) != 1 || number >= sizeof is_open) continue;
      if (event->mask & IN_DELETE) {
        fprintf(out, "told %s %ld\n", event->name, now());
        is_open[number] = 0;
      } else if (!is_open[number] && opens(event->name)) {
        fprintf(out, "opened %s %ld\n", event->name, now());
        is_open[number] = 1;
      }
      fflush(out);
    }
  }
}

static int keyboard(const char *name) {
  int fd = open("/dev/uinput", O_WRONLY | O_CLOEXEC);
  struct uinput_setup setup = {.id = {BUS_USB, 0x1209, 1, 1}};
  if (fd < 0) die("/dev/uinput");
  ioctl(fd, UI_SET_EVBIT, EV_KEY);
  for (int key = 1; key < 128; key++) ioctl(fd, UI_SET_KEYBIT, key);
  snprintf(setup.name, sizeof setup.name, "%s", name);
  if (ioctl(fd, UI_DEV_SETUP, &setup) < 0 || ioctl(fd, UI_DEV_CREATE) < 0) die("uinput");
  return fd;
}

static int kernels, udevds, container, counted[6];
static const char *words[6] = {"kernel-add", "udev-add", "opened", "kernel-remove", "udev-remove", "told"};

static void note(const char *what, const char *node, long at) {
  printf("%s %s %ld\n", what, node, at);
  for (int index = 0; index < 6; index++)
    if (!strcmp(what, words[index])) counted[index]++;
}

/* Listens until the container has so many of a kind. */
static void until(int kind, int count) {
  static char pending[65536];
  static size_t filled;
  char action[16], node[16], what[32];
  long end = now() + limit_ms * 1000L;
  struct pollfd ears[3] = {{kernels, POLLIN, 0}, {udevds, POLLIN, 0}, {container, POLLIN, 0}};
  while (counted[kind] < count) {
    if (now() > end || poll(ears, 3, 1000) < 0) {
      fflush(stdout);
      fprintf(stderr, "after %ld s only %d of %d %s\n", limit_ms / 1000, counted[kind], count, words[kind]);
      exit(1);
    }
    for (int ear = 0; ear < 2; ear++) {
      int said;
      while ((said = heard(ears[ear].fd, action, node)) >= 0) {
        if (!said) continue;
        snprintf(what, sizeof what, "%s-%s", ear == 0 ? "kernel" : "udev", action);
        note(what, node, now());
      }
    }
    ssize_t length = read(container, pending + filled, sizeof pending - filled - 1);
    if (length == 0) {
      fprintf(stderr, "the program in the container has ended\n");
      exit(1);
    }
    if (length > 0) filled += length;
    pending[filled] = 0;
    char *line = pending, *newline;
    for (; (newline = strchr(line, '\n')); line = newline + 1) {
      long at;
      if (sscanf(line, "%31s %15s %ld", what, node, &at) == 3) note(what, node, at);
    }
    filled = strlen(line);
    memmove(pending, line, filled + 1);
  }
}

static void in_namespace(const char *pid, const char *name, int type) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, type) < 0) die(path);
  close(fd);
}

int main(int argc, char **argv) {
  if (argc < 6) return fprintf(stderr, "probe PID GROUP one|burst|watch COUNT NAME [bare]\n"), 2;
  const char *pid = argv[1], *group = argv[2], *mode = argv[3], *name = argv[5];
  int count = atoi(argv[4]), bare = argc > 6, pipes[2], made[MOST];
  limit_ms += 1000L * count;
  if (count < 1 || count > MOST) return fprintf(stderr, "1 to %d keyboards\n", MOST), 2;
  if (pipe2(pipes, O_CLOEXEC) < 0) die("pipe");
  kernels = uevents(1);
  udevds = uevents(2);
  pid_t child = fork();
  if (child == 0) {
    char path[512];
    snprintf(path, sizeof path, "%s/cgroup.procs", group);
    FILE *procs = fopen(path, "w");
    if (!procs || fprintf(procs, "%d\n", getpid()) < 0 || fclose(procs)) die(path);
    /* Joined before the mounts: what /proc says there is the container's. */
    char mounts[64];
    snprintf(mounts, sizeof mounts, "/proc/%s/ns/mnt", pid);
    int fd = open(mounts, O_RDONLY | O_CLOEXEC);
    in_namespace(pid, "net", CLONE_NEWNET);
    int ear = uevents(2);
    if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) die(mounts);
    inside(ear, fdopen(pipes[1], "w"), bare);
    exit(1);
  }
  close(pipes[1]);
  container = pipes[0];
  char ready[16] = "";
  if (read(container, ready, sizeof "ready - 0") <= 0) return fprintf(stderr, "nobody listens in the container\n"), 1;
  fcntl(container, F_SETFL, O_NONBLOCK);
  /* Its stamps are not late because somebody else has the processor. */
  struct sched_param first = {.sched_priority = 10};
  sched_setscheduler(0, SCHED_FIFO, &first);
  printf("ready - %ld\n", now());
  fflush(stdout);
  if (!strcmp(mode, "one")) {
    for (int done = 0; done < count; done++) {
      int fd = keyboard(name);
      until(2, done + 1);
      until(1, done + 1);
      usleep(200000);
      close(fd);
      until(bare ? 4 : 5, done + 1);
      until(4, done + 1);
      usleep(300000);
    }
  } else if (!strcmp(mode, "burst")) {
    for (int done = 0; done < count; done++) made[done] = keyboard(name);
    until(2, count);
    until(1, count);
    for (int done = 0; done < count; done++) close(made[done]);
    until(5, count);
    until(4, count);
  } else {
    until(2, count);
    until(1, count);
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return 0;
}
