/* wrap_dl: see wrap_dl.c. */
#ifndef BV_WRAP_DL_H
#define BV_WRAP_DL_H

/* From now on libraries are kept where the shim sees them. */
void bv_dl_start(void);

#endif
