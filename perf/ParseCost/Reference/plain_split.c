#include "plain_split.h"

long midreg_plain_split(const uint8_t *bytes, long count, struct plain_field *fields, long max) {
    long at = 0, found = 0;
    while (at < count && bytes[at] != '\n') at++; // the start line
    at++;
    while (at < count && found < max && bytes[at] != '\r') {
        struct plain_field *field = &fields[found++];
        field->name = (uint32_t)at;
        while (at < count && bytes[at] != ':') at++;
        field->name_end = (uint32_t)at;
        at++;
        while (at < count && bytes[at] == ' ') at++;
        field->value = (uint32_t)at;
        while (at < count && bytes[at] != '\r') at++;
        field->value_end = (uint32_t)at;
        at += 2;
    }
    return found;
}
