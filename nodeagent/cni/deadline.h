/* A point on the monotonic clock, in milliseconds. */
#ifndef FAIRLEAD_CNI_DEADLINE_H
#define FAIRLEAD_CNI_DEADLINE_H

#include <stdint.h>
#include <time.h>

static inline int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int64_t deadline_in(int timeout_ms) {
    return now_ms() + timeout_ms;
}

/* Never negative: poll() takes a negative number as "for ever". */
static inline int remaining_ms(int64_t deadline) {
    int64_t left = deadline - now_ms();
    return left > 0 ? (int)left : 0;
}

#endif
