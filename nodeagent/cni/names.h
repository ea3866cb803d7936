/* The names that CNI allows. Each answers why a name is none, or NULL when it is fine. */
#ifndef FAIRLEAD_CNI_NAMES_H
#define FAIRLEAD_CNI_NAMES_H

/* "<container id>@<interface>" is a file name (255 bytes) of the spool: this is what the interface leaves. */
#define SPEC_NAME_MAX 239
#define IFNAME_MAX 15

/* A container id or network name, by the specification's rule. */
const char *spec_name_fault(const char *name);

/* An interface name, by the specification's and the kernel's rule. */
const char *ifname_fault(const char *name);

#endif
