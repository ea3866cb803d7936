/* The pod's network namespace as a file descriptor. */
#ifndef FAIRLEAD_CNI_NETNS_H
#define FAIRLEAD_CNI_NETNS_H

#include <stddef.h>

/*
 * Opens `path` when it is a network namespace and not the plugin's own. Answers the descriptor, or -1 with
 * the reason in `fault`.
 */
int netns_open(const char *path, char *fault, size_t room);

#endif
