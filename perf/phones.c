// phones: a load generator that plays many phones which register.
//
// N AORs are spread over S sockets; an AOR keeps its socket, Contact, From tag and Call-ID for ever, also
// from one run to the next, because all of them follow from its number. So a second run is the same phones on
// the same flows. What must rise between runs is CSeq: `--cseq-file` keeps it.
//
// `register` sends one REGISTER for each AOR in turn, `refresh` one for random AORs. With `--rate` the load
// is open (REGISTERs are due by the clock, and latency counts from when one was due), else closed: `--window`
// of them are under way at any time. A 401 or 407 is answered with digest credentials. A REGISTER without an
// answer is sent again after T1, 2·T1, … (RFC 3261 §17.1.2.2) and given up after `--tries`.
#include "md5.h"
#include "sip.h"
#include "udp.h"

#include <fcntl.h>
#include <getopt.h>
#include <stddef.h>
#include <sys/mman.h>

enum {
    SOCKETS_MAX = 1024,
    WINDOW_MAX = 1 << 16,
    AORS_MAX = 100000000,
    CHALLENGES_MAX = 2,
    REQUEST_BYTES_MAX = 1400,
    QUEUE_MAX = 4096,
    CODE_MAX = 700,
    // Latency cells: 64 for each power of two, so a cell is at most 1.6 % wide.
    CELL_BITS = 6,
    CELLS = (65 - CELL_BITS) << CELL_BITS,
};

static const uint64_t DRAIN_NS_MAX = 1000000000;

static struct {
    struct address server, local;
    const char *domain, *acked, *cseq_file, *password_prefix, *pad;
    uint32_t aors, first, sockets, window, expires, tries, seed;
    uint64_t count, rate, max_ns, t1_ns, request_bytes;
    bool registers, check_contact, mobile;
} settings = {
    .domain = "example.test",
    .password_prefix = "pw-",
    .aors = 1000,
    .sockets = 64,
    .expires = 600,
    .tries = 7,
    .seed = 1,
    .request_bytes = 550,
    .max_ns = 60ull * 1000000000,
    .t1_ns = 500ull * 1000000,
    .check_contact = true,
};

// One REGISTER under way.
struct slot {
    uint64_t start_ns, resend_ns, wait_ns;
    uint32_t aor, cseq, generation;
    uint8_t tries, challenges;
    bool busy, proxy;
    char realm[64], nonce[128], opaque[128];
    bool qop, has_opaque;
};

static struct slot *slots;
static uint32_t *free_slots;
static uint32_t free_count;
static uint8_t *under_way; // a bit for each AOR: no phone has two REGISTERs in flight
static uint32_t *cseqs;
static int *handles;
static char (*local_names)[64]; // ADDR:PORT of each socket
static uint32_t run_id;
static char user_agent_pad[512];

// Requests that wait for the end of the round, so that those of one socket leave in one system call.
static char (*queue_bytes)[REQUEST_BYTES_MAX];
static uint16_t queue_socket[QUEUE_MAX];
static uint16_t queue_length[QUEUE_MAX];
static uint32_t queue_count;

static struct {
    uint64_t begun, sent, resent, challenged, answered, given_up, wrong, stray, refused, late, unsent;
    uint64_t reply_bytes, reply_min, reply_max, request_bytes;
    uint64_t codes[CODE_MAX];
    uint64_t cells[CELLS];
    uint64_t longest_ns;
} counted = {.reply_min = UINT64_MAX};

static int acked_file = -1;
static char acked_bytes[BATCH_MAX * 128];
static size_t acked_length;

static uint64_t random_state;

static uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static uint64_t random_number(void) { return mix(random_state += 0x9e3779b97f4a7c15u); }

static char *put_hex(char *out, uint64_t value, int digits) {
    for (int at = digits - 1; at >= 0; at--, value >>= 4)
        out[at] = "0123456789abcdef"[value & 15];
    return out + digits;
}

// `u` and ten digits, so that every AOR has the same length (28 bytes with the default domain).
static char *put_user(char *out, uint32_t aor) {
    *out++ = 'u';
    for (int at = 9; at >= 0; at--, aor /= 10)
        out[at] = (char)('0' + aor % 10);
    return out + 10;
}

static char *put_aor(char *out, uint32_t aor) {
    out = put(out, "sip:", 4);
    out = put_user(out, aor);
    *out++ = '@';
    return put_text(out, settings.domain);
}

static char *put_contact(char *out, uint32_t aor) {
    out = put(out, "sip:", 4);
    out = put_user(out, aor);
    *out++ = '@';
    out = put_text(out, local_names[aor % settings.sockets]);
    out = put(out, ";line=", 6);
    return put_hex(out, mix(mix(settings.seed) ^ aor ^ 0x11e0000000000u), 8);
}

static char *put_credentials(char *out, const struct slot *slot) {
    char user[16], text[512], a1[33], a2[33], response[33];
    *put_user(user, slot->aor) = 0;
    int length = snprintf(text, sizeof text, "%s:%s:%s%s", user, slot->realm, settings.password_prefix, user);
    md5_hex(text, (size_t)length, a1);
    length = snprintf(text, sizeof text, "REGISTER:sip:%s", settings.domain);
    md5_hex(text, (size_t)length, a2);
    const char *middle = slot->qop ? ":00000001:0a4f113b:auth" : "";
    length = snprintf(text, sizeof text, "%s:%s%s:%s", a1, slot->nonce, middle, a2);
    md5_hex(text, (size_t)length, response);
    char *end = out + 1024;
    out +=
        snprintf(out, (size_t)(end - out),
                 "%s: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"sip:%s\", response=\"%s\", "
                 "algorithm=MD5",
                 slot->proxy ? "Proxy-Authorization" : "Authorization", user, slot->realm, slot->nonce,
                 settings.domain, response);
    if (slot->qop)
        out = put_text(out, ", qop=auth, nc=00000001, cnonce=\"0a4f113b\"");
    if (slot->has_opaque) {
        out = put_text(out, ", opaque=\"");
        out = put_text(out, slot->opaque);
        *out++ = '"';
    }
    return put(out, "\r\n", 2);
}

// What a mobile phone adds to its Contact: 150 bytes of push parameters (RFC 8599) inside, an instance after.
static char *put_mobile_contact(char *out, uint32_t aor, unsigned number) {
    uint64_t identity = mix(mix(settings.seed) ^ aor ^ (0x3b00000000000u + number));
    out = put_contact(out, aor);
    *out++ = (char)('a' + number);
    out = put_text(out, ";pn-provider=fcm;pn-param=midreg-perf;pn-prid=");
    for (unsigned at = 0; at < 6; at++)
        out = put_hex(out, mix(identity + at), 16);
    out = put_text(out, "abcdefgh>;+sip.instance=\"<urn:uuid:");
    out = put_hex(out, identity, 8);
    out = put_text(out, "-0000-4000-8000-");
    out = put_hex(out, identity >> 16, 12);
    return put_text(out, ">\"");
}

// The same slot state gives the same bytes, so a retransmission is identical to what it repeats.
static size_t write_request(const struct slot *slot, char *out) {
    char *next = out;
    uint32_t aor = slot->aor;
    uint64_t identity = mix(settings.seed) ^ aor;
    next = put_text(next, "REGISTER sip:");
    next = put_text(next, settings.domain);
    next = put_text(next, " SIP/2.0\r\nVia: SIP/2.0/UDP ");
    next = put_text(next, local_names[aor % settings.sockets]);
    next = put_text(next, ";branch=z9hG4bK");
    next = put_hex(next, (uint64_t)(slot - slots), 5);
    next = put_hex(next, slot->generation, 8);
    next = put_hex(next, run_id, 8);
    next = put_text(next, ";rport\r\nMax-Forwards: 70\r\nFrom: <");
    next = put_aor(next, aor);
    next = put_text(next, ">;tag=");
    next = put_hex(next, mix(identity ^ 0x7a60000000000u), 8);
    next = put_text(next, "\r\nTo: <");
    next = put_aor(next, aor);
    next = put_text(next, ">\r\nCall-ID: ");
    next = put_hex(next, mix(identity), 16);
    next = put_hex(next, mix(~identity), 16);
    next = put_text(next, "\r\nCSeq: ");
    next = put_decimal(next, slot->cseq);
    next = put_text(next, " REGISTER\r\nContact: <");
    if (settings.mobile) {
        next = put_mobile_contact(next, aor, 0);
        next = put_text(next, ", <");
        next = put_mobile_contact(next, aor, 1);
    } else {
        next = put_contact(next, aor);
        *next++ = '>';
    }
    next = put_text(next, "\r\nExpires: ");
    next = put_decimal(next, settings.expires);
    next = put_text(next, "\r\nUser-Agent: Model phone");
    next = put_text(next, user_agent_pad);
    next = put_text(next, "\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, INFO\r\n");
    if (slot->challenges)
        next = put_credentials(next, slot);
    next = put_text(next, "Content-Length: 0\r\n\r\n");
    return (size_t)(next - out);
}

// Sends what is queued, socket by socket.
static void flush_queue(void) {
    static struct mmsghdr messages[QUEUE_MAX];
    static struct iovec parts[QUEUE_MAX];
    static uint32_t starts[SOCKETS_MAX + 1], cursor[SOCKETS_MAX];
    if (!queue_count)
        return;
    memset(starts, 0, (settings.sockets + 1) * sizeof *starts);
    for (uint32_t at = 0; at < queue_count; at++)
        starts[queue_socket[at] + 1]++;
    for (uint32_t at = 0; at < settings.sockets; at++) {
        starts[at + 1] += starts[at];
        cursor[at] = starts[at];
    }
    for (uint32_t at = 0; at < queue_count; at++) {
        uint32_t place = cursor[queue_socket[at]]++;
        parts[place] = (struct iovec){queue_bytes[at], queue_length[at]};
        messages[place].msg_hdr.msg_iov = &parts[place];
        messages[place].msg_hdr.msg_iovlen = 1;
    }
    for (uint32_t at = 0; at < settings.sockets; at++) {
        if (starts[at + 1] > starts[at])
            counted.refused += send_all(handles[at], &messages[starts[at]], starts[at + 1] - starts[at]);
    }
    queue_count = 0;
}

static void enqueue(const struct slot *slot) {
    if (queue_count == QUEUE_MAX)
        flush_queue();
    size_t length = write_request(slot, queue_bytes[queue_count]);
    queue_socket[queue_count] = (uint16_t)(slot->aor % settings.sockets);
    queue_length[queue_count++] = (uint16_t)length;
    counted.sent++;
    counted.request_bytes += length;
}

static void send_fresh(struct slot *slot, uint64_t now) {
    slot->generation++;
    slot->cseq = ++cseqs[slot->aor];
    slot->tries = 1;
    slot->wait_ns = settings.t1_ns;
    slot->resend_ns = now + slot->wait_ns;
    enqueue(slot);
}

static bool test_under_way(uint32_t aor) { return under_way[aor >> 3] >> (aor & 7) & 1; }

static void flip_under_way(uint32_t aor) { under_way[aor >> 3] ^= (uint8_t)(1 << (aor & 7)); }

static uint32_t next_in_turn;

static void begin(uint64_t now, uint64_t due) {
    uint32_t aor;
    if (settings.registers) {
        aor = settings.first + next_in_turn++;
    } else {
        do
            aor = settings.first + (uint32_t)(random_number() % settings.aors);
        while (test_under_way(aor));
    }
    flip_under_way(aor);
    struct slot *slot = &slots[free_slots[--free_count]];
    slot->busy = true;
    slot->aor = aor;
    slot->challenges = 0;
    slot->start_ns = due;
    counted.begun++;
    send_fresh(slot, now);
}

static void end(struct slot *slot) {
    slot->busy = false;
    flip_under_way(slot->aor);
    free_slots[free_count++] = (uint32_t)(slot - slots);
}

static unsigned cell_of(uint64_t ns) {
    if (ns < 1u << CELL_BITS)
        return (unsigned)ns;
    unsigned power = 63 - (unsigned)__builtin_clzll(ns) - CELL_BITS;
    return ((power + 1) << CELL_BITS) + (unsigned)(ns >> power) - (1u << CELL_BITS);
}

static double percentile_us(double share) {
    uint64_t wanted = (uint64_t)((double)counted.answered * share);
    uint64_t seen = 0;
    for (unsigned cell = 0; cell < CELLS; cell++) {
        seen += counted.cells[cell];
        if (counted.cells[cell] && seen > wanted) {
            unsigned power = cell >> CELL_BITS;
            uint64_t low = cell & ((1u << CELL_BITS) - 1);
            if (!power)
                return (double)low / 1e3;
            // The upper edge of the cell: a percentile is never told better than it was.
            double upper = (double)((low + (1u << CELL_BITS) + 1) << (power - 1));
            return (upper < (double)counted.longest_ns ? upper : (double)counted.longest_ns) / 1e3;
        }
    }
    return (double)counted.longest_ns / 1e3;
}

static void write_acked(void) {
    size_t done = 0;
    while (done < acked_length) {
        ssize_t written = write(acked_file, acked_bytes + done, acked_length - done);
        if (written <= 0)
            fail("%s: %s", settings.acked, strerror(errno));
        done += (size_t)written;
    }
    acked_length = 0;
}

// The value of `name="…"` or `name=…` in a challenge, copied with a zero byte; false if absent or too long.
static bool parameter(struct text challenge, const char *name, char *out, size_t room) {
    size_t length = strlen(name);
    const char *end = challenge.start + challenge.length;
    for (const char *at = challenge.start; at + length + 1 < end; at++) {
        bool begins = at == challenge.start || at[-1] == ' ' || at[-1] == ',' || at[-1] == '\t';
        if (!begins || strncasecmp(at, name, length) || at[length] != '=')
            continue;
        const char *value = at + length + 1;
        bool quoted = *value == '"';
        value += quoted;
        const char *stop = value;
        while (stop < end && (quoted ? *stop != '"' : *stop != ',' && *stop != ' '))
            stop++;
        if ((size_t)(stop - value) >= room)
            return false;
        memcpy(out, value, (size_t)(stop - value));
        out[stop - value] = 0;
        return true;
    }
    return false;
}

// Takes the challenge into the slot; false if there is none that can be answered.
static bool read_challenge(struct slot *slot, unsigned code, const char *bytes, size_t length) {
    const char *cursor = bytes;
    struct text line;
    if (++slot->challenges > CHALLENGES_MAX)
        return false;
    while (next_line(&cursor, bytes + length, &line)) {
        struct text value = field_value(line, code == 407 ? "Proxy-Authenticate" : "WWW-Authenticate", 0);
        if (!value.length)
            continue;
        char qop[64];
        slot->proxy = code == 407;
        slot->qop = parameter(value, "qop", qop, sizeof qop);
        slot->has_opaque = parameter(value, "opaque", slot->opaque, sizeof slot->opaque);
        return parameter(value, "realm", slot->realm, sizeof slot->realm) &&
               parameter(value, "nonce", slot->nonce, sizeof slot->nonce);
    }
    return false;
}

static bool read_hex(const char *text, int digits, uint64_t *value) {
    *value = 0;
    for (int at = 0; at < digits; at++) {
        char c = text[at];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit > 15)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

// The slot that a response answers, by the branch in its Via; NULL for a copy or a stranger.
static struct slot *slot_of(const char *bytes, size_t length) {
    static const char mark[] = ";branch=z9hG4bK";
    const char *found = memmem(bytes, length, mark, sizeof mark - 1);
    uint64_t index, generation, run;
    if (!found || (size_t)(bytes + length - found) < sizeof mark - 1 + 21)
        return NULL;
    found += sizeof mark - 1;
    if (!read_hex(found, 5, &index) || !read_hex(found + 5, 8, &generation) || !read_hex(found + 13, 8, &run))
        return NULL;
    if (run != run_id || index >= settings.window)
        return NULL;
    struct slot *slot = &slots[index];
    return slot->busy && slot->generation == generation ? slot : NULL;
}

// Whether a 200 is one for this REGISTER: its CSeq, and the Contact among those it lists.
static bool is_right(const struct slot *slot, const char *bytes, size_t length) {
    char text[192];
    char *next = put_text(text, "\r\nCSeq: ");
    next = put_decimal(next, slot->cseq);
    next = put_text(next, " REGISTER\r\n");
    if (!memmem(bytes, length, text, (size_t)(next - text)))
        return false;
    if (!settings.check_contact || !settings.expires)
        return true;
    next = put_contact(text, slot->aor);
    return memmem(bytes, length, text, (size_t)(next - text)) != NULL;
}

static void take_response(const char *bytes, size_t length, uint64_t now) {
    struct slot *slot = length > 16 && !memcmp(bytes, "SIP/2.0 ", 8) ? slot_of(bytes, length) : NULL;
    if (!slot) {
        counted.stray++;
        return;
    }
    unsigned code = (unsigned)strtoul(bytes + 8, NULL, 10);
    if (code < 100 || code >= CODE_MAX) {
        counted.wrong++;
        end(slot);
        return;
    }
    counted.codes[code]++;
    if (code < 200)
        return;
    if ((code == 401 || code == 407) && read_challenge(slot, code, bytes, length)) {
        counted.challenged++;
        send_fresh(slot, now);
        return;
    }
    if (code == 200 && is_right(slot, bytes, length)) {
        uint64_t taken = now > slot->start_ns ? now - slot->start_ns : 0;
        counted.answered++;
        counted.cells[cell_of(taken)]++;
        if (taken > counted.longest_ns)
            counted.longest_ns = taken;
        counted.reply_bytes += length;
        if (length < counted.reply_min)
            counted.reply_min = length;
        if (length > counted.reply_max)
            counted.reply_max = length;
        if (acked_file >= 0) {
            char *next = put_aor(acked_bytes + acked_length, slot->aor);
            *next++ = '\n';
            acked_length = (size_t)(next - acked_bytes);
        }
    } else if (code == 200) {
        counted.wrong++;
    }
    end(slot);
}

static void receive(int handle, struct batch *batch) {
    int taken;
    do {
        taken = receive_batch(handle, batch, false);
        uint64_t now = now_ns();
        for (int at = 0; at < taken; at++)
            take_response(batch->bytes[at], batch->messages[at].msg_len, now);
        if (acked_length)
            write_acked();
    } while (taken == BATCH_MAX);
}

static void resend_due(uint64_t now) {
    for (uint32_t at = 0; at < settings.window; at++) {
        struct slot *slot = &slots[at];
        if (!slot->busy || slot->resend_ns > now)
            continue;
        if (slot->tries >= settings.tries) {
            counted.given_up++;
            end(slot);
            continue;
        }
        slot->tries++;
        slot->wait_ns = slot->wait_ns * 2 < 8 * settings.t1_ns ? slot->wait_ns * 2 : 8 * settings.t1_ns;
        slot->resend_ns = now + slot->wait_ns;
        counted.resent++;
        enqueue(slot);
    }
}

// Runs until the count is answered or given up, the time is over, or a signal comes. What is still under way
// a second after the time is over is counted as `unfinished`.
static uint64_t run(int poll) {
    static struct epoll_event events[SOCKETS_MAX];
    struct batch *batch = make_batch();
    uint64_t started = now_ns();
    uint64_t look_again = started + 20000000;
    for (;;) {
        uint64_t now = now_ns();
        bool over = now - started >= settings.max_ns;
        bool all_begun = over || counted.begun + counted.unsent >= settings.count;
        bool overdue = now - started >= settings.max_ns + DRAIN_NS_MAX;
        if (stop_requested || overdue || (all_begun && free_count == settings.window))
            return now - started;
        uint64_t next_due = now + 10000000;
        if (settings.rate) {
            while (!all_begun && counted.begun + counted.unsent < settings.count) {
                uint64_t due = started + (uint64_t)((double)(counted.begun + counted.unsent) * 1e9 /
                                                    (double)settings.rate);
                if (due > now) {
                    next_due = due < next_due ? due : next_due;
                    break;
                }
                if (free_count)
                    begin(now, due);
                else
                    counted.unsent++; // the server is so far behind that the generator has no room left
            }
        } else {
            while (!all_begun && free_count && counted.begun < settings.count)
                begin(now, now);
        }
        if (now >= look_again) {
            resend_due(now);
            look_again = now + 20000000;
        }
        flush_queue();
        now = now_ns();
        uint64_t wait = next_due > now ? next_due - now : 0;
        struct timespec timeout = {0, (long)wait};
        int ready = epoll_pwait2(poll, events, (int)settings.sockets, &timeout, NULL);
        for (int at = 0; at < ready; at++)
            receive(handles[events[at].data.u32], batch);
    }
}

static int open_sockets(void) {
    uint16_t port = ntohs(((struct sockaddr_in *)&settings.local.storage)->sin_port); // same place in IPv6
    if (port + settings.sockets > 65536)
        fail("--local leaves no room for %u ports", settings.sockets);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0)
        fail("epoll: %s", strerror(errno));
    for (uint32_t at = 0; at < settings.sockets; at++) {
        struct address address = settings.local;
        set_port(&address, (uint16_t)(port + at));
        handles[at] = bound_socket(&address);
        // Connected, as a phone's socket may be: the kernel looks up the route once.
        if (connect(handles[at], (struct sockaddr *)&settings.server.storage, settings.server.length))
            fail("connect: %s", strerror(errno));
        char host[NI_MAXHOST];
        getnameinfo((struct sockaddr *)&address.storage, address.length, host, sizeof host, NULL, 0,
                    NI_NUMERICHOST);
        bool six = address.storage.ss_family == AF_INET6;
        snprintf(local_names[at], sizeof local_names[at], six ? "[%.40s]:%u" : "%.40s:%u", host, port + at);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = at};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, handles[at], &event))
            fail("epoll: %s", strerror(errno));
    }
    return poll;
}

static void *zeroed(size_t count, size_t size) {
    void *place = calloc(count, size);
    if (!place)
        fail("no memory");
    return place;
}

// CSeqs of all AORs up to the last one of this run, from the file or from the clock.
static uint32_t *open_cseqs(size_t count) {
    if (!settings.cseq_file) {
        // Without a file a later run must still be higher: ten numbers a second, below 2³¹ for years.
        uint32_t base = (uint32_t)((uint64_t)(time(NULL) - 1700000000) * 10 % 2000000000);
        uint32_t *numbers = zeroed(count, sizeof *numbers);
        for (size_t at = 0; at < count; at++)
            numbers[at] = base;
        return numbers;
    }
    int file = open(settings.cseq_file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0)
        fail("%s: %s", settings.cseq_file, strerror(errno));
    off_t present = lseek(file, 0, SEEK_END);
    if (present < (off_t)(count * 4) && ftruncate(file, (off_t)(count * 4)))
        fail("%s: %s", settings.cseq_file, strerror(errno));
    void *place = mmap(NULL, count * 4, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (place == MAP_FAILED)
        fail("%s: %s", settings.cseq_file, strerror(errno));
    close(file);
    return place;
}

// Final answers that were neither a 200 nor a challenge that was taken up.
static uint64_t failures(void) {
    uint64_t total = 0;
    for (unsigned code = 201; code < CODE_MAX; code++)
        total += counted.codes[code];
    return total - counted.challenged;
}

static void print_result(uint64_t elapsed_ns) {
    double seconds = (double)elapsed_ns / 1e9;
    printf("{\"mode\":\"%s\",\"aors\":%u,\"sockets\":%u,", settings.registers ? "register" : "refresh",
           settings.aors, settings.sockets);
    if (settings.rate)
        printf("\"rate_asked\":%llu,", (unsigned long long)settings.rate);
    else
        printf("\"window\":%u,", settings.window);
    printf("\"seconds\":%.6f,\"begun\":%llu,\"sent\":%llu,\"resent\":%llu,\"challenged\":%llu,\"answered\":%"
           "llu,",
           seconds, (unsigned long long)counted.begun, (unsigned long long)counted.sent,
           (unsigned long long)counted.resent, (unsigned long long)counted.challenged,
           (unsigned long long)counted.answered);
    printf("\"rate\":%.1f,\"codes\":{", (double)counted.answered / (seconds > 0 ? seconds : 1));
    const char *comma = "";
    for (unsigned code = 100; code < CODE_MAX; code++) {
        if (counted.codes[code]) {
            printf("%s\"%u\":%llu", comma, code, (unsigned long long)counted.codes[code]);
            comma = ",";
        }
    }
    uint64_t unfinished = settings.window - free_count;
    printf("},\"failed\":%llu,\"wrong\":%llu,\"given_up\":%llu,\"unfinished\":%llu,\"unsent\":%llu,\"stray\":"
           "%llu,"
           "\"refused\":%llu,",
           (unsigned long long)failures(), (unsigned long long)counted.wrong,
           (unsigned long long)counted.given_up, (unsigned long long)unfinished,
           (unsigned long long)counted.unsent, (unsigned long long)counted.stray,
           (unsigned long long)counted.refused);
    double answered = counted.answered ? (double)counted.answered : 1;
    printf("\"request_bytes\":%.1f,\"reply_bytes\":%.1f,\"reply_bytes_min\":%llu,\"reply_bytes_max\":%llu,",
           counted.sent ? (double)counted.request_bytes / (double)counted.sent : 0,
           (double)counted.reply_bytes / answered,
           (unsigned long long)(counted.answered ? counted.reply_min : 0),
           (unsigned long long)counted.reply_max);
    printf("\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"generator_cpu_ns\":%.0f}\n",
           percentile_us(0.5), percentile_us(0.99), percentile_us(0.999), (double)counted.longest_ns / 1e3,
           (double)process_cpu_ns() / answered);
}

static const char help[] =
    "phones register|refresh --server ADDR:PORT [options]\n"
    "Prints one line of JSON; exit status 0 if every REGISTER got its 200, else 1 (2: usage).\n"
    "  --local ADDR:PORT     first of the phones' ports (127.0.0.1:32100)\n"
    "  --sockets N           ports the phones are spread over (64)\n"
    "  --first N --aors N    the phones: uN@DOMAIN and those after it (0, 1000)\n"
    "  --domain NAME         (example.test)   --password-prefix TEXT   password of uN is TEXTuN (pw-)\n"
    "  --count N             REGISTERs (register: one for each AOR; refresh: until the time is over)\n"
    "  --seconds N           stops at the latest then (60)\n"
    "  --window N            closed load: REGISTERs under way at once (256)\n"
    "  --rate N              open load: REGISTERs a second (--window still bounds those under way)\n"
    "  --expires N           (600; 0 removes)   --request-bytes N   size without credentials (550)\n"
    "  --t1-ms N --tries N   first retransmission after (500), sendings at most (7)\n"
    "  --cseq-file FILE      keeps each AOR's CSeq for the next run (else CSeq follows the clock)\n"
    "  --acked FILE          appends an AOR as its 200 arrives, before anything else is sent\n"
    "  --no-contact-check    takes a 200 that does not list the phone's Contact\n"
    "  --mobile              two Contacts in each REGISTER, with an instance and 150 bytes of push parameters each\n"
    "  --seed N              other Call-IDs, tags and order (1)\n";

static void read_options(int count, char **arguments) {
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},
        {"local", required_argument, NULL, 'l'},
        {"sockets", required_argument, NULL, 'S'},
        {"first", required_argument, NULL, 'f'},
        {"aors", required_argument, NULL, 'a'},
        {"domain", required_argument, NULL, 'd'},
        {"count", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {"window", required_argument, NULL, 'w'},
        {"rate", required_argument, NULL, 'r'},
        {"expires", required_argument, NULL, 'e'},
        {"request-bytes", required_argument, NULL, 'b'},
        {"t1-ms", required_argument, NULL, '1'},
        {"tries", required_argument, NULL, 'T'},
        {"cseq-file", required_argument, NULL, 'c'},
        {"acked", required_argument, NULL, 'k'},
        {"seed", required_argument, NULL, 'x'},
        {"password-prefix", required_argument, NULL, 'p'},
        {"no-contact-check", no_argument, NULL, 'N'},
        {"mobile", no_argument, NULL, 'M'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    const char *server = NULL, *local = "127.0.0.1:32100";
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) >= 0;) {
        switch (option) {
        case 's': server = optarg; break;
        case 'l': local = optarg; break;
        case 'S': settings.sockets = (uint32_t)parse_number("sockets", optarg, SOCKETS_MAX); break;
        case 'f': settings.first = (uint32_t)parse_number("first", optarg, AORS_MAX); break;
        case 'a': settings.aors = (uint32_t)parse_number("aors", optarg, AORS_MAX); break;
        case 'd': settings.domain = optarg; break;
        case 'n': settings.count = parse_number("count", optarg, UINT32_MAX); break;
        case 't': settings.max_ns = parse_number("seconds", optarg, 86400) * 1000000000; break;
        case 'w': settings.window = (uint32_t)parse_number("window", optarg, WINDOW_MAX); break;
        case 'r': settings.rate = parse_number("rate", optarg, 10000000); break;
        case 'e': settings.expires = (uint32_t)parse_number("expires", optarg, UINT32_MAX); break;
        case 'b': settings.request_bytes = parse_number("request-bytes", optarg, 800); break;
        case '1': settings.t1_ns = parse_number("t1-ms", optarg, 60000) * 1000000; break;
        case 'T': settings.tries = (uint32_t)parse_number("tries", optarg, 200); break;
        case 'c': settings.cseq_file = optarg; break;
        case 'k': settings.acked = optarg; break;
        case 'x': settings.seed = (uint32_t)parse_number("seed", optarg, UINT32_MAX); break;
        case 'p': settings.password_prefix = optarg; break;
        case 'N': settings.check_contact = false; break;
        case 'M': settings.mobile = true; break;
        default: fputs(help, stdout); exit(option == 'h' ? 0 : 2);
        }
    }
    bool refreshes = optind < count && !strcmp(arguments[optind], "refresh");
    settings.registers = optind < count && !strcmp(arguments[optind], "register");
    if (optind + 1 != count || (!refreshes && !settings.registers) || !server) {
        fputs(help, stderr);
        exit(2);
    }
    settings.server = parse_address(server);
    settings.local = parse_address(local);
    if (!settings.aors || !settings.sockets || !settings.tries || !settings.t1_ns)
        fail("--aors, --sockets, --tries and --t1-ms must be at least 1");
    if (strlen(settings.domain) > 64 || strlen(settings.password_prefix) > 64)
        fail("--domain and --password-prefix take at most 64 bytes");
    if (settings.registers)
        settings.count = settings.count && settings.count < settings.aors ? settings.count : settings.aors;
    else if (!settings.count)
        settings.count = UINT64_MAX;
    if (!settings.window)
        settings.window = settings.rate ? 1 << 14 : 256;
    // A random AOR that is not under way must always be found.
    if (!settings.registers && settings.window > (settings.aors + 1) / 2)
        settings.window = (settings.aors + 1) / 2;
}

int main(int count, char **arguments) {
    read_options(count, arguments);
    size_t last = (size_t)settings.first + settings.aors;
    handles = zeroed(settings.sockets, sizeof *handles);
    local_names = zeroed(settings.sockets, sizeof *local_names);
    slots = zeroed(settings.window, sizeof *slots);
    free_slots = zeroed(settings.window, sizeof *free_slots);
    under_way = zeroed(last / 8 + 1, 1);
    queue_bytes = zeroed(QUEUE_MAX, sizeof *queue_bytes);
    cseqs = open_cseqs(last);
    while (free_count < settings.window) {
        free_slots[free_count] = settings.window - 1 - free_count;
        free_count++;
    }
    run_id = (uint32_t)mix(now_ns() ^ (uint64_t)getpid() << 40);
    random_state = mix(settings.seed) ^ run_id;
    if (settings.acked) {
        acked_file = open(settings.acked, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (acked_file < 0)
            fail("%s: %s", settings.acked, strerror(errno));
    }
    stop_on_signals();
    int poll = open_sockets();
    // The User-Agent is as long as the size asked for needs it.
    slots[0].aor = settings.first;
    slots[0].cseq = cseqs[settings.first] + 1;
    size_t bare = write_request(&slots[0], queue_bytes[0]);
    for (size_t at = 0; bare + at < settings.request_bytes && at + 1 < sizeof user_agent_pad; at++)
        user_agent_pad[at] = "/1.2.3 (a name of the length that such names have in the field)"[at % 63];
    uint64_t elapsed = run(poll);
    print_result(elapsed);
    bool complete = settings.count == UINT64_MAX || counted.answered == settings.count;
    bool clean = !counted.wrong && !counted.given_up && !counted.unsent && free_count == settings.window &&
                 counted.answered > 0 && !failures();
    return complete && clean ? 0 : 1;
}
