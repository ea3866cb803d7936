/* What the runtime reads on stdout. */
#ifndef FAIRLEAD_CNI_REPORT_H
#define FAIRLEAD_CNI_REPORT_H

#include "failure.h"

/* The error document {cniVersion, code, msg, details}; answers the exit status, 1. */
int report_failure(const char *cni_version, const struct failure *failure);

/* The answer to VERSION; `asked` is what stdin said, empty for nothing. Answers the exit status. */
int report_versions(const char *asked);

/* `count` bytes as they are. False when stdout does not take them. */
bool report_bytes(const void *bytes, size_t count);

#endif
