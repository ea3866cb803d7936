#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "utf8.h"
#include "version.h"

/* Six bytes of JSON per byte of text at worst (\u001f); both texts of a failure are bounded. */
struct document {
    char data[8 * sizeof(((struct failure *)0)->msg)];
    size_t length;
};

static void put(struct document *document, const void *bytes, size_t count) {
    if (document->length + count > sizeof document->data)
        return;
    memcpy(document->data + document->length, bytes, count);
    document->length += count;
}

static void put_text(struct document *document, const char *text) {
    put(document, text, strlen(text));
}

/* One character of a JSON string; a byte that is not UTF-8 becomes U+FFFD. Answers the bytes it read. */
static size_t put_character(struct document *document, const unsigned char *at, const unsigned char *end) {
    char escaped[8];
    size_t length = utf8_sequence(at, end);
    if (*at == '"' || *at == '\\')
        put(document, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\%c", *at));
    else if (*at < 0x20 || *at == 0x7F)
        put(document, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *at));
    else if (length == 0)
        put_text(document, "\xEF\xBF\xBD");
    else
        put(document, at, length);
    return length ? length : 1;
}

static void put_string(struct document *document, const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char *end = at + strlen(text);
    put_text(document, "\"");
    while (at < end)
        at += put_character(document, at, end);
    put_text(document, "\"");
}

bool report_bytes(const void *bytes, size_t count) {
    const char *at = bytes;
    while (count > 0) {
        ssize_t done = write(STDOUT_FILENO, at, count);
        if (done < 0 && errno != EINTR)
            return false;
        at += done > 0 ? done : 0;
        count -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

int report_failure(const char *cni_version, const struct failure *failure) {
    struct document document = {.length = 0};
    char code[16];
    snprintf(code, sizeof code, "%d", failure->code);
    put_text(&document, "{\"cniVersion\":");
    put_string(&document, version_index(cni_version) >= 0 ? cni_version : NEWEST_VERSION);
    put_text(&document, ",\"code\":");
    put_text(&document, code);
    put_text(&document, ",\"msg\":");
    put_string(&document, failure->msg);
    put_text(&document, ",\"details\":");
    put_string(&document, failure->details);
    put_text(&document, "}\n");
    report_bytes(document.data, document.length);
    return 1;
}

int report_versions(const char *asked) {
    struct document document = {.length = 0};
    put_text(&document, "{\"cniVersion\":");
    put_string(&document, asked[0] ? asked : NEWEST_VERSION);
    put_text(&document, ",\"supportedVersions\":[");
    for (int i = 0; i < SUPPORTED_VERSIONS; i++) {
        put_text(&document, i ? "," : "");
        put_string(&document, supported_versions[i]);
    }
    put_text(&document, "]}\n");
    return report_bytes(document.data, document.length) ? 0 : 1;
}
