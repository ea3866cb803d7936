/* The protocol versions and verbs of CNI, and from which version on a verb exists. */
#ifndef FAIRLEAD_CNI_VERSION_H
#define FAIRLEAD_CNI_VERSION_H

#include "failure.h"

#define SUPPORTED_VERSIONS 3
#define NEWEST_VERSION "1.1.0"

extern const char *const supported_versions[SUPPORTED_VERSIONS]; /* oldest first */

/* What a verb needs in its environment. */
enum need { NEEDS_CONTAINER = 1, NEEDS_IFNAME = 2, NEEDS_NETNS = 4 };

enum verb_id { VERB_ADD, VERB_DEL, VERB_CHECK, VERB_STATUS, VERB_GC, VERB_VERSION };

struct verb {
    enum verb_id id;
    const char *name;
    unsigned needs;
    int since;          /* index into supported_versions */
    enum cni_code down; /* the code when the agent cannot be asked */
};

/* The verb of that exact name, or NULL. */
const struct verb *find_verb(const char *name);

/* Index of a supported version, or -1. */
int version_index(const char *version);

#endif
