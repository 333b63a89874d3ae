// Sockets and batches that the programs of this folder share. Nothing here is linked into midreg.
#ifndef PERF_UDP_H
#define PERF_UDP_H

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Datagrams a system call takes or gives: midreg works in batches of the same order, so that neither
// side of a comparison saves system calls that the other one has to make.
enum { BATCH_MAX = 64, DATAGRAM_BYTES_MAX = 2048, SOCKET_BUFFER_BYTES = 4 << 20 };

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

__attribute__((noreturn, format(printf, 1, 2), unused)) static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

__attribute__((unused)) static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

__attribute__((unused)) static uint64_t process_cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// Reads `ADDR:PORT` or `[ADDR]:PORT`; names are not resolved.
__attribute__((unused)) static struct address parse_address(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host)
        fail("%s: an address is ADDR:PORT, with [ ] around IPv6", text);
    size_t length = (size_t)(colon - text);
    const char *start = text;
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        start++;
        length -= 2;
    }
    memcpy(host, start, length);
    host[length] = 0;
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    int error = getaddrinfo(host, colon + 1, &hints, &found);
    if (error)
        fail("%s: %s", text, gai_strerror(error));
    struct address address = {.length = found->ai_addrlen};
    memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return address;
}

__attribute__((unused)) static void set_port(struct address *address, uint16_t port) {
    if (address->storage.ss_family == AF_INET6)
        ((struct sockaddr_in6 *)&address->storage)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)&address->storage)->sin_port = htons(port);
}

// A bound, non-blocking socket with buffers large enough that a burst is not lost in the kernel.
__attribute__((unused)) static int bound_socket(const struct address *address) {
    int bytes = SOCKET_BUFFER_BYTES;
    int handle = socket(address->storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (handle < 0)
        fail("socket: %s", strerror(errno));
    // Forced beyond rmem_max where we may, else as far as the system lets us.
    if (setsockopt(handle, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(handle, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(handle, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes))
        setsockopt(handle, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    if (bind(handle, (const struct sockaddr *)&address->storage, address->length))
        fail("bind: %s", strerror(errno));
    return handle;
}

// A batch of datagrams with room for each.
struct batch {
    struct mmsghdr messages[BATCH_MAX];
    struct iovec parts[BATCH_MAX];
    struct sockaddr_storage peers[BATCH_MAX];
    char bytes[BATCH_MAX][DATAGRAM_BYTES_MAX];
};

__attribute__((unused)) static struct batch *make_batch(void) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        fail("no memory");
    for (int slot = 0; slot < BATCH_MAX; slot++) {
        batch->parts[slot].iov_base = batch->bytes[slot];
        batch->messages[slot].msg_hdr.msg_iov = &batch->parts[slot];
        batch->messages[slot].msg_hdr.msg_iovlen = 1;
    }
    return batch;
}

// Takes what has arrived, at most a batch, without waiting. `peers`: whether the senders are wanted.
__attribute__((unused)) static int receive_batch(int handle, struct batch *batch, bool peers) {
    for (int slot = 0; slot < BATCH_MAX; slot++) {
        batch->parts[slot].iov_len = DATAGRAM_BYTES_MAX;
        batch->messages[slot].msg_hdr.msg_name = peers ? &batch->peers[slot] : NULL;
        batch->messages[slot].msg_hdr.msg_namelen = peers ? sizeof batch->peers[slot] : 0;
    }
    int count = recvmmsg(handle, batch->messages, BATCH_MAX, MSG_DONTWAIT, NULL);
    return count < 0 ? 0 : count;
}

// Sends all of it; returns how many the kernel refused. A refused datagram is lost, as on a network.
__attribute__((unused)) static unsigned send_all(int handle, struct mmsghdr *messages, unsigned count) {
    unsigned refused = 0;
    unsigned done = 0;
    while (done < count) {
        int sent = sendmmsg(handle, messages + done, count - done, 0);
        if (sent > 0) {
            done += (unsigned)sent;
        } else if (sent < 0 && errno != EINTR) {
            refused++;
            done++;
        }
    }
    return refused;
}

static volatile sig_atomic_t stop_requested;

static void on_stop(int number) {
    (void)number;
    stop_requested = 1;
}

__attribute__((unused)) static void stop_on_signals(void) {
    struct sigaction action = {.sa_handler = on_stop};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

__attribute__((unused)) static uint64_t parse_number(const char *option, const char *text, uint64_t max) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || !*text || *end || *text == '-' || value > max)
        fail("--%s must be a number up to %llu, not %s", option, (unsigned long long)max, text);
    return value;
}

#endif
