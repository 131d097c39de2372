/* probe: which format an image has. */
#ifndef BV_PROBE_H
#define BV_PROBE_H

/* QEMU's name of it, as qemu-img finds it out; allocated. path is absolute.
 * NULL after saying why not. */
char *cli_probe(const char *path);

#endif
