#pragma once
/*
 * What requirements files are called that are not read where they are: as seen from the
 * directory of the first of them. Pure.
 */
#include <stdbool.h>
#include "base/util.h"

/* What there may be. */
#define REQUIREMENTS_MAX_FILES 64
#define REQUIREMENTS_MAX_FILE_SIZE (1 << 20)
/* The same with packages, where they are uploaded, and the bytes of all their names. */
#define REQUIREMENTS_MAX_UPLOADS 1024
#define REQUIREMENTS_MAX_NAMES (96 << 10)

/* The name of what the file of the name @from includes as @text: beside that file, unless
 * absolute; without ".", "//" and, where there is something before it, "..". Owned. */
char *requirements_name_join(const char *from, const char *text);
/* Whether it lies in the first file's directory, or beneath. */
bool requirements_name_is_beneath(const char *name);
