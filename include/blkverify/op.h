/* op: the operations that a pair knows, in the words of the contract. */
#ifndef BLKVERIFY_OP_H
#define BLKVERIFY_OP_H

enum bv_op {
	BV_OP_READ,
	BV_OP_WRITE,
	BV_OP_ZERO,      /* reads as zero afterwards: punch, zero range */
	BV_OP_DISCARD,   /* contents undefined afterwards */
	BV_OP_RESIZE,
	BV_OP_FLUSH,
	BV_OP_MAP,       /* asking where the holes are */
	BV_OP_SIZE,      /* asking for the length */
	BV_OP_COUNT
};

/* "read", "write", ... as reports name it. */
const char *bv_op_name(enum bv_op op);

#endif
