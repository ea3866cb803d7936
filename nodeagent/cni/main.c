/*
 * The CNI plugin: it judges the call's environment and configuration, hands both and the pod's network
 * namespace to the agent, and prints what the agent answers. It allocates and configures nothing itself.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "conf.h"
#include "env.h"
#include "frame.h"
#include "json.h"
#include "netns.h"
#include "report.h"
#include "spool.h"
#include "wire.h"

#define STDIN_TIMEOUT_MS 30000
/* A refused call's stdin is read for its cniVersion only; a person at a terminal need not wait. */
#define STDIN_TIMEOUT_REFUSED_MS 1000

struct call {
    struct env env;
    struct conf conf;
    struct frame frame;
    int netns_fd;
    char subject[300]; /* "ADD of <container id>/<interface>", for messages */
};

static void name_subject(struct call *call) {
    const char *verb = call->env.verb->name;
    if (call->env.verb->needs & NEEDS_CONTAINER)
        snprintf(call->subject, sizeof call->subject, "%s of %s/%s", verb, call->env.container_id,
                 call->env.ifname);
    else
        snprintf(call->subject, sizeof call->subject, "%s", verb);
}

static bool read_environment(struct call *call, struct failure *failure) {
    if (!env_read(&call->env, failure) || !env_copy(&call->frame, failure))
        return false;
    name_subject(call);
    return true;
}

static bool read_configuration(struct call *call, int timeout_ms, const struct verb *verb,
                               struct failure *failure) {
    conf_init(&call->conf);
    return frame_read_stdin(&call->frame, timeout_ms, failure) &&
           conf_read(&call->conf, frame_stdin(&call->frame), call->frame.stdin_bytes, verb, failure);
}

/*
 * DEL goes on without a namespace that is gone, was never one, or is the node's own by now (a reused process
 * id): there is an address to release, and without the descriptor nothing of the node can be touched.
 */
static bool open_netns(struct call *call, struct failure *failure) {
    char fault[256];
    bool needed = call->env.verb->needs & NEEDS_NETNS;
    bool given = call->env.netns && (call->env.verb->needs & NEEDS_CONTAINER);
    call->netns_fd = given ? netns_open(call->env.netns, fault, sizeof fault) : -1;
    if (call->netns_fd >= 0 || !needed)
        return true;
    return refuse(failure, CODE_NETNS, "CNI_NETNS is the path of the pod's network namespace.",
                  "%s: CNI_NETNS \"%.256s\" cannot be used: %s", call->subject, call->env.netns, fault);
}

/* The environment's faults come first, but stdin is read all the same: the error speaks its version. */
static bool understand(struct call *call, struct failure *failure) {
    struct failure unused;
    if (!read_environment(call, failure)) {
        read_configuration(call, STDIN_TIMEOUT_REFUSED_MS, find_verb("VERSION"), &unused);
        return false;
    }
    return read_configuration(call, STDIN_TIMEOUT_MS, call->env.verb, failure) && open_netns(call, failure);
}

static void ignore_member(const struct json_member *member, void *context) {
    (void)member;
    (void)context;
}

/* An ADD's result and every error must be a JSON object; the other verbs succeed without output. */
static bool answer_is_sound(const struct call *call, const struct answer *answer, struct failure *failure) {
    struct json_fault fault = {0};
    bool may_be_empty = answer->exit_code == 0 && call->env.verb->id != VERB_ADD;
    if (may_be_empty && answer->stdout_bytes == 0)
        return true;
    if (json_object(answer->stdout_data, answer->stdout_bytes, ignore_member, NULL, &fault))
        return true;
    return refuse(failure, CODE_IO, "Plugin and agent may be of different versions; see the agent's log.",
                  "%s: the agent's answer (exit code %u, %zu bytes) is not a JSON object: %s at byte %zu",
                  call->subject, answer->exit_code, answer->stdout_bytes, fault.cause, fault.offset);
}

static bool ask(struct call *call, struct answer *answer, struct failure *failure) {
    size_t length = frame_finish(&call->frame);
    enum outcome outcome = ask_agent(call->conf.socket_path, call->frame.bytes, length, call->netns_fd,
                                     call->conf.timeout_s * 1000, answer);
    if (outcome == ANSWERED)
        return answer_is_sound(call, answer, failure);
    if (outcome == MALFORMED)
        return refuse(failure, CODE_IO, "Plugin and agent may be of different versions; see the agent's log.",
                      "%s: the agent at %s %s", call->subject, call->conf.socket_path, answer->cause);
    return refuse(failure, call->env.verb->down,
                  "The Fairlead agent of this node is down or busy; try again later.",
                  "%s: the agent at %s %s", call->subject, call->conf.socket_path, answer->cause);
}

/* An agent that cannot be asked must not keep a pod from being deleted: it catches up from the spool. */
static bool remember(const struct call *call, struct failure *failure) {
    char fault[512];
    struct failure first = *failure;
    size_t length = HEADER_BYTES + call->frame.env_bytes + call->frame.stdin_bytes;
    if (spool_del(call->conf.spool_dir, call->env.container_id, call->env.ifname, call->frame.bytes, length,
                  fault, sizeof fault))
        return true;
    return refuse(failure, CODE_IO, "DEL is repeated by the runtime until it succeeds.",
                  "%.1500s; and it cannot be remembered: %s", first.msg, fault);
}

static int perform(struct call *call) {
    static struct answer answer;
    struct failure failure;
    if (ask(call, &answer, &failure))
        return report_bytes(answer.stdout_data, answer.stdout_bytes) ? (int)answer.exit_code : 1;
    if (call->env.verb->id == VERB_DEL && remember(call, &failure))
        return 0;
    return report_failure(call->conf.cni_version, &failure);
}

/* With a standard descriptor closed, the namespace or the socket would take its number and get our output. */
static void hold_standard_descriptors(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) < 0)
            _exit(1);
}

int main(void) {
    static struct call call; /* 1 MiB of frame: zero pages until used */
    struct failure failure;
    call.netns_fd = -1;
    hold_standard_descriptors();
    signal(SIGPIPE, SIG_IGN);
    if (!understand(&call, &failure))
        return report_failure(call.conf.cni_version, &failure);
    if (call.env.verb->id == VERB_VERSION)
        return report_versions(call.conf.cni_version);
    return perform(&call);
}
