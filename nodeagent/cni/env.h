/* The CNI_ variables. */
#ifndef FAIRLEAD_CNI_ENV_H
#define FAIRLEAD_CNI_ENV_H

#include "failure.h"
#include "frame.h"
#include "version.h"

struct env {
    const struct verb *verb;                   /* NULL when CNI_COMMAND names none */
    const char *container_id, *ifname, *netns; /* NULL when not set or empty */
};

/* Reads and judges the variables for their verb. One message (code 4) names all missing and wrong ones. */
bool env_read(struct env *env, struct failure *failure);

/* Copies every CNI_ variable into the frame, a repeated one once. Code 4: too long, or not UTF-8. */
bool env_copy(struct frame *frame, struct failure *failure);

#endif
