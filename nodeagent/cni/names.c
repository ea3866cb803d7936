#include "names.h"

#include <stdbool.h>
#include <string.h>

static bool alphanumeric(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

const char *spec_name_fault(const char *name) {
    if (!alphanumeric(name[0]))
        return "does not start with a letter or digit";
    for (const char *at = name; *at; at++)
        if (!alphanumeric(*at) && !strchr("_.-", *at))
            return "contains a byte that is no letter, digit, '_', '.' or '-'";
    return strlen(name) > SPEC_NAME_MAX ? "is longer than 239 bytes" : NULL;
}

/* '%': the kernel would take "eth%d" as a pattern and make an interface of another name. */
const char *ifname_fault(const char *name) {
    if (strlen(name) > IFNAME_MAX)
        return "is longer than 15 bytes";
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return "is the name of a directory";
    if (strpbrk(name, "/:%"))
        return "contains '/', ':' or '%'";
    for (const char *at = name; *at; at++)
        if (*at <= ' ' || *at >= 0x7F)
            return "contains white space or a byte that is not printable ASCII";
    return NULL;
}
