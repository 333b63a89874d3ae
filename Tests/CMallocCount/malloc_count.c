// Counts heap requests per thread by standing in front of glibc's own functions, so that a test can
// say "nothing was allocated here". Linked into tests only.
#include "malloc_count.h"

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static _Thread_local uint64_t mallocs;

uint64_t midreg_mallocs_of_thread(void) { return mallocs; }

// A sanitizer stands in front of these functions itself and needs to; under one, nothing is counted.
#if !__has_feature(thread_sanitizer) && !__has_feature(address_sanitizer)

void *malloc(size_t size) {
    mallocs++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
    mallocs++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
    mallocs++;
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
    mallocs++;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    mallocs++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    mallocs++;
    void *p = __libc_memalign(alignment, size);
    if (p == NULL) return ENOMEM;
    *out = p;
    return 0;
}

#endif
