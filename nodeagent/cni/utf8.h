/* One UTF-8 sequence, as RFC 3629 defines it. */
#ifndef FAIRLEAD_CNI_UTF8_H
#define FAIRLEAD_CNI_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the sequence at `at` (1..4); 0 for none: overlong, surrogate, above U+10FFFF or cut short. */
size_t utf8_sequence(const unsigned char *at, const unsigned char *end);

/* Whether a zero-terminated text is UTF-8 throughout. */
bool utf8_text(const char *text);

/* Writes `code` (at most U+10FFFF) into `out` (4 bytes of room) and answers how many bytes it took. */
size_t utf8_encode(unsigned code, unsigned char *out);

#endif
