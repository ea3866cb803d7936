#include "env.h"

#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "utf8.h"

extern char **environ;

#define PREFIX "CNI_"
static const char details[] =
    "The runtime sets these variables, see the CNI specification, section 2, \"Parameters\".";

static const char *get(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

struct complaints {
    char text[1024];
};

static void complain(struct complaints *list, const char *name, const char *value, const char *fault) {
    append(list->text, sizeof list->text, "%s%s", list->text[0] ? "; " : "", name);
    if (value)
        append(list->text, sizeof list->text, " \"%.64s\"", value);
    append(list->text, sizeof list->text, " %s", fault);
}

static void require(struct complaints *list, const char *name, const char *value,
                    const char *(*fault)(const char *)) {
    const char *found = value && fault ? fault(value) : NULL;
    if (!value)
        complain(list, name, NULL, "is not set");
    else if (found)
        complain(list, name, value, found);
}

static bool read_verb(struct env *env, struct failure *failure) {
    const char *command = get("CNI_COMMAND");
    if (!command)
        return refuse(failure, CODE_ENVIRONMENT, details, "CNI call: CNI_COMMAND is not set");
    env->verb = find_verb(command);
    if (!env->verb)
        return refuse(failure, CODE_ENVIRONMENT, details,
                      "CNI call: CNI_COMMAND \"%.64s\" is none of ADD, DEL, CHECK, STATUS, GC, VERSION",
                      command);
    return true;
}

bool env_read(struct env *env, struct failure *failure) {
    struct complaints list = {.text = ""};
    if (!read_verb(env, failure))
        return false;
    env->container_id = get("CNI_CONTAINERID");
    env->ifname = get("CNI_IFNAME");
    env->netns = get("CNI_NETNS");
    if (env->verb->needs & NEEDS_CONTAINER)
        require(&list, "CNI_CONTAINERID", env->container_id, spec_name_fault);
    if (env->verb->needs & NEEDS_IFNAME)
        require(&list, "CNI_IFNAME", env->ifname, ifname_fault);
    if (env->verb->needs & NEEDS_NETNS)
        require(&list, "CNI_NETNS", env->netns, NULL);
    if (list.text[0])
        return refuse(failure, CODE_ENVIRONMENT, details, "CNI %s: %s", env->verb->name, list.text);
    return true;
}

/* The first of several variables of one name is the one that getenv() gave. */
static bool repeated(char **variable, size_t name_length) {
    for (char **before = environ; before < variable; before++)
        if (strncmp(*before, *variable, name_length + 1) == 0)
            return true;
    return false;
}

bool env_copy(struct frame *frame, struct failure *failure) {
    for (char **variable = environ; *variable; variable++) {
        const char *equals = strchr(*variable, '=');
        if (strncmp(*variable, PREFIX, strlen(PREFIX)) != 0 || !equals)
            continue;
        int name_length = (int)(equals - *variable);
        if (repeated(variable, (size_t)name_length))
            continue;
        if (!utf8_text(*variable))
            return refuse(failure, CODE_ENVIRONMENT, details, "CNI call: %.*s is not UTF-8",
                          name_length > 64 ? 64 : name_length, *variable);
        if (!frame_add_variable(frame, *variable))
            return refuse(failure, CODE_ENVIRONMENT, details,
                          "CNI call: %.*s and the CNI_ variables before it have "
                          "more than %d bytes",
                          name_length > 64 ? 64 : name_length, *variable, ENV_BYTES_MAX);
    }
    return true;
}
