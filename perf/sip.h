// The little of SIP that the stub, the floor and the generator need: header lines and where they end.
#ifndef PERF_SIP_H
#define PERF_SIP_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *start;
    size_t length;
};

// Takes the next line, without its line end; false at the empty line or where the bytes end.
static inline bool next_line(const char **cursor, const char *end, struct text *line) {
    const char *newline = memchr(*cursor, '\n', (size_t)(end - *cursor));
    if (!newline)
        return false;
    size_t length = (size_t)(newline - *cursor);
    if (length && newline[-1] == '\r')
        length--;
    *line = (struct text){*cursor, length};
    *cursor = newline + 1;
    return length > 0;
}

// The value of the line if it is the header field `name` (or its compact form), else an empty text.
static inline struct text field_value(struct text line, const char *name, char compact) {
    const char *colon = memchr(line.start, ':', line.length);
    if (!colon)
        return (struct text){0};
    size_t length = (size_t)(colon - line.start);
    while (length && (line.start[length - 1] == ' ' || line.start[length - 1] == '\t'))
        length--;
    bool matches = (length == strlen(name) && !strncasecmp(line.start, name, length)) ||
                   (compact && length == 1 && (line.start[0] | 0x20) == compact);
    if (!matches)
        return (struct text){0};
    const char *value = colon + 1;
    const char *end = line.start + line.length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    return (struct text){value, (size_t)(end - value)};
}

static inline char *put(char *out, const char *bytes, size_t length) {
    memcpy(out, bytes, length);
    return out + length;
}

static inline char *put_text(char *out, const char *text) { return put(out, text, strlen(text)); }

static inline char *put_decimal(char *out, unsigned long value) {
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count)
        *out++ = digits[--count];
    return out;
}

#endif
