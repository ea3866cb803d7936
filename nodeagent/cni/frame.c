#include "frame.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "deadline.h"

bool frame_add_variable(struct frame *frame, const char *variable) {
    size_t length = strlen(variable) + 1;
    if (frame->env_bytes + length > ENV_BYTES_MAX)
        return false;
    memcpy(frame->bytes + HEADER_BYTES + frame->env_bytes, variable, length);
    frame->env_bytes += length;
    return true;
}

const unsigned char *frame_stdin(const struct frame *frame) {
    return frame->bytes + HEADER_BYTES + frame->env_bytes;
}

/* One read, or a wait for one: > 0 bytes, 0 the end, -1 with errno (ETIMEDOUT after the deadline). */
static ssize_t read_some(unsigned char *into, size_t room, int64_t deadline) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    for (;;) {
        int ready = poll(&input, 1, remaining_ms(deadline));
        if (ready == 0)
            errno = ETIMEDOUT;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return -1;
        ssize_t count = read(STDIN_FILENO, into, room);
        if (count >= 0 || (errno != EINTR && errno != EAGAIN))
            return count;
    }
}

bool frame_read_stdin(struct frame *frame, int timeout_ms, struct failure *failure) {
    int64_t deadline = deadline_in(timeout_ms);
    unsigned char *start = frame->bytes + HEADER_BYTES + frame->env_bytes;
    while (frame->stdin_bytes <= STDIN_BYTES_MAX) {
        size_t room = STDIN_BYTES_MAX + 1 - frame->stdin_bytes;
        ssize_t count = read_some(start + frame->stdin_bytes, room, deadline);
        if (count < 0)
            return refuse(failure, CODE_IO,
                          "The runtime writes the network configuration to stdin and closes it.",
                          "network configuration: cannot read stdin to its end: %s", strerror(errno));
        if (count == 0)
            return true;
        frame->stdin_bytes += (size_t)count;
    }
    frame->stdin_bytes = STDIN_BYTES_MAX;
    return refuse(failure, CODE_DECODE, "A network configuration has at most 1 MiB.",
                  "network configuration: stdin has more than %d bytes", STDIN_BYTES_MAX);
}

size_t frame_finish(struct frame *frame) {
    memcpy(frame->bytes, "FLC1", 4);
    store_u32le(frame->bytes + 4, (uint32_t)frame->env_bytes);
    store_u32le(frame->bytes + 8, (uint32_t)frame->stdin_bytes);
    return HEADER_BYTES + frame->env_bytes + frame->stdin_bytes;
}
