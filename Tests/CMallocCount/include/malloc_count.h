#ifndef MIDREG_MALLOC_COUNT_H
#define MIDREG_MALLOC_COUNT_H

#include <stdint.h>

/// How often the calling thread has asked for heap memory since it began.
uint64_t midreg_mallocs_of_thread(void);

#endif
