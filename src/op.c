/* op: the operations that a pair knows, in the words of the contract. */
#include <blkverify/op.h>

const char *bv_op_name(enum bv_op op)
{
	switch (op) {
	case BV_OP_READ: return "read";
	case BV_OP_WRITE: return "write";
	case BV_OP_ZERO: return "zero";
	case BV_OP_DISCARD: return "discard";
	case BV_OP_RESIZE: return "resize";
	case BV_OP_FLUSH: return "flush";
	case BV_OP_MAP: return "map";
	case BV_OP_SIZE: return "size";
	case BV_OP_COUNT: break;
	}
	return "unknown";
}
