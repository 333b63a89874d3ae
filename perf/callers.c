// callers: a load generator that plays callers behind the main registrar, and the phones that they call.
//
// `register` binds the phones: N AORs with C contacts each, spread over a few sockets. `call` then sends INVITEs
// at a steady rate from the callers' sockets, and answers on the phones' what comes of them. Both ends of a call
// are known here, so at the end it is known for each branch whether its INVITE, CANCEL, ACK and BYE came, whether a
// CANCEL still had its Reasons, and what came twice. What is not answered is sent again after T1, 2·T1, …
// (RFC 3261 §17), so nothing that the kernel loses is taken for a fault of the server.
//
// A phone is named by its contact's user: AOR number, a dash, number of the contact.
#include "sip.h"
#include "udp.h"

#include <getopt.h>
#include <poll.h>
#include <sys/random.h>

enum {
    SOCKETS_MAX = 256,
    LEGS_MAX = 16,
    CALLS_MAX = 4000000,
    LINES_MAX = 8,
    URI_BYTES_MAX = 256,
    QUEUE_MAX = 1024,
    TICKS_MAX = 64, // of T1: Timers B, F and H
    WINDOW = 256,
};

static const uint64_t T1_NS = 500000000, LINGER_NS = 1100000000;

// What a call comes to.
enum outcome { ANSWERED, CANCELLED, REFUSED };

static struct {
    struct address server, callers, phones;
    const char *domain, *targets;
    uint32_t aors, contacts, caller_sockets, phone_sockets, expires;
    uint64_t count, rate, ring_ns, talk_ns, drain_ns;
    enum outcome outcome;
    bool registers, early, holds, mixes, spins;
} settings = {
    .domain = "example.test",
    .aors = 1000,
    .contacts = 1,
    .caller_sockets = 4,
    .phone_sockets = 16,
    .expires = 3600,
    .rate = 1000,
    .ring_ns = 50000000,
    .talk_ns = 50000000,
    .drain_ns = 35ull * 1000000000,
};

// A phone's end of a branch.
struct leg {
    enum { UNCALLED, RINGING, ACCEPTED, CONFIRMED, DECLINED, OVER } state;
    bool cancelled;
    uint16_t head_length, routes_length;
    uint64_t branch; // the INVITE's, as a hash
    char *head;      // what each response repeats; behind it what those that make a dialog repeat as well
};

// A caller's end.
struct call {
    enum { CALLING, PROCEEDING, TALKING, LEAVING, ENDED } state;
    enum outcome outcome;
    bool rang, cancel_sent, cancel_answered, complete;
    uint16_t ack_length, bye_length;
    uint64_t started_ns;
    char *ack, *bye;
};

static struct call *calls;
static struct leg *legs; // settings.contacts of each call
static char (*targets)[URI_BYTES_MAX];
static uint32_t *ringing_us; // of each call that rang, in the order in which they did
static uint32_t target_count;
static int handles[SOCKETS_MAX];
static char local_names[SOCKETS_MAX][64]; // ADDR:PORT; callers first
static uint32_t run_id;

static struct {
    uint64_t begun, rang, complete, sent, received, refused, resent, strange;
    // What was missing at the end.
    uint64_t no_invite, no_cancel, no_ack, no_final_ack, no_bye, no_final, no_cancel_answer, no_bye_answer;
    // CANCELs that the server had no call for; CANCELs at phones, without Reason or without the right ones.
    uint64_t cancels_unknown, cancels, no_reason, wrong_reason;
    // What came more than once: requests at phones, finals at callers.
    uint64_t copies, copies_of_finals;
    // BYEs that overtook their ACK.
    uint64_t early_byes;
    uint64_t unexpected;
    uint64_t registered, not_registered;
} counted;

static char first_unexpected[160];

static void unexpected(const char *what, uint32_t number, unsigned code) {
    if (!counted.unexpected++)
        snprintf(first_unexpected, sizeof first_unexpected, "%s, call %u, %u", what, number, code);
}

static uint64_t hash(struct text text) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t at = 0; at < text.length; at++)
        value = (value ^ (uint8_t)text.start[at]) * 0x100000001b3u;
    return value;
}

static char *put_hex(char *out, uint64_t value, int digits) {
    for (int at = digits - 1; at >= 0; at--, value >>= 4)
        out[at] = "0123456789abcdef"[value & 15];
    return out + digits;
}

static bool read_hex(const char *text, int digits, uint32_t *value) {
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

static char *put_field(char *out, const char *name, struct text value) {
    out = put_text(out, name);
    out = put(out, value.start, value.length);
    return put(out, "\r\n", 2);
}

// MARK: reading

enum method { INVITE, ACK, CANCEL, BYE, REGISTER, OTHER };

struct message {
    unsigned code; // 0: a request
    enum method method;
    struct text uri;
    struct text vias[LINES_MAX], routes[LINES_MAX], reasons[LINES_MAX];
    unsigned via_count, route_count, reason_count;
    struct text from, to, call_id, sequence, contact;
};

static enum method method_of(struct text text) {
    static const char *const names[] = {"INVITE", "ACK", "CANCEL", "BYE", "REGISTER"};
    for (unsigned at = 0; at < OTHER; at++) {
        if (text.length == strlen(names[at]) && !memcmp(text.start, names[at], text.length))
            return (enum method)at;
    }
    return OTHER;
}

static void add_line(struct text *lines, unsigned *count, struct text value) {
    if (value.length && *count < LINES_MAX)
        lines[(*count)++] = value;
}

static bool read_message(const char *bytes, size_t length, struct message *message) {
    const char *cursor = bytes, *end = bytes + length;
    struct text line, value;
    memset(message, 0, sizeof *message);
    if (!next_line(&cursor, end, &line) || line.length < 12)
        return false;
    if (!memcmp(line.start, "SIP/2.0 ", 8)) {
        message->code = (unsigned)strtoul(line.start + 8, NULL, 10);
    } else {
        const char *uri = memchr(line.start, ' ', line.length);
        const char *after = memrchr(line.start, ' ', line.length);
        if (!uri || after == uri)
            return false;
        message->method = method_of((struct text){line.start, (size_t)(uri - line.start)});
        message->uri = (struct text){uri + 1, (size_t)(after - uri - 1)};
    }
    while (next_line(&cursor, end, &line)) {
        switch (line.start[0] | 0x20) {
        case 'v': add_line(message->vias, &message->via_count, field_value(line, "Via", 'v')); break;
        case 'r':
            add_line(message->routes, &message->route_count, field_value(line, "Record-Route", 0));
            add_line(message->reasons, &message->reason_count, field_value(line, "Reason", 0));
            break;
        case 'f':
            if ((value = field_value(line, "From", 'f')).length)
                message->from = value;
            break;
        case 't':
            if ((value = field_value(line, "To", 't')).length)
                message->to = value;
            break;
        case 'i':
        case 'c':
        case 'm':
            if ((value = field_value(line, "Call-ID", 'i')).length)
                message->call_id = value;
            else if ((value = field_value(line, "CSeq", 0)).length)
                message->sequence = value;
            else if ((value = field_value(line, "Contact", 'm')).length)
                message->contact = value;
            break;
        }
    }
    const char *space = memchr(message->sequence.start, ' ', message->sequence.length);
    if (!space || !message->via_count || !message->from.length || !message->to.length || !message->call_id.length)
        return false;
    if (message->code) {
        const char *stop = message->sequence.start + message->sequence.length;
        message->method = method_of((struct text){space + 1, (size_t)(stop - space - 1)});
    }
    return true;
}

// MARK: sending

// Messages that wait for the end of the round, so that those of one socket leave in one system call.
static char queue_bytes[QUEUE_MAX][DATAGRAM_BYTES_MAX];
static uint16_t queue_socket[QUEUE_MAX], queue_length[QUEUE_MAX];
static uint32_t queue_count;

static uint32_t socket_count(void) { return settings.caller_sockets + settings.phone_sockets; }

static void flush_queue(void) {
    static struct mmsghdr messages[QUEUE_MAX];
    static struct iovec parts[QUEUE_MAX];
    uint32_t starts[SOCKETS_MAX + 1] = {0}, cursor[SOCKETS_MAX];
    if (!queue_count)
        return;
    for (uint32_t at = 0; at < queue_count; at++)
        starts[queue_socket[at] + 1]++;
    for (uint32_t at = 0; at < socket_count(); at++) {
        starts[at + 1] += starts[at];
        cursor[at] = starts[at];
    }
    for (uint32_t at = 0; at < queue_count; at++) {
        uint32_t place = cursor[queue_socket[at]]++;
        parts[place] = (struct iovec){queue_bytes[at], queue_length[at]};
        messages[place].msg_hdr.msg_iov = &parts[place];
        messages[place].msg_hdr.msg_iovlen = 1;
    }
    for (uint32_t at = 0; at < socket_count(); at++) {
        if (starts[at + 1] > starts[at])
            counted.refused += send_all(handles[at], &messages[starts[at]], starts[at + 1] - starts[at]);
    }
    queue_count = 0;
}

// Room for a message; what is written there is sent by `enqueue`.
static char *room(void) {
    if (queue_count == QUEUE_MAX)
        flush_queue();
    return queue_bytes[queue_count];
}

static void enqueue(uint32_t socket, const char *end) {
    size_t length = (size_t)(end - queue_bytes[queue_count]);
    if (length > DATAGRAM_BYTES_MAX)
        fail("a message of %zu bytes", length);
    queue_socket[queue_count] = (uint16_t)socket;
    queue_length[queue_count++] = (uint16_t)length;
    counted.sent++;
}

static char *kept_copy(const char *bytes, size_t length) {
    char *copy = malloc(length);
    if (!copy)
        fail("no memory");
    memcpy(copy, bytes, length);
    return copy;
}

// MARK: timers

// What is due some time after now. All entries of a line have the same delay, so they stay in order.
struct due {
    uint64_t at_ns;
    uint32_t call;
    uint8_t leg, ticks;
    enum { DO_ANSWER, DO_CANCEL, DO_BYE, CHECK_INVITE, CHECK_CANCEL, CHECK_BYE, CHECK_LEG, CHECK_REGISTER } what;
};

struct line {
    uint64_t delay_ns;
    struct due *entries;
    size_t first, count, room; // room is a power of two
};

static struct line ring_line, talk_line, t1_line;

static void push(struct line *line, struct due due, uint64_t now) {
    if (line->count == line->room) {
        size_t room = line->room ? line->room * 2 : 1024;
        struct due *entries = malloc(room * sizeof *entries);
        if (!entries)
            fail("no memory");
        for (size_t at = 0; at < line->count; at++)
            entries[at] = line->entries[(line->first + at) & (line->room - 1)];
        free(line->entries);
        *line = (struct line){line->delay_ns, entries, 0, line->count, room};
    }
    due.at_ns = now + line->delay_ns;
    line->entries[(line->first + line->count++) & (line->room - 1)] = due;
}

static bool pop(struct line *line, uint64_t now, struct due *due) {
    if (!line->count || line->entries[line->first].at_ns > now)
        return false;
    *due = line->entries[line->first];
    line->first = (line->first + 1) & (line->room - 1);
    line->count--;
    return true;
}

// MARK: callers

static uint32_t caller_socket(uint32_t number) { return number % settings.caller_sockets; }

static char *put_via(char *out, uint32_t number, char kind) {
    out = put_text(out, "Via: SIP/2.0/UDP ");
    out = put_text(out, local_names[caller_socket(number)]);
    out = put_text(out, ";branch=z9hG4bK");
    *out++ = kind;
    out = put_hex(out, number, 8);
    out = put_hex(out, run_id, 8);
    return put_text(out, ";rport\r\n");
}

static char *put_from(char *out, uint32_t number) {
    out = put_text(out, "From: \"Caller\" <sip:+4930123456@");
    out = put_text(out, settings.domain);
    out = put_text(out, ">;tag=f");
    out = put_hex(out, number, 8);
    return put(out, "\r\n", 2);
}

static char *put_call_id(char *out, uint32_t number) {
    out = put_text(out, "Call-ID: c");
    out = put_hex(out, number, 8);
    out = put_hex(out, run_id, 8);
    return put_text(out, "@callers\r\n");
}

static const char *target_of(uint32_t number) { return targets[number % target_count]; }

// To of a request outside of a dialog: the AOR, which begins like the target.
static char *put_to(char *out, uint32_t number) {
    out = put_text(out, "To: <");
    out = put(out, target_of(number), 15);
    *out++ = '@';
    out = put_text(out, settings.domain);
    return put_text(out, ">\r\n");
}

static const char session[] = "v=0\r\n"
                              "o=- 3973846215 3973846215 IN IP4 192.0.2.17\r\n"
                              "s=call\r\n"
                              "c=IN IP4 192.0.2.17\r\n"
                              "t=0 0\r\n"
                              "m=audio 40172 RTP/AVP 8 0 9 101\r\n"
                              "a=rtpmap:8 PCMA/8000\r\n"
                              "a=rtpmap:0 PCMU/8000\r\n"
                              "a=rtpmap:9 G722/8000\r\n"
                              "a=rtpmap:101 telephone-event/8000\r\n"
                              "a=fmtp:101 0-15\r\n"
                              "a=ptime:20\r\n"
                              "a=sendrecv\r\n";

static char *put_session(char *out) {
    out = put_text(out, "Content-Type: application/sdp\r\nContent-Length: ");
    out = put_decimal(out, sizeof session - 1);
    out = put_text(out, "\r\n\r\n");
    return put(out, session, sizeof session - 1);
}

static const char no_body[] = "Content-Length: 0\r\n\r\n";

static void send_invite(uint32_t number) {
    char *out = put_text(room(), "INVITE ");
    out = put_text(out, target_of(number));
    out = put_text(out, " SIP/2.0\r\n");
    out = put_via(out, number, 'i');
    // Of the phone that calls, behind the main registrar.
    out = put_text(out, "Via: SIP/2.0/UDP 192.0.2.17:5060;received=192.0.2.17;branch=z9hG4bKphone");
    out = put_hex(out, number, 8);
    out = put_text(out, "\r\nMax-Forwards: 69\r\n");
    out = put_from(out, number);
    out = put_to(out, number);
    out = put_call_id(out, number);
    out = put_text(out, "CSeq: 1 INVITE\r\nContact: <sip:+4930123456@");
    out = put_text(out, local_names[caller_socket(number)]);
    out = put_text(out, ">\r\nUser-Agent: Model caller\r\n"
                        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, INFO\r\n"
                        "Supported: replaces, timer\r\n");
    enqueue(caller_socket(number), put_session(out));
}

// Both have to reach each phone.
static const char reason_sip[] = "SIP;cause=487;text=\"Caller gave up\"";
static const char reason_q850[] = "Q.850;cause=16;text=\"Normal call clearing\"";

static void send_cancel(uint32_t number) {
    char *out = put_text(room(), "CANCEL ");
    out = put_text(out, target_of(number));
    out = put_text(out, " SIP/2.0\r\n");
    out = put_via(out, number, 'i');
    out = put_text(out, "Max-Forwards: 69\r\n");
    out = put_from(out, number);
    out = put_to(out, number);
    out = put_call_id(out, number);
    out = put_text(out, "CSeq: 1 CANCEL\r\nReason: ");
    out = put_text(out, reason_sip);
    out = put_text(out, "\r\nReason: ");
    out = put_text(out, reason_q850);
    out = put_text(out, "\r\n");
    enqueue(caller_socket(number), put_text(out, no_body));
}

static void cancel_call(uint32_t number, uint64_t now) {
    calls[number].cancel_sent = true;
    send_cancel(number);
    push(&t1_line, (struct due){.call = number, .what = CHECK_CANCEL}, now);
}

static void send_kept(uint32_t number, const char *bytes, size_t length) {
    enqueue(caller_socket(number), put(room(), bytes, length));
}

// The ACK of a refusal: the INVITE's own branch, hop by hop (RFC 3261 §17.1.1.3).
static void acknowledge_refusal(uint32_t number, struct text to) {
    char *out = put_text(room(), "ACK ");
    out = put_text(out, target_of(number));
    out = put_text(out, " SIP/2.0\r\n");
    out = put_via(out, number, 'i');
    out = put_text(out, "Max-Forwards: 69\r\n");
    out = put_from(out, number);
    out = put_field(out, "To: ", to);
    out = put_call_id(out, number);
    out = put_text(out, "CSeq: 1 ACK\r\n");
    enqueue(caller_socket(number), put_text(out, no_body));
}

// Takes the last value of a list in Record-Route; commas inside of angle brackets belong to the value.
static bool last_value(struct text *list, struct text *value) {
    bool bracketed = false;
    size_t at = list->length, from = 0;
    if (!at)
        return false;
    while (at-- && !from) {
        char c = list->start[at];
        if (c == '>')
            bracketed = true;
        else if (c == '<')
            bracketed = false;
        else if (c == ',' && !bracketed)
            from = at + 1;
    }
    *value = (struct text){list->start + from, list->length - from};
    list->length = from ? from - 1 : 0;
    while (value->length && *value->start == ' ') {
        value->start++;
        value->length--;
    }
    return true;
}

// A request inside of the dialog: to the Contact of the 2xx, by the routes of it (§12.2.1.1).
static char *put_in_dialog(char *out, uint32_t number, const struct message *answer, const char *method,
                           unsigned sequence, char kind) {
    struct text contact = answer->contact, value;
    const char *open = memchr(contact.start, '<', contact.length);
    const char *close = memchr(contact.start, '>', contact.length);
    if (open && close > open)
        contact = (struct text){open + 1, (size_t)(close - open - 1)};
    out = put_text(out, method);
    *out++ = ' ';
    out = put(out, contact.start, contact.length);
    out = put_text(out, " SIP/2.0\r\n");
    out = put_via(out, number, kind);
    for (unsigned at = answer->route_count; at--;) {
        struct text list = answer->routes[at];
        while (last_value(&list, &value))
            out = put_field(out, "Route: ", value);
    }
    out = put_text(out, "Max-Forwards: 69\r\n");
    out = put_from(out, number);
    out = put_field(out, "To: ", answer->to);
    out = put_call_id(out, number);
    out = put_text(out, "CSeq: ");
    out = put_decimal(out, sequence);
    *out++ = ' ';
    out = put_text(out, method);
    out = put_text(out, "\r\n");
    return put_text(out, no_body);
}

static void check_complete(uint32_t number) {
    struct call *call = &calls[number];
    if (call->complete || call->state != ENDED)
        return;
    if (call->cancel_sent && !call->cancel_answered)
        return;
    for (uint32_t at = 0; at < settings.contacts; at++) {
        if (legs[(size_t)number * settings.contacts + at].state != OVER)
            return;
    }
    call->complete = true;
    counted.complete++;
}

static void take_final(uint32_t number, const struct message *answer, uint64_t now) {
    struct call *call = &calls[number];
    bool again = call->state >= TALKING;
    if (again)
        counted.copies_of_finals++;
    if (answer->code >= 300) {
        acknowledge_refusal(number, answer->to);
        if (again)
            return;
        if (answer->code != (call->outcome == CANCELLED ? 487 : call->outcome == REFUSED ? 486 : 0))
            unexpected("a final response at a caller", number, answer->code);
        call->state = ENDED;
        return;
    }
    if (!again) {
        char text[DATAGRAM_BYTES_MAX];
        if (call->outcome != ANSWERED)
            unexpected("a 2xx at a caller", number, answer->code);
        call->ack_length = (uint16_t)(put_in_dialog(text, number, answer, "ACK", 1, 'a') - text);
        call->ack = kept_copy(text, call->ack_length);
        call->bye_length = (uint16_t)(put_in_dialog(text, number, answer, "BYE", 2, 'b') - text);
        call->bye = kept_copy(text, call->bye_length);
        call->state = TALKING;
        push(&talk_line, (struct due){.call = number, .what = DO_BYE}, now);
    }
    if (call->ack)
        send_kept(number, call->ack, call->ack_length);
}

static void take_response(uint32_t number, const struct message *answer, uint64_t now) {
    struct call *call = &calls[number];
    switch (answer->method) {
    case INVITE:
        if (answer->code >= 200) {
            take_final(number, answer, now);
        } else if (call->state <= PROCEEDING) {
            call->state = PROCEEDING;
            if (answer->code > 100 && !call->rang) {
                call->rang = true;
                ringing_us[counted.rang++] = (uint32_t)((now - call->started_ns) / 1000);
                if (call->outcome == CANCELLED && !settings.early && !settings.holds)
                    push(&ring_line, (struct due){.call = number, .what = DO_CANCEL}, now);
            }
        }
        break;
    case CANCEL:
        if (answer->code == 481 && !call->cancel_answered)
            counted.cancels_unknown++;
        else if (answer->code != 200)
            unexpected("an answer to a CANCEL", number, answer->code);
        call->cancel_answered = true;
        break;
    case BYE:
        if (answer->code != 200)
            unexpected("an answer to a BYE", number, answer->code);
        if (call->state == LEAVING)
            call->state = ENDED;
        break;
    default: unexpected("a response", number, answer->code);
    }
    check_complete(number);
}

static void begin_call(uint32_t number, uint64_t now) {
    struct call *call = &calls[number];
    call->outcome = settings.mixes ? (enum outcome)(number % 3) : settings.outcome;
    call->started_ns = now;
    counted.begun++;
    send_invite(number);
    push(&t1_line, (struct due){.call = number, .what = CHECK_INVITE}, now);
    if (settings.early)
        cancel_call(number, now);
}

// MARK: phones

static struct leg *leg_of(uint32_t number, uint32_t contact) {
    return &legs[(size_t)number * settings.contacts + contact];
}

// The number of a phone among all phones, and so its socket.
static uint32_t phone_socket(uint32_t phone) { return settings.caller_sockets + phone % settings.phone_sockets; }

static uint32_t phone_of(uint32_t number, uint32_t contact) {
    return (uint32_t)strtoul(target_of(number) + 5, NULL, 10) * settings.contacts + contact;
}

static void send_answer(uint32_t socket, const struct leg *leg, const char *status, bool dialog, bool body) {
    char *out = put_text(room(), "SIP/2.0 ");
    out = put_text(out, status);
    out = put_text(out, "\r\n");
    out = put(out, leg->head, leg->head_length + (dialog ? leg->routes_length : 0u));
    enqueue(socket, body ? put_session(out) : put_text(out, no_body));
}

static void send_current(uint32_t number, uint32_t contact) {
    const struct leg *leg = leg_of(number, contact);
    uint32_t socket = phone_socket(phone_of(number, contact));
    switch (leg->state) {
    case RINGING: send_answer(socket, leg, "180 Ringing", true, false); break;
    case ACCEPTED: send_answer(socket, leg, "200 OK", true, true); break;
    case DECLINED:
        send_answer(socket, leg, leg->cancelled ? "487 Request Terminated" : "486 Busy Here", false, false);
        break;
    default: break;
    }
}

static void answer_finally(uint32_t number, uint32_t contact, bool accepts, uint64_t now) {
    leg_of(number, contact)->state = accepts ? ACCEPTED : DECLINED;
    send_current(number, contact);
    push(&t1_line, (struct due){.call = number, .leg = (uint8_t)contact, .what = CHECK_LEG}, now);
}

static char *put_head(char *out, const struct message *request, uint32_t contact) {
    for (unsigned at = 0; at < request->via_count; at++)
        out = put_field(out, "Via: ", request->vias[at]);
    out = put_field(out, "From: ", request->from);
    out = put_text(out, "To: ");
    out = put(out, request->to.start, request->to.length);
    if (!memmem(request->to.start, request->to.length, ";tag=", 5)) {
        out = put_text(out, ";tag=p");
        out = put_decimal(out, contact);
        *out++ = '-';
        out = put_hex(out, hash(request->call_id), 16);
    }
    out = put_text(out, "\r\n");
    out = put_field(out, "Call-ID: ", request->call_id);
    return put_field(out, "CSeq: ", request->sequence);
}

static void answer_plainly(uint32_t socket, const struct message *request, uint32_t contact, const char *status) {
    char *out = put_text(room(), "SIP/2.0 ");
    out = put_text(out, status);
    out = put_text(out, "\r\n");
    out = put_head(out, request, contact);
    enqueue(socket, put_text(out, no_body));
}

static bool has_reason(const struct message *request, const char *reason) {
    for (unsigned at = 0; at < request->reason_count; at++) {
        if (memmem(request->reasons[at].start, request->reasons[at].length, reason, strlen(reason)))
            return true;
    }
    return false;
}

static void take_invite(uint32_t number, uint32_t contact, uint32_t socket, const struct message *request,
                        uint64_t now) {
    struct leg *leg = leg_of(number, contact);
    if (leg->state != UNCALLED) {
        counted.copies++;
        if (leg->branch != hash(request->vias[0]))
            unexpected("a second INVITE at a phone", number, contact);
        send_current(number, contact);
        return;
    }
    char text[2 * DATAGRAM_BYTES_MAX];
    char *routes = put_head(text, request, contact), *out = routes;
    for (unsigned at = 0; at < request->route_count; at++)
        out = put_field(out, "Record-Route: ", request->routes[at]);
    out = put_text(out, "Contact: <");
    out = put(out, request->uri.start, request->uri.length);
    out = put_text(out, ">\r\n");
    leg->head_length = (uint16_t)(routes - text);
    leg->routes_length = (uint16_t)(out - routes);
    leg->head = kept_copy(text, (size_t)(out - text));
    leg->branch = hash(request->vias[0]);
    leg->state = RINGING;
    send_answer(socket, leg, "180 Ringing", true, false);
    bool answers = calls[number].outcome == ANSWERED && contact == number % settings.contacts;
    if (!settings.holds && (answers || calls[number].outcome == REFUSED))
        push(&ring_line, (struct due){.call = number, .leg = (uint8_t)contact, .what = DO_ANSWER}, now);
}

static void take_cancel(uint32_t number, uint32_t contact, uint32_t socket, const struct message *request,
                        uint64_t now) {
    struct leg *leg = leg_of(number, contact);
    if (leg->state == UNCALLED) {
        unexpected("a CANCEL before its INVITE", number, contact);
        answer_plainly(socket, request, contact, "481 Call/Transaction Does Not Exist");
        return;
    }
    answer_plainly(socket, request, contact, "200 OK");
    if (leg->cancelled) {
        counted.copies++;
    } else if (leg->state == RINGING) {
        leg->cancelled = true;
        counted.cancels++;
        bool right = calls[number].outcome == CANCELLED
                         ? has_reason(request, reason_sip) && has_reason(request, reason_q850)
                         : has_reason(request, "SIP;cause=200;text=\"Call completed elsewhere\"");
        if (!request->reason_count)
            counted.no_reason++;
        else if (!right)
            counted.wrong_reason++;
        if (leg->branch != hash(request->vias[0]))
            unexpected("a CANCEL of another branch", number, contact);
        answer_finally(number, contact, false, now);
    } else {
        unexpected("a CANCEL at a phone that has answered", number, contact);
    }
}

static void end_leg(struct leg *leg) {
    leg->state = OVER;
    free(leg->head);
    leg->head = NULL;
}

static void take_request(uint32_t number, uint32_t socket, const struct message *request, uint64_t now) {
    // `sip:u` and ten digits, a dash, the number of the contact.
    uint32_t contact = request->uri.length > 16 ? (uint32_t)strtoul(request->uri.start + 16, NULL, 10) : LEGS_MAX;
    if (contact >= settings.contacts || phone_socket(phone_of(number, contact)) != socket) {
        unexpected("a request at a phone that was not called", number, contact);
        return;
    }
    struct leg *leg = leg_of(number, contact);
    switch (request->method) {
    case INVITE: take_invite(number, contact, socket, request, now); break;
    case CANCEL: take_cancel(number, contact, socket, request, now); break;
    case ACK:
        if (leg->state == ACCEPTED)
            leg->state = CONFIRMED;
        else if (leg->state == DECLINED)
            end_leg(leg);
        else
            counted.copies++;
        break;
    case BYE:
        answer_plainly(socket, request, contact, "200 OK");
        if (leg->state == OVER) {
            counted.copies++;
        } else if (leg->state == UNCALLED) {
            unexpected("a BYE at a phone that was not called", number, contact);
        } else {
            counted.early_byes += leg->state != CONFIRMED;
            end_leg(leg);
        }
        break;
    default: unexpected("a request at a phone", number, 0);
    }
    check_complete(number);
}

// MARK: registering

static uint32_t sequence_start;
static uint8_t *bound; // for each phone
static uint32_t under_way;

static void send_register(uint32_t phone) {
    uint32_t socket = phone_socket(phone);
    char user[16];
    snprintf(user, sizeof user, "u%010u", phone / settings.contacts);
    char *out = put_text(room(), "REGISTER sip:");
    out = put_text(out, settings.domain);
    out = put_text(out, " SIP/2.0\r\nVia: SIP/2.0/UDP ");
    out = put_text(out, local_names[socket]);
    out = put_text(out, ";branch=z9hG4bKr");
    out = put_hex(out, phone, 8);
    out = put_hex(out, run_id, 8);
    out = put_text(out, ";rport\r\nMax-Forwards: 70\r\n");
    for (int at = 0; at < 2; at++) {
        out = put_text(out, at ? "To: <sip:" : "From: <sip:");
        out = put_text(out, user);
        *out++ = '@';
        out = put_text(out, settings.domain);
        out = put_text(out, at ? ">\r\n" : ">;tag=r");
        if (!at)
            out = put_text(put_hex(out, phone, 8), "\r\n");
    }
    out = put_text(out, "Call-ID: r");
    out = put_hex(out, phone, 8);
    out = put_text(out, "@phones\r\nCSeq: ");
    out = put_decimal(out, sequence_start);
    out = put_text(out, " REGISTER\r\nContact: <sip:");
    out = put_text(out, user);
    *out++ = '-';
    out = put_decimal(out, phone % settings.contacts);
    *out++ = '@';
    out = put_text(out, local_names[socket]);
    out = put_text(out, ">\r\nExpires: ");
    out = put_decimal(out, settings.expires);
    out = put_text(out, "\r\n");
    enqueue(socket, put_text(out, no_body));
}

static void begin_register(uint32_t phone, uint64_t now) {
    under_way++;
    counted.begun++;
    send_register(phone);
    push(&t1_line, (struct due){.call = phone, .what = CHECK_REGISTER}, now);
}

static void take_register_response(const struct message *answer) {
    uint32_t phone;
    if (answer->code < 200 || answer->call_id.length < 9 || !read_hex(answer->call_id.start + 1, 8, &phone) ||
        phone >= settings.count || bound[phone])
        return;
    bound[phone] = 1;
    under_way--;
    if (answer->code == 200)
        counted.registered++;
    else
        unexpected("an answer to a REGISTER", phone, answer->code);
}

// MARK: the run

// Whether the copy is due at the n-th T1: after T1, 2·T1, 4·T1 and so on, at last each 4 s.
static bool sends_again(unsigned ticks) { return ticks >= 8 ? ticks % 8 == 7 : (ticks & (ticks + 1)) == 0; }

// Looks at what waits for an answer: sends a copy, or not yet; false once it is answered or given up.
static bool check(struct due *due) {
    uint32_t number = due->call;
    due->ticks++;
    if (due->what == CHECK_REGISTER) {
        if (bound[number])
            return false;
        if (due->ticks >= TICKS_MAX) {
            bound[number] = 1;
            under_way--;
            counted.not_registered++;
            return false;
        }
        if (sends_again(due->ticks)) {
            counted.resent++;
            send_register(number);
        }
        return true;
    }
    const struct call *call = &calls[number];
    const struct leg *leg = leg_of(number, due->leg);
    bool waits = due->what == CHECK_INVITE   ? call->state == CALLING
                 : due->what == CHECK_CANCEL ? !call->cancel_answered
                 : due->what == CHECK_BYE    ? call->state == LEAVING
                                             : leg->state == ACCEPTED || leg->state == DECLINED;
    if (!waits || due->ticks >= TICKS_MAX)
        return false;
    if (!sends_again(due->ticks))
        return true;
    counted.resent++;
    switch (due->what) {
    case CHECK_INVITE: send_invite(number); break;
    case CHECK_CANCEL: send_cancel(number); break;
    case CHECK_BYE: send_kept(number, call->bye, call->bye_length); break;
    default: send_current(number, due->leg);
    }
    return true;
}

static void fire(uint64_t now) {
    struct due due;
    while (pop(&ring_line, now, &due)) {
        if (due.what == DO_CANCEL)
            cancel_call(due.call, now);
        else if (leg_of(due.call, due.leg)->state == RINGING)
            answer_finally(due.call, due.leg, calls[due.call].outcome == ANSWERED, now);
    }
    while (pop(&talk_line, now, &due)) {
        struct call *call = &calls[due.call];
        call->state = LEAVING;
        send_kept(due.call, call->bye, call->bye_length);
        push(&t1_line, (struct due){.call = due.call, .what = CHECK_BYE}, now);
    }
    while (pop(&t1_line, now, &due)) {
        if (check(&due))
            push(&t1_line, due, now);
    }
}

static void take(uint32_t socket, const char *bytes, size_t length, uint64_t now) {
    struct message message;
    uint32_t number, run;
    counted.received++;
    if (!read_message(bytes, length, &message)) {
        counted.strange++;
        return;
    }
    if (settings.registers) {
        if (message.code && message.method == REGISTER)
            take_register_response(&message);
        return;
    }
    // Of another run, or none of ours: a keep-alive, say.
    if (message.call_id.length < 17 || message.call_id.start[0] != 'c' ||
        !read_hex(message.call_id.start + 1, 8, &number) || !read_hex(message.call_id.start + 9, 8, &run) ||
        run != run_id || number >= settings.count) {
        counted.strange++;
        return;
    }
    if ((message.code != 0) != (socket < settings.caller_sockets))
        unexpected("a message at the wrong end", number, message.code);
    else if (message.code)
        take_response(number, &message, now);
    else
        take_request(number, socket, &message, now);
}

static void receive(uint32_t socket, struct batch *batch) {
    int taken;
    do {
        taken = receive_batch(handles[socket], batch, false);
        uint64_t now = now_ns();
        for (int at = 0; at < taken; at++)
            take(socket, batch->bytes[at], batch->messages[at].msg_len, now);
    } while (taken == BATCH_MAX);
}

// Lets a call that has been held come to its end.
static void release_call(uint32_t number, uint64_t now) {
    if (calls[number].outcome == CANCELLED) {
        cancel_call(number, now);
        return;
    }
    for (uint32_t at = 0; at < settings.contacts; at++) {
        bool accepts = calls[number].outcome == ANSWERED;
        if (leg_of(number, at)->state == RINGING && (!accepts || at == number % settings.contacts))
            answer_finally(number, at, accepts, now);
    }
}

static bool input_is_there(void) {
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char byte;
    return poll(&input, 1, 0) > 0 && read(0, &byte, 1) >= 0;
}

// Works for a while: timers, what has arrived, what is to be sent.
static void work(int poll, uint64_t until_ns) {
    static struct epoll_event events[SOCKETS_MAX];
    static struct batch *batch;
    if (!batch)
        batch = make_batch();
    fire(now_ns());
    flush_queue();
    uint64_t now = now_ns(), last = now + 5000000;
    if (until_ns > last)
        until_ns = last;
    // Who never sleeps need not be woken, which the kernel would charge to the server.
    struct timespec timeout = {0, until_ns > now && !settings.spins ? (long)(until_ns - now) : 0};
    int ready = epoll_pwait2(poll, events, (int)socket_count(), &timeout, NULL);
    for (int at = 0; at < ready; at++)
        receive(events[at].data.u32, batch);
    flush_queue();
}

// Starts something for each number at the rate that was asked for.
static void at_rate(int poll, void (*start)(uint32_t, uint64_t)) {
    uint64_t started = now_ns(), done = 0;
    while (done < settings.count && !stop_requested) {
        uint64_t now = now_ns(), due = 0;
        while (done < settings.count &&
               (due = started + (uint64_t)((double)done * 1e9 / (double)settings.rate)) <= now)
            start((uint32_t)done++, now);
        work(poll, due);
    }
}

static void run_registers(int poll) {
    uint32_t next = 0;
    bound = calloc(settings.count, 1);
    sequence_start = (uint32_t)time(NULL) & 0x7fffffff;
    while (!stop_requested && counted.registered + counted.not_registered + counted.unexpected < settings.count) {
        while (next < settings.count && under_way < WINDOW)
            begin_register(next++, now_ns());
        work(poll, UINT64_MAX);
    }
}

static void run_calls(int poll) {
    at_rate(poll, begin_call);
    uint64_t deadline = now_ns() + settings.drain_ns;
    if (settings.holds) {
        while (counted.rang < settings.count && now_ns() < deadline && !stop_requested)
            work(poll, UINT64_MAX);
        printf("ringing %llu\n", (unsigned long long)counted.rang);
        fflush(stdout);
        while (!input_is_there() && !stop_requested)
            work(poll, UINT64_MAX);
        at_rate(poll, release_call);
        deadline = now_ns() + settings.drain_ns;
    }
    while (counted.complete < settings.count && now_ns() < deadline && !stop_requested)
        work(poll, UINT64_MAX);
    // A copy of what was missed by the server would come by now.
    deadline = now_ns() + LINGER_NS;
    while (now_ns() < deadline && !stop_requested)
        work(poll, UINT64_MAX);
}

static void count_missing(void) {
    for (uint32_t number = 0; number < counted.begun; number++) {
        const struct call *call = &calls[number];
        counted.no_final += call->state <= PROCEEDING;
        counted.no_bye_answer += call->state == TALKING || call->state == LEAVING;
        counted.no_cancel_answer += call->cancel_sent && !call->cancel_answered;
        for (uint32_t at = 0; at < settings.contacts; at++) {
            const struct leg *leg = leg_of(number, at);
            bool answers = call->outcome == ANSWERED && at == number % settings.contacts;
            counted.no_invite += leg->state == UNCALLED;
            counted.no_cancel += leg->state == RINGING && !answers && call->outcome != REFUSED;
            counted.no_ack += leg->state == ACCEPTED;
            counted.no_final_ack += leg->state == DECLINED;
            counted.no_bye += leg->state == CONFIRMED;
        }
    }
}

static int compare(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static unsigned ringing_percentile(double share) {
    return counted.rang ? ringing_us[(uint64_t)((double)(counted.rang - 1) * share)] : 0;
}

static uint64_t missing(void) {
    return counted.no_invite + counted.no_cancel + counted.no_ack + counted.no_final_ack + counted.no_bye +
           counted.no_final + counted.no_cancel_answer + counted.no_bye_answer + counted.no_reason +
           counted.wrong_reason + counted.cancels_unknown + counted.early_byes;
}

static void report(uint64_t took_ns) {
    qsort(ringing_us, counted.rang, sizeof *ringing_us, compare);
    printf("{\"begun\":%llu,\"complete\":%llu,\"seconds\":%.3f,\"sent\":%llu,\"received\":%llu,",
           (unsigned long long)counted.begun, (unsigned long long)counted.complete, (double)took_ns / 1e9,
           (unsigned long long)counted.sent, (unsigned long long)counted.received);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"missing_invite", counted.no_invite},
        {"missing_cancel", counted.no_cancel},
        {"missing_ack", counted.no_ack},
        {"missing_final_ack", counted.no_final_ack},
        {"missing_bye", counted.no_bye},
        {"missing_final", counted.no_final},
        {"missing_cancel_answer", counted.no_cancel_answer},
        {"missing_bye_answer", counted.no_bye_answer},
        {"cancels_unknown", counted.cancels_unknown},
        {"cancels", counted.cancels},
        {"missing_reason", counted.no_reason},
        {"wrong_reason", counted.wrong_reason},
        {"copies", counted.copies},
        {"copies_of_finals", counted.copies_of_finals},
        {"early_byes", counted.early_byes},
        {"resent", counted.resent},
        {"refused", counted.refused},
        {"strange", counted.strange},
        {"unexpected", counted.unexpected},
    };
    for (size_t at = 0; at < sizeof counts / sizeof *counts; at++)
        printf("\"%s\":%llu,", counts[at].name, (unsigned long long)counts[at].value);
    printf("\"first_unexpected\":\"%s\",\"rang\":%llu,\"ringing_us\":{\"p50\":%u,\"p99\":%u,\"max\":%u},"
           "\"cpu_seconds\":%.3f}\n",
           first_unexpected, (unsigned long long)counted.rang, ringing_percentile(0.5), ringing_percentile(0.99),
           ringing_percentile(1), (double)process_cpu_ns() / 1e9);
}

static void read_targets(void) {
    char line[1024];
    FILE *file = settings.targets ? fopen(settings.targets, "r") : NULL;
    if (settings.targets && !file)
        fail("%s: %s", settings.targets, strerror(errno));
    targets = calloc(settings.aors, sizeof *targets);
    if (!targets)
        fail("no memory");
    for (target_count = 0; target_count < settings.aors; target_count++) {
        if (file) {
            if (!fgets(line, sizeof line, file))
                break;
            line[strcspn(line, "\r\n")] = 0;
            if (strlen(line) < 17 || strlen(line) >= URI_BYTES_MAX || memcmp(line, "sip:u", 5))
                fail("%s: not a target: %s", settings.targets, line);
            strcpy(targets[target_count], line);
        } else {
            snprintf(targets[target_count], URI_BYTES_MAX, "sip:u%010u@%s", target_count, settings.domain);
        }
    }
    if (!target_count)
        fail("%s: no targets", settings.targets);
}

static void open_socket(int poll, uint32_t at, const struct address *base, uint32_t offset) {
    struct address address = *base;
    uint32_t port = ntohs(((const struct sockaddr_in *)&base->storage)->sin_port) + offset; // same place in IPv6
    if (port > 65535)
        fail("no room for so many ports");
    set_port(&address, (uint16_t)port);
    handles[at] = bound_socket(&address);
    if (connect(handles[at], (struct sockaddr *)&settings.server.storage, settings.server.length))
        fail("connect: %s", strerror(errno));
    char host[NI_MAXHOST];
    getnameinfo((struct sockaddr *)&address.storage, address.length, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    bool six = address.storage.ss_family == AF_INET6;
    snprintf(local_names[at], sizeof local_names[at], six ? "[%.40s]:%u" : "%.40s:%u", host, port);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = at};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, handles[at], &event))
        fail("epoll: %s", strerror(errno));
}

static const char help[] =
    "callers register|call --server ADDR:PORT [options]\n"
    "Plays callers and the phones that they call; prints one line of JSON.\n"
    "  register         binds --aors AORs with --contacts phones each\n"
    "  call             sends --count INVITEs, --rate a second, and sees each call to its end:\n"
    "  --shape answer   one phone of each AOR answers after --ring-ms, the caller hangs up after --talk-ms\n"
    "  --shape cancel   the caller cancels after it has rung for --ring-ms\n"
    "  --shape early    the caller sends CANCEL back to back with INVITE\n"
    "  --shape refuse   each phone answers 486\n"
    "  --shape mix      a third answered, a third cancelled, a third refused\n"
    "  --hold           all ring until a line comes on standard input; `ringing N` is printed before\n"
    "  --targets FILE   request-URIs, one a line, each `sip:u` and ten digits of an AOR first; else the AORs\n"
    "  --callers, --phones ADDR:PORT          first socket of each side; --caller-sockets, --phone-sockets N\n"
    "  --spin           never sleeps, so that no server pays for waking it\n"
    "  --domain NAME, --expires SECONDS, --drain-ms N\n"
    "Exit status 0 if every call went by the book.\n";

int main(int count, char **arguments) {
    static const struct option options[] = {
        {"server", required_argument, NULL, 's'},     {"callers", required_argument, NULL, 'c'},
        {"phones", required_argument, NULL, 'p'},     {"caller-sockets", required_argument, NULL, 'C'},
        {"phone-sockets", required_argument, NULL, 'P'}, {"aors", required_argument, NULL, 'a'},
        {"contacts", required_argument, NULL, 'n'},   {"count", required_argument, NULL, 'N'},
        {"rate", required_argument, NULL, 'r'},       {"shape", required_argument, NULL, 'S'},
        {"hold", no_argument, NULL, 'H'},             {"targets", required_argument, NULL, 't'},
        {"ring-ms", required_argument, NULL, 'R'},    {"talk-ms", required_argument, NULL, 'T'},
        {"drain-ms", required_argument, NULL, 'D'},   {"domain", required_argument, NULL, 'd'},
        {"expires", required_argument, NULL, 'e'},    {"spin", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},             {0},
    };
    const char *server = NULL, *callers = "127.0.0.1:32050", *phones = "127.0.0.1:32100", *shape = "answer";
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) >= 0;) {
        switch (option) {
        case 's': server = optarg; break;
        case 'c': callers = optarg; break;
        case 'p': phones = optarg; break;
        case 'C': settings.caller_sockets = (uint32_t)parse_number("caller-sockets", optarg, SOCKETS_MAX / 2); break;
        case 'P': settings.phone_sockets = (uint32_t)parse_number("phone-sockets", optarg, SOCKETS_MAX / 2); break;
        case 'a': settings.aors = (uint32_t)parse_number("aors", optarg, 10000000); break;
        case 'n': settings.contacts = (uint32_t)parse_number("contacts", optarg, LEGS_MAX); break;
        case 'N': settings.count = parse_number("count", optarg, CALLS_MAX); break;
        case 'r': settings.rate = parse_number("rate", optarg, 1000000); break;
        case 'S': shape = optarg; break;
        case 'H': settings.holds = true; break;
        case 'w': settings.spins = true; break;
        case 't': settings.targets = optarg; break;
        case 'R': settings.ring_ns = parse_number("ring-ms", optarg, 600000) * 1000000; break;
        case 'T': settings.talk_ns = parse_number("talk-ms", optarg, 600000) * 1000000; break;
        case 'D': settings.drain_ns = parse_number("drain-ms", optarg, 600000) * 1000000; break;
        case 'd': settings.domain = optarg; break;
        case 'e': settings.expires = (uint32_t)parse_number("expires", optarg, 86400); break;
        default: fputs(help, stdout); return option == 'h' ? 0 : 2;
        }
    }
    const char *verb = optind == count - 1 ? arguments[optind] : "";
    settings.registers = !strcmp(verb, "register");
    if ((!settings.registers && strcmp(verb, "call")) || !server || !settings.aors || !settings.contacts ||
        !settings.caller_sockets || !settings.phone_sockets || !settings.rate || strlen(settings.domain) > 64) {
        fputs(help, stderr);
        return 2;
    }
    settings.early = !strcmp(shape, "early");
    settings.mixes = !strcmp(shape, "mix");
    if (settings.early || !strcmp(shape, "cancel"))
        settings.outcome = CANCELLED;
    else if (!strcmp(shape, "refuse"))
        settings.outcome = REFUSED;
    else if (!settings.mixes && strcmp(shape, "answer"))
        fail("--shape %s is not known", shape);
    if (settings.registers)
        settings.count = (uint64_t)settings.aors * settings.contacts;
    else if (!settings.count)
        settings.count = settings.aors;
    settings.server = parse_address(server);
    settings.callers = parse_address(callers);
    settings.phones = parse_address(phones);
    ring_line.delay_ns = settings.ring_ns;
    talk_line.delay_ns = settings.talk_ns;
    t1_line.delay_ns = T1_NS;
    read_targets();
    calls = calloc(settings.count, sizeof *calls);
    legs = calloc(settings.count * settings.contacts, sizeof *legs);
    ringing_us = calloc(settings.count, sizeof *ringing_us);
    if (!calls || !legs || !ringing_us || getrandom(&run_id, sizeof run_id, 0) != sizeof run_id)
        fail("no memory");
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (poll < 0)
        fail("epoll: %s", strerror(errno));
    for (uint32_t at = 0; at < settings.caller_sockets; at++)
        open_socket(poll, at, &settings.callers, at);
    for (uint32_t at = 0; at < settings.phone_sockets; at++)
        open_socket(poll, settings.caller_sockets + at, &settings.phones, at);
    stop_on_signals();
    uint64_t started = now_ns();
    if (settings.registers) {
        run_registers(poll);
        printf("{\"registered\":%llu,\"not_registered\":%llu,\"resent\":%llu,\"unexpected\":%llu,"
               "\"first_unexpected\":\"%s\"}\n",
               (unsigned long long)counted.registered, (unsigned long long)counted.not_registered,
               (unsigned long long)counted.resent, (unsigned long long)counted.unexpected, first_unexpected);
        return counted.registered == settings.count ? 0 : 1;
    }
    run_calls(poll);
    count_missing();
    report(now_ns() - started);
    return counted.complete == settings.count && !missing() && !counted.unexpected ? 0 : 1;
}
