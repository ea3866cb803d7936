#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "deadline.h"

struct conversation {
    int fd;
    int64_t deadline;
    int timeout_ms;
    struct answer *answer;
};

uint32_t load_u32le(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void store_u32le(unsigned char *at, uint32_t value) {
    for (int i = 0; i < 4; i++, value >>= 8)
        at[i] = (unsigned char)value;
}

static enum outcome because(struct conversation *talk, enum outcome outcome, const char *what, int error) {
    const char *cause = error ? strerror(error) : "the connection ended";
    snprintf(talk->answer->cause, sizeof talk->answer->cause, "%s: %s", what, cause);
    return outcome;
}

static enum outcome late(struct conversation *talk, const char *what) {
    snprintf(talk->answer->cause, sizeof talk->answer->cause, "%s within %d s", what,
             talk->timeout_ms / 1000);
    return LATE;
}

/*
 * A blocking connect bounded by SO_SNDTIMEO: only so does the kernel wait for room in the backlog of an agent
 * that is behind; a non-blocking one answers EAGAIN at once and cannot be polled.
 */
static enum outcome connect_agent(struct conversation *talk, const char *path) {
    int left = remaining_ms(talk->deadline);
    struct timeval bound = {left / 1000, left % 1000 * 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    talk->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (talk->fd < 0)
        return because(talk, UNREACHABLE, "cannot be reached", errno);
    setsockopt(talk->fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof bound);
    if (connect(talk->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return ANSWERED;
    if (errno == EAGAIN)
        return late(talk, "had no room in its queue of connections");
    return because(talk, UNREACHABLE, "cannot be reached", errno);
}

/* Waits until the socket can do `events`; false after the deadline. */
static bool ready(struct conversation *talk, short events) {
    struct pollfd wait = {.fd = talk->fd, .events = events};
    int count;
    do
        count = poll(&wait, 1, remaining_ms(talk->deadline));
    while (count < 0 && errno == EINTR);
    return count > 0;
}

static ssize_t send_some(int fd, const unsigned char *bytes, size_t count, int netns_fd) {
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec data = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
    if (netns_fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.room;
        *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &netns_fd, sizeof netns_fd);
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* An agent may refuse before it has read everything: then its answer counts, not our EPIPE. */
static bool gone(int error) {
    return error == EPIPE || error == ECONNRESET;
}

static enum outcome send_frame(struct conversation *talk, const unsigned char *frame, size_t length,
                               int netns_fd) {
    size_t sent = 0;
    while (sent < length) {
        if (!ready(talk, POLLOUT))
            return late(talk, "did not take the request");
        ssize_t count = send_some(talk->fd, frame + sent, length - sent, sent == 0 ? netns_fd : -1);
        if (count < 0 && gone(errno))
            return ANSWERED;
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            return because(talk, LOST, "did not take the request", errno);
        sent += count > 0 ? (size_t)count : 0;
    }
    return ANSWERED;
}

static enum outcome receive(struct conversation *talk, unsigned char *into, size_t length) {
    size_t have = 0;
    while (have < length) {
        if (!ready(talk, POLLIN))
            return late(talk, "did not answer");
        ssize_t count = recv(talk->fd, into + have, length - have, MSG_DONTWAIT);
        if (count == 0)
            return because(talk, LOST, "went away before its answer was whole", 0);
        if (count < 0 && errno != EINTR && errno != EAGAIN)
            return because(talk, LOST, "went away before its answer was whole", errno);
        have += count > 0 ? (size_t)count : 0;
    }
    return ANSWERED;
}

static enum outcome read_header(struct conversation *talk, const unsigned char *header) {
    struct answer *answer = talk->answer;
    answer->exit_code = load_u32le(header + 4);
    answer->stdout_bytes = load_u32le(header + 8);
    if (memcmp(header, "FLR1", 4) != 0)
        snprintf(answer->cause, sizeof answer->cause, "gave an answer that does not start with FLR1");
    else if (answer->exit_code > EXIT_CODE_MAX)
        snprintf(answer->cause, sizeof answer->cause, "gave an answer with exit code %u", answer->exit_code);
    else if (answer->stdout_bytes > STDOUT_BYTES_MAX)
        snprintf(answer->cause, sizeof answer->cause, "gave an answer with %zu bytes of output",
                 answer->stdout_bytes);
    else
        return ANSWERED;
    return MALFORMED;
}

static enum outcome converse(struct conversation *talk, const unsigned char *frame, size_t length,
                             int netns_fd) {
    unsigned char header[HEADER_BYTES];
    enum outcome outcome = send_frame(talk, frame, length, netns_fd);
    if (outcome == ANSWERED)
        outcome = receive(talk, header, sizeof header);
    if (outcome == ANSWERED)
        outcome = read_header(talk, header);
    if (outcome == ANSWERED)
        outcome = receive(talk, talk->answer->stdout_data, talk->answer->stdout_bytes);
    return outcome;
}

enum outcome ask_agent(const char *socket_path, const unsigned char *frame, size_t frame_bytes, int netns_fd,
                       int timeout_ms, struct answer *answer) {
    struct conversation talk = {-1, deadline_in(timeout_ms), timeout_ms, answer};
    enum outcome outcome = connect_agent(&talk, socket_path);
    if (outcome == ANSWERED)
        outcome = converse(&talk, frame, frame_bytes, netns_fd);
    if (talk.fd >= 0)
        close(talk.fd);
    return outcome;
}
