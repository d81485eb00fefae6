/*
 * httpload - a cheap HTTP/1.1 load generator for measuring proxies on loopback.
 *
 *     gcc -O2 -Wall -Wextra -o httpload httpload.c
 *     httpload PORT CONNECTIONS REQUESTS-FILE RATE SETTLE-MS COUNT-MS
 *
 * REQUESTS-FILE holds heads of GET requests, each ending in an empty line; they are sent in turn. RATE 0: each connection
 * asks again as soon as it was answered. Otherwise so many requests a second are due at even distances, whether or not
 * those before them were answered (open loop), and latency counts from when one was due: a stall is felt by all that were
 * due in it. One that finds no free connection waits for one. What was due in the first SETTLE-MS is not counted.
 *
 * Prints one line of JSON: {"requests":N,"failed":N,"p50Ms":X,"p99Ms":X,"p999Ms":X,"cpuSeconds":X}. Failed is what was
 * answered with another status than 200, was broken off, or is not answered 5 s after the end; a connection that ends
 * between two requests is opened again. Answers must state their Content-Length. One process, Linux, no dependencies.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1024
#define HEAD_BYTES 16384
#define GRACE_NS 5000000000ll

struct connection {
  int fd;
  int busy;
  int64_t due;       /* of the request that it carries, ns */
  long body_left;    /* -1 while the head is read */
  int status;
  size_t head_length;
  char head[HEAD_BYTES];
};

static struct connection connections[MAX_CONNECTIONS];
/* A ring: all connections are used in turn, none for the first time because the others wait. */
static int idle[MAX_CONNECTIONS], idle_first, idle_count, poll_fd, port;
static char *requests[4096];
static size_t request_lengths[4096];
static int request_count, next_request;
static uint32_t *latencies; /* us */
static size_t latency_count, latency_room;
static long failed;
static int64_t count_from, end_at;
static int is_closed_loop;
static char scratch[262144];

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) die(path);
  static char text[4 << 20];
  size_t length = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[length] = 0;
  for (char *at = text, *end; (end = strstr(at, "\r\n\r\n")) && request_count < 4096; at = end + 4) {
    requests[request_count] = at;
    request_lengths[request_count++] = (size_t)(end + 4 - at);
  }
  if (request_count == 0) { fprintf(stderr, "%s holds no request\n", path); exit(1); }
}

static void open_connection(int index) {
  struct connection *c = &connections[index];
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
  if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) die("epoll_ctl");
  c->busy = 0;
}

static void reopen(int index) {
  close(connections[index].fd);
  open_connection(index);
}

static void ask(int index, int64_t due) {
  struct connection *c = &connections[index];
  int at = next_request++ % request_count;
  c->busy = 1;
  c->due = due;
  c->body_left = -1;
  c->head_length = 0;
  ssize_t sent = write(c->fd, requests[at], request_lengths[at]);
  if (sent == (ssize_t)request_lengths[at]) return;
  /* It was closed while it idled: a new one, once. */
  reopen(index);
  c->busy = 1;
  if (write(c->fd, requests[at], request_lengths[at]) != (ssize_t)request_lengths[at]) die("write");
}

static void take_latency(int64_t due, int64_t now) {
  if (due < count_from) return;
  if (latency_count == latency_room) {
    latency_room = latency_room ? latency_room * 2 : 65536;
    latencies = realloc(latencies, latency_room * sizeof *latencies);
    if (!latencies) die("realloc");
  }
  latencies[latency_count++] = (uint32_t)((now - due) / 1000);
}

static void put_idle(int index) {
  idle[(idle_first + idle_count++) % MAX_CONNECTIONS] = index;
}

static int take_idle(void) {
  int index = idle[idle_first];
  idle_first = (idle_first + 1) % MAX_CONNECTIONS;
  idle_count--;
  return index;
}

static void finished(int index, int is_good) {
  struct connection *c = &connections[index];
  int64_t now = now_ns();
  c->busy = 0;
  if (!is_good) failed++;
  else if (!is_closed_loop || now < end_at) take_latency(c->due, now);
  if (is_closed_loop && now < end_at) ask(index, now);
  else put_idle(index);
}

/* Returns the bytes of the head that are in `c->head`, 0 while it is not complete. */
static size_t parse_head(struct connection *c) {
  char *end = memmem(c->head, c->head_length, "\r\n\r\n", 4);
  if (!end) {
    if (c->head_length == HEAD_BYTES - 1) { fprintf(stderr, "a head is too large\n"); exit(1); }
    return 0;
  }
  char *length = NULL;
  *end = 0;
  c->status = atoi(c->head + 9);
  for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
    if (strncasecmp(line + 2, "content-length:", 15) == 0) length = line + 17;
  if (!length) { fprintf(stderr, "an answer without Content-Length: %s\n", c->head); exit(1); }
  c->body_left = atol(length);
  return (size_t)(end + 4 - c->head);
}

static void readable(int index) {
  struct connection *c = &connections[index];
  for (;;) {
    int in_head = c->busy && c->body_left < 0;
    char *to = in_head ? c->head + c->head_length : scratch;
    size_t room = in_head ? HEAD_BYTES - 1 - c->head_length : sizeof scratch;
    ssize_t got = read(c->fd, to, room);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      int was_busy = c->busy;
      reopen(index);
      if (was_busy) finished(index, 0);
      return;
    }
    if (!c->busy) { fprintf(stderr, "bytes that nobody asked for\n"); exit(1); }
    if (in_head) {
      c->head_length += (size_t)got;
      size_t head = parse_head(c);
      if (head == 0) continue;
      c->body_left -= (long)(c->head_length - head);
    } else c->body_left -= got;
    if (c->body_left < 0) { fprintf(stderr, "more body than stated\n"); exit(1); }
    if (c->body_left == 0) {
      finished(index, c->status == 200);
      return;
    }
    if ((size_t)got < room) return;
  }
}

static void wait_until(int64_t at) {
  int64_t left = at - now_ns();
  if (left < 0) left = 0;
  struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  struct epoll_event events[256];
  int count = epoll_pwait2(poll_fd, events, 256, &timeout, NULL);
  if (count < 0 && errno != EINTR) die("epoll_pwait2");
  for (int i = 0; i < count; i++) readable((int)events[i].data.u32);
}

static int by_size(const void *one, const void *other) {
  uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
  return (a > b) - (a < b);
}

static double percentile_ms(double share) {
  if (latency_count == 0) return -1;
  size_t at = (size_t)((double)latency_count * share);
  return latencies[at < latency_count ? at : latency_count - 1] / 1000.0;
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: httpload PORT CONNECTIONS REQUESTS-FILE RATE SETTLE-MS COUNT-MS\n");
    return 2;
  }
  port = atoi(argv[1]);
  int count = atoi(argv[2]);
  if (count < 1 || count > MAX_CONNECTIONS) { fprintf(stderr, "1 to %d connections\n", MAX_CONNECTIONS); return 2; }
  read_requests(argv[3]);
  double rate = atof(argv[4]);
  is_closed_loop = rate <= 0;
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < count; i++) {
    open_connection(i);
    put_idle(i);
  }
  int64_t start = now_ns();
  count_from = start + atoll(argv[5]) * 1000000;
  end_at = count_from + atoll(argv[6]) * 1000000;

  if (is_closed_loop) {
    idle_count = 0;
    for (int i = 0; i < count; i++) ask(i, now_ns());
    while (now_ns() < end_at) wait_until(end_at);
  } else {
    double gap = 1e9 / rate;
    int64_t asked = 0, due = start;
    while (due < end_at && now_ns() < end_at + GRACE_NS) {
      int64_t now = now_ns();
      while (due <= now && due < end_at && idle_count > 0) {
        ask(take_idle(), due);
        due = start + (int64_t)(++asked * gap);
      }
      wait_until(due <= now_ns() && idle_count == 0 ? now_ns() + 10000000 : due);
    }
  }
  while (idle_count < count && now_ns() < end_at + GRACE_NS) wait_until(end_at + GRACE_NS);
  failed += count - idle_count;

  qsort(latencies, latency_count, sizeof *latencies, by_size);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_utime.tv_usec / 1e6 + usage.ru_stime.tv_sec + usage.ru_stime.tv_usec / 1e6;
  printf("{\"requests\":%zu,\"failed\":%ld,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"p999Ms\":%.3f,\"cpuSeconds\":%.3f}\n", latency_count,
         failed, percentile_ms(0.5), percentile_ms(0.99), percentile_ms(0.999), cpu);
  return 0;
}
