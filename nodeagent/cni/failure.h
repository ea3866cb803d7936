/* Why a call cannot be served, as a value: the error document of CNI 1.1 before it is JSON. */
#ifndef FAIRLEAD_CNI_FAILURE_H
#define FAIRLEAD_CNI_FAILURE_H

#include <stdbool.h>
#include <stddef.h>

/* Codes of the CNI specification, section "Error" and STATUS; 8 as the reference library uses it. */
enum cni_code {
    CODE_VERSION = 1,
    CODE_UNSUPPORTED_FIELD = 2,
    CODE_ENVIRONMENT = 4,
    CODE_IO = 5,
    CODE_DECODE = 6,
    CODE_CONFIG = 7,
    CODE_NETNS = 8,
    CODE_TRY_LATER = 11,
    CODE_NOT_AVAILABLE = 50,
};

struct failure {
    enum cni_code code;
    char msg[2048];      /* object, action, cause */
    const char *details; /* what to do about it; never NULL once refused */
};

/* Fills `failure`, cutting a message that is too long. Always false, for `return refuse(...)` in a check. */
bool refuse(struct failure *failure, enum cni_code code, const char *details, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends to a zero-terminated text of `room` bytes; what does not fit is cut. */
void append(char *text, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
