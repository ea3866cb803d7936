#include "conf.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "names.h"

#define TIMEOUT_S_DEFAULT 30
#define TIMEOUT_S_MAX 300

/* Takes a value of the right kind; false when it cannot be used. */
typedef bool (*take)(struct conf *conf, const struct json_member *member);

static bool copy(char *into, size_t room, const struct json_text *text) {
    if (text->cut || text->length >= room)
        return false;
    memcpy(into, text->data, text->length + 1);
    return true;
}

static bool take_version(struct conf *conf, const struct json_member *member) {
    return copy(conf->cni_version, sizeof conf->cni_version, &member->text);
}

static bool take_name(struct conf *conf, const struct json_member *member) {
    return !spec_name_fault(member->text.data) && copy(conf->name, sizeof conf->name, &member->text);
}

static bool take_timeout(struct conf *conf, const struct json_member *member) {
    char *end;
    long seconds = strtol(member->text.data, &end, 10);
    conf->timeout_s = (int)seconds;
    return !member->text.cut && *end == 0 && seconds >= 1 && seconds <= TIMEOUT_S_MAX;
}

static bool take_socket(struct conf *conf, const struct json_member *member) {
    return member->text.data[0] == '/' && copy(conf->socket_path, sizeof conf->socket_path, &member->text);
}

static bool take_spool(struct conf *conf, const struct json_member *member) {
    return member->text.data[0] == '/' && copy(conf->spool_dir, sizeof conf->spool_dir, &member->text);
}

static bool take_prev_result(struct conf *conf, const struct json_member *member) {
    (void)member;
    return conf->has_prev_result = true;
}

static bool take_attachments(struct conf *conf, const struct json_member *member) {
    (void)member;
    return conf->has_valid_attachments = true;
}

#define SPEC_NAME                                                                                            \
    "text of letters, digits, '_', '.' and '-' that starts with a letter or digit, at most 239 bytes"

static const struct field {
    const char *key;
    enum json_kind kind;
    take take;
    const char *want;
} fields[] = {
    {"cniVersion", JSON_STRING, take_version, "text of at most 63 bytes"},
    {"name", JSON_STRING, take_name, SPEC_NAME},
    {"timeoutSeconds", JSON_NUMBER, take_timeout, "a whole number from 1 to 300"},
    {"socketPath", JSON_STRING, take_socket, "an absolute path of at most 107 bytes"},
    {"spoolDir", JSON_STRING, take_spool, "an absolute path of at most 200 bytes"},
    {"prevResult", JSON_OBJECT, take_prev_result, "an object"},
    {"cni.dev/valid-attachments", JSON_ARRAY, take_attachments, "a list"},
    {"cni.dev/attachments", JSON_ARRAY, take_attachments, "a list"}, /* the name in the first drafts of 1.1 */
};

static const struct field *find_field(const struct json_text *key) {
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!key->cut && strcmp(fields[i].key, key->data) == 0)
            return &fields[i];
    return NULL;
}

#define SHOWN_BYTES 80

static void show(char *into, size_t room, const struct json_member *member, const char *fault,
                 const char *want) {
    int bytes = member->raw_length > SHOWN_BYTES ? SHOWN_BYTES : (int)member->raw_length;
    if (into[0] == 0)
        append(into, room, "%s: %.*s %s %s", member->key.data, bytes, member->raw, fault, want);
}

/* A configuration that asks for NAT or another allocator would silently not get it. */
static bool asks_for_more(const struct json_member *member) {
    if (strcmp(member->key.data, "ipMasq") == 0)
        return member->kind == JSON_TRUE;
    return strcmp(member->key.data, "ipam") == 0 && member->kind == JSON_OBJECT && member->raw_length > 2;
}

static void visit(const struct json_member *member, void *context) {
    struct conf *conf = context;
    const struct field *field = find_field(&member->key);
    if (asks_for_more(member))
        show(conf->unsupported, sizeof conf->unsupported, member, "asks for what", "Fairlead does not do");
    if (!field)
        return;
    /* Go writes an empty list that was never made as null. */
    bool fits = field->kind == member->kind || (field->kind == JSON_ARRAY && member->kind == JSON_NULL);
    if (!fits || !field->take(conf, member))
        show(conf->misfit, sizeof conf->misfit, member, "is not", field->want);
}

void conf_init(struct conf *conf) {
    *conf = (struct conf){
        .timeout_s = TIMEOUT_S_DEFAULT,
        .socket_path = "/run/fairlead/cni.sock",
        .spool_dir = "/var/lib/fairlead/cni/del",
    };
}

static bool judge_version(const struct conf *conf, const struct verb *verb, struct failure *failure) {
    int index = version_index(conf->cni_version);
    if (conf->cni_version[0] == 0 && conf->misfit[0] == 0)
        return refuse(failure, CODE_VERSION, "Fairlead speaks CNI 0.4.0, 1.0.0 and 1.1.0.",
                      "network configuration: cniVersion is missing");
    if (conf->cni_version[0] == 0)
        return refuse(failure, CODE_CONFIG, "docs/cni.md lists the keys.", "network configuration: %s",
                      conf->misfit);
    if (index < 0)
        return refuse(failure, CODE_VERSION, "Fairlead speaks CNI 0.4.0, 1.0.0 and 1.1.0.",
                      "network configuration: cniVersion \"%s\" is not supported", conf->cni_version);
    if (index < verb->since)
        return refuse(failure, CODE_VERSION,
                      "Set cniVersion of the configuration to the version that has this verb.",
                      "network configuration: cniVersion %s has no verb %s, which came with %s",
                      conf->cni_version, verb->name, supported_versions[verb->since]);
    return true;
}

/* DEL and GC take away: what ADD refused must not keep a pod alive. */
static bool judge_unsupported(const struct conf *conf, const struct verb *verb, struct failure *failure) {
    if (conf->unsupported[0] == 0 || verb->id == VERB_DEL || verb->id == VERB_GC)
        return true;
    return refuse(failure, CODE_UNSUPPORTED_FIELD,
                  "Remove the key: Fairlead allocates from IPPools and routes without NAT.",
                  "network configuration: %s", conf->unsupported);
}

static bool judge_members(const struct conf *conf, const struct verb *verb, struct failure *failure) {
    static const char details[] = "docs/cni.md lists the keys.";
    if (conf->misfit[0])
        return refuse(failure, CODE_CONFIG, details, "network configuration: %s", conf->misfit);
    if (conf->name[0] == 0)
        return refuse(failure, CODE_CONFIG, details, "network configuration: name is missing");
    if (verb->id == VERB_CHECK && !conf->has_prev_result)
        return refuse(failure, CODE_CONFIG, "CHECK compares with the result of ADD, which the runtime keeps.",
                      "network configuration: prevResult is missing, CHECK needs it");
    /* Without the list GC would mean "nothing is valid" and take every pod's address. */
    if (verb->id == VERB_GC && !conf->has_valid_attachments)
        return refuse(failure, CODE_CONFIG, "An empty list is an answer, a missing one is not.",
                      "network configuration: cni.dev/valid-attachments is missing, GC needs it");
    return true;
}

/* VERSION asks before anything is agreed on: only unreadable JSON is refused, and nothing at all is fine. */
static bool only_version(const struct verb *verb, size_t length) {
    return verb->id == VERB_VERSION && length == 0;
}

bool conf_read(struct conf *conf, const unsigned char *data, size_t length, const struct verb *verb,
               struct failure *failure) {
    struct json_fault fault = {0};
    if (only_version(verb, length))
        return true;
    if (!json_object(data, length, visit, conf, &fault))
        return refuse(failure, CODE_DECODE, "stdin must be one JSON object.",
                      "network configuration: %s at byte %zu of %zu", fault.cause, fault.offset, length);
    if (verb->id == VERB_VERSION)
        return true;
    return judge_version(conf, verb, failure) && judge_unsupported(conf, verb, failure) &&
           judge_members(conf, verb, failure);
}
