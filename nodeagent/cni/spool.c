#define _GNU_SOURCE
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool make_dirs(const char *dir) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", dir);
    for (char *slash = path + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool write_all(int fd, const unsigned char *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = write(fd, bytes, count);
        if (done < 0 && errno != EINTR)
            return false;
        bytes += done > 0 ? done : 0;
        count -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* A directory entry survives a power cut only when the directory itself is on disk. */
static bool sync_dir(const char *dir) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

static bool write_file(char *temporary, const unsigned char *frame, size_t frame_bytes) {
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool good = write_all(fd, frame, frame_bytes) && fsync(fd) == 0;
    return close(fd) == 0 && good;
}

bool spool_del(const char *dir, const char *container_id, const char *ifname, const unsigned char *frame,
               size_t frame_bytes, char *fault, size_t room) {
    char temporary[PATH_MAX], name[PATH_MAX];
    snprintf(temporary, sizeof temporary, "%s/.del-XXXXXX", dir);
    snprintf(name, sizeof name, "%s/%s@%s", dir, container_id, ifname);
    if (make_dirs(dir) && write_file(temporary, frame, frame_bytes) && rename(temporary, name) == 0 &&
        sync_dir(dir))
        return true;
    snprintf(fault, room, "%s: %s", name, strerror(errno));
    unlink(temporary);
    return false;
}
