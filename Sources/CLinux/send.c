#define _GNU_SOURCE
#include "address.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    // How long all flushes of a round may wait for room in the socket, in nanoseconds: less than
    // the phones' 500 ms T1 by far, more than a full queue of a gigabit device needs to empty.
    waiting_max_ns = 5 * 1000 * 1000,
    waiting_price_ns = waiting_max_ns / 100,
    // Tries of one entry: an error that belongs to an earlier datagram is reported in its place.
    tries_max = 3,
};

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

struct midreg_send_batch {
    struct mmsghdr heads[midreg_send_max];
    struct iovec parts[midreg_send_max];
    union midreg_name names[midreg_send_max];
    union control controls[midreg_send_max];
    uint16_t segments[midreg_send_max];
    uint32_t count;
    int64_t waiting_left_ns;
};

struct midreg_send_batch *midreg_send_batch_new(void) {
    struct midreg_send_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    for (int index = 0; index < midreg_send_max; index++) {
        struct msghdr *head = &batch->heads[index].msg_hdr;
        head->msg_iov = &batch->parts[index];
        head->msg_iovlen = 1;
        head->msg_name = &batch->names[index];
        struct cmsghdr *note = &batch->controls[index].align;
        note->cmsg_level = SOL_UDP;
        note->cmsg_type = UDP_SEGMENT;
        note->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    }
    return batch;
}

void midreg_send_batch_free(struct midreg_send_batch *batch) { free(batch); }

void midreg_send_batch_begin(struct midreg_send_batch *batch) {
    batch->count = 0;
    batch->waiting_left_ns = waiting_max_ns;
}

uint32_t midreg_send_batch_add(struct midreg_send_batch *batch, uint64_t high, uint64_t low,
                               uint16_t port, uint8_t *bytes, size_t count, uint16_t segment) {
    uint32_t index = batch->count++;
    struct msghdr *head = &batch->heads[index].msg_hdr;
    head->msg_namelen = midreg_name_make(&batch->names[index], high, low, port);
    batch->parts[index].iov_base = bytes;
    batch->parts[index].iov_len = count;
    batch->segments[index] = segment;
    if (segment) {
        memcpy(CMSG_DATA(&batch->controls[index].align), &segment, sizeof segment);
        head->msg_control = &batch->controls[index];
        head->msg_controllen = sizeof batch->controls[index];
    } else {
        head->msg_control = NULL;
        head->msg_controllen = 0;
    }
    return batch->count;
}

static uint64_t datagrams(const struct midreg_send_batch *batch, uint32_t index) {
    uint16_t segment = batch->segments[index];
    if (!segment) return 1;
    return (batch->parts[index].iov_len + segment - 1) / segment;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/// Waits for room in the socket while the round still may; whether to try again.
static int wait_for_room(struct midreg_send_batch *batch, int fd) {
    if (batch->waiting_left_ns <= 0) return 0;
    int64_t began = now_ns();
    struct pollfd want = {.fd = fd, .events = POLLOUT};
    struct timespec timeout = {.tv_nsec = batch->waiting_left_ns};
    int ready = ppoll(&want, 1, &timeout, NULL);
    // A device without buffers (ENOBUFS) has room in the socket at once: each wait has its price,
    // so that a round has a hundred at most.
    int64_t took = now_ns() - began;
    batch->waiting_left_ns -= took > waiting_price_ns ? took : waiting_price_ns;
    return ready != 0;
}

/// Whether the error may belong to an earlier datagram (ICMP) and not to the one being sent.
static int may_be_anothers(int error) {
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == EHOSTDOWN || error == EPROTO;
}

static int is_want_of_room(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM;
}

/// Sends the datagrams of an entry one by one, after the device refused to cut them.
static void send_pieces(struct midreg_send_batch *batch, int fd, uint32_t index,
                        struct midreg_send_result *result) {
    struct msghdr head = batch->heads[index].msg_hdr;
    struct iovec whole = batch->parts[index];
    struct iovec piece;
    head.msg_iov = &piece;
    head.msg_control = NULL;
    head.msg_controllen = 0;
    for (size_t at = 0; at < whole.iov_len; at += batch->segments[index]) {
        size_t left = whole.iov_len - at;
        piece.iov_base = (uint8_t *)whole.iov_base + at;
        piece.iov_len = left < batch->segments[index] ? left : batch->segments[index];
        int error = 0;
        for (int tries = 0; tries < tries_max;) {
            if (sendmsg(fd, &head, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
                error = 0;
                break;
            }
            error = errno;
            if (error == EINTR) continue;
            if (is_want_of_room(error) && wait_for_room(batch, fd)) continue;
            if (!may_be_anothers(error)) break;
            tries++;
        }
        if (error) {
            result->failed++;
            result->last_errno = error;
        } else {
            result->sent++;
        }
    }
}

void midreg_send_batch_flush(struct midreg_send_batch *batch, int fd,
                             struct midreg_send_result *result) {
    uint32_t at = 0;
    int tries = 0;
    while (at < batch->count) {
        int sent = sendmmsg(fd, batch->heads + at, batch->count - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            for (int index = 0; index < sent; index++) {
                result->sent += datagrams(batch, at + (uint32_t)index);
            }
            at += (uint32_t)sent;
            tries = 0;
            continue;
        }
        int error = sent < 0 ? errno : EAGAIN;
        if (error == EINTR) continue;
        if (is_want_of_room(error) && wait_for_room(batch, fd)) continue;
        if (may_be_anothers(error) && ++tries < tries_max) continue;

        // This entry cannot be sent; those behind it may.
        tries = 0;
        if (batch->segments[at] && !is_want_of_room(error)) {
            if (error == EIO || error == EOPNOTSUPP) result->segmentation_refused = 1;
            send_pieces(batch, fd, at, result);
        } else {
            result->failed += datagrams(batch, at);
            result->last_errno = error;
        }
        at++;
    }
    batch->count = 0;
}
