#include "json.h"

#include <string.h>

#include "utf8.h"

struct cursor {
    const unsigned char *start, *at, *end;
    unsigned depth;
    struct json_fault *fault;
    json_visit visit; /* only for the top-level object */
    void *context;
};

static bool value(struct cursor *cursor, enum json_kind *kind, struct json_text *text);

static bool wrong(struct cursor *cursor, const char *cause) {
    cursor->fault->cause = cause;
    cursor->fault->offset = (size_t)(cursor->at - cursor->start);
    return false;
}

static int peek(const struct cursor *cursor) {
    return cursor->at < cursor->end ? *cursor->at : -1;
}

static void space(struct cursor *cursor) {
    while (peek(cursor) == ' ' || peek(cursor) == '\t' || peek(cursor) == '\n' || peek(cursor) == '\r')
        cursor->at++;
}

static bool take(struct cursor *cursor, int byte) {
    if (peek(cursor) != byte)
        return false;
    cursor->at++;
    return true;
}

static void keep(struct json_text *text, const unsigned char *bytes, size_t count) {
    if (text->cut || text->length + count >= JSON_TEXT_ROOM || memchr(bytes, 0, count)) {
        text->cut = true;
        return;
    }
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
    text->data[text->length] = 0;
}

static bool hex4(struct cursor *cursor, unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int byte = peek(cursor);
        int low = byte | 0x20;
        if (byte >= '0' && byte <= '9')
            *code = *code * 16 + (unsigned)(byte - '0');
        else if (low >= 'a' && low <= 'f')
            *code = *code * 16 + (unsigned)(low - 'a' + 10);
        else
            return wrong(cursor, "an \\u escape without four hexadecimal digits");
        cursor->at++;
    }
    return true;
}

/* After "\u". A lone surrogate is no character: readers behind us would each make something else of it. */
static bool unicode_escape(struct cursor *cursor, struct json_text *text) {
    unsigned code, low;
    unsigned char bytes[4];
    if (!hex4(cursor, &code))
        return false;
    if (code >= 0xD800 && code <= 0xDBFF) {
        if (!take(cursor, '\\') || !take(cursor, 'u'))
            return wrong(cursor, "half of a surrogate pair");
        if (!hex4(cursor, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return wrong(cursor, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return wrong(cursor, "half of a surrogate pair");
    }
    keep(text, bytes, utf8_encode(code, bytes));
    return true;
}

static bool escape(struct cursor *cursor, struct json_text *text) {
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    if (take(cursor, 'u'))
        return unicode_escape(cursor, text);
    const char *name = peek(cursor) > 0 ? strchr(names, peek(cursor)) : NULL;
    if (!name)
        return wrong(cursor, "an escape that JSON does not have");
    cursor->at++;
    keep(text, (const unsigned char *)bytes + (name - names), 1);
    return true;
}

static bool character(struct cursor *cursor, struct json_text *text) {
    if (take(cursor, '\\'))
        return escape(cursor, text);
    if (cursor->at == cursor->end)
        return wrong(cursor, "a string without its end");
    if (*cursor->at < 0x20)
        return wrong(cursor, "a control byte in a string");
    size_t length = utf8_sequence(cursor->at, cursor->end);
    if (length == 0)
        return wrong(cursor, "bytes that are not UTF-8");
    keep(text, cursor->at, length);
    cursor->at += length;
    return true;
}

static bool string(struct cursor *cursor, struct json_text *text) {
    if (!take(cursor, '"'))
        return wrong(cursor, "no string where one must be");
    while (!take(cursor, '"'))
        if (!character(cursor, text))
            return false;
    return true;
}

static bool digits(struct cursor *cursor) {
    const unsigned char *before = cursor->at;
    while (peek(cursor) >= '0' && peek(cursor) <= '9')
        cursor->at++;
    return cursor->at > before || wrong(cursor, "a number without a digit where one must be");
}

static bool number(struct cursor *cursor, struct json_text *text) {
    const unsigned char *before = cursor->at;
    take(cursor, '-');
    if (!take(cursor, '0') && !digits(cursor))
        return false;
    if (take(cursor, '.') && !digits(cursor))
        return false;
    if (take(cursor, 'e') || take(cursor, 'E')) {
        if (!take(cursor, '+'))
            take(cursor, '-');
        if (!digits(cursor))
            return false;
    }
    keep(text, before, (size_t)(cursor->at - before));
    return true;
}

static bool word(struct cursor *cursor, const char *literal) {
    size_t length = strlen(literal);
    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, literal, length) != 0)
        return wrong(cursor, "no value where one must be");
    cursor->at += length;
    return true;
}

static bool member(struct cursor *cursor) {
    struct json_member found;
    found.key = found.text = (struct json_text){.length = 0};
    if (!string(cursor, &found.key))
        return false;
    space(cursor);
    if (!take(cursor, ':'))
        return wrong(cursor, "no colon after a key");
    space(cursor);
    found.raw = (const char *)cursor->at;
    if (!value(cursor, &found.kind, &found.text))
        return false;
    found.raw_length = (size_t)(cursor->at - (const unsigned char *)found.raw);
    if (cursor->depth == 1)
        cursor->visit(&found, cursor->context);
    return true;
}

static bool element(struct cursor *cursor) {
    enum json_kind kind;
    struct json_text text = {.length = 0};
    return value(cursor, &kind, &text);
}

/* After the opening bracket: items between commas up to `close`. */
static bool items(struct cursor *cursor, int close, bool (*item)(struct cursor *)) {
    space(cursor);
    if (take(cursor, close))
        return true;
    for (;;) {
        if (!item(cursor))
            return false;
        space(cursor);
        if (take(cursor, close))
            return true;
        if (!take(cursor, ','))
            return wrong(cursor,
                         cursor->at == cursor->end ? "the end inside an object or array" : "no comma");
        space(cursor);
    }
}

static bool nested(struct cursor *cursor, int close, bool (*item)(struct cursor *)) {
    if (cursor->depth == JSON_DEPTH_MAX)
        return wrong(cursor, "more than 128 levels");
    cursor->at++;
    cursor->depth++;
    bool good = items(cursor, close, item);
    cursor->depth--;
    return good;
}

static bool value(struct cursor *cursor, enum json_kind *kind, struct json_text *text) {
    switch (peek(cursor)) {
    case '{': return *kind = JSON_OBJECT, nested(cursor, '}', member);
    case '[': return *kind = JSON_ARRAY, nested(cursor, ']', element);
    case '"': return *kind = JSON_STRING, string(cursor, text);
    case 't': return *kind = JSON_TRUE, word(cursor, "true");
    case 'f': return *kind = JSON_FALSE, word(cursor, "false");
    case 'n': return *kind = JSON_NULL, word(cursor, "null");
    case '-':
    case '0' ... '9': return *kind = JSON_NUMBER, number(cursor, text);
    default: return wrong(cursor, cursor->at == cursor->end ? "nothing" : "no value where one must be");
    }
}

bool json_object(const unsigned char *data, size_t length, json_visit visit, void *context,
                 struct json_fault *fault) {
    struct cursor cursor = {data, data, data + length, 0, fault, visit, context};
    enum json_kind kind;
    struct json_text text = {.length = 0};
    space(&cursor);
    if (cursor.at < cursor.end && peek(&cursor) != '{')
        return wrong(&cursor, "no object");
    if (!value(&cursor, &kind, &text))
        return false;
    space(&cursor);
    return cursor.at == cursor.end || wrong(&cursor, "more after the object");
}
