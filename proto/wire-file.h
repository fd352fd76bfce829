#pragma once
/* Which file it is, as daemon and worker tell it to each other. Any thread. */
#include "base/fs.h"
#include "worker.pb-c.h"

void wire_file_from(const struct fs_identity *file, Pyenvd__Worker__FileIdentity *ret);
/* @ret stays as it is where there is none (NULL). */
void wire_file_to(const Pyenvd__Worker__FileIdentity *file, struct fs_identity *ret);
