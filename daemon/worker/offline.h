#pragma once
/*
 * Giving up the network, for good and for all that is started from here: sockets are
 * local ones (AF_UNIX) or none. What asks for another gets EACCES, as from a firewall.
 * The door to libseccomp. 0 or a negative errno.
 */
int offline(void);
