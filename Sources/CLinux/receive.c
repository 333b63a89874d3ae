#define _GNU_SOURCE
#include "address.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

// Slots are more than their size apart, by an odd number of cache lines: the first lines of all
// slots, which are the ones that are read, then spread over the sets of the cache.
enum {
    slot_stride = midreg_slot_bytes + 11 * 64,
    // Errors of earlier datagrams that one fill takes off the socket before it gives up; the poll
    // says again that there is something to read.
    pending_errors_max = 64,
};
_Static_assert(slot_stride - midreg_slot_bytes >= midreg_padding_bytes, "each slot is padded");

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(uint32_t))];
};

struct midreg_receive_batch {
    uint32_t slots;
    int64_t drops;
    uint8_t *bytes;
    struct mmsghdr *heads;
    struct iovec *parts;
    union midreg_name *names;
    union control *controls;
    struct midreg_received *entries;
};

static void make_ready(struct midreg_receive_batch *batch, uint32_t index) {
    struct msghdr *head = &batch->heads[index].msg_hdr;
    head->msg_namelen = sizeof batch->names[index];
    head->msg_controllen = sizeof batch->controls[index];
}

struct midreg_receive_batch *midreg_receive_batch_new(uint32_t slots) {
    struct midreg_receive_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    batch->slots = slots;
    batch->heads = calloc(slots, sizeof *batch->heads);
    batch->parts = calloc(slots, sizeof *batch->parts);
    batch->names = calloc(slots, sizeof *batch->names);
    batch->controls = calloc(slots, sizeof *batch->controls);
    batch->entries = calloc(slots, sizeof *batch->entries);
    void *bytes = mmap(NULL, (size_t)slots * slot_stride, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    batch->bytes = bytes == MAP_FAILED ? NULL : bytes;
    if (!batch->heads || !batch->parts || !batch->names || !batch->controls || !batch->entries ||
        !batch->bytes) {
        midreg_receive_batch_free(batch);
        return NULL;
    }
    for (uint32_t index = 0; index < slots; index++) {
        batch->parts[index].iov_base = batch->bytes + (size_t)index * slot_stride;
        batch->parts[index].iov_len = midreg_slot_bytes;
        struct msghdr *head = &batch->heads[index].msg_hdr;
        head->msg_iov = &batch->parts[index];
        head->msg_iovlen = 1;
        head->msg_name = &batch->names[index];
        head->msg_control = &batch->controls[index];
        make_ready(batch, index);
    }
    return batch;
}

void midreg_receive_batch_free(struct midreg_receive_batch *batch) {
    if (batch->bytes) munmap(batch->bytes, (size_t)batch->slots * slot_stride);
    free(batch->heads);
    free(batch->parts);
    free(batch->names);
    free(batch->controls);
    free(batch->entries);
    free(batch);
}

/// Whether the error is about a datagram sent earlier (an ICMP answer) or about a passing want,
/// and so says nothing against the socket.
static int is_pending(int error) {
    switch (error) {
    case EINTR:
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP:
    case EPROTO:
    case EMSGSIZE:
    case EACCES:
    case EPERM:
    case ETIMEDOUT:
        return 1;
    default:
        return 0;
    }
}

int midreg_receive_batch_fill(struct midreg_receive_batch *batch, int fd) {
    batch->drops = -1;
    int count = -1;
    for (int tries = 0; count < 0; tries++) {
        count = recvmmsg(fd, batch->heads, batch->slots, MSG_DONTWAIT, NULL);
        if (count >= 0) break;
        int error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS || error == ENOMEM) {
            return 0;
        }
        if (!is_pending(error)) return -error;
        if (tries == pending_errors_max) return 0;
    }
    for (int index = 0; index < count; index++) {
        struct msghdr *head = &batch->heads[index].msg_hdr;
        batch->entries[index].source = midreg_name_read(&batch->names[index]);
        batch->entries[index].count = batch->heads[index].msg_len;
        for (struct cmsghdr *note = CMSG_FIRSTHDR(head); note; note = CMSG_NXTHDR(head, note)) {
            if (note->cmsg_level == SOL_SOCKET && note->cmsg_type == SO_RXQ_OVFL) {
                uint32_t drops;
                memcpy(&drops, CMSG_DATA(note), sizeof drops);
                batch->drops = drops;
            }
        }
        make_ready(batch, (uint32_t)index);
    }
    return count;
}

const struct midreg_received *midreg_receive_batch_entry(
    const struct midreg_receive_batch *batch, uint32_t index) {
    return &batch->entries[index];
}

const uint8_t *midreg_receive_batch_bytes(
    const struct midreg_receive_batch *batch, uint32_t index) {
    return batch->bytes + (size_t)index * slot_stride;
}

int64_t midreg_receive_batch_drops(const struct midreg_receive_batch *batch) {
    return batch->drops;
}
