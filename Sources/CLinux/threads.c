#define _GNU_SOURCE
#include "linux.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

_Static_assert(sizeof(pthread_t) <= sizeof(uint64_t), "a thread's handle fits its number");

static int pin(pthread_attr_t *attributes, int cpu) {
    if (cpu >= CPU_SETSIZE) return EINVAL;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((unsigned)cpu, &cpus);
    return pthread_attr_setaffinity_np(attributes, sizeof cpus, &cpus);
}

static int create(pthread_t *thread, size_t stack_bytes, int cpu, void *(*body)(void *),
                  void *context) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (!error && cpu >= 0) error = pin(&attributes, cpu);
    if (!error) error = pthread_create(thread, &attributes, body, context);
    pthread_attr_destroy(&attributes);
    return error;
}

int midreg_thread_start(void *(*body)(void *), void *context, size_t stack_bytes,
                        int cpu, uint64_t *thread, int *pin_errno) {
    // A thread inherits its maker's mask, so it is never without it, not even at its start.
    sigset_t all, before;
    sigfillset(&all);
    int error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error) return -error;

    pthread_t made = 0;
    error = create(&made, stack_bytes, cpu, body, context);
    *pin_errno = 0;
    if (error && cpu >= 0) {
        *pin_errno = error;
        error = create(&made, stack_bytes, -1, body, context);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *thread = made;
    return -error;
}

void midreg_thread_name(const char *name) {
    char short_name[16] = {0};
    for (int at = 0; at < 15 && name[at]; at++) short_name[at] = name[at];
    (void)pthread_setname_np(pthread_self(), short_name);
}

int midreg_thread_join(uint64_t thread) { return -pthread_join((pthread_t)thread, NULL); }

void midreg_thread_detach(uint64_t thread) { (void)pthread_detach((pthread_t)thread); }

static void ours(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

int midreg_signals_block(void) {
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return -errno;
    sigset_t set;
    ours(&set);
    return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int midreg_signals_wait(void) {
    sigset_t set;
    ours(&set);
    for (;;) {
        int number = 0;
        int error = sigwait(&set, &number);
        if (!error) return number;
        if (error != EINTR) return -error;
    }
}
