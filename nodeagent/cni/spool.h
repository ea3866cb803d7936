/* DEL calls that the agent will carry out when it is back: one file per attachment. */
#ifndef FAIRLEAD_CNI_SPOOL_H
#define FAIRLEAD_CNI_SPOOL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes `frame` to DIR/<container id>@<ifname>, whole or not at all and on disk before it answers. A file of
 * the same name is replaced. False with the reason in `fault`.
 */
bool spool_del(const char *dir, const char *container_id, const char *ifname, const unsigned char *frame,
               size_t frame_bytes, char *fault, size_t room);

#endif
