/* The request frame, built in place: header, then the CNI_ variables, then stdin read to where it belongs. */
#ifndef FAIRLEAD_CNI_FRAME_H
#define FAIRLEAD_CNI_FRAME_H

#include "failure.h"
#include "wire.h"

struct frame {
    size_t env_bytes, stdin_bytes;
    unsigned char
        bytes[HEADER_BYTES + ENV_BYTES_MAX + STDIN_BYTES_MAX + 1]; /* + 1 shows that stdin is longer */
};

/* Appends "KEY=VALUE\0"; false when the variables do not fit. Before any stdin is read. */
bool frame_add_variable(struct frame *frame, const char *variable);

/* Reads stdin to its end, bounded in bytes and in time. */
bool frame_read_stdin(struct frame *frame, int timeout_ms, struct failure *failure);

/* Where stdin's bytes are. */
const unsigned char *frame_stdin(const struct frame *frame);

/* Writes the header and answers the whole frame's length. */
size_t frame_finish(struct frame *frame);

#endif
