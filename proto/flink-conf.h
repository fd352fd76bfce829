#pragma once
/* Flink's configuration file, as far as Python is concerned. Any thread. */
#include <stddef.h>
#include "base/error.h"

/* Calls @found for each option whose name begins with "python.", in the file's order.
 * -EINVAL with the number of the line; @text is taken apart. */
int flink_conf_parse(char *text, void (*found)(void *data, const char *key, const char *value),
	void *data, struct error *err);
