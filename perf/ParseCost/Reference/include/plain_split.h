#ifndef MIDREG_PLAIN_SPLIT_H
#define MIDREG_PLAIN_SPLIT_H

#include <stdint.h>

struct plain_field {
    uint32_t name, name_end, value, value_end;
};

/// Splits a message into header fields, byte by byte, and decides nothing: what a parser's
/// instructions are divided by. Returns the number of fields, at most `max`.
long midreg_plain_split(
    const uint8_t *_Nonnull bytes, long count, struct plain_field *_Nonnull fields, long max);

#endif
