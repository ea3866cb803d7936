#define _GNU_SOURCE
#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* NULL when `fd` is a network namespace that is not our own. */
static const char *netns_fault(int fd) {
    struct statfs filesystem;
    struct stat found, own;
    if (fstatfs(fd, &filesystem) != 0)
        return strerror(errno);
    if (filesystem.f_type != NSFS_MAGIC)
        return "it is no namespace (not on nsfs)";
    if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return "it is a namespace, but not a network namespace";
    if (fstat(fd, &found) != 0 || stat("/proc/self/ns/net", &own) != 0)
        return "cannot compare it with /proc/self/ns/net";
    if (found.st_dev == own.st_dev && found.st_ino == own.st_ino)
        return "it is the plugin's own network namespace, that is the node's";
    return NULL;
}

int netns_open(const char *path, char *fault, size_t room) {
    /* O_NONBLOCK: a FIFO in the place of the namespace must not hold the plugin. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *cause = fd < 0 ? strerror(errno) : netns_fault(fd);
    if (!cause)
        return fd;
    snprintf(fault, room, "%s", cause);
    if (fd >= 0)
        close(fd);
    return -1;
}
