#include "utf8.h"

#include <string.h>

/* First byte -> length and the range of the second byte (RFC 3629, section 4). Later bytes are 80..BF. */
struct form {
    unsigned char first_low, first_high, length, second_low, second_high;
};

static const struct form forms[] = {
    {0x00, 0x7F, 1, 0, 0},       {0xC2, 0xDF, 2, 0x80, 0xBF}, {0xE0, 0xE0, 3, 0xA0, 0xBF},
    {0xE1, 0xEC, 3, 0x80, 0xBF}, {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF},
    {0xF0, 0xF0, 4, 0x90, 0xBF}, {0xF1, 0xF3, 4, 0x80, 0xBF}, {0xF4, 0xF4, 4, 0x80, 0x8F},
};

static const struct form *form_of(unsigned char first) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (first >= forms[i].first_low && first <= forms[i].first_high)
            return &forms[i];
    return NULL;
}

size_t utf8_sequence(const unsigned char *at, const unsigned char *end) {
    const struct form *form = at < end ? form_of(*at) : NULL;
    if (!form || (size_t)(end - at) < form->length)
        return 0;
    if (form->length > 1 && (at[1] < form->second_low || at[1] > form->second_high))
        return 0;
    for (size_t i = 2; i < form->length; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return form->length;
}

bool utf8_text(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + strlen(text);
    while (at < end) {
        size_t length = utf8_sequence(at, end);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

size_t utf8_encode(unsigned code, unsigned char *out) {
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i > 1; i--, code >>= 6)
        out[i - 1] = (unsigned char)(0x80 | (code & 0x3F));
    out[0] = (unsigned char)(lead[length] | code);
    return length;
}
