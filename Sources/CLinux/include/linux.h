// The Linux calls that Swift's Glibc module hides or cannot spell, for Transport alone.
//
// Every function that can fail returns -errno. No structure of the kernel's shows here: what is
// behind _GNU_SOURCE stays in the .c files.
#ifndef MIDREG_LINUX_H
#define MIDREG_LINUX_H

#include <stddef.h>
#include <stdint.h>

/// An IP address as two numbers, most significant byte first, and a port; IPv4 as ::ffff:a.b.c.d.
struct midreg_address {
    uint64_t high;
    uint64_t low;
    uint16_t port;
};

// MARK: UDP sockets

/// Opens, tunes and binds a nonblocking UDP socket of the address's own family; its descriptor.
///
/// `bound` gets the address with the port that the kernel chose where `address` has none,
/// `granted` the receive buffer that the kernel gave, in bytes.
int midreg_udp_open(struct midreg_address address, int reuse_port, int receive_bytes,
                    int send_bytes, struct midreg_address *bound, int *granted);

int midreg_close(int fd);

// MARK: Receiving

enum {
    /// The readable bytes behind each slot, for readers that look at a block at a time.
    midreg_padding_bytes = 64,
    /// A slot holds any UDP datagram whole.
    midreg_slot_bytes = 65536,
};

/// What is known of a datagram besides its bytes.
struct midreg_received {
    struct midreg_address source;
    uint32_t count;
};

struct midreg_receive_batch;

/// Takes memory for `slots` datagrams, of which only touched pages cost; NULL if there is none.
struct midreg_receive_batch *midreg_receive_batch_new(uint32_t slots);
void midreg_receive_batch_free(struct midreg_receive_batch *batch);

/// Takes what has arrived, without waiting; how many slots were filled.
int midreg_receive_batch_fill(struct midreg_receive_batch *batch, int fd);

const struct midreg_received *midreg_receive_batch_entry(
    const struct midreg_receive_batch *batch, uint32_t index);
const uint8_t *midreg_receive_batch_bytes(
    const struct midreg_receive_batch *batch, uint32_t index);

/// The socket's drops so far as the last fill's datagrams told them, -1 if they told nothing.
int64_t midreg_receive_batch_drops(const struct midreg_receive_batch *batch);

// MARK: Sending

enum {
    /// Entries of one sendmmsg.
    midreg_send_max = 64,
};

struct midreg_send_result {
    uint64_t sent;
    uint64_t failed;
    /// The errno of the last failure, 0 if there was none.
    int32_t last_errno;
    /// Whether the device under the socket refused to cut segments.
    int32_t segmentation_refused;
};

struct midreg_send_batch;

struct midreg_send_batch *midreg_send_batch_new(void);
void midreg_send_batch_free(struct midreg_send_batch *batch);

/// Starts a round of flushes, which share one bound on waiting.
void midreg_send_batch_begin(struct midreg_send_batch *batch);

/// Adds an entry; with `segment` other than 0 its bytes are cut into datagrams of that length.
///
/// There is room for midreg_send_max entries between two flushes; the number that are there now.
uint32_t midreg_send_batch_add(struct midreg_send_batch *batch, uint64_t high, uint64_t low,
                               uint16_t port, uint8_t *bytes, size_t count, uint16_t segment);

/// Sends what was added and adds to `result`.
void midreg_send_batch_flush(struct midreg_send_batch *batch, int fd,
                             struct midreg_send_result *result);

// MARK: Waiting

struct midreg_event {
    uint32_t tag;
};

int midreg_poll_open(void);
int midreg_poll_add(int poll, int fd, uint32_t tag);
int midreg_poll_remove(int poll, int fd);
/// Waits at most `timeout_ms` (-1: for ever); the number of events, 0 also after a signal.
int midreg_poll_wait(int poll, struct midreg_event *events, int events_max, int timeout_ms);

int midreg_wakeup_open(void);
void midreg_wakeup_signal(int fd);
void midreg_wakeup_drain(int fd);

// MARK: Threads and signals

/// Starts a joinable thread that takes no signals. `cpu` -1 leaves it unpinned.
///
/// `pin_errno` is 0, or why the thread runs unpinned.
int midreg_thread_start(void *(*body)(void *), void *context, size_t stack_bytes, int cpu,
                        uint64_t *thread, int *pin_errno);
/// Names the calling thread; the first 15 bytes count.
void midreg_thread_name(const char *name);
int midreg_thread_join(uint64_t thread);
void midreg_thread_detach(uint64_t thread);

/// Keeps SIGTERM, SIGINT and SIGHUP for midreg_signals_wait and ignores SIGPIPE.
int midreg_signals_block(void);
/// Waits for one of them; its number.
int midreg_signals_wait(void);

// MARK: The host

/// Fills `bytes` with random ones.
int midreg_random(uint8_t *bytes, size_t count);

/// The addresses of a name, at most `addresses_max`; how many, or getaddrinfo's error in `gai`.
int midreg_resolve(const char *name, uint16_t port, struct midreg_address *addresses,
                   int addresses_max, int *gai);
const char *midreg_resolve_error(int gai);

/// The local address from which the kernel would send to `peer`; its port is 0.
int midreg_local_address(struct midreg_address peer, struct midreg_address *local);

/// The processors the calling thread may run on, at most `cpus_max`; how many.
int midreg_processors(int *cpus, int cpus_max);

/// How many files this process may have open.
uint64_t midreg_file_limit(void);

/// Sends `state` to the service manager's socket at `path` (@ opens an abstract name).
int midreg_notify(const char *path, const char *state, size_t count);

#endif
