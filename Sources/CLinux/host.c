#define _GNU_SOURCE
#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

int midreg_random(uint8_t *bytes, size_t count) {
    size_t at = 0;
    while (at < count) {
        ssize_t got = getrandom(bytes + at, count - at, 0);
        if (got > 0) at += (size_t)got;
        if (got < 0 && errno != EINTR) return -errno;
    }
    return 0;
}

int midreg_resolve(const char *name, uint16_t port, struct midreg_address *addresses,
                   int addresses_max, int *gai) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    *gai = getaddrinfo(name, NULL, &hints, &found);
    if (*gai) return *gai == EAI_SYSTEM ? -errno : -EHOSTUNREACH;
    int count = 0;
    for (struct addrinfo *each = found; each && count < addresses_max; each = each->ai_next) {
        union midreg_name entry;
        if (each->ai_addrlen > sizeof entry) continue;
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6) continue;
        memcpy(&entry, each->ai_addr, each->ai_addrlen);
        addresses[count] = midreg_name_read(&entry);
        addresses[count].port = port;
        count++;
    }
    freeaddrinfo(found);
    return count;
}

const char *midreg_resolve_error(int gai) { return gai_strerror(gai); }

int midreg_local_address(struct midreg_address peer, struct midreg_address *local) {
    union midreg_name name;
    socklen_t length = midreg_name_make(&name, peer.high, peer.low, peer.port);
    int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int error = 0;
    if (connect(fd, &name.any, length) < 0) error = -errno;
    length = sizeof name;
    if (!error && getsockname(fd, &name.any, &length) < 0) error = -errno;
    close(fd);
    if (error) return error;
    *local = midreg_name_read(&name);
    local->port = 0;
    return 0;
}

int midreg_processors(int *cpus, int cpus_max) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) return -errno;
    int count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE && count < cpus_max; cpu++) {
        if (CPU_ISSET((unsigned)cpu, &allowed)) cpus[count++] = cpu;
    }
    return count;
}

uint64_t midreg_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return 0;
    return limit.rlim_cur;
}

int midreg_notify(const char *path, const char *state, size_t count) {
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length < 2 || length >= sizeof name.sun_path) return -EINVAL;
    if (path[0] != '/' && path[0] != '@') return -EAFNOSUPPORT;
    memcpy(name.sun_path, path, length);
    if (path[0] == '@') name.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    int error = 0;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (sendto(fd, state, count, MSG_NOSIGNAL, (struct sockaddr *)&name, size) < 0) error = -errno;
    close(fd);
    return error;
}
