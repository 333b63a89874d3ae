#ifndef MIDREG_SCAN_H
#define MIDREG_SCAN_H

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// Small, and most arguments are constants where they are called: a call would cost more.
#define MIDREG_INLINE static inline __attribute__((always_inline))

// Each function reads at most the bytes its comment names; the caller (Sources/Bytes) has checked
// that they are there.

/// Eight bytes, least significant first.
MIDREG_INLINE uint64_t midreg_load64(const uint8_t *_Nonnull p) {
    uint64_t value;
    memcpy(&value, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/// Whether `count` bytes are the same.
MIDREG_INLINE int midreg_same(
    const uint8_t *_Nonnull a, const uint8_t *_Nonnull b, long count) {
    return memcmp(a, b, (size_t)count) == 0;
}

/// Whether `count` bytes spell a text in lower case, letters of either case counting as one.
///
/// Exact for texts of letters, digits and bytes from 0x20 to 0x3F against bytes that are no control
/// bytes: there only the two cases of a letter differ in nothing but bit 0x20.
MIDREG_INLINE int midreg_spells(
    const uint8_t *_Nonnull p, const uint8_t *_Nonnull lower, long count) {
    const uint64_t fold = 0x2020202020202020u;
    if (count >= 8) {
        uint64_t a, b;
        long at = 0;
        for (; at + 8 <= count; at += 8) {
            memcpy(&a, p + at, 8);
            memcpy(&b, lower + at, 8);
            if ((a | fold) != b) return 0;
        }
        if (at == count) return 1;
        // The last eight, some of them for the second time.
        memcpy(&a, p + count - 8, 8);
        memcpy(&b, lower + count - 8, 8);
        return (a | fold) == b;
    }
    if (count >= 4) {
        uint32_t a, b, c, d;
        memcpy(&a, p, 4);
        memcpy(&b, lower, 4);
        memcpy(&c, p + count - 4, 4);
        memcpy(&d, lower + count - 4, 4);
        return (a | (uint32_t)fold) == b && (c | (uint32_t)fold) == d;
    }
    for (long i = 0; i < count; i++)
        if ((p[i] | 0x20) != lower[i]) return 0;
    return 1;
}

/// The offset of the first byte among `count` that is one of four, or `count`.
/// Reads up to 15 bytes past `count`, which the caller has as padding.
MIDREG_INLINE long midreg_find_any4(
    const uint8_t *_Nonnull p, long count, uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
#if defined(__SSE2__)
    const __m128i va = _mm_set1_epi8((char)a), vb = _mm_set1_epi8((char)b);
    const __m128i vc = _mm_set1_epi8((char)c), vd = _mm_set1_epi8((char)d);
    for (long i = 0; i < count; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i hit = _mm_or_si128(
            _mm_or_si128(_mm_cmpeq_epi8(x, va), _mm_cmpeq_epi8(x, vb)),
            _mm_or_si128(_mm_cmpeq_epi8(x, vc), _mm_cmpeq_epi8(x, vd)));
        int mask = _mm_movemask_epi8(hit);
        if (mask != 0) {
            long at = i + __builtin_ctz((unsigned)mask);
            return at < count ? at : count;
        }
    }
    return count;
#else
    for (long i = 0; i < count; i++)
        if (p[i] == a || p[i] == b || p[i] == c || p[i] == d) return i;
    return count;
#endif
}

#if defined(__SSE2__)
/// A bit for each of sixteen bytes that is a control byte, but not HT.
MIDREG_INLINE unsigned midreg_controls(__m128i x) {
    const __m128i low = _mm_set1_epi8(0x1F), tab = _mm_set1_epi8(0x09);
    const __m128i del = _mm_set1_epi8(0x7F);
    __m128i below = _mm_cmpeq_epi8(_mm_min_epu8(x, low), x);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(
        _mm_andnot_si128(_mm_cmpeq_epi8(x, tab), below), _mm_cmpeq_epi8(x, del)));
}

/// A bit for each of sixteen bytes that is a letter, a digit, "-" or ".".
MIDREG_INLINE unsigned midreg_plains(__m128i x) {
    // Compared with sign: a range is moved down to the least value, where one comparison tells.
    const __m128i fold = _mm_set1_epi8(0x20), slash = _mm_set1_epi8('/');
    const __m128i letters = _mm_set1_epi8((char)('a' + 128)), letters_end = _mm_set1_epi8(-128 + 26);
    const __m128i digits = _mm_set1_epi8((char)('-' + 128)), digits_end = _mm_set1_epi8(-128 + 13);
    __m128i letter = _mm_cmplt_epi8(_mm_sub_epi8(_mm_or_si128(x, fold), letters), letters_end);
    // "-", ".", "/", "0" to "9" are neighbours.
    __m128i digit = _mm_andnot_si128(
        _mm_cmpeq_epi8(x, slash), _mm_cmplt_epi8(_mm_sub_epi8(x, digits), digits_end));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, digit));
}
#endif

/// The offset of the first control byte (below 0x20 but for HT, or 0x7F) among `count`, or `count`.
/// Reads up to 15 bytes past `count`, which the caller has as padding.
MIDREG_INLINE long midreg_find_control(const uint8_t *_Nonnull p, long count) {
#if defined(__SSE2__)
    for (long i = 0; i < count; i += 16) {
        unsigned mask = midreg_controls(_mm_loadu_si128((const __m128i *)(p + i)));
        if (mask != 0) {
            long at = i + __builtin_ctz(mask);
            return at < count ? at : count;
        }
    }
    return count;
#else
    for (long i = 0; i < count; i++)
        if ((p[i] < 0x20 && p[i] != 0x09) || p[i] == 0x7F) return i;
    return count;
#endif
}

/// The offset of the first byte among `count` that is no letter, digit, "-" or ".", or `count`.
/// Reads up to 15 bytes past `count`, which the caller has as padding.
MIDREG_INLINE long midreg_skip_plain(const uint8_t *_Nonnull p, long count) {
#if defined(__SSE2__)
    for (long i = 0; i < count; i += 16) {
        unsigned mask = midreg_plains(_mm_loadu_si128((const __m128i *)(p + i))) ^ 0xFFFF;
        if (mask != 0) {
            long at = i + __builtin_ctz(mask);
            return at < count ? at : count;
        }
    }
    return count;
#else
    for (long i = 0; i < count; i++) {
        uint8_t letter = (uint8_t)((p[i] | 0x20) - 'a'), digit = (uint8_t)(p[i] - '-');
        if (letter >= 26 && (digit >= 13 || p[i] == '/')) return i;
    }
    return count;
#endif
}

/// `midreg_find_control` and, in the upper half, the offset of the first byte among sixteen that is no
/// letter, digit, "-" or "."; 16 if all are. Reads sixteen bytes, and up to 15 past `count`.
MIDREG_INLINE uint64_t midreg_find_line(const uint8_t *_Nonnull p, long count) {
#if defined(__SSE2__)
    __m128i x = _mm_loadu_si128((const __m128i *)p);
    uint64_t word = (uint64_t)(unsigned)__builtin_ctz(midreg_plains(x) ^ 0x1FFFF) << 32;
    unsigned mask = midreg_controls(x);
    long i = 0;
    while (mask == 0 && (i += 16) < count)
        mask = midreg_controls(_mm_loadu_si128((const __m128i *)(p + i)));
    if (mask != 0) i += __builtin_ctz(mask);
    return word | (uint64_t)(i < count ? i : count);
#else
    return (uint64_t)midreg_skip_plain(p, 16) << 32 | (uint64_t)midreg_find_control(p, count);
#endif
}

#endif
