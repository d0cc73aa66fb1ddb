// The UDP part of a stack's prober: sends a probe every PROBE_MS to each target and answers those of the others. probes NAME PROBE_MS
// In C, since six of them exchange 60,000 packets a second on a machine that also runs what they measure: in Node that took both of two processors
// (docs/reliability.md), and the queues that were full then were the probers' own. Everything is read and sent once in a millisecond, not at each packet.
// Lines on stdin: "targets [NAME ADDRESS]...", "mark" (counters anew), "stats"; to each it answers a line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PORT = 7090, PROBE = 1, ANSWER = 2, TARGETS = 16, BATCH = 64, BYTES = 256, COMPLAINTS = 20 };
// Probes remembered for each target: more than can be unanswered and not yet lost.
enum { RING = 8192 };
// A machine that wakes this process late is sent what was due, though never a burst of more.
enum { MOST_AT_ONCE = 50 };
static const double LOST_MS = 2000, ANSWERED_MS = 500, OPEN_MS = 250, TICK_MS = 1;

struct target {
  char name[32];
  struct sockaddr_in address;
  uint32_t seq, oldest;
  uint64_t sent, answered, lost, refused;
  double run, gap, answered_at;
  double sent_at[RING];
  uint8_t is_answered[RING];
};

static const char *own;
static double probe_ms, stall;
static struct target targets[TARGETS];
static int many, complaints;
static char complaint[COMPLAINTS][160];
static int server, client;

static double now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000.0 + time.tv_nsec / 1e6;
}

// Where the others' words are printed they cannot end a string of JSON.
static const char *plain(char *text) {
  for (char *at = text; *at; at++)
    if (*at < ' ' || *at > '~' || *at == '"' || *at == '\\') *at = '?';
  return text;
}

// Kind, sequence number, length of the sender's name, both names.
static int message(uint8_t *bytes, uint8_t kind, uint32_t seq, const char *from, const char *to) {
  const int a = strlen(from), b = strlen(to);
  const uint32_t wire = htonl(seq);
  bytes[0] = kind;
  memcpy(bytes + 1, &wire, 4);
  bytes[5] = a;
  memcpy(bytes + 6, from, a);
  memcpy(bytes + 6 + a, to, b);
  return 6 + a + b;
}

// 0 when it is no message of that kind.
static int parse(const uint8_t *bytes, int length, uint8_t kind, uint32_t *seq, char *from, char *to) {
  if (length < 8 || bytes[0] != kind || 6 + bytes[5] > length || bytes[5] > 31 || length - 6 - bytes[5] > 31) return 0;
  memcpy(seq, bytes + 1, 4);
  *seq = ntohl(*seq);
  memcpy(from, bytes + 6, bytes[5]);
  from[bytes[5]] = 0;
  memcpy(to, bytes + 6 + bytes[5], length - 6 - bytes[5]);
  to[length - 6 - bytes[5]] = 0;
  plain(from);
  plain(to);
  return 1;
}

static int open_socket(int port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
  // What comes while this process does not get its turn waits in the kernel, as much of it as net.core.rmem_max allows.
  const int size = 8 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof any) < 0) {
    perror("probes");
    exit(1);
  }
  return fd;
}

static struct mmsghdr in[BATCH], out[BATCH];
static struct iovec in_bytes[BATCH], out_bytes[BATCH];
static struct sockaddr_in in_from[BATCH], out_to[BATCH];
static uint8_t in_data[BATCH][BYTES], out_data[BATCH][BYTES];

static int receive(int fd) {
  for (int i = 0; i < BATCH; i++) in[i].msg_hdr.msg_namelen = sizeof in_from[i];
  return recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
}

// What the kernel refuses (no route, a full queue of its own) is a probe that was sent and is lost.
static void dispatch(int fd, int count) {
  for (int done = 0; done < count;) {
    const int sent = sendmmsg(fd, out + done, count - done, 0);
    done += sent > 0 ? sent : 1;
  }
}

static void put(int at, const struct sockaddr_in *to, int length) {
  out_to[at] = *to;
  out_bytes[at].iov_len = length;
}

static void answer(void) {
  for (int count; (count = receive(server)) > 0;) {
    int ready = 0;
    for (int i = 0; i < count; i++) {
      uint32_t seq;
      char from[32], to[32];
      if (!parse(in_data[i], in[i].msg_len, PROBE, &seq, from, to)) continue;
      if (strcmp(to, own) && complaints < COMPLAINTS)
        snprintf(complaint[complaints++], sizeof complaint[0], "%s asked %s and %s got it", from, to, own);
      put(ready, &in_from[i], message(out_data[ready], ANSWER, seq, own, from));
      ready++;
    }
    dispatch(server, ready);
  }
}

static void take_answers(void) {
  for (int count; (count = receive(client)) > 0;) {
    const double now = now_ms();
    for (int i = 0; i < count; i++) {
      uint32_t seq;
      char from[32], to[32];
      if (!parse(in_data[i], in[i].msg_len, ANSWER, &seq, from, to)) continue;
      struct target *target = NULL;
      for (int t = 0; t < many; t++)
        if (targets[t].address.sin_addr.s_addr == in_from[i].sin_addr.s_addr) target = &targets[t];
      // From somebody who is no longer asked.
      if (!target) continue;
      if ((strcmp(from, target->name) || strcmp(to, own)) && complaints < COMPLAINTS)
        snprintf(complaint[complaints++], sizeof complaint[0], "%s asked %s, %s answered to %s", own, target->name, from, to);
      target->answered_at = now;
      if (seq < target->oldest || seq > target->seq || target->is_answered[seq % RING]) continue;
      target->is_answered[seq % RING] = 1;
      target->answered++;
    }
  }
}

// Counts what is answered or lost by now, in the order of sending, so that a row of lost ones is seen as one gap.
static void settle(struct target *target, double now) {
  for (; target->oldest <= target->seq; target->oldest++) {
    const int at = target->oldest % RING;
    if (target->is_answered[at]) {
      target->run = 0;
      continue;
    }
    if (now - target->sent_at[at] < LOST_MS) return;
    target->lost++;
    if (target->run == 0) target->run = target->sent_at[at];
    if (target->sent_at[at] - target->run + probe_ms > target->gap) target->gap = target->sent_at[at] - target->run + probe_ms;
  }
}

// The longest gap, with what is too young to be lost but has had time for an answer.
static double longest_gap(const struct target *target, double now) {
  double longest = target->gap, run = target->run;
  for (uint32_t seq = target->oldest; seq <= target->seq; seq++) {
    const int at = seq % RING;
    if (target->is_answered[at]) run = 0;
    else if (now - target->sent_at[at] < ANSWERED_MS) break;
    else {
      if (run == 0) run = target->sent_at[at];
      if (target->sent_at[at] - run + probe_ms > longest) longest = target->sent_at[at] - run + probe_ms;
    }
  }
  return longest;
}

// Neither answered nor lost, and no longer so young that an answer may be on its way.
static unsigned still_open(const struct target *target, double now) {
  unsigned open = 0;
  for (uint32_t seq = target->oldest; seq <= target->seq && now - target->sent_at[seq % RING] >= OPEN_MS; seq++)
    open += !target->is_answered[seq % RING];
  return open;
}

static void probe(double now) {
  for (int t = 0; t < many; t++) {
    struct target *target = &targets[t];
    target->seq++;
    target->sent++;
    target->sent_at[target->seq % RING] = now;
    target->is_answered[target->seq % RING] = 0;
    put(t, &target->address, message(out_data[t], PROBE, target->seq, own, target->name));
  }
  dispatch(client, many);
}

// Counters anew. What is still unanswered belongs to what was before.
static void mark(void) {
  for (int t = 0; t < many; t++) {
    struct target *target = &targets[t];
    target->oldest = target->seq + 1;
    target->sent = target->answered = target->lost = 0;
    target->run = target->gap = 0;
  }
  complaints = 0;
  stall = 0;
}

// Those that are already asked go on being asked.
static void aim(char *words) {
  static struct target next[TARGETS];
  int count = 0;
  char *name, *address;
  while (count < TARGETS && (name = strsep(&words, " ")) && (address = strsep(&words, " "))) {
    struct target *target = &next[count++];
    memset(target, 0, sizeof *target);
    snprintf(target->name, sizeof target->name, "%s", name);
    target->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, address, &target->address.sin_addr);
    target->oldest = 1;
    target->answered_at = now_ms();
    for (int t = 0; t < many; t++)
      if (!strcmp(targets[t].name, name) && targets[t].address.sin_addr.s_addr == target->address.sin_addr.s_addr) *target = targets[t];
  }
  memcpy(targets, next, sizeof next);
  many = count;
}

static void stats(void) {
  const double now = now_ms();
  printf("{\"stallMs\":%.0f,\"wrong\":[", stall);
  for (int i = 0; i < complaints; i++) printf("%s\"%s\"", i ? "," : "", complaint[i]);
  printf("],\"pairs\":[");
  for (int t = 0; t < many; t++) {
    struct target *target = &targets[t];
    settle(target, now);
    printf("%s{\"to\":\"%s\",\"sent\":%llu,\"answered\":%llu,\"lost\":%llu,\"open\":%u,\"gapMs\":%.0f,\"silentMs\":%.0f}", t ? "," : "",
           target->name, (unsigned long long)target->sent, (unsigned long long)target->answered, (unsigned long long)target->lost,
           still_open(target, now), longest_gap(target, now), now - target->answered_at);
  }
  printf("]}\n");
  fflush(stdout);
}

static void obey(void) {
  static char text[4096];
  static size_t length;
  const ssize_t got = read(0, text + length, sizeof text - 1 - length);
  if (got == 0 || (got < 0 && errno != EAGAIN)) exit(0);
  if (got > 0) length += got;
  text[length] = 0;
  for (char *end; (end = strchr(text, '\n'));) {
    *end = 0;
    if (!strncmp(text, "targets", 7)) aim(text + (text[7] ? 8 : 7));
    else if (!strcmp(text, "mark")) mark();
    stats();
    length -= end + 1 - text;
    memmove(text, end + 1, length + 1);
  }
  if (length == sizeof text - 1) exit(1);
}

int main(int count, char **words) {
  if (count != 3 || strlen(words[1]) > 31 || (probe_ms = atof(words[2])) <= 0) {
    fprintf(stderr, "usage: probes NAME PROBE_MS\n");
    return 64;
  }
  own = words[1];
  fcntl(0, F_SETFL, O_NONBLOCK);
  server = open_socket(PORT);
  client = open_socket(0);
  for (int i = 0; i < BATCH; i++) {
    in_bytes[i] = (struct iovec){in_data[i], BYTES};
    out_bytes[i] = (struct iovec){out_data[i], 0};
    in[i].msg_hdr = (struct msghdr){.msg_name = &in_from[i], .msg_iov = &in_bytes[i], .msg_iovlen = 1};
    out[i].msg_hdr = (struct msghdr){.msg_name = &out_to[i], .msg_namelen = sizeof out_to[i], .msg_iov = &out_bytes[i], .msg_iovlen = 1};
  }
  double due = now_ms(), last = due, wake = due;
  for (;;) {
    const double wait = wake - now_ms();
    const struct timespec timeout = {0, wait > 0 ? (long)(wait * 1e6) : 0};
    struct pollfd input = {.fd = 0, .events = POLLIN};
    if (ppoll(&input, 1, &timeout, NULL) > 0) obey();
    const double now = now_ms();
    if (now < wake) continue;
    wake = now - wake > TICK_MS ? now + TICK_MS : wake + TICK_MS;
    if (now - last > stall) stall = now - last;
    last = now;
    answer();
    take_answers();
    for (int n = 0; due <= now && n < MOST_AT_ONCE; n++, due += probe_ms) probe(now);
    if (due < now) due = now;
    for (int t = 0; t < many; t++) settle(&targets[t], now);
  }
}
