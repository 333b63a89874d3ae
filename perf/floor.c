// floor: what answering a REGISTER costs when nothing is decided.
//
// A UDP server on one thread that copies Via, From, To, Call-ID, CSeq and Contact of each REGISTER into a
// 200 and sends it back: epoll, recvmmsg, sendmmsg, no table, no parser. What midreg needs beyond this
// program's CPU per message is what midreg itself costs; the rest is the kernel's.
#include "sip.h"
#include "udp.h"

#include <getopt.h>

static size_t reply_bytes; // 0: as long as the copied headers make it

static char padding[DATAGRAM_BYTES_MAX];

// Writes the 200 into `out`, which has room for a datagram; 0 when the bytes are no REGISTER or the
// answer would not fit.
static size_t answer(const char *bytes, size_t length, char *out) {
    static const char head[] = "SIP/2.0 200 OK\r\n";
    static const char tail[] = "Content-Length: 0\r\n\r\n";
    static const char pad[] = "X-Pad: ";
    if (length < 9 || memcmp(bytes, "REGISTER ", 9) || length > DATAGRAM_BYTES_MAX - 64)
        return 0;
    const char *cursor = bytes;
    const char *end = bytes + length;
    struct text line;
    char *next = put(out, head, sizeof head - 1);
    if (!next_line(&cursor, end, &line))
        return 0;
    while (next_line(&cursor, end, &line)) {
        const char *s = line.start;
        bool copied = line.length > 8 &&
                      (!memcmp(s, "Via:", 4) || !memcmp(s, "From:", 5) || !memcmp(s, "To:", 3) ||
                       !memcmp(s, "Call-ID:", 8) || !memcmp(s, "CSeq:", 5) || !memcmp(s, "Contact:", 8));
        if (copied)
            next = put(next, s, (size_t)(cursor - s));
    }
    size_t size = (size_t)(next - out) + sizeof tail - 1;
    size_t least = size + sizeof pad - 1 + 2;
    if (reply_bytes > least) {
        next = put(next, pad, sizeof pad - 1);
        next = put(next, padding, reply_bytes - least);
        next = put(next, "\r\n", 2);
    }
    next = put(next, tail, sizeof tail - 1);
    return (size_t)(next - out);
}

int main(int count, char **arguments) {
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"reply-bytes", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *listen = "127.0.0.1:32000";
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) >= 0;) {
        switch (option) {
        case 'l': listen = optarg; break;
        case 'r': reply_bytes = parse_number("reply-bytes", optarg, DATAGRAM_BYTES_MAX - 64); break;
        default:
            puts("floor [--listen ADDR:PORT] [--reply-bytes N]\n"
                 "Answers every REGISTER with a 200 of copied headers, padded to N bytes; ends on SIGTERM.");
            return option == 'h' ? 0 : 2;
        }
    }
    memset(padding, 'x', sizeof padding);
    stop_on_signals();
    struct address address = parse_address(listen);
    int handle = bound_socket(&address);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, handle, &event))
        fail("epoll: %s", strerror(errno));
    struct batch *in = make_batch();
    struct batch *out = make_batch();
    uint64_t received = 0, answered = 0, refused = 0;
    fprintf(stderr, "floor: ready on %s\n", listen);
    while (!stop_requested) {
        if (epoll_wait(poll, &event, 1, 1000) <= 0)
            continue;
        int taken;
        do {
            taken = receive_batch(handle, in, true);
            unsigned answers = 0;
            for (int slot = 0; slot < taken; slot++) {
                size_t length = answer(in->bytes[slot], in->messages[slot].msg_len, out->bytes[answers]);
                if (!length)
                    continue;
                struct msghdr *message = &out->messages[answers].msg_hdr;
                message->msg_name = &in->peers[slot];
                message->msg_namelen = in->messages[slot].msg_hdr.msg_namelen;
                out->parts[answers].iov_len = length;
                answers++;
            }
            refused += send_all(handle, out->messages, answers);
            received += (uint64_t)taken;
            answered += answers;
        } while (taken == BATCH_MAX && !stop_requested);
    }
    printf("{\"received\":%llu,\"answered\":%llu,\"refused\":%llu}\n", (unsigned long long)received,
           (unsigned long long)answered, (unsigned long long)refused);
    return 0;
}
