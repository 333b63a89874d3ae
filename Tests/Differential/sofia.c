/* What sofia-sip 1.12 reads in a message: the second reader of Tests/Differential. Built by
 * Tests/Differential/build, run as a program of its own, never linked into midreg.
 *
 * Standard input: messages, each behind its length (4 bytes, little-endian). Standard output: a line
 * for each, `key=value` with tabs between; values have TAB, CR, LF and "\" escaped. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg.h>
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/url.h>

static void put(const char *text)
{
    if (!text) return;
    for (; *text; text++) switch (*text) {
    case '\t': fputs("\\t", stdout); break;
    case '\r': fputs("\\r", stdout); break;
    case '\n': fputs("\\n", stdout); break;
    case '\\': fputs("\\\\", stdout); break;
    default: putchar(*text);
    }
}

static void put_url(msg_t *msg, const url_t *url)
{
    if (url->url_type == url_any) { putchar('*'); return; }
    if (url->url_type != url_sip && url->url_type != url_sips) {
        put(url_as_string(msg_home(msg), url));
        return;
    }
    put(url->url_scheme); putchar('|');
    put(url->url_user); putchar('|');
    put(url->url_password); putchar('|');
    put(url->url_host); putchar('|');
    put(url->url_port); putchar('|');
    put(url->url_params); putchar('|');
    put(url->url_headers);
}

static void judge(char *bytes, uint32_t length)
{
    msg_t *msg = msg_create(sip_default_mclass(), 0);
    msg_iovec_t vector[8];
    /* As tport does for a datagram: memory for all of it, then end of stream. */
    int count = msg_recv_iovec(msg, vector, 8, length, 1);
    uint32_t done = 0;
    for (int i = 0; i < count && done < length; i++) {
        uint32_t part = vector[i].mv_len < length - done ? vector[i].mv_len : length - done;
        memcpy(vector[i].mv_base, bytes + done, part);
        done += part;
    }
    msg_recv_commit(msg, done, 1);
    int extracted = msg_extract(msg);
    sip_t *sip = sip_object(msg);
    int flags = sip ? sip->sip_flags : MSG_FLG_ERROR;
    if (!sip || (!sip->sip_request && !sip->sip_status)) {
        puts("verdict=bad\twhy=no-start-line");
        msg_destroy(msg);
        return;
    }
    const char *why = "";
    if (extracted < 0) why = "extract";
    else if (extracted == 0 || !(flags & MSG_FLG_COMPLETE)) why = "incomplete";
    else if (sip_sanity_check(sip) < 0) why = "sanity";
    else if (MSG_HAS_ERROR(flags)) why = "error-flag";
    printf("verdict=%s\twhy=%s", *why ? "bad" : "good", why);
    /* Fields that it could not read. */
    fputs("\terrors=", stdout);
    for (const sip_error_t *e = sip->sip_error; e; e = e->er_next) {
        /* A doubled field is in the list as what it is, one that cannot be read as an error. */
        const msg_hclass_t *class = e->er_common->h_class;
        put(class != sip_error_class ? class->hc_name : e->er_name ? e->er_name : "?");
        putchar(',');
    }
    if (sip->sip_request) {
        fputs("\tstart=", stdout);
        put(sip->sip_request->rq_method_name);
        fputs("\turi=", stdout);
        put_url(msg, sip->sip_request->rq_url);
    } else {
        printf("\tstart=%d\turi=", sip->sip_status->st_status);
    }
    const sip_via_t *via = sip->sip_via;
    fputs("\tvia=", stdout);
    if (via) {
        put(via->v_host); putchar('|');
        put(via->v_port); putchar('|');
        put(via->v_branch);
    }
    fputs("\tfrom=", stdout);
    if (sip->sip_from) { put_url(msg, sip->sip_from->a_url); putchar(' '); put(sip->sip_from->a_tag); }
    fputs("\tto=", stdout);
    if (sip->sip_to) { put_url(msg, sip->sip_to->a_url); putchar(' '); put(sip->sip_to->a_tag); }
    fputs("\tcallid=", stdout);
    if (sip->sip_call_id) put(sip->sip_call_id->i_id);
    fputs("\tcseq=", stdout);
    if (sip->sip_cseq) { printf("%u ", sip->sip_cseq->cs_seq); put(sip->sip_cseq->cs_method_name); }
    fputs("\tcontacts=", stdout);
    for (const sip_contact_t *m = sip->sip_contact; m; m = m->m_next) {
        put_url(msg, m->m_url); putchar(' '); put(m->m_expires); putchar(' ');
    }
    fputs("\troutes=", stdout);
    for (const sip_route_t *r = sip->sip_route; r; r = r->r_next) {
        put_url(msg, r->r_url); putchar(' ');
    }
    fputs("\tforwards=", stdout);
    if (sip->sip_max_forwards) printf("%lu", sip->sip_max_forwards->mf_count);
    fputs("\tlength=", stdout);
    if (sip->sip_content_length) printf("%u", sip->sip_content_length->l_length);
    printf("\tbody=%zu\n", sip->sip_payload ? (size_t)sip->sip_payload->pl_len : (size_t)0);
    msg_destroy(msg);
}

/* Some bytes bring sofia-sip down; that is its reading of them, and the next message's turn. */
static sigjmp_buf before;
static void fall(int signal) { siglongjmp(before, signal); }

int main(void)
{
    struct sigaction action = {.sa_handler = fall, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGABRT, &action, NULL);
    static char bytes[1 << 16];
    uint8_t prefix[4];
    while (fread(prefix, 1, 4, stdin) == 4) {
        uint32_t length = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | (uint32_t)prefix[3] << 24;
        if (length > sizeof bytes || fread(bytes, 1, length, stdin) != length) return 1;
        if (sigsetjmp(before, 1) == 0) judge(bytes, length);
        else puts("verdict=bad\twhy=crash");
    }
    return 0;
}
