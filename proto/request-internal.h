#pragma once
/* What the parts of request share. */
#include "proto/request.h"

/* Puts @element at the end of a repeated field. */
void *request_append(void *list, size_t *count, void *element);
/* Of so many bytes of @path; owned by the caller. Links are not resolved: the daemon is to
 * see the name that the user sees. */
int request_make_absolute(const char *path, size_t size, char **ret, struct error *err);

/* A variable of the environment, whose name has so many bytes; the last of a name counts. */
void request_add_variable(
	struct request *request, const char *name, size_t size, const char *value);
/* Takes @text, and frees what was there; protobuf-c's empty string is nobody's. */
void request_set_text(char **field, char *text);

/* request-requirements.c */
int request_take_requirements(void *data, const char *value, struct error *err);
int request_take_refresh(void *data, const char *value, struct error *err);

/* request-guardian.c */
int request_take_guardian(void *data, const char *value, struct error *err);

/* request-flink.c */
int request_take_flink_conf(void *data, const char *value, struct error *err);
int request_take_cached_file(void *data, const char *value, struct error *err);
void request_deinit_flink(struct request *request);
