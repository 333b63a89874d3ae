// main-stub: a main registrar that says yes.
//
// Answers every REGISTER with a 200 that lists the Contacts of the request with the times asked for, and
// OPTIONS with a plain 200. It keeps no bindings, so its cost does not grow and it gets out of the way of
// what is measured. `--challenge` makes it ask for digest credentials once per Call-ID and take whatever
// comes.
#include "sip.h"
#include "udp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <getopt.h>

enum { LINES_MAX = 16, CONTACTS_MAX = 16, DELAYED_MAX = 1 << 16, CALLS_BITS = 24, LOG_BYTES = 1 << 16 };

struct request {
    struct text method;
    struct text vias[LINES_MAX];
    struct text from, to, call_id, sequence;
    struct text contacts[LINES_MAX];
    unsigned via_count, contact_count;
    unsigned long expires;
    bool authorized;
};

struct delayed {
    uint64_t due_ns;
    struct sockaddr_storage peer;
    socklen_t peer_length;
    size_t length;
    char bytes[DATAGRAM_BYTES_MAX];
};

static struct {
    const char *service_route, *associated;
    bool challenge, own_associated;
    unsigned long grant_max;
    uint64_t delay_ns;
} settings = {.grant_max = 1ul << 31};

static struct {
    unsigned long long received, registered, challenged, other, unanswerable, delayed_full, refused;
} counted;

// Call-IDs that have shown credentials, as 64-bit hashes; a full neighbourhood forgets the oldest.
static uint64_t *calls;

static int log_file = -1;
static char log_bytes[LOG_BYTES];
static size_t log_length;

static uint64_t hash(struct text text) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t at = 0; at < text.length; at++)
        value = (value ^ (uint8_t)text.start[at]) * 0x100000001b3u;
    value ^= value >> 32;
    value *= 0x9e3779b97f4a7c15u;
    return value ? value : 1;
}

static bool call_is_known(struct text call_id, bool remember) {
    enum { NEIGHBOURS = 8 };
    uint64_t wanted = hash(call_id);
    uint64_t *place = &calls[(wanted >> (64 - CALLS_BITS)) & ~(uint64_t)(NEIGHBOURS - 1)];
    for (int at = 0; at < NEIGHBOURS; at++) {
        if (place[at] == wanted)
            return true;
    }
    if (remember) {
        memmove(place + 1, place, (NEIGHBOURS - 1) * sizeof *place);
        place[0] = wanted;
    }
    return false;
}

static bool read_request(const char *bytes, size_t length, struct request *request) {
    const char *cursor = bytes;
    const char *end = bytes + length;
    struct text line, value;
    memset(request, 0, sizeof *request);
    request->expires = 3600;
    if (!next_line(&cursor, end, &line) || line.length < 12 || !memcmp(line.start, "SIP/2.0 ", 8))
        return false;
    const char *space = memchr(line.start, ' ', line.length);
    if (!space)
        return false;
    request->method = (struct text){line.start, (size_t)(space - line.start)};
    while (next_line(&cursor, end, &line)) {
        if ((value = field_value(line, "Via", 'v')).length) {
            if (request->via_count == LINES_MAX)
                return false;
            request->vias[request->via_count++] = value;
        } else if ((value = field_value(line, "From", 'f')).length) {
            request->from = value;
        } else if ((value = field_value(line, "To", 't')).length) {
            request->to = value;
        } else if ((value = field_value(line, "Call-ID", 'i')).length) {
            request->call_id = value;
        } else if ((value = field_value(line, "CSeq", 0)).length) {
            request->sequence = value;
        } else if ((value = field_value(line, "Contact", 'm')).length) {
            if (request->contact_count == LINES_MAX)
                return false;
            request->contacts[request->contact_count++] = value;
        } else if ((value = field_value(line, "Expires", 0)).length) {
            request->expires = strtoul(value.start, NULL, 10);
        } else if (field_value(line, "Authorization", 0).length) {
            request->authorized = true;
        }
    }
    return request->via_count && request->from.length && request->to.length && request->call_id.length &&
           request->sequence.length;
}

static char *put_field(char *out, const char *name, struct text value) {
    out = put_text(out, name);
    out = put(out, value.start, value.length);
    return put(out, "\r\n", 2);
}

// The topmost Via with what RFC 3581 has a server fill in: rport's value and received.
static char *put_top_via(char *out, struct text via, const struct sockaddr_storage *peer) {
    static const char name[] = ";rport";
    const char *end = via.start + via.length;
    const char *found = memmem(via.start, via.length, name, sizeof name - 1);
    const char *after = found ? found + sizeof name - 1 : NULL;
    if (!found || (after < end && *after != ';' && *after != ',' && *after != ' '))
        return put_field(out, "Via: ", via);
    char host[INET6_ADDRSTRLEN];
    bool six = peer->ss_family == AF_INET6;
    const struct sockaddr_in *four = (const struct sockaddr_in *)peer;
    const struct sockaddr_in6 *long_one = (const struct sockaddr_in6 *)peer;
    inet_ntop(peer->ss_family, six ? (const void *)&long_one->sin6_addr : (const void *)&four->sin_addr, host,
              sizeof host);
    out = put_text(out, "Via: ");
    out = put(out, via.start, (size_t)(after - via.start));
    *out++ = '=';
    out = put_decimal(out, ntohs(six ? long_one->sin6_port : four->sin_port));
    out = put_text(out, ";received=");
    out = put_text(out, host);
    out = put(out, after, (size_t)(end - after));
    return put(out, "\r\n", 2);
}

// Start line and the five headers that every response copies (RFC 3261 §8.2.6.2).
static char *put_head(char *out, const char *status, const struct request *request,
                      const struct sockaddr_storage *peer) {
    out = put_text(out, "SIP/2.0 ");
    out = put_text(out, status);
    out = put(out, "\r\n", 2);
    out = put_top_via(out, request->vias[0], peer);
    for (unsigned at = 1; at < request->via_count; at++)
        out = put_field(out, "Via: ", request->vias[at]);
    out = put_field(out, "From: ", request->from);
    out = put_text(out, "To: ");
    out = put(out, request->to.start, request->to.length);
    if (!memmem(request->to.start, request->to.length, ";tag=", 5)) {
        // The tag follows from the Call-ID, so that a copy of the request gets the same answer.
        char tag[24];
        snprintf(tag, sizeof tag, ";tag=%016llx", (unsigned long long)hash(request->call_id));
        out = put_text(out, tag);
    }
    out = put(out, "\r\n", 2);
    out = put_field(out, "Call-ID: ", request->call_id);
    return put_field(out, "CSeq: ", request->sequence);
}

// Takes the next value of a comma-separated Contact, minding quotes and angle brackets.
static bool next_contact(struct text *rest, struct text *contact) {
    while (rest->length && (*rest->start == ' ' || *rest->start == '\t' || *rest->start == ',')) {
        rest->start++;
        rest->length--;
    }
    if (!rest->length)
        return false;
    bool quoted = false, bracketed = false;
    size_t at = 0;
    for (; at < rest->length; at++) {
        char c = rest->start[at];
        if (quoted && c == '\\')
            at++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && c == '<')
            bracketed = true;
        else if (!quoted && c == '>')
            bracketed = false;
        else if (!quoted && !bracketed && c == ',')
            break;
    }
    if (at > rest->length)
        at = rest->length;
    *contact = (struct text){rest->start, at};
    while (contact->length && (contact->start[contact->length - 1] | 0x20) == 0x20)
        contact->length--;
    rest->start += at;
    rest->length -= at;
    return contact->length > 0;
}

static void write_log(void) {
    size_t done = 0;
    while (done < log_length) {
        ssize_t written = write(log_file, log_bytes + done, log_length - done);
        if (written <= 0)
            fail("log: %s", strerror(errno));
        done += (size_t)written;
    }
    log_length = 0;
}

static void note_contact(struct text to, struct text contact, unsigned long expires) {
    if (log_file < 0 || to.length + contact.length + 32 > LOG_BYTES)
        return;
    if (log_length + to.length + contact.length + 32 > LOG_BYTES)
        write_log();
    char *out = put(log_bytes + log_length, to.start, to.length);
    *out++ = '\t';
    out = put(out, contact.start, contact.length);
    *out++ = '\t';
    out = put_decimal(out, expires);
    *out++ = '\n';
    log_length = (size_t)(out - log_bytes);
}

// One Contact of the 200: as it was asked for, its `expires` last; one that asks for 0 is gone.
static char *put_contact(char *out, struct text contact, const struct request *request) {
    static const char name[] = ";expires=";
    const char *end = contact.start + contact.length;
    const char *bracket = memrchr(contact.start, '>', contact.length);
    const char *search = bracket ? bracket : contact.start;
    const char *found = NULL;
    for (const char *at = search; at + sizeof name - 1 < end && !found; at++) {
        if (!strncasecmp(at, name, sizeof name - 1))
            found = at;
    }
    unsigned long expires = found ? strtoul(found + sizeof name - 1, NULL, 10) : request->expires;
    if (expires > settings.grant_max)
        expires = settings.grant_max;
    note_contact(request->to, contact, expires);
    if (expires == 0 || (contact.length == 1 && *contact.start == '*'))
        return out;
    const char *after = found ? found + sizeof name - 1 : end;
    while (after < end && *after >= '0' && *after <= '9')
        after++;
    out = put_text(out, "Contact: ");
    out = put(out, contact.start, (size_t)((found ? found : end) - contact.start));
    out = put(out, after, (size_t)(end - after));
    out = put_text(out, name);
    out = put_decimal(out, expires);
    return put(out, "\r\n", 2);
}

// Writes the answer, 0 if there is none. `out` has room for two datagrams and a kilobyte: what is copied is
// no longer than the request, and what is added to it is bounded by the numbers of lines and of contacts.
static size_t answer(const char *bytes, size_t length, const struct sockaddr_storage *peer, char *out) {
    struct request request;
    char *next;
    if (!read_request(bytes, length, &request)) {
        counted.unanswerable++;
        return 0;
    }
    bool registers = request.method.length == 8 && !memcmp(request.method.start, "REGISTER", 8);
    if (request.method.length == 3 && !memcmp(request.method.start, "ACK", 3))
        return 0;
    if (registers && settings.challenge && !call_is_known(request.call_id, request.authorized) &&
        !request.authorized) {
        counted.challenged++;
        next = put_head(out, "401 Unauthorized", &request, peer);
        char nonce[96];
        snprintf(nonce, sizeof nonce,
                 "WWW-Authenticate: Digest realm=\"example.test\", nonce=\"%016llx\"\r\n",
                 (unsigned long long)hash(request.call_id));
        next = put_text(next, nonce);
    } else {
        next = put_head(out, "200 OK", &request, peer);
        if (registers) {
            counted.registered++;
            unsigned contacts = 0;
            for (unsigned line = 0; line < request.contact_count; line++) {
                struct text rest = request.contacts[line], contact;
                while (contacts++ < CONTACTS_MAX && next_contact(&rest, &contact))
                    next = put_contact(next, contact, &request);
            }
            if (settings.service_route)
                next = put_field(next, "Service-Route: ",
                                 (struct text){settings.service_route, strlen(settings.service_route)});
            if (settings.own_associated)
                next = put_field(next, "P-Associated-URI: ", request.to);
            else if (settings.associated)
                next = put_field(next, "P-Associated-URI: ",
                                 (struct text){settings.associated, strlen(settings.associated)});
        } else {
            counted.other++;
        }
    }
    next = put_text(next, "Content-Length: 0\r\n\r\n");
    return (size_t)(next - out);
}

static struct delayed *delayed;
static size_t delayed_first, delayed_count;

static void delay(const char *bytes, size_t length, const struct sockaddr_storage *peer,
                  socklen_t peer_length) {
    if (delayed_count == DELAYED_MAX) {
        counted.delayed_full++;
        return;
    }
    struct delayed *slot = &delayed[(delayed_first + delayed_count++) % DELAYED_MAX];
    slot->due_ns = now_ns() + settings.delay_ns;
    slot->peer = *peer;
    slot->peer_length = peer_length;
    slot->length = length;
    memcpy(slot->bytes, bytes, length);
}

static void send_due(int handle) {
    while (delayed_count && delayed[delayed_first].due_ns <= now_ns()) {
        struct delayed *slot = &delayed[delayed_first];
        if (sendto(handle, slot->bytes, slot->length, 0, (struct sockaddr *)&slot->peer, slot->peer_length) <
            0)
            counted.refused++;
        delayed_first = (delayed_first + 1) % DELAYED_MAX;
        delayed_count--;
    }
}

static void serve(int handle) {
    int poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, handle, &event))
        fail("epoll: %s", strerror(errno));
    struct batch *in = make_batch();
    struct batch *out = make_batch();
    static char reply[2 * DATAGRAM_BYTES_MAX + 1024];
    while (!stop_requested) {
        epoll_wait(poll, &event, 1, delayed_count ? 1 : 1000);
        int taken;
        do {
            taken = receive_batch(handle, in, true);
            unsigned answers = 0;
            for (int slot = 0; slot < taken; slot++) {
                counted.received++;
                size_t length = answer(in->bytes[slot], in->messages[slot].msg_len, &in->peers[slot], reply);
                if (length > DATAGRAM_BYTES_MAX) {
                    counted.unanswerable++;
                } else if (length && settings.delay_ns) {
                    delay(reply, length, &in->peers[slot], in->messages[slot].msg_hdr.msg_namelen);
                } else if (length) {
                    memcpy(out->bytes[answers], reply, length);
                    out->parts[answers].iov_len = length;
                    out->messages[answers].msg_hdr.msg_name = &in->peers[slot];
                    out->messages[answers].msg_hdr.msg_namelen = in->messages[slot].msg_hdr.msg_namelen;
                    answers++;
                }
            }
            counted.refused += send_all(handle, out->messages, answers);
            if (log_length)
                write_log();
            send_due(handle);
        } while (taken == BATCH_MAX && !stop_requested);
    }
}

static const char help[] =
    "main-stub [--listen ADDR:PORT] [--challenge] [--delay-ms N] [--grant SECONDS] [--log FILE]\n"
    "          [--service-route VALUE] [--associated VALUE | --own-associated]\n"
    "A main registrar that agrees to every REGISTER and keeps nothing. Counts go to standard output on "
    "SIGTERM.\n"
    "  --challenge      401 until a Call-ID has shown an Authorization, whatever stands in it\n"
    "  --delay-ms N     answers after N milliseconds\n"
    "  --grant N        grants at most N seconds\n"
    "  --log FILE       appends a line for each Contact: To, Contact, seconds, with tabs between\n"
    "  --service-route, --associated   values for Service-Route and P-Associated-URI in each 200\n"
    "  --own-associated                the URI of To as P-Associated-URI\n";

int main(int count, char **arguments) {
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"challenge", no_argument, NULL, 'c'},
        {"delay-ms", required_argument, NULL, 'd'},
        {"grant", required_argument, NULL, 'g'},
        {"log", required_argument, NULL, 'o'},
        {"service-route", required_argument, NULL, 's'},
        {"associated", required_argument, NULL, 'a'},
        {"own-associated", no_argument, NULL, 'A'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *listen = "127.0.0.1:32001";
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) >= 0;) {
        switch (option) {
        case 'l': listen = optarg; break;
        case 'c': settings.challenge = true; break;
        case 'd': settings.delay_ns = parse_number("delay-ms", optarg, 60000) * 1000000; break;
        case 'g': settings.grant_max = parse_number("grant", optarg, 1u << 31); break;
        case 's': settings.service_route = optarg; break;
        case 'a': settings.associated = optarg; break;
        case 'A': settings.own_associated = true; break;
        case 'o':
            log_file = open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
            if (log_file < 0)
                fail("%s: %s", optarg, strerror(errno));
            break;
        default: fputs(help, stdout); return option == 'h' ? 0 : 2;
        }
    }
    if ((settings.service_route && strlen(settings.service_route) > 256) ||
        (settings.associated && strlen(settings.associated) > 256))
        fail("--service-route and --associated take at most 256 bytes");
    calls = calloc((size_t)1 << CALLS_BITS, sizeof *calls);
    delayed = settings.delay_ns ? calloc(DELAYED_MAX, sizeof *delayed) : NULL;
    if (!calls || (settings.delay_ns && !delayed))
        fail("no memory");
    stop_on_signals();
    struct address address = parse_address(listen);
    int handle = bound_socket(&address);
    fprintf(stderr, "main-stub: ready on %s\n", listen);
    serve(handle);
    printf("{\"received\":%llu,\"registered\":%llu,\"challenged\":%llu,\"other\":%llu,\"unanswerable\":%llu,"
           "\"delayed_full\":%llu,\"refused\":%llu}\n",
           counted.received, counted.registered, counted.challenged, counted.other, counted.unanswerable,
           counted.delayed_full, counted.refused);
    return 0;
}
