/* library: the library that programs are to load. */
#ifndef BV_LIBRARY_H
#define BV_LIBRARY_H

/* Its absolute path: beside the command in the build tree, else where it is
 * installed, also when all of it was moved. NULL after saying why not. Valid
 * for the life of the process. */
const char *cli_library_find(void);

/* Adds it to LD_PRELOAD of this process's environment, for programs that are
 * begun from now on. Returns 0, or -1 after saying why. */
int cli_library_preload(const char *library);

#endif
