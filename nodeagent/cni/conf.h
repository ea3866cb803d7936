/* What the plugin itself reads from the network configuration; everything else is the agent's. */
#ifndef FAIRLEAD_CNI_CONF_H
#define FAIRLEAD_CNI_CONF_H

#include "failure.h"
#include "version.h"

struct conf {
    char cni_version[64]; /* as asked for; empty when stdin did not say */
    char name[256];
    int timeout_s;
    char socket_path[108]; /* the room of sockaddr_un */
    char spool_dir[201];
    bool has_prev_result, has_valid_attachments;
    char misfit[512];      /* the first member whose value cannot be used, with the reason */
    char unsupported[512]; /* the first member that asks for something Fairlead does not do */
};

/* Defaults. */
void conf_init(struct conf *conf);

/*
 * Reads the members of the configuration and judges them for `verb`. `conf` is filled as far as it could be
 * read, also on failure, so that the error document speaks the caller's version. Codes 1, 2, 6, 7.
 */
bool conf_read(struct conf *conf, const unsigned char *data, size_t length, const struct verb *verb,
               struct failure *failure);

#endif
