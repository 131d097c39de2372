/* wrap_dl: see wrap_dl.c. */
#ifndef BV_WRAP_DL_H
#define BV_WRAP_DL_H

/* libc's dlsym, or the next one behind us. Callable at any time. */
extern void *(*bv_real_dlsym)(void *handle, const char *name);

/* From now on libraries are kept where the shim sees them. */
void bv_dl_start(void);

#endif
