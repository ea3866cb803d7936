#include "version.h"

#include <string.h>

const char *const supported_versions[SUPPORTED_VERSIONS] = {"0.4.0", "1.0.0", "1.1.0"};

#define ATTACHMENT (NEEDS_CONTAINER | NEEDS_IFNAME)

static const struct verb verbs[] = {
    {VERB_ADD, "ADD", ATTACHMENT | NEEDS_NETNS, 0, CODE_TRY_LATER},
    {VERB_DEL, "DEL", ATTACHMENT, 0, CODE_TRY_LATER},
    {VERB_CHECK, "CHECK", ATTACHMENT | NEEDS_NETNS, 0, CODE_TRY_LATER},
    {VERB_STATUS, "STATUS", 0, 2, CODE_NOT_AVAILABLE},
    {VERB_GC, "GC", 0, 2, CODE_TRY_LATER},
    {VERB_VERSION, "VERSION", 0, 0, CODE_TRY_LATER},
};

const struct verb *find_verb(const char *name) {
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

int version_index(const char *version) {
    for (int i = 0; i < SUPPORTED_VERSIONS; i++)
        if (strcmp(supported_versions[i], version) == 0)
            return i;
    return -1;
}
