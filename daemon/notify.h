#pragma once
/* systemd: its sockets and its ears; the one door to libsystemd. Without a systemd,
 * or without its library, all of it does nothing. */
#include "base/error.h"

/* The socket it listens on for us; -1 when there is none. Once. */
int notify_take_socket(struct error *err);
void notify_ready(void);
void notify_stopping(void);
