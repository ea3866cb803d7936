/* A strict JSON validator (RFC 8259) that hands out the members of the top-level object, nothing deeper. */
#ifndef FAIRLEAD_CNI_JSON_H
#define FAIRLEAD_CNI_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_TEXT_ROOM 256
#define JSON_DEPTH_MAX 128

enum json_kind { JSON_OBJECT, JSON_ARRAY, JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL };

/* A decoded string, or a number as written. */
struct json_text {
    char data[JSON_TEXT_ROOM]; /* zero-terminated */
    size_t length;
    bool cut; /* longer than the room, or with a zero inside: not usable as a C string */
};

struct json_member {
    struct json_text key;
    enum json_kind kind;
    struct json_text text; /* of JSON_STRING and JSON_NUMBER, else empty */
    const char *raw;       /* the value as written, raw_length bytes */
    size_t raw_length;
};

struct json_fault {
    const char *cause; /* NULL: none */
    size_t offset;     /* bytes from the start */
};

typedef void (*json_visit)(const struct json_member *member, void *context);

/*
 * Validates the whole document and calls `visit` for each member of the top-level object, in order; a
 * repeated key is visited again. False with `fault` filled when the document is not one JSON object. What was
 * visited before the fault stays visited: the error document still carries the caller's version.
 */
bool json_object(const unsigned char *data, size_t length, json_visit visit, void *context,
                 struct json_fault *fault);

#endif
