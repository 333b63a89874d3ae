// Between struct midreg_address and the kernel's two shapes of an address.
#ifndef MIDREG_ADDRESS_H
#define MIDREG_ADDRESS_H

#include "linux.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

union midreg_name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static inline int midreg_is_ipv4(uint64_t high, uint64_t low) {
    return high == 0 && low >> 32 == 0xFFFF;
}

static inline socklen_t midreg_name_make(union midreg_name *name, uint64_t high, uint64_t low,
                                         uint16_t port) {
    if (midreg_is_ipv4(high, low)) {
        name->v4 = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons(port),
            .sin_addr.s_addr = htonl((uint32_t)low),
        };
        return sizeof name->v4;
    }
    name->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    uint64_t words[2] = {htobe64(high), htobe64(low)};
    memcpy(&name->v6.sin6_addr, words, sizeof words);
    return sizeof name->v6;
}

static inline struct midreg_address midreg_name_read(const union midreg_name *name) {
    struct midreg_address address = {0};
    if (name->any.sa_family == AF_INET) {
        address.low = 0xFFFF00000000ull | ntohl(name->v4.sin_addr.s_addr);
        address.port = ntohs(name->v4.sin_port);
    } else if (name->any.sa_family == AF_INET6) {
        uint64_t words[2];
        memcpy(words, &name->v6.sin6_addr, sizeof words);
        address.high = be64toh(words[0]);
        address.low = be64toh(words[1]);
        address.port = ntohs(name->v6.sin6_port);
    }
    return address;
}

#endif
