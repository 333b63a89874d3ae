// mallocs.so: counts the allocations of a process from outside it, thread by thread.
//
// LD_PRELOAD this before a dynamically linked program and name a file in MALLOCS_FILE: the counts stand in
// that file, mapped and shared, so that a script reads them before and after a burst without disturbing
// the process. The layout, all in the machine's byte order, 64 bits each:
//     calls of all threads, threads seen, then for each thread: its id, its calls
// Counted are malloc, calloc, realloc and the aligned ones; free is not.
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS_MAX = 1023 };

struct thread_count {
    _Atomic uint64_t thread;
    _Atomic uint64_t calls;
};

struct counts {
    _Atomic uint64_t calls;
    _Atomic uint64_t threads;
    struct thread_count thread[THREADS_MAX];
};

// Threads beyond the table count into a place nobody reads; the total stays right.
static struct counts before_mapping;
static struct counts *counts = &before_mapping;
static struct thread_count surplus;
static _Thread_local struct thread_count *mine __attribute__((tls_model("initial-exec")));

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static void note(void) {
    if (__builtin_expect(!mine, 0)) {
        uint64_t index = atomic_fetch_add(&counts->threads, 1);
        mine = index < THREADS_MAX ? &counts->thread[index] : &surplus;
        atomic_store(&mine->thread, (uint64_t)syscall(SYS_gettid));
    }
    atomic_fetch_add_explicit(&counts->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&mine->calls, 1, memory_order_relaxed);
}

__attribute__((constructor)) static void map_counts(void) {
    const char *path = getenv("MALLOCS_FILE");
    if (!path)
        return;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return;
    if (!ftruncate(file, sizeof(struct counts))) {
        void *place = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (place != MAP_FAILED) {
            counts = place;
            mine = NULL;
        }
    }
    close(file);
}

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    note();
    return __libc_calloc(count, size);
}

void *realloc(void *place, size_t size) {
    note();
    return __libc_realloc(place, size);
}

void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **place, size_t alignment, size_t size) {
    note();
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)))
        return EINVAL;
    void *memory = __libc_memalign(alignment, size);
    if (!memory)
        return ENOMEM;
    *place = memory;
    return 0;
}
