/*
 * The quickest message that a script can send into a container: say PID ACTION DEVPATH DEVNAME MAJOR MINOR, to those who
 * listen to udevd in the network of the container whose init has this pid (struct monitor_netlink_header of systemd's
 * device-monitor.c; the hash is MurmurHash2 of "input").
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned murmur2(const char *text) {
  unsigned length = strlen(text), hash = length;
  const unsigned char *at = (const unsigned char *)text;
  for (; length >= 4; at += 4, length -= 4) {
    unsigned word;
    memcpy(&word, at, 4);
    word *= 0x5bd1e995;
    word = (word ^ word >> 24) * 0x5bd1e995;
    hash = hash * 0x5bd1e995 ^ word;
  }
  switch (length) {
    case 3: hash ^= at[2] << 16; /* fall through */
    case 2: hash ^= at[1] << 8;  /* fall through */
    case 1: hash = (hash ^ at[0]) * 0x5bd1e995;
  }
  hash = (hash ^ hash >> 13) * 0x5bd1e995;
  return hash ^ hash >> 15;
}

int main(int argc, char **argv) {
  if (argc != 7) return fprintf(stderr, "say PID ACTION DEVPATH DEVNAME MAJOR MINOR\n"), 2;
  char path[64], body[1024];
  int length = snprintf(body, sizeof body,
                        "UDEV_DATABASE_VERSION=1%cDEVPATH=%s%cSUBSYSTEM=input%cSEQNUM=1%cDEVNAME=%s%cMAJOR=%s%cMINOR=%s%c"
                        "USEC_INITIALIZED=1%cID_INPUT=1%cID_INPUT_KEY=1%cID_INPUT_KEYBOARD=1%cACTION=%s%c",
                        0, argv[3], 0, 0, 0, argv[4], 0, argv[5], 0, argv[6], 0, 0, 0, 0, 0, argv[2], 0);
  struct {
    char prefix[8];
    unsigned magic, header, offset, length, subsystem, devtype, bloom[2];
  } header = {"libudev", htonl(0xfeedcafe), 40, 40, length, htonl(murmur2("input")), 0, {0, 0}};
  struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 2};
  struct iovec parts[2] = {{&header, 40}, {body, length}};
  struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = parts, .msg_iovlen = 2};
  snprintf(path, sizeof path, "/proc/%s/ns/net", argv[1]);
  int fd = open(path, O_RDONLY);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) return perror(path), 1;
  int socket_fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
  if (socket_fd < 0) return perror("netlink"), 1;
  sendmsg(socket_fd, &message, 0);
  return 0;
}
