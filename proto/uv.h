#pragma once
/* Where uv is when nobody says so. Any thread. */

/* Its absolute path, owned; NULL: there is none. @home: of the user whose own daemon it is
 * for; NULL: for the system's. */
char *uv_find(const char *home);
