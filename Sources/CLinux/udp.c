#define _GNU_SOURCE
#include "address.h"

#include <errno.h>
#include <unistd.h>

static int set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

/// The kernel's limit binds whoever may not go past it; then as much as it gives.
static void set_buffer(int fd, int forced, int option, int bytes) {
    if (set(fd, SOL_SOCKET, forced, bytes) < 0) (void)set(fd, SOL_SOCKET, option, bytes);
}

int midreg_udp_open(struct midreg_address address, int reuse_port, int receive_bytes,
                    int send_bytes, struct midreg_address *bound, int *granted) {
    int family = midreg_is_ipv4(address.high, address.low) ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;

    int error = 0;
    if (family == AF_INET6) error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (!error && reuse_port) error = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!error) error = set(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    if (error) goto failed;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, receive_bytes);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, send_bytes);

    union midreg_name name;
    socklen_t length = midreg_name_make(&name, address.high, address.low, address.port);
    if (bind(fd, &name.any, length) < 0) {
        error = -errno;
        goto failed;
    }
    length = sizeof name;
    if (getsockname(fd, &name.any, &length) < 0) {
        error = -errno;
        goto failed;
    }
    *bound = midreg_name_read(&name);

    // The kernel doubles what it is asked for, to pay for its own bookkeeping, and says so.
    int doubled = 0;
    length = sizeof doubled;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &doubled, &length) < 0) {
        error = -errno;
        goto failed;
    }
    *granted = doubled / 2;
    return fd;

failed:
    close(fd);
    return error;
}

// Not repeated after EINTR: on Linux the descriptor is gone either way.
int midreg_close(int fd) { return close(fd) < 0 && errno != EINTR ? -errno : 0; }
