/*
 * A display server that opens a device at its seat's socket, in seatd's protocol (seatd 0.9.1, include/protocol.h).
 *
 * seatd COUNT PATH SOCKET GROUP: goes into the control group, opens the device so many times at the socket, and prints for each how
 * long it waited for the descriptor, ns.
 * seatd COUNT PATH: the same from a server in C that does nothing else than what has to be done: the floor.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define MUST(call) must((long)(call), #call, __LINE__)

static long must(long result, const char *what, int line) {
  if (result >= 0) return result;
  fprintf(stderr, "seatd.c:%d: %s: %m\n", line, what);
  exit(1);
}

static long now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000L + at.tv_nsec;
}

enum { OPEN_SEAT = 1, OPEN_DEVICE = 3, CLOSE_DEVICE = 4, SEAT_OPENED = 0x8001, DEVICE_OPENED = 0x8003, DEVICE_CLOSED = 0x8004, ENABLE_SEAT = 0x8006 };
/* An open takes two requests, and a client may send 512 at once (agent/holder/seatd-client.ts). */
#define A_SESSION 200

struct message {
  uint16_t operation, size;
  char body[512];
};

static void send_message(int to, int operation, const void *body, int size, int fd) {
  struct message message = {.operation = operation, .size = size};
  memcpy(message.body, body, size);
  struct iovec part = {&message, 4 + size};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  }
  MUST(sendmsg(to, &header, MSG_NOSIGNAL));
}

/* Reads so many bytes, and the descriptor that comes with them. */
static int take(int from, void *into, int size, int *fd) {
  for (int had = 0; had < size;) {
    struct iovec part = {(char *)into + had, size - had};
    char control[CMSG_SPACE(sizeof(int))];
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    int got = MUST(recvmsg(from, &header, MSG_CMSG_CLOEXEC));
    if (got == 0) return 0;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
    if (rights && rights->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(rights), sizeof *fd);
    had += got;
  }
  return 1;
}

static int receive(int from, struct message *message, int *fd) {
  *fd = -1;
  if (!take(from, message, 4, fd)) return 0;
  if (message->size > sizeof message->body) exit(1);
  return message->size == 0 || take(from, message->body, message->size, fd);
}

static void expect(int from, int operation, struct message *message, int *fd) {
  if (receive(from, message, fd) && message->operation == operation) return;
  fprintf(stderr, "seatd.c: %x came, and not %x\n", message->operation, operation);
  exit(1);
}

/* What the holder has to do: open, look whether it is the device, hand over; close. */
static void serve(int client) {
  struct message message;
  int kept = -1, none;
  for (int32_t id = 1; receive(client, &message, &none);) {
    if (message.operation == OPEN_DEVICE) {
      struct stat found;
      kept = MUST(open(message.body + 2, O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
      MUST(fstat(kept, &found));
      send_message(client, DEVICE_OPENED, &id, sizeof id, kept);
      id++;
    } else {
      close(kept);
      send_message(client, DEVICE_CLOSED, "", 0, -1);
    }
  }
  exit(0);
}

static int connected(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int line = MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  MUST(connect(line, (struct sockaddr *)&address, sizeof address));
  struct message message;
  int none;
  send_message(line, OPEN_SEAT, "", 0, -1);
  expect(line, SEAT_OPENED, &message, &none);
  expect(line, ENABLE_SEAT, &message, &none);
  return line;
}

static int bare(void) {
  int ends[2];
  MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  if (MUST(fork()) == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(ends[0]);
    serve(ends[1]);
  }
  close(ends[1]);
  return ends[0];
}

int main(int count, char **words) {
  const char *path = words[2], *socket = count > 4 ? words[3] : NULL;
  if (socket) {
    char processes[512];
    snprintf(processes, sizeof processes, "%s/cgroup.procs", words[4]);
    int group = MUST(open(processes, O_WRONLY | O_CLOEXEC));
    dprintf(group, "%d", getpid());
    close(group);
  }
  struct message message;
  uint16_t length = strlen(path) + 1;
  char body[512];
  memcpy(body, &length, 2);
  memcpy(body + 2, path, length);
  for (int left = atoi(words[1]); left > 0;) {
    int line = socket ? connected(socket) : bare(), fd, none;
    for (int here = 0; here < A_SESSION && left > 0; here++, left--) {
      long began = now();
      send_message(line, OPEN_DEVICE, body, 2 + length, -1);
      expect(line, DEVICE_OPENED, &message, &fd);
      long took = now() - began;
      if (fd < 0) exit(1);
      printf("%ld\n", took);
      close(fd);
      send_message(line, CLOSE_DEVICE, message.body, 4, -1);
      expect(line, DEVICE_CLOSED, &message, &none);
    }
    close(line);
  }
}
