/*
 * The conversation with the agent. Its other side is core/fairlead_core/cni_wire.py; a test compares the limits.
 *
 *   request   "FLC1" | u32le env bytes | u32le stdin bytes | env | stdin    (netns fd: SCM_RIGHTS of byte 0)
 *   response  "FLR1" | u32le exit code | u32le stdout bytes | stdout
 */
#ifndef FAIRLEAD_CNI_WIRE_H
#define FAIRLEAD_CNI_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define HEADER_BYTES 12
#define ENV_BYTES_MAX (64 * 1024)
#define STDIN_BYTES_MAX (1024 * 1024)
#define STDOUT_BYTES_MAX (1024 * 1024)
#define EXIT_CODE_MAX 255

enum outcome {
    ANSWERED,
    UNREACHABLE, /* nobody took the request */
    LOST,        /* taken, then the connection ended before the whole answer: the agent died */
    LATE,        /* not answered before the deadline */
    MALFORMED,   /* answered in something that is not this protocol */
};

struct answer {
    uint32_t exit_code;
    size_t stdout_bytes;
    unsigned char stdout_data[STDOUT_BYTES_MAX];
    char cause[256]; /* of every outcome but ANSWERED */
};

/* Sends one frame and waits for the answer, `timeout_ms` in all. `netns_fd` -1: none travels. */
enum outcome ask_agent(const char *socket_path, const unsigned char *frame, size_t frame_bytes, int netns_fd,
                       int timeout_ms, struct answer *answer);

uint32_t load_u32le(const unsigned char *at);
void store_u32le(unsigned char *at, uint32_t value);

#endif
