#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool refuse(struct failure *failure, enum cni_code code, const char *details, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->msg, sizeof failure->msg, format, arguments);
    va_end(arguments);
    failure->code = code;
    failure->details = details;
    return false;
}

void append(char *text, size_t room, const char *format, ...) {
    size_t length = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + length, room - length, format, arguments);
    va_end(arguments);
}
